#include "cli/client/field_owners.h"

#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr const char* kClientSide = "kubectl-client-side-apply";

// All fields of both.
void Merge(const JsonValue& from, JsonValue* to) {
  if (!from.is_object()) return;
  for (const auto& [name, value] : from.as_object()) {
    JsonValue& member = (*to)[name];
    if (member.is_null()) member = JsonValue::MakeObject();
    Merge(value, &member);
  }
}

JsonValue Step(const char* op, const char* path, JsonValue value) {
  JsonValue step;
  step["op"] = op;
  step["path"] = path;
  step["value"] = std::move(value);
  return step;
}

}  // namespace

std::optional<JsonValue> TakeOverPatch(const JsonValue& object, const std::string& manager) {
  JsonValue fields = JsonValue::MakeObject();
  JsonValue::Array kept;
  JsonValue ours;
  bool any = false;
  for (const JsonValue& entry : ItemsAt(object, "metadata.managedFields")) {
    const std::string name = TextAt(entry, "manager"), operation = TextAt(entry, "operation");
    const bool client_side = name == kClientSide && operation == "Update";
    const bool own = name == manager && operation == "Apply";
    if ((!client_side && !own) || !TextAt(entry, "subresource").empty()) {
      kept.push_back(entry);
      continue;
    }
    any = any || client_side;
    ours = entry;
    if (const JsonValue* set = entry.Find("fieldsV1")) Merge(*set, &fields);
  }
  if (!any) return std::nullopt;
  ours["manager"] = manager;
  ours["operation"] = "Apply";
  ours["fieldsV1"] = std::move(fields);
  kept.push_back(std::move(ours));
  return JsonValue(JsonValue::Array{
      Step("replace", "/metadata/managedFields", std::move(kept)),
      Step("replace", "/metadata/resourceVersion", TextAt(object, "metadata.resourceVersion"))});
}

}  // namespace gantry::cli
