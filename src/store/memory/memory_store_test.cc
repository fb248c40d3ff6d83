#include "store/memory/memory_store.h"

#include "store/testing/contract.h"

namespace gantry::store::testing {

INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, ::testing::Values(StoreMaker(MakeMemoryStore)));

}  // namespace gantry::store::testing
