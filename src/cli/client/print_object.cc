#include "cli/client/print_object.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "api/json_value.h"
#include "api/yaml.h"
#include "cli/client/failure.h"
#include "cli/client/jsonpath.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

void DropManagedFields(JsonValue* object) {
  if (JsonValue* meta = object->Find("metadata")) meta->Erase("managedFields");
  if (JsonValue* items = object->Find("items"); items != nullptr && items->is_array()) {
    for (JsonValue& item : items->as_array())
      DropManagedFields(&item);
  }
}

// A scalar as Go's encoder writes it: <, > and & escaped.
void AppendScalar(const JsonValue& value, std::string* out) {
  for (const char c : value.ToString()) {
    switch (c) {
      case '<':
        *out += "\\u003c";
        break;
      case '>':
        *out += "\\u003e";
        break;
      case '&':
        *out += "\\u0026";
        break;
      default:
        *out += c;
    }
  }
}

void AppendPretty(const JsonValue& value, size_t depth, std::string* out) {
  const std::string inner((depth + 1) * 4, ' ');
  const std::string outer(depth * 4, ' ');
  if (value.is_object() && !value.as_object().empty()) {
    std::vector<const JsonValue::Member*> members;
    for (const auto& member : value.as_object())
      members.push_back(&member);
    std::sort(members.begin(), members.end(),
              [](const auto* a, const auto* b) { return a->first < b->first; });
    *out += "{\n";
    for (size_t i = 0; i < members.size(); ++i) {
      *out += inner;
      AppendScalar(JsonValue(members[i]->first), out);
      *out += ": ";
      AppendPretty(members[i]->second, depth + 1, out);
      *out += i + 1 < members.size() ? ",\n" : "\n";
    }
    *out += outer + "}";
  } else if (value.is_array() && !value.as_array().empty()) {
    const auto& items = value.as_array();
    *out += "[\n";
    for (size_t i = 0; i < items.size(); ++i) {
      *out += inner;
      AppendPretty(items[i], depth + 1, out);
      *out += i + 1 < items.size() ? ",\n" : "\n";
    }
    *out += outer + "]";
  } else {
    AppendScalar(value, out);
  }
}

Result<std::string> PrintPath(const std::string& text, const JsonValue& object) {
  Result<JsonPath> path = JsonPath::Parse(text);
  if (!path.ok())
    return LocalError("error parsing jsonpath " + text + ", " + path.status().message());
  Result<std::string> out = path->Print(object);
  if (!out.ok())
    return LocalError("error executing jsonpath \"" + text + "\": " + out.status().message());
  return out;
}

}  // namespace

bool PrintsObjects(std::string_view format) {
  return format == "json" || format == "yaml" || format.starts_with("jsonpath=") ||
         format.starts_with("jsonpath-file=");
}

Result<std::string> PrintObject(std::string_view format, JsonValue object) {
  DropManagedFields(&object);
  if (format == "yaml") return api::JsonToYaml(object);
  if (format == "json") {
    std::string out;
    AppendPretty(object, 0, &out);
    return out + "\n";
  }
  const std::string argument(format.substr(format.find('=') + 1));
  if (format.starts_with("jsonpath=")) return PrintPath(argument, object);
  std::ifstream file(argument);
  if (!file) return LocalError("error reading --template " + argument + ": no such file");
  std::stringstream text;
  text << file.rdbuf();
  return PrintPath(text.str(), object);
}

}  // namespace gantry::cli
