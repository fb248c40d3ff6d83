#pragma once

#include <string>

#include "base/status.h"
#include "common/report.h"

namespace gantry::bench {

// What every program of this folder has at hand while it measures.
struct Bench {
  std::string gantry;      // the program under test
  bool short_run = false;  // --short: fewer and shorter rounds
  std::string only;        // --only: one part of the program, by its name
  std::string dir;         // a directory of its own, for everything
  std::string instance;    // a name of its own: "gantry-bench-4711"
  Report report;
};

// The address of the machine in the program's network namespace.
inline constexpr const char* kMachineAddress = "192.0.2.10";

// A program's main(): reads the flags (--gantry PATH, --short, --only PART, --dir DIR),
// asks for root, then runs
// `measure` in a child process, in a network namespace of its own with a loopback and one address,
// and prints the figures. Whatever ends the child (a failure, a crash, SIGINT), the servers in
// `dir` are ended, `gantry cleanup` removes what they made, and `dir` goes away. Exit code 0, 1 for
// a failure with one line on standard error.
int Main(int argc, char** argv, const char* about, Status (*measure)(Bench&));

}  // namespace gantry::bench
