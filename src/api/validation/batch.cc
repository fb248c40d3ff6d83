#include <algorithm>

#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/cron.h"
#include "api/selector.h"
#include "api/validation/meta.h"
#include "api/validation/pod.h"
#include "api/validation/rules.h"

namespace gantry::api::validation {
namespace {

using batch::v1::CronJob;
using batch::v1::Job;
using batch::v1::JobSpec;

constexpr int32_t kMaxIndexedParallelism = 100'000;
constexpr int kMaxFailureRules = 20;
constexpr size_t kMaxManagedBy = 63;
// What the controller appends to the name is eleven characters long.
constexpr size_t kMaxCronJobName = 52;

void CheckFailurePolicy(const Path& path, const batch::v1::PodFailurePolicy& policy,
                        Errors* errors) {
  Path rules = path.Child("rules");
  if (policy.rules_size() > kMaxFailureRules)
    errors->TooMany(rules, policy.rules_size(), kMaxFailureRules);
  for (int i = 0; i < policy.rules_size(); ++i) {
    const auto& rule = policy.rules(i);
    Path item = rules.Index(i);
    if (rule.action().empty()) {
      errors->Required(item.Child("action"),
                       "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
    } else if (!IsOneOf(rule.action(), {"Count", "FailIndex", "FailJob", "Ignore"})) {
      errors->NotSupported(item.Child("action"), rule.action(),
                           {"Count", "FailIndex", "FailJob", "Ignore"});
    }
    bool codes = rule.has_on_exit_codes();
    bool conditions = !rule.on_pod_conditions().empty();
    if (codes && conditions)
      errors->Invalid(item, rule,
                      "specifying both OnExitCodes and OnPodConditions is not supported");
    if (!codes && !conditions)
      errors->Invalid(item, rule, "specifying one of OnExitCodes and OnPodConditions is required");
    if (!codes) continue;
    Path code_path = item.Child("onExitCodes");
    if (!IsOneOf(rule.on_exit_codes().operator_(), {"In", "NotIn"})) {
      errors->NotSupported(code_path.Child("operator"), rule.on_exit_codes().operator_(),
                           {"In", "NotIn"});
    }
    if (rule.on_exit_codes().values().empty()) {
      errors->Invalid(code_path.Child("values"), Strings(), "at least one value is required");
    }
  }
}

void CheckIndexed(const Path& path, const JobSpec& spec, Errors* errors) {
  if (spec.completion_mode() == "Indexed") {
    if (!spec.has_completions())
      errors->Required(path.Child("completions"), "when completion mode is Indexed");
    if (spec.parallelism() > kMaxIndexedParallelism) {
      errors->Invalid(path.Child("parallelism"), spec.parallelism(),
                      "must be less than or equal to 100000 when completion mode is Indexed");
    }
    if (spec.has_max_failed_indexes() && spec.has_completions() &&
        spec.max_failed_indexes() > spec.completions()) {
      errors->Invalid(path.Child("maxFailedIndexes"), spec.max_failed_indexes(),
                      "must be less than or equal to completions");
    }
    if (spec.has_max_failed_indexes() && !spec.has_backoff_limit_per_index()) {
      errors->Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    return;
  }
  constexpr char kIndexedOnly[] = "requires indexed completion mode";
  if (spec.has_backoff_limit_per_index()) {
    errors->Invalid(path.Child("backoffLimitPerIndex"), spec.backoff_limit_per_index(),
                    kIndexedOnly);
  }
  if (spec.has_max_failed_indexes()) {
    errors->Invalid(path.Child("maxFailedIndexes"), spec.max_failed_indexes(), kIndexedOnly);
  }
  if (spec.has_success_policy()) {
    errors->Invalid(path.Child("successPolicy"), spec.success_policy(), kIndexedOnly);
  }
}

// What a job and the template of a cron job have in common.
void CheckJobSpec(const Path& path, const JobSpec& spec, Errors* errors) {
  CheckNonnegative(path.Child("parallelism"), spec.parallelism(), errors);
  CheckNonnegative(path.Child("completions"), spec.completions(), errors);
  CheckNonnegative(path.Child("activeDeadlineSeconds"), spec.active_deadline_seconds(), errors);
  CheckNonnegative(path.Child("backoffLimit"), spec.backoff_limit(), errors);
  CheckNonnegative(path.Child("ttlSecondsAfterFinished"), spec.ttl_seconds_after_finished(),
                   errors);
  CheckNonnegative(path.Child("backoffLimitPerIndex"), spec.backoff_limit_per_index(), errors);
  CheckNonnegative(path.Child("maxFailedIndexes"), spec.max_failed_indexes(), errors);
  if (spec.has_managed_by()) {
    Path managed_by = path.Child("managedBy");
    const std::string& name = spec.managed_by();
    size_t slash = name.find('/');
    if (name.empty()) {
      errors->Required(managed_by);
    } else if (slash == std::string::npos || slash == 0 || slash + 1 == name.size()) {
      errors->Invalid(managed_by, name, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    } else {
      errors->Complain(managed_by, name.substr(0, slash),
                       IsDns1123Subdomain(name.substr(0, slash)));
    }
    if (name.size() > kMaxManagedBy) errors->TooLong(managed_by, kMaxManagedBy);
  }
  if (spec.has_completion_mode() && !IsOneOf(spec.completion_mode(), {"NonIndexed", "Indexed"})) {
    errors->NotSupported(path.Child("completionMode"), spec.completion_mode(),
                         {"NonIndexed", "Indexed"});
  }
  CheckIndexed(path, spec, errors);
  CheckPodTemplate(path.Child("template"), spec.template_(), errors);
  const std::string& policy = spec.template_().spec().restart_policy();
  Path policy_path = path.Child("template.spec.restartPolicy");
  if (policy.empty() || policy == "Always") {
    errors->Required(policy_path, "valid values: \"OnFailure\", \"Never\"");
  } else if (!IsOneOf(policy, {"OnFailure", "Never"})) {
    errors->NotSupported(policy_path, policy, {"OnFailure", "Never"});
  } else if (spec.has_pod_failure_policy() && policy != "Never") {
    errors->Invalid(policy_path, policy,
                    "only \"Never\" is supported when podFailurePolicy is specified");
  }
  if (spec.has_pod_failure_policy()) {
    CheckFailurePolicy(path.Child("podFailurePolicy"), spec.pod_failure_policy(), errors);
  }
  if (!spec.has_pod_replacement_policy()) return;
  Path replacement = path.Child("podReplacementPolicy");
  if (spec.has_pod_failure_policy()) {
    if (spec.pod_replacement_policy() != "Failed") {
      errors->NotSupported(replacement, spec.pod_replacement_policy(), {"Failed"});
    }
  } else if (!IsOneOf(spec.pod_replacement_policy(), {"Failed", "TerminatingOrFailed"})) {
    errors->NotSupported(replacement, spec.pod_replacement_policy(),
                         {"Failed", "TerminatingOrFailed"});
  }
}

void CheckWholeJobSpec(const JobSpec& spec, Errors* errors) {
  Path path("spec");
  CheckJobSpec(path, spec, errors);
  if (!spec.has_selector()) {
    errors->Required(path.Child("selector"));
    return;
  }
  CheckLabelSelector(path.Child("selector"), spec.selector(), errors);
  Result<Selector> selector = Selector::From(spec.selector());
  if (selector.ok() && !selector->Matches(spec.template_().metadata().labels())) {
    errors->Invalid(path.Child("template.metadata.labels"), spec.template_().metadata().labels(),
                    "`selector` does not match template `labels`");
  }
}

// The selector that the server makes picks this job's pods and no others.
void CheckGeneratedSelector(const Job& job, Errors* errors) {
  if (job.spec().manual_selector() || !job.spec().has_selector() || job.metadata().uid().empty())
    return;
  StringMap wanted;
  Path labels("spec.template.metadata.labels");
  const StringMap& given = job.spec().template_().metadata().labels();
  auto must_be = [&](std::string_view key, const std::string& value) {
    wanted[std::string(key)] = value;
    auto found = given.find(std::string(key));
    if (found == given.end()) {
      errors->Required(labels.Key(key), "must be '" + value + "'");
    } else if (found->second != value) {
      errors->Invalid(labels.Key(key), given, "must be '" + value + "'");
    }
  };
  must_be("controller-uid", job.metadata().uid());
  must_be("job-name", job.metadata().name());
  must_be("batch.kubernetes.io/controller-uid", job.metadata().uid());
  must_be("batch.kubernetes.io/job-name", job.metadata().name());
  Result<Selector> selector = Selector::From(job.spec().selector());
  if (selector.ok() && !selector->Matches(wanted)) {
    errors->Invalid(Path("spec.selector"), job.spec().selector(), "`selector` not auto-generated");
  }
}

void CreateJob(const Job& job, Errors* errors) {
  CheckMeta(job.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckGeneratedSelector(job, errors);
  CheckWholeJobSpec(job.spec(), errors);
}

// While a job is suspended and has not started, where its pods go may still change.
core::v1::PodTemplateSpec WithPlacementOf(const core::v1::PodTemplateSpec& from,
                                          core::v1::PodTemplateSpec to) {
  *to.mutable_metadata() = from.metadata();
  core::v1::PodSpec* spec = to.mutable_spec();
  *spec->mutable_node_selector() = from.spec().node_selector();
  spec->clear_affinity();
  if (from.spec().has_affinity()) *spec->mutable_affinity() = from.spec().affinity();
  *spec->mutable_tolerations() = from.spec().tolerations();
  *spec->mutable_scheduling_gates() = from.spec().scheduling_gates();
  return to;
}

void UpdateJob(const Job& job, const Job& old, Errors* errors) {
  CheckMetaUpdate(job.metadata(), old.metadata(), errors);
  CheckWholeJobSpec(job.spec(), errors);
  Path path("spec");
  const JobSpec& spec = job.spec();
  const JobSpec& before = old.spec();
  bool completions_changed = spec.has_completions() != before.has_completions() ||
                             spec.completions() != before.completions();
  if (completions_changed) {
    Bad shown = spec.has_completions() ? Bad(spec.completions()) : Bad(nullptr);
    if (spec.completion_mode() != "Indexed" || !spec.has_completions() ||
        !before.has_completions()) {
      errors->Invalid(path.Child("completions"), shown, kImmutable);
    } else if (spec.completions() != spec.parallelism()) {
      errors->Invalid(path.Child("completions"), shown,
                      "can only be modified in tandem with parallelism");
    }
  }
  if (!SemanticEqual(spec.selector(), before.selector())) {
    errors->Invalid(path.Child("selector"), spec.selector(), kImmutable);
  }
  bool placement_may_change = before.suspend() && !old.status().has_start_time();
  bool same_template =
      SemanticEqual(placement_may_change ? WithPlacementOf(before.template_(), spec.template_())
                                         : spec.template_(),
                    before.template_());
  if (!same_template) errors->Invalid(path.Child("template"), spec.template_(), kImmutable);
  if (spec.completion_mode() != before.completion_mode()) {
    errors->Invalid(path.Child("completionMode"), spec.completion_mode(), kImmutable);
  }
  if (!SemanticEqual(spec.pod_failure_policy(), before.pod_failure_policy())) {
    errors->Invalid(path.Child("podFailurePolicy"), spec.pod_failure_policy(), kImmutable);
  }
  if (spec.backoff_limit_per_index() != before.backoff_limit_per_index()) {
    errors->Invalid(path.Child("backoffLimitPerIndex"), spec.backoff_limit_per_index(), kImmutable);
  }
  if (spec.managed_by() != before.managed_by()) {
    errors->Invalid(path.Child("managedBy"), spec.managed_by(), kImmutable);
  }
  if (!SemanticEqual(spec.success_policy(), before.success_policy())) {
    errors->Invalid(path.Child("successPolicy"), spec.success_policy(), kImmutable);
  }
}

void UpdateJobStatus(const Job& job, const Job& old, Errors* errors) {
  CheckMetaUpdate(job.metadata(), old.metadata(), errors);
  Path status("status");
  CheckNonnegative(status.Child("active"), job.status().active(), errors);
  CheckNonnegative(status.Child("succeeded"), job.status().succeeded(), errors);
  CheckNonnegative(status.Child("failed"), job.status().failed(), errors);
  CheckNonnegative(status.Child("ready"), job.status().ready(), errors);
  CheckNonnegative(status.Child("terminating"), job.status().terminating(), errors);
}

bool MayBeTimeZone(std::string_view name) {
  return name.find("..") == std::string_view::npos && !name.starts_with('/') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("/_+-").find(c) != std::string_view::npos;
         });
}

void CheckCronJobSpec(const batch::v1::CronJobSpec& spec, Errors* errors) {
  Path path("spec");
  Path schedule = path.Child("schedule");
  if (spec.schedule().empty()) {
    errors->Required(schedule);
  } else {
    if (Result<CronSchedule> parsed = CronSchedule::Parse(spec.schedule()); !parsed.ok()) {
      errors->Invalid(schedule, spec.schedule(), parsed.status().message());
    }
    if (spec.schedule().find("TZ") != std::string::npos) {
      errors->Invalid(schedule, spec.schedule(),
                      "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    }
  }
  CheckNonnegative(path.Child("startingDeadlineSeconds"), spec.starting_deadline_seconds(), errors);
  if (spec.has_time_zone()) {
    Path time_zone = path.Child("timeZone");
    if (spec.time_zone().empty()) {
      errors->Invalid(time_zone, spec.time_zone(), "timeZone must be nil or non-empty string");
    } else if (spec.time_zone() == "Local" || spec.time_zone() == "local") {
      errors->Invalid(
          time_zone, spec.time_zone(),
          "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    } else if (!MayBeTimeZone(spec.time_zone())) {
      errors->Invalid(time_zone, spec.time_zone(), "unknown time zone " + spec.time_zone());
    }
  }
  CheckEnum(path.Child("concurrencyPolicy"), spec.concurrency_policy(),
            {"Allow", "Forbid", "Replace"}, errors);
  CheckJobSpec(path.Child("jobTemplate.spec"), spec.job_template().spec(), errors);
  CheckNonnegative(path.Child("successfulJobsHistoryLimit"), spec.successful_jobs_history_limit(),
                   errors);
  CheckNonnegative(path.Child("failedJobsHistoryLimit"), spec.failed_jobs_history_limit(), errors);
}

void CreateCronJob(const CronJob& job, Errors* errors) {
  CheckMeta(job.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckCronJobSpec(job.spec(), errors);
  if (job.metadata().name().size() > kMaxCronJobName) {
    errors->Invalid(Path("metadata.name"), job.metadata().name(),
                    "must be no more than 52 characters");
  }
}

void UpdateCronJob(const CronJob& job, const CronJob& old, Errors* errors) {
  CheckMetaUpdate(job.metadata(), old.metadata(), errors);
  CheckCronJobSpec(job.spec(), errors);
}

}  // namespace

std::vector<RuleRow> BatchRules() {
  return {Row<CronJob, CreateCronJob, UpdateCronJob>(),
          Row<Job, CreateJob, UpdateJob, UpdateJobStatus>()};
}

}  // namespace gantry::api::validation
