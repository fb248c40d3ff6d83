#include "api/go_text.h"

#include <algorithm>
#include <vector>

namespace gantry::api {

std::string GoText(const JsonValue& value) {
  if (value.is_null()) return "<nil>";
  if (value.is_string()) return value.as_string();
  if (value.is_array()) {
    std::string out = "[";
    for (const JsonValue& item : value.as_array())
      out += (out.size() > 1 ? " " : "") + GoText(item);
    return out + "]";
  }
  if (!value.is_object()) return value.ToString();
  std::vector<const JsonValue::Member*> members;
  for (const auto& member : value.as_object())
    members.push_back(&member);
  std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->first < b->first; });
  std::string out = "map[";
  for (const auto* member : members)
    out += (out.size() > 4 ? " " : "") + member->first + ":" + GoText(member->second);
  return out + "]";
}

std::string_view GoTypeOf(const JsonValue& value) {
  if (value.is_object()) return "map[string]interface {}";
  if (value.is_array()) return "[]interface {}";
  if (value.is_string()) return "string";
  if (value.is_bool()) return "bool";
  if (value.is_int()) return "int64";
  return value.is_double() ? "float64" : "<nil>";
}

}  // namespace gantry::api
