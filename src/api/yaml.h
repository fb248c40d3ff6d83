#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::api {

class JsonValue;

// One JSON text per YAML document, empty documents skipped. Scalars resolve as kubectl's YAML
// library resolves them: yes/no/on/off are booleans, 0644 is octal, dates stay strings. Duplicate
// keys, unknown anchors and aliases that multiply without bound are errors. kBadRequest with the
// line otherwise.
Result<std::vector<std::string>> YamlToJson(std::string_view yaml);

// One document in block style, keys sorted, two spaces, sequences not indented; ends with a line
// break.
std::string JsonToYaml(const JsonValue& value);

}  // namespace gantry::api
