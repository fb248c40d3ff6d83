#include "controllers/job/job.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/batch/v1/job.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/json_value.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/same.h"
#include "api/selector.h"
#include "controllers/job/pods.h"
#include "controllers/job/tally.h"
#include "controllers/ownership/ownership.h"

namespace gantry::controllers {
namespace {

using api::batch::v1::Job;
using api::batch::v1::JobCondition;
using api::batch::v1::JobStatus;
using api::core::v1::Pod;
using client::EventNote;
using client::Plan;
using JobRef = api::Ref<Job>;
using PodRef = api::Ref<Pod>;

// Tracked pods by the namespace and name of the job that controls them; no name: none does.
constexpr char kTrackedByJob[] = "tracked-by-job";

std::string TrackedKey(std::string_view ns, std::string_view job) {
  return std::string(ns) + "/" + std::string(job);
}

// The name of the job by which the pod's end is counted; empty: of none. nullopt: it is not
// tracked, or is another kind's.
std::optional<std::string> TrackedBy(const api::Object& object) {
  if (!IsTracked(object.As<Pod>())) return std::nullopt;
  const api::meta::v1::OwnerReference* owner = api::ControllerOf(object.meta());
  if (owner == nullptr) return std::string();
  return owner->kind() == "Job" ? std::optional(owner->name()) : std::nullopt;
}

constexpr int kBurst = 500;
constexpr Duration kFirstBackoff = std::chrono::seconds(10);
constexpr Duration kMaxBackoff = std::chrono::minutes(10);

const JobCondition* FindTrue(const JobStatus& status, std::string_view type) {
  for (const JobCondition& condition : status.conditions()) {
    if (condition.type() == type && condition.status() == "True") return &condition;
  }
  return nullptr;
}

void SetCondition(const char* type, const char* value, const std::string& reason,
                  const std::string& message, WallTime now, JobStatus* status) {
  auto* conditions = status->mutable_conditions();
  auto it = std::find_if(conditions->begin(), conditions->end(),
                         [type](const JobCondition& one) { return one.type() == type; });
  JobCondition& condition = it == conditions->end() ? *conditions->Add() : *it;
  if (condition.status() == value && condition.reason() == reason) return;
  condition.set_type(type);
  condition.set_status(value);
  condition.set_reason(reason);
  condition.set_message(message);
  api::SetTime(now, condition.mutable_last_probe_time());
  api::SetTime(now, condition.mutable_last_transition_time());
}

void RequeueIn(Duration wait, Plan* plan) {
  if (!plan->requeue_after || wait < *plan->requeue_after) plan->requeue_after = wait;
}

// How a job is to end.
struct Outcome {
  const char* target = "";  // FailureTarget or SuccessCriteriaMet; empty: it goes on
  std::string reason, message;

