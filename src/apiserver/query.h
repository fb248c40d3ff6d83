#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace gantry::apiserver {

// Undoes percent encoding; `plus_is_space` as in a query. A broken escape: nullopt.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);

// The parameters of a URL's query, decoded. Parts with broken escapes are skipped, as Go does.
// Threading: a value.
class Query {
 public:
  Query() = default;
  static Query Parse(std::string_view text);

  // The first value; empty when absent.
  std::string_view Get(std::string_view name) const;
  bool Has(std::string_view name) const;
  std::vector<std::string> All(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

  // As Kubernetes converts query values: bool is true unless "false", "0" or absent ("" is true
  // where the name stands).
  bool GetBool(std::string_view name) const;
  std::optional<bool> GetOptionalBool(std::string_view name) const;
  // kBadRequest, worded as strconv words it, when it is no number.
  Result<std::optional<int64_t>> GetInt(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace gantry::apiserver
