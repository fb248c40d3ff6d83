#pragma once

#include <string>

#include "net/testing/netns.h"

namespace gantry::bench {

// Milliseconds from the call that writes a service to the first connection that it leads to its
// endpoint, where 10,000 services with three endpoints each are there already: the median of some.
// API server, store and service proxy are those of a server, in this process.
double ServiceToKernelMs(net::testing::TestHost& host);

}  // namespace gantry::bench
