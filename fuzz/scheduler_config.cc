#include <cstdint>
#include <string_view>

#include "scheduler/config/configuration.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)gantry::scheduler::ParseConfiguration({reinterpret_cast<const char*>(data), size}).ok();
  return 0;
}
