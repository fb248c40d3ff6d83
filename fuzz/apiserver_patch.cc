// JSON patch, merge patch and strategic merge patch over any document: none may crash, hang or grow
// without bound. Input: one byte that chooses the patch, then document and patch, with a zero byte
// between them.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/core/v1/pod.pb.h"
#include "api/json_value.h"
#include "apiserver/patch/patch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using gantry::api::JsonValue;
  if (size < 2) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  size_t zero = text.find('\0');
  if (zero == std::string_view::npos) return 0;
  std::string_view patch_text = text.substr(zero + 1);
  auto document = JsonValue::Parse(text.substr(0, zero));
  if (!document.ok()) return 0;
  if (data[0] % 3 == 0) {
    (void)gantry::apiserver::JsonPatch(*std::move(document), patch_text);
    return 0;
  }
  auto patch = JsonValue::Parse(patch_text);
  if (!patch.ok()) return 0;
  if (data[0] % 3 == 1) {
    (void)gantry::apiserver::MergePatch(*std::move(document), *patch);
  } else {
    (void)gantry::apiserver::StrategicMergePatch(gantry::api::core::v1::Pod::descriptor(),
                                                 *std::move(document), *patch);
  }
  return 0;
}
