#include "controllers/cronjob/cronjob.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/cron.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/same.h"
#include "controllers/ownership/ownership.h"

namespace gantry::controllers {
namespace {

using api::batch::v1::CronJob;
using api::batch::v1::CronJobStatus;
using api::batch::v1::Job;
using api::core::v1::ObjectReference;
using client::EventNote;
using client::Plan;
using CronRef = api::Ref<CronJob>;
using JobRef = api::Ref<Job>;

// With more times missed than this since the last run (the clock was wrong, or nobody was there for
// long), the user is told; only the latest is made up for in any case.
constexpr int kManyMissed = 100;
constexpr char kScheduledAt[] = "batch.kubernetes.io/cronjob-scheduled-timestamp";

// "Complete" or "Failed"; empty while the job goes on.
std::string EndOf(const Job& job) {
  for (const auto& condition : job.status().conditions()) {
    const bool end = condition.type() == "Complete" || condition.type() == "Failed";
    if (end && condition.status() == "True") return condition.type();
  }
  return "";
}

Job MakeJob(const CronJob& cron, WallTime at) {
  const auto& from = cron.spec().job_template();
  Job job;
  auto* meta = job.mutable_metadata();
  *meta->mutable_labels() = from.metadata().labels();
  *meta->mutable_annotations() = from.metadata().annotations();
  (*meta->mutable_annotations())[kScheduledAt] = api::FormatTime(at);
  // The same for the same time: made twice, it is refused.
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(at.time_since_epoch());
  meta->set_name(cron.metadata().name() + "-" + std::to_string(minutes.count()));
  meta->set_namespace_(cron.metadata().namespace_());
  *meta->add_owner_references() = api::MakeControllerRef(api::KindOf<CronJob>(), cron.metadata());
  *job.mutable_spec() = from.spec();
  return job;
}

ObjectReference ReferenceTo(const JobRef& job) {
  ObjectReference reference;
  reference.set_api_version("batch/v1");
  reference.set_kind("Job");
  reference.set_namespace_(job->metadata().namespace_());
  reference.set_name(job->metadata().name());
  reference.set_uid(job->metadata().uid());
  reference.set_resource_version(job->metadata().resource_version());
  return reference;
}

// The times of a schedule around now.
struct Times {
  std::optional<WallTime> due;   // the latest that has passed and was not used
  std::optional<WallTime> next;  // after now
  int missed = 0;
};

Result<Times> TimesOf(const CronJob& cron, const api::CronSchedule& schedule, WallTime now) {
  const std::string& zone = cron.spec().time_zone();
  WallTime from = cron.status().has_last_schedule_time()
                      ? api::ToWallTime(cron.status().last_schedule_time())
                      : api::ToWallTime(cron.metadata().creation_timestamp());
  if (cron.spec().has_starting_deadline_seconds()) {
    const auto deadline = std::chrono::seconds(cron.spec().starting_deadline_seconds());
    from = std::max(from, now - deadline);
  }
  Times times;
  GANTRY_ASSIGN(times.next, schedule.Next(from, zone));
  while (times.next && *times.next <= now) {
    times.due = times.next;
    ++times.missed;
    // The clock was wrong for long: jump close to now instead of walking there.
    if (times.missed > kManyMissed && now - *times.due > std::chrono::hours(24))
      times.due = now - std::chrono::hours(24);
    GANTRY_ASSIGN(times.next, schedule.Next(*times.due, zone));
  }
  return times;
}

class CronJobController : public client::Reconciler {
 public:
  std::string_view name() const override { return "cronjob"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    crons_ = &informers.For<CronJob>();
    jobs_ = &informers.For<Job>();
    IndexByController(*jobs_);
    WatchAll(*crons_, enqueue);
    WatchOwned(
        *jobs_, api::KindOf<CronJob>(), *crons_,
        [](const api::Object&, const api::Object&) { return false; }, enqueue);
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    CronRef cron = client::GetFrom<CronJob>(*crons_, key.ns, key.name);
    if (!cron) return plan;
    const std::vector<JobRef> jobs =
        client::Typed<Job>(jobs_->ByIndex("controller-uid", cron->metadata().uid()));
    CronJobStatus status = cron->status();
    FollowJobs(cron, jobs, &status, &plan);
    RemoveOldest(cron, jobs, &plan);
    if (!api::IsBeingDeleted(cron->metadata()) && !cron->spec().suspend())
      Schedule(cron, jobs, now, &status, &plan);
    if (!api::Same(status, cron->status())) {
      CronJob copy = *cron;
      *copy.mutable_status() = std::move(status);
      plan.UpdateStatus(std::move(copy));
    }
    return plan;
  }

