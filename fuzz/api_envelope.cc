// The binary envelope as clients send it: damage is an error, and what is accepted can be written
// as JSON. What is written straight from damaged bytes is what their message holds.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "api/core/v1/pod.pb.h"
#include "api/envelope.h"
#include "api/json.h"
#include "api/json_value.h"
#include "api/kinds.h"
#include "api/object.h"

namespace api = gantry::api;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Half of the inputs get the magic for nothing.
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0 && data[0] % 2 == 0) bytes = std::string(api::kEnvelopeMagic) + bytes;
  (void)api::SealedWithRevision(bytes, 7);
  api::core::v1::Pod pod;
  const bool accepted = api::ParseSealedInput(bytes, &pod).ok();
  const auto& kind = api::KindOf<api::core::v1::Pod>();
  (void)api::Object::FromStored(kind, std::make_shared<const std::string>(bytes), 7);
  std::string json;
  const auto envelope = api::OpenEnvelope(bytes);
  if (envelope.ok() && api::WriteStoredJson(kind, envelope->raw, 7, &json)) {
    api::core::v1::Pod read;
    std::string same;
    if (read.ParseFromArray(envelope->raw.data(), static_cast<int>(envelope->raw.size())))
      api::WriteObjectJson(kind, read, 7, &same);
    if (!same.empty() && same != json) std::abort();
  }
  if (!accepted) return 0;
  auto stored = std::make_shared<const std::string>(api::Seal(kind, pod));
  auto object = api::Object::FromStored(kind, stored, 7);
  if (!object.ok() || !api::JsonValue::Parse(*(*object)->json()).ok()) std::abort();
  return 0;
}
