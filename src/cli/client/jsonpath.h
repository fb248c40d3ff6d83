#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::api {
class JsonValue;
}

namespace gantry::cli {

// kubectl's JSONPath templates: "{.items[*].metadata.name}", "{range
// .items[*]}{.metadata.name}{"\n"}{end}",
// "{.status.conditions[?(@.type=="Ready")].status}", "{..image}", "['a','b']", "[0:2]", "[-1]".
// Fields that are not there give nothing. Threading: immutable.
class JsonPath {
 public:
  // The failure says what is wrong with the template, as kubectl words it.
  static Result<JsonPath> Parse(std::string_view text);
  ~JsonPath();
  JsonPath(JsonPath&&) noexcept;
  JsonPath& operator=(JsonPath&&) noexcept;

  Result<std::string> Print(const api::JsonValue& value) const;
  // What all its paths find, in order; they point into `value` or this.
  Result<std::vector<const api::JsonValue*>> Find(const api::JsonValue& value) const;

  struct Node;

 private:
  explicit JsonPath(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace gantry::cli
