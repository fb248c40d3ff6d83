#pragma once

#include "sim/cluster.h"

namespace gantry::sim {

// Faults that are built in on purpose: tests of the simulation.

// A deployment controller that, where it lets a set grow to three pods, asks for four.
Plants GreedyController();

// A replica set controller that leaves it at one pod too many.
Plants LazyController();

// A store client that goes on one change too late when its feed broke.
Plants SkippingStore();

// Agents that stop nothing when they reach no server.
Plants NoFence();

// A disk that says that it has synced and has not.
Plants LyingDisk();

}  // namespace gantry::sim