  bool decided() const { return *target != '\0'; }
  bool failed() const { return std::string_view(target) == "FailureTarget"; }
};

Outcome Failure(std::string reason, std::string message) {
  return {"FailureTarget", std::move(reason), std::move(message)};
}

Outcome Success(std::string reason, std::string message) {
  return {"SuccessCriteriaMet", std::move(reason), std::move(message)};
}

// Containers that their node restarts count against the limit, too.
bool RestartsExceed(const Job& job, const std::vector<PodRef>& active) {
  if (job.spec().template_().spec().restart_policy() != "OnFailure") return false;
  int restarts = 0;
  for (const PodRef& pod : active) {
    if (pod->status().phase() != "Running" && pod->status().phase() != "Pending") continue;
    for (const auto& status : pod->status().init_container_statuses())
      restarts += status.restart_count();
    for (const auto& status : pod->status().container_statuses())
      restarts += status.restart_count();
  }
  const int limit = job.spec().backoff_limit();
  return limit == 0 ? restarts > 0 : restarts >= limit;
}

// The index of the success rule that holds; -1 for none.
int MatchingSuccessRule(const Job& job, const Tally& tally) {
  for (int i = 0; i < job.spec().success_policy().rules_size(); ++i) {
    const auto& rule = job.spec().success_policy().rules(i);
    int counted = static_cast<int>(tally.completed.size());
    int wanted = rule.succeeded_count();
    if (rule.has_succeeded_indexes()) {
      const IndexSet indexes = ParseIndexes(rule.succeeded_indexes(), job.spec().completions());
      counted = static_cast<int>(std::count_if(indexes.begin(), indexes.end(), [&](int index) {
        return tally.completed.contains(index);
      }));
      if (!rule.has_succeeded_count()) wanted = static_cast<int>(indexes.size());
    }
    if (counted >= wanted) return i;
  }
  return -1;
}

Outcome JudgeIndexes(const Job& job, const Tally& tally) {
  const size_t failed = tally.failed_indexes.size();
  if (job.spec().has_max_failed_indexes() &&
      failed > static_cast<size_t>(job.spec().max_failed_indexes())) {
    return Failure("MaxFailedIndexesExceeded",
                   "Job has exceeded the specified maximal number of failed indexes");
  }
  if (failed > 0 &&
      failed + tally.completed.size() >= static_cast<size_t>(job.spec().completions())) {
    return Failure("FailedIndexes", "Job has failed indexes");
  }
  return {};
}

Outcome Judge(const Job& job, const Tally& tally, WallTime now, Plan* plan) {
  for (const char* target : {"FailureTarget", "SuccessCriteriaMet"}) {
    if (const JobCondition* decided = FindTrue(job.status(), target))
      return {target, decided->reason(), decided->message()};
  }
  if (!tally.fail_message.empty()) return Failure("PodFailurePolicy", tally.fail_message);
  if (tally.failed > job.spec().backoff_limit() || RestartsExceed(job, tally.active))
    return Failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  if (job.spec().has_active_deadline_seconds() && !job.spec().suspend() &&
      tally.status.has_start_time()) {
    const Duration left = api::ToWallTime(tally.status.start_time()) +
                          std::chrono::seconds(job.spec().active_deadline_seconds()) - now;
    if (left <= Duration::zero())
      return Failure("DeadlineExceeded", "Job was active longer than specified deadline");
    RequeueIn(left, plan);
  }
  if (job.spec().has_success_policy()) {
    if (const int rule = MatchingSuccessRule(job, tally); rule >= 0)
      return Success("SuccessPolicy", "Matched rules at index " + std::to_string(rule));
  }
  if (IsIndexed(job)) {
    if (Outcome outcome = JudgeIndexes(job, tally); outcome.decided()) return outcome;
  }
  // Without a number of completions one success is enough, once all pods have come to an end.
  const bool complete = job.spec().has_completions() ? tally.succeeded >= job.spec().completions()
                                                     : tally.succeeded > 0 && tally.active.empty();
  if (complete) return Success("CompletionsReached", "Reached expected number of succeeded pods");
  return {};
}

// How many pods should be active.
int WantedActive(const Job& job, const Tally& tally) {
  const int parallelism = job.spec().parallelism();
  if (!job.spec().has_completions())
    return tally.succeeded > 0 ? static_cast<int>(tally.active.size()) : parallelism;
  const int failed = static_cast<int>(tally.failed_indexes.size());
  return std::max(0, std::min(parallelism, job.spec().completions() - tally.succeeded - failed));
}

Duration BackoffLeft(const Tally& tally, int streak_key, WallTime now) {
  auto it = tally.streaks.find(streak_key);
  if (it == tally.streaks.end()) return Duration::zero();
  Duration backoff = kFirstBackoff;
  for (int i = 1; i < it->second.failures && backoff < kMaxBackoff; ++i)
    backoff *= 2;
  return std::max(Duration::zero(), it->second.last + std::min(backoff, kMaxBackoff) - now);
}

class JobController : public client::Reconciler {
 public:
  std::string_view name() const override { return "job"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    jobs_ = &informers.For<Job>();
    pods_ = &informers.For<Pod>();
    IndexByController(*pods_);
    pods_->AddIndex(kTrackedByJob, [](const api::Object& object) {
      const std::optional<std::string> job = TrackedBy(object);
      return job ? std::vector<std::string>{TrackedKey(object.ns(), *job)}
                 : std::vector<std::string>();
    });
    pods_->AddHandler([enqueue](const api::ObjectPtr&, const api::ObjectPtr& after) {
      if (after && TrackedBy(*after) == "") enqueue({after->ns(), ""});
    });
    WatchAll(*jobs_, enqueue);
    WatchOwned(*pods_, api::KindOf<Job>(), *jobs_, Selects<Job>, enqueue);
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    if (key.name.empty()) {
      ReleaseOrphans(key.ns, &plan);
      return plan;
    }
    JobRef job = client::GetFrom<Job>(*jobs_, key.ns, key.name);
    ReleaseOfFormerJobs(key, job, &plan);
    if (!job || IsManagedElsewhere(*job)) return plan;
    GANTRY_ASSIGN(api::Selector selector, api::Selector::From(job->spec().selector()));
    if (selector.empty()) return plan;
    Claim claim = ClaimOwned(
        *pods_, *jobs_, *job.object(), selector, [](const api::Object&) { return true; }, &plan);
    if (claim.changed) return plan;
    const std::vector<PodRef> pods = client::Typed<Pod>(claim.owned);

    if (FindTrue(job->status(), "Complete") || FindTrue(job->status(), "Failed")) {
      Release(pods, &plan);
      Expire(*job, now, &plan);
      return plan;
    }
    if (api::IsBeingDeleted(job->metadata())) {
      Release(pods, &plan);
      return plan;
    }
    Tally tally = CountPods(*job, pods);
    if (!job->spec().suspend() && !tally.status.has_start_time())
      api::SetTime(now, tally.status.mutable_start_time());
    const Outcome outcome = Judge(*job, tally, now, &plan);
    Plan work;
    if (outcome.decided()) {
      End(job, outcome, &tally, now, &work);
    } else if (job->spec().suspend()) {
      Suspend(job, &tally, now, &work);
    } else {
      if (FindTrue(tally.status, "Suspended")) {
        SetCondition("Suspended", "False", "JobResumed", "Job resumed", now, &tally.status);
        api::SetTime(now, tally.status.mutable_start_time());
        work.events.push_back({job.object(), "Normal", "Resumed", "Job resumed"});
      }
      KeepActive(job, tally, now, &work);
    }
    // First what was counted, then the finalizers: see Tally.
    if (!api::Same(tally.status, job->status())) {
      Job copy = *job;
      *copy.mutable_status() = tally.status;
      plan.UpdateStatus(std::move(copy));
    }
    Release(tally.release, &plan);
    std::move(work.actions.begin(), work.actions.end(), std::back_inserter(plan.actions));
    std::move(work.events.begin(), work.events.end(), std::back_inserter(plan.events));
    if (work.requeue_after) RequeueIn(*work.requeue_after, &plan);
    return plan;
  }

