// Plays seeds and says which failed, and how to play one of them again. scripts/simulate runs it.

#include <unistd.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/log.h"
#include "sim/simulation.h"

namespace gantry::sim {
namespace {

uint64_t running = 0;  // the seed

void PrintReplay(uint64_t seed) {
  std::printf("seed %llu failed; play it again: scripts/simulate --first %llu --seeds 1 --story\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
}

// A broken invariant inside the program under test, or a seed that does not end.
extern "C" void OnDeath(int signal) {
  char line[200];
  const int length = std::snprintf(
      line, sizeof line,
      "seed %llu %s; play it again: scripts/simulate --first %llu --seeds 1 --story\n",
      static_cast<unsigned long long>(running),
      signal == SIGALRM ? "does not end" : "crashed the program",
      static_cast<unsigned long long>(running));
  [[maybe_unused]] const ssize_t written =
      ::write(STDOUT_FILENO, line, static_cast<size_t>(length));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

struct Options {
  uint64_t first = 1, seeds = 20;
  bool story = false, once = false, twice = false;
  bool keep_going = false;
};

// Of so many seeds one is played a second time, and must be the same.
constexpr uint64_t kComparedEvery = 4;

bool Play(uint64_t seed, const Options& options) {
  running = seed;
  constexpr unsigned kMayTakeSeconds = 600;
  alarm(kMayTakeSeconds);
  const Shape shape = ShapeOf(seed);
  const Plants none;
  Outcome outcome = Simulate(seed, shape, none, options.story);
  if (!outcome.breach.empty()) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), outcome.breach.c_str());
    return false;
  }
  const bool compare = options.twice || (!options.once && seed % kComparedEvery == 0);
  if (!compare) return true;
  Outcome again = Simulate(seed, shape, none, false);
  if (again.trace != outcome.trace) {
    size_t at = 0;
    while (at < again.trace.size() && at < outcome.trace.size() &&
           again.trace[at] == outcome.trace[at])
      ++at;
    std::printf("seed %llu: two runs differ from event %zu on (of %zu and %zu)\n",
                static_cast<unsigned long long>(seed), at, outcome.trace.size(),
                again.trace.size());
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  CLI::App app("Plays a whole cluster under virtual time with faults, from seeds");
  Options options;
  app.add_option("--first", options.first, "the first seed");
  app.add_option("--seeds", options.seeds, "how many");
  app.add_flag("--story", options.story, "print what happens");
  app.add_flag("--once", options.once, "play no seed a second time to compare");
  app.add_flag("--twice", options.twice, "play every seed a second time to compare");
  app.add_flag("--keep-going", options.keep_going, "do not stop at the first failure");
  bool log = false;
  app.add_flag("--log", log, "with the log lines of the program under test");
  CLI11_PARSE(app, argc, argv);
  if (!log) {
    log::SetLevel(static_cast<log::Level>(static_cast<int>(log::Level::kError) + 1));
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  std::signal(SIGABRT, OnDeath);
  std::signal(SIGSEGV, OnDeath);
  std::signal(SIGALRM, OnDeath);
  uint64_t failed = 0;
  for (uint64_t i = 0; i < options.seeds; ++i) {
    if (Play(options.first + i, options)) continue;
    ++failed;
    PrintReplay(options.first + i);
    if (!options.keep_going) break;
  }
  if (failed == 0)
    std::printf("%llu seeds from %llu: all held\n", static_cast<unsigned long long>(options.seeds),
                static_cast<unsigned long long>(options.first));
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace gantry::sim

int main(int argc, char** argv) { return gantry::sim::Main(argc, argv); }
