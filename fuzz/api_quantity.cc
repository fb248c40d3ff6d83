#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/quantity.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using gantry::api::Quantity;
  gantry::Result<Quantity> quantity = Quantity::Parse({reinterpret_cast<const char*>(data), size});
  if (!quantity.ok()) return 0;
  // The canonical form stands for the same amount, unless that lies beyond what can be held.
  gantry::Result<Quantity> again = Quantity::Parse(quantity->ToString());
  if (!again.ok() || *again != *quantity) abort();
  if ((*quantity - *quantity).Sign() != 0) abort();
  return 0;
}