 private:
  static bool IsManagedElsewhere(const Job& job) {
    return job.spec().has_managed_by() && job.spec().managed_by() != "kubernetes.io/job-controller";
  }

  static void Release(const PodRef& pod, Plan* plan) {
    if (!IsTracked(*pod)) return;
    api::JsonValue finalizers = api::JsonValue::MakeArray();
    for (const std::string& finalizer : pod->metadata().finalizers()) {
      if (finalizer != kTrackingFinalizer) finalizers.as_array().push_back(finalizer);
    }
    api::JsonValue metadata = api::JsonValue::MakeObject();
    metadata["finalizers"] = std::move(finalizers);
    plan->actions.push_back(PatchMetadata(*pod.object(), std::move(metadata)));
    plan->actions.back().independent = true;
  }
  static void Release(const std::vector<PodRef>& pods, Plan* plan) {
    for (const PodRef& pod : pods)
      Release(pod, plan);
  }

  // Nobody counts the pods of a job that is gone; those that remain of it are being deleted.
  void ReleaseOfFormerJobs(const Key& key, const JobRef& job, Plan* plan) const {
    for (const PodRef& pod :
         client::Typed<Pod>(pods_->ByIndex(kTrackedByJob, TrackedKey(key.ns, key.name)))) {
      const bool former = !job || !api::IsControlledBy(pod->metadata(), job->metadata().uid());
      if (former && api::IsBeingDeleted(pod->metadata())) Release(pod, plan);
    }
  }
  // Pods that outlived their job (--cascade=orphan), unless another one would take them.
  void ReleaseOrphans(const std::string& ns, Plan* plan) const {
    const std::vector<JobRef> jobs = client::Typed<Job>(jobs_->List(ns));
    for (const PodRef& pod :
         client::Typed<Pod>(pods_->ByIndex(kTrackedByJob, TrackedKey(ns, "")))) {
      const bool wanted = std::any_of(jobs.begin(), jobs.end(), [&pod](const JobRef& job) {
        return Selects<Job>(*job.object(), *pod.object());
      });
      if (!wanted || api::IsBeingDeleted(pod->metadata())) Release(pod, plan);
    }
  }

  // Pods that the controller itself ends count neither as failed nor as succeeded.
  static void Delete(const JobRef& job, const std::vector<PodRef>& pods, size_t count, Plan* plan) {
    for (size_t i = 0; i < std::min({pods.size(), count, size_t{kBurst}}); ++i) {
      Release(pods[i], plan);
      plan->Delete(*pods[i]);
      plan->actions.back().on_success = [job,
                                         name = pods[i]->metadata().name()](const api::ObjectPtr&) {
        return EventNote{job.object(), "Normal", "SuccessfulDelete", "Deleted pod: " + name};
      };
      plan->actions.back().on_failure = [job](const Status& failure) {
        Plan more;
        more.events.push_back(
            {job.object(), "Warning", "FailedDelete", "Error deleting: " + failure.message()});
        return more;
      };
    }
  }

