#include <limits>

#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/defaults/rules.h"

namespace gantry::api::defaults {
namespace {

// What a job and the template of a cron job have in common.
void DefaultJobSpec(batch::v1::JobSpec* spec) {
  if (spec->has_pod_failure_policy()) {
    for (auto& rule : *spec->mutable_pod_failure_policy()->mutable_rules()) {
      for (auto& pattern : *rule.mutable_on_pod_conditions()) {
        if (pattern.status().empty()) pattern.set_status("True");
      }
    }
  }
  Template(spec->mutable_template_());
}

void DefaultJob(batch::v1::Job* job) {
  auto* spec = job->mutable_spec();
  if (!spec->has_completions() && !spec->has_parallelism()) {
    spec->set_completions(1);
    spec->set_parallelism(1);
  }
  if (!spec->has_parallelism()) spec->set_parallelism(1);
  if (!spec->has_backoff_limit()) {
    spec->set_backoff_limit(
        spec->has_backoff_limit_per_index() ? std::numeric_limits<int32_t>::max() : 6);
  }
  const auto& labels = spec->template_().metadata().labels();
  if (!labels.empty() && job->metadata().labels().empty())
    *job->mutable_metadata()->mutable_labels() = labels;
  if (!spec->has_completion_mode()) spec->set_completion_mode("NonIndexed");
  if (!spec->has_suspend()) spec->set_suspend(false);
  if (!spec->has_pod_replacement_policy()) {
    spec->set_pod_replacement_policy(spec->has_pod_failure_policy() ? "Failed"
                                                                    : "TerminatingOrFailed");
  }
  if (!spec->has_manual_selector()) spec->set_manual_selector(false);
  DefaultJobSpec(spec);
}

void DefaultCronJob(batch::v1::CronJob* job) {
  auto* spec = job->mutable_spec();
  if (spec->concurrency_policy().empty()) spec->set_concurrency_policy("Allow");
  if (!spec->has_suspend()) spec->set_suspend(false);
  if (!spec->has_successful_jobs_history_limit()) spec->set_successful_jobs_history_limit(3);
  if (!spec->has_failed_jobs_history_limit()) spec->set_failed_jobs_history_limit(1);
  DefaultJobSpec(spec->mutable_job_template()->mutable_spec());
}

}  // namespace

std::vector<RuleRow> BatchRules() {
  return {Row<batch::v1::CronJob, DefaultCronJob>(), Row<batch::v1::Job, DefaultJob>()};
}

}  // namespace gantry::api::defaults
