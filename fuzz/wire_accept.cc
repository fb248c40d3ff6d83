#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/wire/accept.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  double before = 1e9;
  for (const auto& range : gantry::wire::ParseAccept(text)) {
    if (range.quality > before) abort();  // the best first
    before = range.quality;
  }
  (void)gantry::wire::MediaTypeOf(text);
  return 0;
}
