#include "controllers/job/pods.h"

#include <algorithm>
#include <charconv>

#include "api/duration.h"
#include "api/owners.h"

namespace gantry::controllers {
namespace {

using api::batch::v1::Job;
using api::core::v1::Container;
using api::core::v1::EnvVar;
using api::core::v1::Pod;

// Label and annotation of the same name.
constexpr char kIndex[] = "batch.kubernetes.io/job-completion-index";
constexpr char kFailureCount[] = "batch.kubernetes.io/job-index-failure-count";
constexpr char kIndexVariable[] = "JOB_COMPLETION_INDEX";

template <class Map>
std::optional<int> NumberIn(const Map& map, const char* key) {
  auto it = map.find(key);
  if (it == map.end()) return std::nullopt;
  int number = 0;
  const char* end = it->second.data() + it->second.size();
  const auto parsed = std::from_chars(it->second.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number < 0) return std::nullopt;
  return number;
}

void AddIndexVariable(Container* container) {
  const auto& env = container->env();
  if (std::any_of(env.begin(), env.end(),
                  [](const EnvVar& variable) { return variable.name() == kIndexVariable; })) {
    return;
  }
  EnvVar* variable = container->add_env();
  variable->set_name(kIndexVariable);
  variable->mutable_value_from()->mutable_field_ref()->set_field_path(
      std::string("metadata.labels['") + kIndex + "']");
}

// When the API server last heard of the pod's state, by its own clock; nullopt when nobody noted
// it.
std::optional<WallTime> LastReport(const Pod& pod) {
  std::optional<WallTime> last;
  for (const auto& entry : pod.metadata().managed_fields()) {
    if (entry.subresource() != "status" || !entry.has_time()) continue;
    last = std::max(last.value_or(WallTime()), api::ToWallTime(entry.time()));
  }
  return last;
}

}  // namespace

bool IsIndexed(const Job& job) { return job.spec().completion_mode() == "Indexed"; }

bool ReplacesOnlyEnded(const Job& job) {
  return job.spec().pod_replacement_policy() == "Failed" || job.spec().has_pod_failure_policy();
}

Pod MakeJobPod(const Job& job, std::optional<int> index, int failures) {
  const auto& from = job.spec().template_();
  Pod pod;
  auto* meta = pod.mutable_metadata();
  *meta->mutable_labels() = from.metadata().labels();
  *meta->mutable_annotations() = from.metadata().annotations();
  *meta->mutable_finalizers() = from.metadata().finalizers();
  meta->add_finalizers(kTrackingFinalizer);
  meta->set_namespace_(job.metadata().namespace_());
  meta->set_generate_name(job.metadata().name() + "-");
  *meta->add_owner_references() = api::MakeControllerRef(api::KindOf<Job>(), job.metadata());
  *pod.mutable_spec() = from.spec();
  if (!index) return pod;
  const std::string number = std::to_string(*index);
  meta->set_generate_name(job.metadata().name() + "-" + number + "-");
  (*meta->mutable_labels())[kIndex] = number;
  (*meta->mutable_annotations())[kIndex] = number;
  if (job.spec().has_backoff_limit_per_index())
    (*meta->mutable_annotations())[kFailureCount] = std::to_string(failures);
  // The name that other pods of the job find it by, with a headless service.
  pod.mutable_spec()->set_hostname(job.metadata().name() + "-" + number);
  for (Container& container : *pod.mutable_spec()->mutable_init_containers())
    AddIndexVariable(&container);
  for (Container& container : *pod.mutable_spec()->mutable_containers())
    AddIndexVariable(&container);
  return pod;
}

std::optional<int> IndexOf(const Pod& pod) {
  return NumberIn(pod.metadata().annotations(), kIndex);
}

int EarlierFailures(const Pod& pod) {
  return NumberIn(pod.metadata().annotations(), kFailureCount).value_or(0);
}

bool IsTracked(const Pod& pod) {
  const auto& finalizers = pod.metadata().finalizers();
  return std::find(finalizers.begin(), finalizers.end(), kTrackingFinalizer) != finalizers.end();
}

WallTime FinishTime(const Pod& pod) {
  WallTime latest;
  for (const auto& status : pod.status().container_statuses()) {
    if (status.state().has_terminated())
      latest = std::max(latest, api::ToWallTime(status.state().terminated().finished_at()));
  }
  // A node whose clock is ahead holds up nothing.
  if (latest != WallTime()) return std::min(latest, LastReport(pod).value_or(latest));
  if (pod.metadata().has_deletion_timestamp())
    return api::ToWallTime(pod.metadata().deletion_timestamp());
  return api::ToWallTime(pod.metadata().creation_timestamp());
}

}  // namespace gantry::controllers