 private:
  // Brings the list of active jobs up to date and tells of those that ended.
  static void FollowJobs(const CronRef& cron, const std::vector<JobRef>& jobs,
                         CronJobStatus* status, Plan* plan) {
    std::vector<ObjectReference> active;
    for (const auto& reference : cron->status().active()) {
      auto job = std::find_if(jobs.begin(), jobs.end(), [&](const JobRef& one) {
        return one->metadata().uid() == reference.uid();
      });
      if (job == jobs.end()) {
        plan->events.push_back({cron.object(), "Normal", "MissingJob",
                                "Active job went missing: " + reference.name()});
      } else if (const std::string end = EndOf(**job); !end.empty()) {
        plan->events.push_back({cron.object(), "Normal", "SawCompletedJob",
                                "Saw completed job: " + reference.name() + ", condition: " + end});
      } else {
        active.push_back(reference);
      }
    }
    for (const JobRef& job : jobs) {
      const std::string end = EndOf(*job);
      if (end == "Complete") {
        const auto& completed = job->status().completion_time();
        if (!status->has_last_successful_time() ||
            api::ToWallTime(completed) > api::ToWallTime(status->last_successful_time())) {
          *status->mutable_last_successful_time() = completed;
        }
      }
      const bool listed = std::any_of(active.begin(), active.end(), [&](const auto& reference) {
        return reference.uid() == job->metadata().uid();
      });
      if (end.empty() && !listed) active.push_back(ReferenceTo(job));
    }
    status->mutable_active()->Assign(active.begin(), active.end());
  }

  static void DeleteJob(const CronRef& cron, const Job& job, Plan* plan) {
    client::DeleteOptions options;
    options.propagation_policy = "Background";
    plan->Delete(job, std::move(options));
    plan->actions.back().independent = true;
    plan->actions.back().on_success = [cron, name = job.metadata().name()](const api::ObjectPtr&) {
      return EventNote{cron.object(), "Normal", "SuccessfulDelete", "Deleted job " + name};
    };
    plan->actions.back().on_failure = [cron](const Status& failure) {
      Plan more;
      more.events.push_back(
          {cron.object(), "Warning", "FailedDelete", "Deleted job: " + failure.message()});
      return more;
    };
  }

  static void RemoveOldest(const CronRef& cron, const std::vector<JobRef>& jobs, Plan* plan) {
    const std::pair<const char*, int> limits[] = {
        {"Complete", cron->spec().successful_jobs_history_limit()},
        {"Failed", cron->spec().failed_jobs_history_limit()}};
    for (const auto& [end, limit] : limits) {
      std::vector<JobRef> finished;
      for (const JobRef& job : jobs) {
        if (EndOf(*job) == end && !api::IsBeingDeleted(job->metadata())) finished.push_back(job);
      }
      std::sort(finished.begin(), finished.end(), [](const JobRef& a, const JobRef& b) {
        const WallTime a_start = api::ToWallTime(a->status().start_time());
        const WallTime b_start = api::ToWallTime(b->status().start_time());
        return a_start != b_start ? a_start < b_start : a->metadata().name() < b->metadata().name();
      });
      const int surplus = static_cast<int>(finished.size()) - limit;
      for (int i = 0; i < surplus; ++i)
        DeleteJob(cron, *finished[i], plan);
    }
  }

  static void Schedule(const CronRef& cron, const std::vector<JobRef>& jobs, WallTime now,
                       CronJobStatus* status, Plan* plan) {
    auto warn = [&](const char* reason, std::string message) {
      plan->events.push_back({cron.object(), "Warning", reason, std::move(message)});
    };
    const std::string& text = cron->spec().schedule();
    const Result<api::CronSchedule> schedule = api::CronSchedule::Parse(text);
    if (!schedule.ok())
      return warn("UnparseableSchedule",
                  "unparseable schedule: \"" + text + "\" : " + schedule.status().message());
    const Result<Times> times = TimesOf(*cron, *schedule, now);
    if (!times.ok())
      return warn("UnknownTimeZone", "invalid timeZone: " + times.status().message());
    if (times->next) plan->requeue_after = *times->next - now;
    if (!times->due) return;
    if (times->missed > kManyMissed) {
      warn("TooManyMissedTimes",
           "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check "
           "clock skew");
    }
    if (cron->spec().concurrency_policy() == "Forbid" && !status->active().empty()) {
      plan->events.push_back({cron.object(), "Normal", "JobAlreadyActive",
                              "Not starting job because prior execution is running and concurrency "
                              "policy is Forbid"});
      return;
    }
    if (cron->spec().concurrency_policy() == "Replace") {
      for (const JobRef& job : jobs) {
        if (EndOf(*job).empty()) DeleteJob(cron, *job, plan);
      }
      status->clear_active();
    }
    // The time counts as used only once the job is there: the status is written behind it.
    plan->Create(MakeJob(*cron, *times->due));
    plan->actions.back().tolerate_exists = true;
    plan->actions.back().on_success = [cron](const api::ObjectPtr& made) {
      return EventNote{cron.object(), "Normal", "SuccessfulCreate", "Created job " + made->name()};
    };
    plan->actions.back().on_failure = [cron](const Status& failure) {
      Plan more;
      more.events.push_back(
          {cron.object(), "Warning", "FailedCreate", "Error creating job: " + failure.message()});
      return more;
    };
    api::SetTime(*times->due, status->mutable_last_schedule_time());
  }

  client::Informer* crons_ = nullptr;
  client::Informer* jobs_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeCronJobController() {
  return std::make_unique<CronJobController>();
}

}  // namespace gantry::controllers
