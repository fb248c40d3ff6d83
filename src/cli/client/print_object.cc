#include "cli/client/print_object.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "api/json_value.h"
#include "api/yaml.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
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

// "jsonpath=..." -> "jsonpath"
std::string_view KindOf(std::string_view format) { return format.substr(0, format.find('=')); }

// Those that need something behind "=".
constexpr std::string_view kTemplates[] = {"jsonpath", "jsonpath-file", "jsonpath-as-json",
                                           "custom-columns", "custom-columns-file"};

Result<std::string> FileText(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    return LocalError("error reading --template " + path + ", open " + path +
                      ": no such file or directory");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Names in the file's first line, paths in its second.
Result<std::string> ColumnsOfFile(const std::string& path) {
  GANTRY_ASSIGN(const std::string text, FileText(path));
  std::istringstream lines(text);
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  std::istringstream names(first), paths(second);
  std::string spec, name, field;
  while (names >> name) {
    if (!(paths >> field)) return LocalError("number of columns and paths differ in " + path);
    spec += (spec.empty() ? "" : ",") + name + ":" + field;
  }
  return spec;
}

Result<std::string> PrintPathAsJson(const std::string& text, const JsonValue& object) {
  Result<JsonPath> path = JsonPath::Parse(text);
  if (!path.ok())
    return LocalError("error parsing jsonpath " + text + ", " + path.status().message());
  Result<std::vector<const JsonValue*>> found = path->Find(object);
  if (!found.ok())
    return LocalError("error executing jsonpath \"" + text + "\": " + found.status().message());
  JsonValue::Array items;
  for (const JsonValue* item : *found)
    items.push_back(*item);
  std::string out;
  AppendPretty(JsonValue(std::move(items)), 0, &out);
  return out + "\n";
}

}  // namespace

bool PrintsObjects(std::string_view format) {
  if (format == "json" || format == "yaml") return true;
  return format.find('=') != std::string_view::npos &&
         std::find(std::begin(kTemplates), std::end(kTemplates), KindOf(format)) !=
             std::end(kTemplates);
}

Status CheckFormat(const std::string& format, const std::vector<std::string>& others) {
  if (format.empty() || PrintsObjects(format) ||
      std::find(others.begin(), others.end(), format) != others.end())
    return Status::Ok();
  if (format.starts_with("custom-columns"))
    return LocalError("custom-columns format specified but no custom columns given");
  if (std::find(std::begin(kTemplates), std::end(kTemplates), format) != std::end(kTemplates))
    return LocalError("template format specified but no template given");
  std::vector<std::string> all(std::begin(kTemplates), std::end(kTemplates));
  all.insert(all.end(), others.begin(), others.end());
  all.insert(all.end(), {"json", "yaml"});
  std::sort(all.begin(), all.end());
  return LocalError("unable to match a printer suitable for the output format \"" + format +
                    "\", allowed formats are: " + JoinText(all, ","));
}

Result<std::string> PrintObject(std::string_view format, JsonValue object,
                                const PrintOptions& options) {
  if (!options.managed_fields) DropManagedFields(&object);
  if (format == "yaml") return api::JsonToYaml(object);
  if (format == "json") {
    std::string out;
    AppendPretty(object, 0, &out);
    return out + "\n";
  }
  const std::string_view kind = KindOf(format);
  std::string argument(format.substr(format.find('=') + 1));
  if (kind == "jsonpath-as-json") return PrintPathAsJson(argument, object);
  if (kind == "custom-columns") return PrintColumns(argument, object, options.no_headers);
  if (kind == "custom-columns-file") {
    GANTRY_ASSIGN(const std::string spec, ColumnsOfFile(argument));
    return PrintColumns(spec, object, options.no_headers);
  }
  if (kind == "jsonpath-file") {
    GANTRY_ASSIGN(argument, FileText(argument));
  }
  return PrintPath(argument, object);
}

}  // namespace gantry::cli