  // The decision is announced at once, the end when the last pod is gone and counted.
  static void End(const JobRef& job, const Outcome& outcome, Tally* tally, WallTime now,
                  Plan* plan) {
    JobStatus& status = tally->status;
    SetCondition(outcome.target, "True", outcome.reason, outcome.message, now, &status);
    Delete(job, tally->active, tally->active.size(), plan);
    if (!tally->active.empty() || tally->terminating > 0 || !tally->settled()) return;
    if (outcome.failed()) {
      SetCondition("Failed", "True", outcome.reason, outcome.message, now, &status);
      plan->events.push_back({job.object(), "Warning", outcome.reason, outcome.message});
    } else {
      SetCondition("Complete", "True", outcome.reason, outcome.message, now, &status);
      api::SetTime(now, status.mutable_completion_time());
      plan->events.push_back({job.object(), "Normal", "Completed", "Job completed"});
    }
  }

  static void Suspend(const JobRef& job, Tally* tally, WallTime now, Plan* plan) {
    tally->status.clear_start_time();
    Delete(job, tally->active, tally->active.size(), plan);
    if (FindTrue(tally->status, "Suspended")) return;
    SetCondition("Suspended", "True", "JobSuspended", "Job suspended", now, &tally->status);
    plan->events.push_back({job.object(), "Normal", "Suspended", "Job suspended"});
  }

  static void KeepActive(const JobRef& job, const Tally& tally, WallTime now, Plan* plan) {
    const int wanted = WantedActive(*job, tally);
    int have = static_cast<int>(tally.active.size());
    if (have > wanted) {
      std::vector<PodRef> victims = tally.active;
      // Those that have got the least far go first.
      std::stable_sort(victims.begin(), victims.end(), [](const PodRef& a, const PodRef& b) {
        if (api::IsReady(*a) != api::IsReady(*b)) return !api::IsReady(*a);
        return api::ToWallTime(a->metadata().creation_timestamp()) >
               api::ToWallTime(b->metadata().creation_timestamp());
      });
      Delete(job, victims, static_cast<size_t>(have - wanted), plan);
      return;
    }
    if (ReplacesOnlyEnded(*job)) have += tally.terminating;
    const int missing = std::min(wanted - have, kBurst);
    if (missing <= 0) return;
    const bool by_index = job->spec().has_backoff_limit_per_index();
    if (!by_index) {
      if (const Duration left = BackoffLeft(tally, -1, now); left > Duration::zero())
        return RequeueIn(left, plan);
    }
    if (!IsIndexed(*job)) {
      for (int i = 0; i < missing; ++i)
        Create(job, std::nullopt, 0, plan);
      return;
    }
    IndexSet busy;
    for (const PodRef& pod : tally.active) {
      if (std::optional<int> index = IndexOf(*pod)) busy.insert(*index);
    }
    int made = 0;
    for (int index = 0; index < job->spec().completions() && made < missing; ++index) {
      if (busy.contains(index) || tally.completed.contains(index) ||
          tally.failed_indexes.contains(index)) {
        continue;
      }
      if (const Duration left = BackoffLeft(tally, index, now);
          by_index && left > Duration::zero()) {
        RequeueIn(left, plan);
        continue;
      }
      auto failures = tally.failures.find(index);
      Create(job, index, failures == tally.failures.end() ? 0 : failures->second, plan);
      ++made;
    }
  }

  static void Create(const JobRef& job, std::optional<int> index, int failures, Plan* plan) {
    plan->Create(MakeJobPod(*job, index, failures));
    plan->actions.back().on_success = [job](const api::ObjectPtr& made) {
      return EventNote{job.object(), "Normal", "SuccessfulCreate", "Created pod: " + made->name()};
    };
    plan->actions.back().on_failure = [job](const Status& failure) {
      Plan more;
      more.events.push_back(
          {job.object(), "Warning", "FailedCreate", "Error creating: " + failure.message()});
      return more;
    };
  }

  // A finished job goes when its time to live is over.
  static void Expire(const Job& job, WallTime now, Plan* plan) {
    if (!job.spec().has_ttl_seconds_after_finished() || api::IsBeingDeleted(job.metadata())) return;
    const JobCondition* end = FindTrue(job.status(), "Complete");
    if (!end) end = FindTrue(job.status(), "Failed");
    const Duration left = api::ToWallTime(end->last_transition_time()) +
                          std::chrono::seconds(job.spec().ttl_seconds_after_finished()) - now;
    if (left > Duration::zero()) return RequeueIn(left, plan);
    client::DeleteOptions options;
    options.propagation_policy = "Foreground";
    plan->Delete(job, std::move(options));
  }

  client::Informer* jobs_ = nullptr;
  client::Informer* pods_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeJobController() {
  return std::make_unique<JobController>();
}

}  // namespace gantry::controllers
