#pragma once

#include "net/testing/netns.h"

// 1,000 network policies over 100 pods of the node and 900 others: what a change of one costs until
// the kernel has it, and what they cost a packet.
void BenchPolicies(gantry::net::testing::TestHost& host);
