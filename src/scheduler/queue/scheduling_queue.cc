#include "scheduler/queue/scheduling_queue.h"

#include <algorithm>
#include <tuple>

namespace gantry::scheduler {
namespace {

constexpr Duration kFirstBackoff = std::chrono::seconds(1);
constexpr Duration kMaxBackoff = std::chrono::seconds(10);
// A pod that nothing woke is tried again after this long, should an event have been missed.
constexpr Duration kMaxWait = std::chrono::minutes(5);

Duration BackoffOf(int attempts) {
  Duration backoff = kFirstBackoff;
  for (int i = 1; i < attempts && backoff < kMaxBackoff; ++i)
    backoff *= 2;
  return std::min(backoff, kMaxBackoff);
}

}  // namespace

bool SchedulingQueue::ActiveKey::operator<(const ActiveKey& other) const {
  return std::tie(other.priority, sequence, uid) < std::tie(priority, other.sequence, other.uid);
}

void SchedulingQueue::Leave(const std::string& uid, Entry* entry) {
  switch (entry->state) {
    case State::kActive:
      active_.erase({entry->priority, entry->sequence, uid});
      break;
    case State::kBackoff:
    case State::kWaiting:
      timed_.erase({entry->ready_at, uid});
      break;
    case State::kInFlight:
      break;
  }
}

void SchedulingQueue::Activate(const std::string& uid, Entry* entry) {
  entry->state = State::kActive;
  active_.insert({entry->priority, entry->sequence, uid});
}

void SchedulingQueue::Put(PodInfoPtr pod, SteadyTime now) {
  const std::string uid = pod->uid();
  auto [it, added] = entries_.try_emplace(uid);
  Entry& entry = it->second;
  if (added) {
    entry.sequence = ++next_sequence_;
    entry.pod = std::move(pod);
    entry.priority = entry.pod->pod->spec().priority();
    Activate(uid, &entry);
    return;
  }
  const bool changed = entry.pod->signature != pod->signature;
  if (entry.state == State::kActive) Leave(uid, &entry);
  entry.pod = std::move(pod);
  entry.priority = entry.pod->pod->spec().priority();
  if (entry.state == State::kActive) {
    Activate(uid, &entry);
  } else if (changed && entry.state == State::kWaiting) {
    Leave(uid, &entry);
    BackOff(uid, &entry, now);
  }
}

void SchedulingQueue::Remove(std::string_view uid) {
  auto it = entries_.find(uid);
  if (it == entries_.end()) return;
  Leave(it->first, &it->second);
  entries_.erase(it);
}

PodInfoPtr SchedulingQueue::Pop(SteadyTime now) {
  PromoteDue(now);
  if (active_.empty()) return nullptr;
  const ActiveKey first = *active_.begin();
  active_.erase(active_.begin());
  Entry& entry = entries_.find(first.uid)->second;
  entry.state = State::kInFlight;
  entry.missed = 0;
  ++entry.attempts;
  return entry.pod;
}

void SchedulingQueue::Done(std::string_view uid) { Remove(uid); }

void SchedulingQueue::BackOff(const std::string& uid, Entry* entry, SteadyTime now) {
  entry->ready_at = entry->failed_at + BackoffOf(entry->attempts);
  if (entry->ready_at <= now) {
    Activate(uid, entry);
    return;
  }
  entry->state = State::kBackoff;
  timed_.insert({entry->ready_at, uid});
}

void SchedulingQueue::Failed(std::string_view uid, bool retry, uint32_t wakes_on, SteadyTime now) {
  auto it = entries_.find(uid);
  if (it == entries_.end() || it->second.state != State::kInFlight) return;
  Entry& entry = it->second;
  entry.failed_at = now;
  // What changed while it was being tried may have been what it needs.
  if (retry || (entry.missed & wakes_on) != 0) {
    BackOff(it->first, &entry, now);
    return;
  }
  entry.state = State::kWaiting;
  entry.wakes_on = wakes_on;
  entry.ready_at = now + kMaxWait;
  timed_.insert({entry.ready_at, it->first});
}

void SchedulingQueue::ClusterChanged(uint32_t changes, SteadyTime now) {
  for (auto& [uid, entry] : entries_) {
    if (entry.state == State::kInFlight) entry.missed |= changes;
    if (entry.state != State::kWaiting || (entry.wakes_on & changes) == 0) continue;
    Leave(uid, &entry);
    BackOff(uid, &entry, now);
  }
}

void SchedulingQueue::PromoteDue(SteadyTime now) {
  while (!timed_.empty() && timed_.begin()->first <= now) {
    auto it = entries_.find(timed_.begin()->second);
    timed_.erase(timed_.begin());
    Activate(it->first, &it->second);
  }
}

std::optional<SteadyTime> SchedulingQueue::NextWakeup() const {
  if (timed_.empty()) return std::nullopt;
  return timed_.begin()->first;
}

}  // namespace gantry::scheduler
