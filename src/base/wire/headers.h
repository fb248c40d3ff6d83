#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gantry::wire {

// Without the blanks and tabs at both ends.
std::string_view Trim(std::string_view text);

// ASCII comparison without case, as header names and tokens need it.
bool EqualFold(std::string_view a, std::string_view b);

// True when the comma-separated list of tokens has `token` (without case; parameters after ';' are
// ignored).
bool HasToken(std::string_view list, std::string_view token);

// Header fields in the order in which they came; names are matched without case. Threading: a
// value.
class Headers {
 public:
  void Add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  // Replaces all fields of that name.
  void Set(std::string name, std::string value);
  void Remove(std::string_view name);
  // The first one; empty when absent.
  std::string_view Get(std::string_view name) const;
  bool Has(std::string_view name) const;
  // HasToken over every field of that name.
  bool HasToken(std::string_view name, std::string_view token) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace gantry::wire
