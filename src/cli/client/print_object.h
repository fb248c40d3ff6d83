#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::api {
class JsonValue;
}

namespace gantry::cli {

// How -o asks for objects to be printed: "json", "yaml", "jsonpath=TEMPLATE", "jsonpath-file=FILE",
// "jsonpath-as-json=TEMPLATE", "custom-columns=SPEC", "custom-columns-file=FILE". "name" and the
// server's tables are the caller's.
bool PrintsObjects(std::string_view format);
// The failure for a format that neither PrintsObjects nor is in `others`.
Status CheckFormat(const std::string& format, const std::vector<std::string>& others);

struct PrintOptions {
  bool managed_fields = false;
  bool no_headers = false;
};
// `object` may be a List. kubectl's layout: keys sorted, managed fields left out.
Result<std::string> PrintObject(std::string_view format, api::JsonValue object,
                                const PrintOptions& options = {});

// custom-columns: "NAME:.metadata.name,IP:.status.podIP" over the items of a List, or one object.
Result<std::string> PrintColumns(const std::string& spec, const api::JsonValue& object,
                                 bool no_headers);

// "{.a.b}" from ".a.b", "a.b" or "{.a.b}".
Result<std::string> FullPath(const std::string& path);

}  // namespace gantry::cli
