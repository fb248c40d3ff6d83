#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/env/time.h"
#include "scheduler/framework/pod_info.h"

namespace gantry::scheduler {

// Pods that wait for a node: those to try now (by priority, then by arrival), those that failed and
// back off (1 s doubling to 10 s), and those that wait for the cluster to change. Threading: the
// scheduler's strand.
class SchedulingQueue {
 public:
  void Put(PodInfoPtr pod, SteadyTime now);  // new, or changed
  void Remove(std::string_view uid);
  bool Has(std::string_view uid) const { return entries_.contains(uid); }

  // The next pod to try; it stays known to the queue until Done or Failed.
  PodInfoPtr Pop(SteadyTime now);
  void Done(std::string_view uid);
  // It fits nowhere (wait for a change) or could not be bound (`retry`: try again after back-off).
  // `wakes_on` are the ClusterChanges that may help it.
  void Failed(std::string_view uid, bool retry, uint32_t wakes_on, SteadyTime now);

  // Something changed (ClusterChange bits): those that it may help try again when their back-off is
  // over.
  void ClusterChanged(uint32_t changes, SteadyTime now);

  // When Pop may have something although it has nothing now.
  std::optional<SteadyTime> NextWakeup() const;
  size_t size() const { return entries_.size(); }
  size_t ready() const { return active_.size(); }

 private:
  enum class State : uint8_t { kActive, kBackoff, kWaiting, kInFlight };
  struct Entry {
    PodInfoPtr pod;
    State state = State::kActive;
    int attempts = 0;
    int64_t priority = 0;
    uint64_t sequence = 0;  // order of arrival
    SteadyTime ready_at{};  // kBackoff: when it may be tried; kWaiting: when it is tried anyway
    SteadyTime failed_at{};
    uint32_t wakes_on = 0;  // kWaiting
    uint32_t missed = 0;    // kInFlight: what changed since it was popped
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

  std::map<std::string, Entry, std::less<>> entries_;
  std::set<ActiveKey> active_;
  std::set<std::pair<SteadyTime, std::string>> timed_;  // kBackoff and kWaiting by ready_at
  uint64_t next_sequence_ = 0;
};

}  // namespace gantry::scheduler
