#include "controllers/job/tally.h"

#include <algorithm>
#include <set>

#include "api/owners.h"
#include "api/pods.h"
#include "controllers/job/failure_policy.h"
#include "controllers/job/pods.h"

namespace gantry::controllers {
namespace {

using api::batch::v1::Job;
using api::core::v1::Pod;
using PodRef = api::Ref<Pod>;
using Uids = google::protobuf::RepeatedPtrField<std::string>;

bool HasFailed(const Job& job, const Pod& pod) {
  if (pod.status().phase() == "Failed") return true;
  if (pod.status().phase() == "Succeeded" || ReplacesOnlyEnded(job)) return false;
  // A pod that is deleted may never get to say how it ended.
  return api::IsBeingDeleted(pod.metadata());
}

class Counter {
 public:
  Counter(const Job& job, const std::vector<PodRef>& pods) : job_(job), pods_(pods) {
    tally_.status = job.status();
    for (const PodRef& pod : pods)
      if (IsTracked(*pod)) tracked_.insert(pod->metadata().uid());
    if (IsIndexed(job)) {
      const int completions = job.spec().completions();
      tally_.completed = ParseIndexes(job.status().completed_indexes(), completions);
      tally_.failed_indexes = ParseIndexes(job.status().failed_indexes(), completions);
    }
  }

  Tally Count() && {
    auto* uncounted = tally_.status.mutable_uncounted_terminated_pods();
    tally_.status.set_succeeded(tally_.status.succeeded() + Settle(uncounted->mutable_succeeded()));
    tally_.status.set_failed(tally_.status.failed() + Settle(uncounted->mutable_failed()));
    int ready = 0;
    for (const PodRef& pod : pods_) {
      if (api::IsActive(*pod)) {
        tally_.active.push_back(pod);
        if (api::IsReady(*pod)) ++ready;
      } else if (!api::IsTerminal(*pod)) {
        ++tally_.terminating;
      }
      if (pod->status().phase() == "Succeeded") {
        NoteSuccess(pod);
      } else if (HasFailed(job_, *pod)) {
        NoteFailure(pod);
      }
    }
    CountStreaks();
    auto& status = tally_.status;
    if (IsIndexed(job_)) {
      status.set_completed_indexes(FormatIndexes(tally_.completed));
      status.set_succeeded(static_cast<int>(tally_.completed.size()));
      if (job_.spec().has_backoff_limit_per_index())
        status.set_failed_indexes(FormatIndexes(tally_.failed_indexes));
    }
    tally_.succeeded = status.succeeded() + status.uncounted_terminated_pods().succeeded_size();
    tally_.failed = status.failed() + status.uncounted_terminated_pods().failed_size();
    status.set_active(static_cast<int>(tally_.active.size()));
    status.set_ready(ready);
    status.set_terminating(tally_.terminating);
    return std::move(tally_);
  }

 private:
  // Forgets the uids of pods that are free, and says how many these were.
  int Settle(Uids* uids) const {
    const auto free = std::remove_if(uids->begin(), uids->end(), [this](const std::string& uid) {
      return !tracked_.contains(uid);
    });
    const int settled = static_cast<int>(uids->end() - free);
    uids->erase(free, uids->end());
    return settled;
  }

  static void Remember(const Pod& pod, Uids* uids) {
    const std::string& uid = pod.metadata().uid();
    if (std::find(uids->begin(), uids->end(), uid) == uids->end()) *uids->Add() = uid;
  }

  void NoteSuccess(const PodRef& pod) {
    successes_.push_back(pod);
    if (!IsTracked(*pod)) return;
    tally_.release.push_back(pod);
    if (IsIndexed(job_)) {
      const std::optional<int> index = IndexOf(*pod);
      if (index && *index < job_.spec().completions()) tally_.completed.insert(*index);
    } else {
      Remember(*pod, tally_.status.mutable_uncounted_terminated_pods()->mutable_succeeded());
    }
  }

  void NoteFailure(const PodRef& pod) {
    FailureVerdict verdict;
    if (job_.spec().has_pod_failure_policy() && pod->status().phase() == "Failed")
      verdict = JudgeFailure(job_.spec().pod_failure_policy(), *pod);
    if (IsTracked(*pod)) tally_.release.push_back(pod);
    if (verdict.action == FailureVerdict::Action::kIgnore) return;
    failures_.push_back(pod);
    if (verdict.action == FailureVerdict::Action::kFailJob && tally_.fail_message.empty())
      tally_.fail_message = verdict.message;
    if (IsTracked(*pod))
      Remember(*pod, tally_.status.mutable_uncounted_terminated_pods()->mutable_failed());
    const std::optional<int> index = IndexOf(*pod);
    if (!job_.spec().has_backoff_limit_per_index() || !index) return;
    int& count = tally_.failures[*index];
    count = std::max(count, EarlierFailures(*pod) + 1);
    if (verdict.action == FailureVerdict::Action::kFailIndex ||
        count > job_.spec().backoff_limit_per_index()) {
      tally_.failed_indexes.insert(*index);
    }
  }

  void CountStreaks() {
    const bool by_index = job_.spec().has_backoff_limit_per_index();
    auto streak_of = [&](const PodRef& pod) { return by_index ? IndexOf(*pod).value_or(-1) : -1; };
    std::map<int, WallTime> last_success;
    for (const PodRef& pod : successes_) {
      WallTime& last = last_success[streak_of(pod)];
      last = std::max(last, FinishTime(*pod));
    }
    for (const PodRef& pod : failures_) {
      const int key = streak_of(pod);
      const WallTime finished = FinishTime(*pod);
      auto success = last_success.find(key);
      if (success != last_success.end() && success->second >= finished) continue;
      Tally::Streak& streak = tally_.streaks[key];
      ++streak.failures;
      streak.last = std::max(streak.last, finished);
    }
  }

  const Job& job_;
  const std::vector<PodRef>& pods_;
  std::set<std::string> tracked_;  // uids of pods that have the finalizer
  std::vector<PodRef> successes_, failures_;
  Tally tally_;
};

}  // namespace

Tally CountPods(const Job& job, const std::vector<PodRef>& pods) {
  return Counter(job, pods).Count();
}

}  // namespace gantry::controllers
