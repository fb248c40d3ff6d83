// Tests of the simulation itself: what is wrong is found, and what is played twice is the same.

#include "sim/simulation.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "sim/plants.h"

namespace gantry::sim {
namespace {

class SimulationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Crashes by the hundred have much to say.
    log::SetLevel(static_cast<log::Level>(static_cast<int>(log::Level::kError) + 1));
  }
  void TearDown() override { log::SetLevel(log::Level::kInfo); }

  // The first seed that finds the fault, of those whose cluster can have it; 0: none.
  static uint64_t FirstToFind(const Plants& plants, bool disk, std::string* breach) {
    constexpr uint64_t kSeeds = 1000;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const Shape shape = ShapeOf(seed);
      if (shape.disk != disk) continue;
      *breach = Simulate(seed, shape, plants, false).breach;
      if (!breach->empty()) return seed;
    }
    return 0;
  }
};

struct Planted {
  const char* name;
  Plants (*plant)();
  bool disk;
  const char* breach;  // what is said of it, in part
};

TEST_F(SimulationTest, FindsWhatWasPlanted) {
  const Planted planted[] = {
      {"greedy controller", GreedyController, false, "ask for"},
      {"lazy controller", LazyController, false, "does not converge"},
      {"skipping store", SkippingStore, false, "watches"},
      {"no fence", NoFence, false, "still runs"},
      {"lying disk", LyingDisk, true, "the store "},
  };
  for (const Planted& row : planted) {
    SCOPED_TRACE(row.name);
    std::string breach;
    const uint64_t seed = FirstToFind(row.plant(), row.disk, &breach);
    EXPECT_NE(seed, 0u);
    EXPECT_NE(breach.find(row.breach), std::string::npos) << breach;
    std::printf("%s: found by seed %d: %s\n", row.name, static_cast<int>(seed), breach.c_str());
  }
}

TEST_F(SimulationTest, SeedsDiffer) {
  const Outcome one = Simulate(1, ShapeOf(1), Plants(), false);
  const Outcome other = Simulate(5, ShapeOf(1), Plants(), false);
  EXPECT_NE(one.trace, other.trace);
}

}  // namespace
}  // namespace gantry::sim
