// Server-side apply of any document over any managed fields. Input: managed fields (FieldsV1), a
// zero byte, and what is applied.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/core/v1/pod.pb.h"
#include "api/json_value.h"
#include "apiserver/apply/managed_fields.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using gantry::api::JsonValue;
  using gantry::api::core::v1::Pod;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t zero = text.find('\0');
  if (zero == std::string_view::npos) return 0;
  Pod live;
  live.mutable_spec()->add_containers()->set_name("a");
  auto* entry = live.mutable_metadata()->add_managed_fields();
  entry->set_manager("fuzz");
  entry->set_operation("Apply");
  entry->set_api_version("v1");
  entry->mutable_fields_v1()->set_raw(text.data(), zero);
  auto applied = JsonValue::Parse(text.substr(zero + 1));
  if (!applied.ok() || !applied->is_object()) return 0;
  (*applied)["apiVersion"] = "v1";
  auto result =
      gantry::apiserver::Apply(gantry::api::KindOf<Pod>(), &live, *applied, "fuzz", "", false, {});
  if (!result.ok()) return 0;
  Pod after = static_cast<const Pod&>(**result);
  gantry::apiserver::UpdateManagedFields(gantry::api::KindOf<Pod>(), &live, &after, "other", "",
                                         {});
  return 0;
}
