#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "controllers/job/indexes.h"

// The indexes in the status of a job, which anybody with the right to may have written.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry::controllers;  // NOLINT: one program for one parser
  const IndexSet indexes = ParseIndexes({reinterpret_cast<const char*>(data), size}, 10'000);
  if (ParseIndexes(FormatIndexes(indexes), 10'000) != indexes) abort();
  return 0;
}
