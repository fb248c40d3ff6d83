#include "scheduler/queue/scheduling_queue.h"

#include <algorithm>
#include <tuple>

namespace gantry::scheduler {
namespace {

// A pod that nothing woke is tried again after this long, should an event have been missed.
constexpr Duration kMaxWait = std::chrono::minutes(5);

// Where no node turned it away there was none.
uint32_t KindsThatWake(const std::vector<const Plugin*>& rules) {
  uint32_t kinds = 0;
  if (rules.empty()) kinds = ClusterEvent::kNodeAdded;
  for (const Plugin* rule : rules)
    kinds |= rule->WakesOn();
  return kinds;
}

bool MayHelp(const PodInfo& pod, const std::vector<const Plugin*>& rules, const ClusterEvent& event,
             const ClusterFacts& facts) {
  if (rules.empty()) return (event.kinds & ClusterEvent::kNodeAdded) != 0;
  return std::any_of(rules.begin(), rules.end(), [&](const Plugin* rule) {
    return (rule->WakesOn() & event.kinds) != 0 && rule->MayHelp(pod, event, facts);
  });
}

}  // namespace

bool SchedulingQueue::GroupKey::operator<(const GroupKey& other) const {
  return std::tie(shape, rules) < std::tie(other.shape, other.rules);
}

bool SchedulingQueue::ActiveKey::operator<(const ActiveKey& other) const {
  return std::tie(other.priority, sequence, uid) < std::tie(priority, other.sequence, other.uid);
}

Duration SchedulingQueue::BackoffOf(int attempts) const {
  Duration backoff = backoff_.first;
  for (int i = 1; i < attempts && backoff < backoff_.max; ++i)
    backoff *= 2;
  return std::min(backoff, backoff_.max);
}

void SchedulingQueue::Leave(const std::string& uid, Entry* entry) {
  switch (entry->state) {
    case State::kActive:
      active_.erase({entry->priority, entry->sequence, uid});
      break;
    case State::kWaiting: {
      auto group = waiting_.find({entry->pod->shape.get(), entry->rules});
      group->second.erase(uid);
      if (group->second.empty()) waiting_.erase(group);
      timed_.erase({entry->ready_at, uid});
      break;
    }
    case State::kBackoff:
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
    entry.priority = pod->shape->priority;
    entry.pod = std::move(pod);
    Activate(uid, &entry);
    return;
  }
  const State state = entry.state;
  const bool changed = entry.pod->shape->signature != pod->shape->signature;
  Leave(uid, &entry);
  entry.priority = pod->shape->priority;
  entry.pod = std::move(pod);
  switch (state) {
    case State::kActive:
      Activate(uid, &entry);
      break;
    case State::kBackoff:
      timed_.insert({entry.ready_at, uid});
      break;
    case State::kWaiting:
      if (changed) {
        BackOff(uid, &entry, now);
      } else {
        waiting_[{entry.pod->shape.get(), entry.rules}].insert(uid);
        timed_.insert({entry.ready_at, uid});
      }
      break;
    case State::kInFlight:
      break;
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
  Entry& entry = entries_.find(active_.begin()->uid)->second;
  active_.erase(active_.begin());
  entry.state = State::kInFlight;
  entry.popped_at = events_;
  ++entry.attempts;
  return entry.pod;
}

void SchedulingQueue::BackOff(const std::string& uid, Entry* entry, SteadyTime now) {
  entry->ready_at = entry->failed_at + BackoffOf(entry->attempts);
  if (entry->ready_at <= now) {
    Activate(uid, entry);
    return;
  }
  entry->state = State::kBackoff;
  timed_.insert({entry->ready_at, uid});
}

SchedulingQueue::Entry* SchedulingQueue::InFlight(std::string_view uid) {
  auto it = entries_.find(uid);
  return it == entries_.end() || it->second.state != State::kInFlight ? nullptr : &it->second;
}

void SchedulingQueue::Retry(std::string_view uid, SteadyTime now) {
  Entry* entry = InFlight(uid);
  if (entry == nullptr) return;
  entry->failed_at = now;
  BackOff(std::string(uid), entry, now);
}

void SchedulingQueue::Wake(std::string_view uid, SteadyTime now) {
  auto it = entries_.find(uid);
  if (it == entries_.end() || it->second.state != State::kWaiting) return;
  Leave(it->first, &it->second);
  BackOff(it->first, &it->second, now);
}

uint32_t SchedulingQueue::KindsSince(uint64_t events) const {
  uint32_t kinds = 0;
  for (size_t bit = 0; bit < last_event_.size(); ++bit) {
    if (last_event_[bit] > events) kinds |= uint32_t{1} << bit;
  }
  return kinds;
}

void SchedulingQueue::Unschedulable(std::string_view uid, std::vector<const Plugin*> rules,
                                    SteadyTime now) {
  Entry* entry = InFlight(uid);
  if (entry == nullptr) return;
  entry->failed_at = now;
  const std::string name(uid);
  // What happened while it was being tried may have been what it needs.
  if ((KindsSince(entry->popped_at) & KindsThatWake(rules)) != 0) {
    BackOff(name, entry, now);
    return;
  }
  std::sort(rules.begin(), rules.end());
  entry->state = State::kWaiting;
  entry->rules = std::move(rules);
  entry->ready_at = now + kMaxWait;
  waiting_[{entry->pod->shape.get(), entry->rules}].insert(name);
  timed_.insert({entry->ready_at, name});
}

void SchedulingQueue::Happened(const ClusterEvent& event, SteadyTime now) {
  ++events_;
  for (size_t bit = 0; bit < last_event_.size(); ++bit) {
    if ((event.kinds >> bit & 1) != 0) last_event_[bit] = events_;
  }
  std::vector<std::string> woken;
  for (const auto& [key, group] : waiting_) {
    if ((KindsThatWake(key.rules) & event.kinds) == 0) continue;
    const Entry& one = entries_.find(*group.begin())->second;
    if (MayHelp(*one.pod, key.rules, event, facts_))
      woken.insert(woken.end(), group.begin(), group.end());
  }
  for (const std::string& uid : woken) {
    Entry& entry = entries_.find(uid)->second;
    Leave(uid, &entry);
    BackOff(uid, &entry, now);
  }
}

void SchedulingQueue::PromoteDue(SteadyTime now) {
  while (!timed_.empty() && timed_.begin()->first <= now) {
    auto it = entries_.find(timed_.begin()->second);
    Leave(it->first, &it->second);
    Activate(it->first, &it->second);
  }
}

std::optional<SteadyTime> SchedulingQueue::NextWakeup() const {
  if (timed_.empty()) return std::nullopt;
  return timed_.begin()->first;
}

}  // namespace gantry::scheduler
