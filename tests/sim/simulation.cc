#include "sim/simulation.h"

#include <absl/synchronization/mutex.h>

#include <utility>

#include "sim/checkers.h"
#include "sim/converged.h"
#include "sim/faults.h"
#include "sim/workload.h"

namespace gantry::sim {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Duration kStep = seconds(1);
// From the first start until everything is there.
constexpr Duration kMayStart = minutes(2);
// From the last fault until everything is as it was asked for. The longest waits in it are the
// back-offs: five minutes of a container, a thousand seconds of a controller's key.
constexpr Duration kMayConverge = minutes(40);
// What happens still when all is as it should be (conditions, collected garbage).
constexpr Duration kMaySettle = seconds(60);
constexpr Duration kRests = seconds(60);

class Run {
 public:
  Run(uint64_t seed, const Shape& shape, const Plants& plants, bool tells)
      : world_(seed, tells),
        cluster_(world_, shape, plants),
        checkers_(cluster_),
        faults_(cluster_),
        workload_(cluster_) {}

  Outcome Play() {
    cluster_.Start();
    const Wanted nothing;
    if (!Reach([&] { return Difference(cluster_, nothing); }, kMayStart, "start")) return End();
    workload_.Start();
    faults_.Start();
    Pass(world_.dice().Between(seconds(60), seconds(200)));
    faults_.Stop();
    cluster_.Heal();
    world_.Tell("nothing fails any more");
    // A fault that is still under way ends by itself: pauses, and what was about to be started.
    bool acknowledged = false;
    Gate gate;
    Spawn(world_.env().executor(), gate, "finish", FinishWork(&acknowledged));
    auto left = [&]() -> std::string {
      if (!acknowledged) return "users wait for an answer";
      return Difference(cluster_, workload_.wanted());
    };
    const bool reached = Reach(left, kMayConverge, "converge");
    if (reached) Rest();
    if (!world_.failed()) {
      std::string other;
      world_.env().RunToEnd(Compare(&other));
      if (!other.empty()) world_.Breach(other);
    }
    Outcome outcome = End();
    world_.env().RunToEnd(gate.Close(world_.env()));
    return outcome;
  }

 private:
  Task<> FinishWork(bool* acknowledged) {
    co_await workload_.Finish();
    *acknowledged = true;
  }
  Task<> Compare(std::string* out) { *out = co_await CacheDifference(cluster_); }

  void Pass(Duration duration) {
    for (Duration passed{}; passed < duration && !world_.failed(); passed += kStep)
      world_.env().Advance(kStep);
  }

  bool Reach(const std::function<std::string()>& left, Duration limit, const char* what) {
    std::string rest;
    for (Duration passed{}; passed < limit && !world_.failed(); passed += kStep) {
      world_.env().Advance(kStep);
      rest = left();
      if (rest.empty()) {
        world_.Tell(std::string(what) + ": done");
        return true;
      }
    }
    if (!world_.failed()) world_.Breach("the cluster does not " + std::string(what) + ": " + rest);
    return false;
  }

  void Rest() {
    Pass(kMaySettle);
    const Duration settled = world_.now();
    Pass(kRests);
    if (cluster_.truth().last_real_change() > settled)
      world_.Breach("the cluster does not come to rest");
    const std::string left = Difference(cluster_, workload_.wanted());
    if (!left.empty()) world_.Breach("the cluster does not stay as it was asked for: " + left);
  }

  Outcome End() {
    cluster_.Shutdown();
    Outcome outcome;
    outcome.breach = world_.breach();
    outcome.trace = world_.trace();
    outcome.simulated = world_.now();
    return outcome;
  }

  World world_;
  Cluster cluster_;
  Checkers checkers_;
  Faults faults_;
  Workload workload_;
};

}  // namespace

Shape ShapeOf(uint64_t seed) {
  Shape shape;
  if (seed % 20 == 0) {
    shape.agents = 20;
  } else if (seed % 4 == 3) {
    shape.disk = true;
    shape.agents = 3;
  } else {
    shape.servers = seed % 4 == 1 ? 2 : 3;
    shape.agents = 3 + static_cast<int>(seed % 3);
  }
  shape.fast_failover = seed % 5 < 2;
  return shape;
}

Outcome Simulate(uint64_t seed, const Shape& shape, const Plants& plants, bool tells) {
  // As in the program itself. One thread has nobody to wait for.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Run run(seed, shape, plants, tells);
  return run.Play();
}

}  // namespace gantry::sim
