#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "api/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry::api;  // NOLINT: short
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto value = JsonValue::Parse(text); value.ok()) {
    auto again = JsonValue::Parse(value->ToString());
    if (!again.ok() || !(*again == *value)) abort();
    (void)JsonToYaml(*value);
  }
  auto documents = YamlToJson(text);
  if (!documents.ok()) return 0;
  for (const std::string& document : *documents) {
    if (!JsonValue::Parse(document).ok()) abort();
  }
  return 0;
}
