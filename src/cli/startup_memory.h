#pragma once

namespace gantry::cli {

// Gives back what only the start of the process needed: free pieces of the heap, and the parts of
// the program and its libraries that were read from their files and that nobody runs any more.
// Those that are needed after all are mapped again, one page fault each. Call it once a service has
// settled. Threading: any thread; blocks for some milliseconds.
void ReleaseStartupMemory();

}  // namespace gantry::cli
