#include "apiserver/patch/patch.h"

namespace gantry::apiserver {

using api::JsonValue;

JsonValue MergePatch(JsonValue document, const JsonValue& patch) {
  if (!patch.is_object()) return patch;
  if (!document.is_object()) document = JsonValue::MakeObject();
  for (const auto& [name, value] : patch.as_object()) {
    if (value.is_null()) {
      document.Erase(name);
      continue;
    }
    JsonValue& member = document[name];
    member = MergePatch(std::move(member), value);
  }
  return document;
}

}  // namespace gantry::apiserver
