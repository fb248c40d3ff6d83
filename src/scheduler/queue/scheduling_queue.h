#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/env/time.h"
#include "scheduler/framework/plugin.h"

namespace gantry::scheduler {

// Pods that wait for a node: those to try now (by priority, then by arrival), those that failed and
// back off, and those that wait for something to happen that may help them, as the rules say that
// turned them away. Like pods that wait for the same rules are asked about once. Threading: the
// scheduler's strand.
class SchedulingQueue {
 public:
  struct Backoff {
    Duration first = std::chrono::seconds(1);  // doubles with every attempt
    Duration max = std::chrono::seconds(10);
  };

  // `facts` outlives it.
  SchedulingQueue(const ClusterFacts& facts, Backoff backoff) : facts_(facts), backoff_(backoff) {}

  void Put(PodInfoPtr pod, SteadyTime now);  // new, or changed
  void Remove(std::string_view uid);
  bool Has(std::string_view uid) const { return entries_.contains(uid); }

  // The next pod to try; it stays known to the queue until Done or one of the two below.
  PodInfoPtr Pop(SteadyTime now);
  void Done(std::string_view uid) { Remove(uid); }
  // These rules turned it away everywhere: it waits for an event that may help. With no rules there
  // were no nodes.
  void Unschedulable(std::string_view uid, std::vector<const Plugin*> rules, SteadyTime now);
  // It is to be tried again after its back-off.
  void Retry(std::string_view uid, SteadyTime now);

  // It need not wait for an event any more.
  void Wake(std::string_view uid, SteadyTime now);
  // Those that it may help try again when their back-off is over.
  void Happened(const ClusterEvent& event, SteadyTime now);

  // When Pop may have something although it has nothing now.
  std::optional<SteadyTime> NextWakeup() const;
  size_t size() const { return entries_.size(); }
  size_t ready() const { return active_.size(); }

 private:
  enum class State : uint8_t { kActive, kBackoff, kWaiting, kInFlight };
  // Waiting pods of one shape that the same rules turned away.
  struct GroupKey {
    const PodShape* shape;
    std::vector<const Plugin*> rules;
    bool operator<(const GroupKey& other) const;
  };
  using Group = std::set<std::string>;  // uids
  struct Entry {
    PodInfoPtr pod;
    State state = State::kActive;
    int attempts = 0;
    int64_t priority = 0;
    uint64_t sequence = 0;   // order of arrival
    uint64_t popped_at = 0;  // kInFlight: how many events there had been
    SteadyTime ready_at{};   // kBackoff: when it may be tried; kWaiting: when it is tried anyway
    SteadyTime failed_at{};
    std::vector<const Plugin*> rules;  // kWaiting
  };
  struct ActiveKey {
    int64_t priority;
    uint64_t sequence;
    std::string uid;
    bool operator<(const ActiveKey& other) const;
  };

  void Activate(const std::string& uid, Entry* entry);
  void Leave(const std::string& uid, Entry* entry);
  void BackOff(const std::string& uid, Entry* entry, SteadyTime now);
  void PromoteDue(SteadyTime now);
  Duration BackoffOf(int attempts) const;
  uint32_t KindsSince(uint64_t events) const;
  Entry* InFlight(std::string_view uid);

  const ClusterFacts& facts_;
  const Backoff backoff_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::set<ActiveKey> active_;
  std::set<std::pair<SteadyTime, std::string>> timed_;  // kBackoff and kWaiting by ready_at
  std::map<GroupKey, Group> waiting_;
  uint64_t next_sequence_ = 0;
  uint64_t events_ = 0;
  std::array<uint64_t, 32> last_event_{};  // by bit of the kind: its number
};

}  // namespace gantry::scheduler
