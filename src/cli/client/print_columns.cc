#include "api/json_value.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/jsonpath.h"
#include "cli/client/print_object.h"
#include "cli/client/print_table.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

Result<std::vector<std::string>> CellsOf(const std::vector<JsonPath>& paths,
                                         const JsonValue& object) {
  std::vector<std::string> cells;
  for (const JsonPath& path : paths) {
    Result<std::vector<const JsonValue*>> found = path.Find(object);
    std::vector<std::string> texts;
    if (found.ok()) {
      for (const JsonValue* value : *found)
        texts.push_back(value->is_null() ? "<none>" : ScalarText(*value));
    }
    cells.push_back(texts.empty() ? "<none>" : JoinText(texts, ","));
  }
  return cells;
}

// Commas inside brackets and braces belong to a path.
std::vector<std::string> SplitSpec(const std::string& spec) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : spec) {
    if (c == '[' || c == '{' || c == '(') ++depth;
    if (c == ']' || c == '}' || c == ')') --depth;
    if (c == ',' && depth <= 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

}  // namespace

Result<std::string> FullPath(const std::string& path) {
  std::string inner = path;
  if (inner.starts_with('{') || inner.ends_with('}')) {
    if (inner.size() < 2 || inner.front() != '{' || inner.back() != '}') {
      return LocalError(
          "unexpected path string, expected a 'name1.name2' or '.name1.name2' or "
          "'{name1.name2}' or '{.name1.name2}'");
    }
    inner = inner.substr(1, inner.size() - 2);
  }
  if (!inner.starts_with('.') && !inner.starts_with('[')) inner.insert(0, ".");
  return "{" + inner + "}";
}

Result<std::string> PrintColumns(const std::string& spec, const JsonValue& object,
                                 bool no_headers) {
  if (spec.empty())
    return LocalError("custom-columns format specified but no custom columns given");
  std::vector<std::string> header;
  std::vector<JsonPath> paths;
  for (const std::string& part : SplitSpec(spec)) {
    const size_t colon = part.find(':');
    if (colon == std::string::npos) {
      return LocalError("unexpected custom-columns spec: " + part +
                        ", expected <header>:<json-path-expr>");
    }
    header.push_back(part.substr(0, colon));
    GANTRY_ASSIGN(const std::string text, FullPath(part.substr(colon + 1)));
    Result<JsonPath> path = JsonPath::Parse(text);
    if (!path.ok()) return LocalError(path.status().message());
    paths.push_back(std::move(*path));
  }
  TableText table;
  if (!no_headers) table.Row(std::move(header));
  const JsonValue* items = object.Find("items");
  if (items == nullptr || !items->is_array()) {
    GANTRY_ASSIGN(std::vector<std::string> cells, CellsOf(paths, object));
    table.Row(std::move(cells));
    return table.Take();
  }
  for (const JsonValue& item : items->as_array()) {
    GANTRY_ASSIGN(std::vector<std::string> cells, CellsOf(paths, item));
    table.Row(std::move(cells));
  }
  return table.Take();
}

}  // namespace gantry::cli
