#include "api/validation/pod.h"

#include <algorithm>
#include <limits>
#include <set>

#include "api/validation/container.h"
#include "api/validation/meta.h"
#include "api/validation/resources.h"
#include "api/validation/scheduling.h"

namespace gantry::api::validation {
namespace {

using core::v1::Container;
using core::v1::ContainerStatus;
using core::v1::Pod;
using core::v1::PodSpec;

using Containers = google::protobuf::RepeatedPtrField<Container>;
using Statuses = google::protobuf::RepeatedPtrField<ContainerStatus>;

constexpr char kMirror[] = "kubernetes.io/config.mirror";
constexpr char kDeletionCost[] = "controller.kubernetes.io/pod-deletion-cost";
constexpr char kUpdatable[] =
    "pod updates may not change fields other than "
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec."
    "tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was "
    "previously negative)";

void CheckPodAnnotations(const Pod& pod, Errors* errors) {
  Path annotations("metadata.annotations");
  const StringMap& map = pod.metadata().annotations();
  auto mirror = map.find(kMirror);
  if (mirror != map.end() && pod.spec().node_name().empty()) {
    errors->Invalid(annotations.Key(kMirror), mirror->second,
                    "must set spec.nodeName if mirror pod annotation is set");
  }
  auto cost = map.find(kDeletionCost);
  if (cost != map.end()) {
    std::string_view text = cost->second;
    bool negative = text.starts_with('-');
    std::string_view digits = text.substr(negative ? 1 : 0);
    bool fine =
        !digits.empty() && digits.size() <= 10 && (digits.size() == 1 || digits[0] != '0') &&
        text != "-0" &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (fine) {
      int64_t value = std::stoll(cost->second);
      fine = value >= std::numeric_limits<int32_t>::min() &&
             value <= std::numeric_limits<int32_t>::max();
    }
    if (!fine)
      errors->Invalid(annotations.Key(kDeletionCost), cost->second, "must be a 32bit integer");
  }
}

void CheckMirrorUnchanged(const Pod& pod, const Pod& old, Errors* errors) {
  Path annotations("metadata.annotations");
  Path key = annotations.Key(kMirror);
  auto now = pod.metadata().annotations().find(kMirror);
  auto before = old.metadata().annotations().find(kMirror);
  bool has = now != pod.metadata().annotations().end();
  bool had = before != old.metadata().annotations().end();
  if (had && (!has || now->second != before->second)) {
    errors->Forbidden(key, "may not remove or update mirror pod annotation");
  } else if (has && !had) {
    errors->Forbidden(key, "may not add mirror pod annotation");
  }
}

void CheckMetaAndSpec(const Pod& pod, Errors* errors) {
  CheckMeta(pod.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckPodAnnotations(pod, errors);
  Path spec("spec");
  CheckPodSpec(spec, pod.spec(), pod.metadata().name(), true, errors);
  if (!pod.spec().service_account_name().empty()) return;
  Path volumes = spec.Child("volumes");
  for (int v = 0; v < pod.spec().volumes_size(); ++v) {
    const auto& projected = pod.spec().volumes(v).volume_source().projected();
    Path volume = volumes.Index(v);
    Path sources = volume.Child("projected.sources");
    for (int s = 0; s < projected.sources_size(); ++s) {
      if (!projected.sources(s).has_service_account_token()) continue;
      Path source = sources.Index(s);
      errors->Forbidden(source.Child("serviceAccountToken"),
                        "must not be specified when serviceAccountName is not set");
    }
  }
}

// False where the lists cannot be compared any further.
bool CheckSameContainers(const Path& path, const Containers& containers, const Containers& old,
                         Errors* errors) {
  if (containers.size() == old.size()) return true;
  errors->Forbidden(path, "pod updates may not add or remove containers");
  return false;
}

bool CheckDeadlineUpdate(const Path& path, const PodSpec& spec, const PodSpec& old,
                         Errors* errors) {
  if (!spec.has_active_deadline_seconds()) {
    if (old.has_active_deadline_seconds()) {
      errors->Invalid(path, nullptr, "must not update from a positive integer to nil value");
    }
    return true;
  }
  int64_t deadline = spec.active_deadline_seconds();
  if (deadline < 0 || deadline > std::numeric_limits<int32_t>::max()) {
    errors->Invalid(path, deadline, InclusiveRangeError(0, std::numeric_limits<int32_t>::max()));
    return false;
  }
  if (old.has_active_deadline_seconds() && old.active_deadline_seconds() < deadline) {
    errors->Invalid(path, deadline, "must be less than or equal to previous value");
    return false;
  }
  return true;
}

void CheckOnlyDeletedGates(const Path& path, const PodSpec& spec, const PodSpec& old,
                           Errors* errors) {
  for (int i = 0; i < spec.scheduling_gates_size(); ++i) {
    const std::string& name = spec.scheduling_gates(i).name();
    bool known = std::any_of(old.scheduling_gates().begin(), old.scheduling_gates().end(),
                             [&](const auto& gate) { return gate.name() == name; });
    if (known) continue;
    Path item = path.Index(i);
    errors->Forbidden(item.Child("name"),
                      "only deletion is allowed, but found new scheduling gate '" + name + "'");
  }
}

using Requirements = google::protobuf::RepeatedPtrField<core::v1::NodeSelectorRequirement>;

bool OnlyAdds(const Requirements& now, const Requirements& before) {
  if (now.size() < before.size()) return false;
  for (int i = 0; i < before.size(); ++i) {
    if (!SemanticEqual(now[i], before[i])) return false;
  }
  return true;
}

bool TermOnlyAdds(const core::v1::NodeSelectorTerm& now, const core::v1::NodeSelectorTerm& before) {
  bool was_empty = before.match_expressions().empty() && before.match_fields().empty();
  bool is_empty = now.match_expressions().empty() && now.match_fields().empty();
  if (was_empty) return is_empty;
  return OnlyAdds(now.match_expressions(), before.match_expressions()) &&
         OnlyAdds(now.match_fields(), before.match_fields());
}

// A pod that waits at a gate may be narrowed to fewer nodes.
void CheckGatedPlacement(const Path& path, PodSpec* spec, const PodSpec& old, Errors* errors) {
  for (const auto& [key, value] : old.node_selector()) {
    auto now = spec->node_selector().find(key);
    if (now != spec->node_selector().end() && now->second == value) continue;
    errors->Invalid(path.Child("nodeSelector"), spec->node_selector(),
                    "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    break;
  }
  *spec->mutable_node_selector() = old.node_selector();

  const auto& before = old.affinity().node_affinity();
  const auto& now = spec->affinity().node_affinity();
  Path terms_path = path.Child(
      "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
  const auto& old_terms =
      before.required_during_scheduling_ignored_during_execution().node_selector_terms();
  const auto& new_terms =
      now.required_during_scheduling_ignored_during_execution().node_selector_terms();
  if (!old_terms.empty() && old_terms.size() != new_terms.size()) {
    errors->Invalid(terms_path, new_terms,
                    "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
  } else {
    for (int i = 0; i < old_terms.size(); ++i) {
      if (TermOnlyAdds(new_terms[i], old_terms[i])) continue;
      errors->Invalid(terms_path.Index(i), new_terms[i],
                      "only additions are allowed (no mutations or deletions)");
    }
  }
  if (old.affinity().has_node_affinity()) {
    *spec->mutable_affinity()->mutable_node_affinity() = before;
  } else if (spec->has_affinity()) {
    spec->mutable_affinity()->clear_node_affinity();
    bool nothing_left =
        !spec->affinity().has_pod_affinity() && !spec->affinity().has_pod_anti_affinity();
    if (nothing_left && !old.has_affinity()) spec->clear_affinity();
  }
}

void CheckStateTransitions(const Path& path, const Statuses& statuses, const Statuses& old,
                           std::string_view restart_policy, const Containers* init_containers,
                           Errors* errors) {
  if (restart_policy == "Always") return;
  for (int i = 0; i < old.size(); ++i) {
    const ContainerStatus& before = old[i];
    if (!before.state().has_terminated()) continue;
    if (before.state().terminated().exit_code() != 0 && restart_policy == "OnFailure") continue;
    if (init_containers != nullptr && std::any_of(init_containers->begin(), init_containers->end(),
                                                  [&](const Container& container) {
                                                    return container.name() == before.name() &&
                                                           IsRestartable(container);
                                                  })) {
      continue;
    }
    for (const ContainerStatus& now : statuses) {
      if (now.name() != before.name() || now.state().has_terminated()) continue;
      Path item = path.Index(i);
      errors->Forbidden(item.Child("state"), "may not be transitioned to non-terminated state");
    }
  }
}

// Addresses of the pod or of its host: valid, no two of one family, none twice.
template <class Ips>
void CheckStatusIps(const Path& path, const Ips& ips, Errors* errors) {
  std::set<std::string_view> seen;
  int v4 = 0;
  int v6 = 0;
  for (int i = 0; i < ips.size(); ++i) {
    CheckIp(path.Index(i), ips[i].ip(), errors);
    ++(ips[i].ip().find(':') == std::string::npos ? v4 : v6);
  }
  if (v4 > 1 || v6 > 1)
    errors->Invalid(path, ips, "may specify no more than one IP for each IP family");
  for (int i = 0; i < ips.size(); ++i) {
    if (!seen.insert(ips[i].ip()).second) errors->Duplicate(path.Index(i), ips[i]);
  }
}

std::string QosOf(const PodSpec& spec) {
  bool any = false;
  bool guaranteed = true;
  auto look = [&](const Container& container) {
    for (const char* name : {"cpu", "memory"}) {
      Quantity request = Amount(container.resources().requests(), name);
      Quantity limit = Amount(container.resources().limits(), name);
      any |= !request.IsZero() || !limit.IsZero();
      guaranteed &=
          !limit.IsZero() && (request == limit || !container.resources().requests().contains(name));
    }
  };
  for (const Container& container : spec.containers())
    look(container);
  for (const Container& container : spec.init_containers())
    look(container);
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

bool AnyRemoved(const QuantityMap& now, const QuantityMap& before) {
  return std::any_of(before.begin(), before.end(),
                     [&](const auto& entry) { return !now.contains(entry.first); });
}

void CheckContainerResize(const Path& path, const Container& container, const Container& old,
                          Errors* errors) {
  const auto& now = container.resources();
  const auto& before = old.resources();
  if (AnyRemoved(now.requests(), before.requests())) {
    errors->Forbidden(path.Child("requests"), "resource requests cannot be removed");
  }
  if (AnyRemoved(now.limits(), before.limits())) {
    errors->Forbidden(path.Child("limits"), "resource limits cannot be removed");
  }
}

void TakeCpuAndMemory(const QuantityMap& from, QuantityMap* to) {
  for (const char* name : {"cpu", "memory"}) {
    to->erase(name);
    if (auto found = from.find(name); found != from.end()) (*to)[name] = found->second;
  }
}

}  // namespace

void CheckPodCreate(const Pod& pod, Errors* errors) {
  CheckMetaAndSpec(pod, errors);
  Path spec("spec");
  if (!pod.spec().ephemeral_containers().empty()) {
    errors->Forbidden(spec.Child("ephemeralContainers"), "cannot be set on create");
  }
  if (!pod.spec().node_name().empty() && !pod.spec().scheduling_gates().empty()) {
    errors->Forbidden(spec.Child("nodeName"),
                      "cannot be set until all schedulingGates have been cleared");
  }
}

void CheckPodUpdate(const Pod& pod, const Pod& old, Errors* errors) {
  CheckMetaUpdate(pod.metadata(), old.metadata(), errors);
  // An unchanged spec was found good when it came.
  bool same_spec = SemanticEqual(pod.spec(), old.spec());
  if (!same_spec) CheckMetaAndSpec(pod, errors);
  CheckMirrorUnchanged(pod, old, errors);
  if (same_spec) {
    CheckPodAnnotations(pod, errors);
    return;
  }
  Path spec("spec");
  if (!CheckSameContainers(spec.Child("containers"), pod.spec().containers(),
                           old.spec().containers(), errors))
    return;
  if (!CheckSameContainers(spec.Child("initContainers"), pod.spec().init_containers(),
                           old.spec().init_containers(), errors)) {
    return;
  }
  if (!CheckDeadlineUpdate(spec.Child("activeDeadlineSeconds"), pod.spec(), old.spec(), errors))
    return;
  CheckOnlyAddedTolerations(spec.Child("tolerations"), pod.spec().tolerations(),
                            old.spec().tolerations(), errors);
  CheckOnlyDeletedGates(spec.Child("schedulingGates"), pod.spec(), old.spec(), errors);

  // What may change is put back; the rest must be as it was.
  PodSpec rest = pod.spec();
  for (int i = 0; i < rest.containers_size(); ++i) {
    rest.mutable_containers(i)->set_image(old.spec().containers(i).image());
  }
  for (int i = 0; i < rest.init_containers_size(); ++i) {
    rest.mutable_init_containers(i)->set_image(old.spec().init_containers(i).image());
  }
  rest.clear_active_deadline_seconds();
  if (old.spec().has_active_deadline_seconds()) {
    rest.set_active_deadline_seconds(old.spec().active_deadline_seconds());
  }
  *rest.mutable_scheduling_gates() = old.spec().scheduling_gates();
  *rest.mutable_tolerations() = old.spec().tolerations();
  if (old.spec().termination_grace_period_seconds() < 0 &&
      rest.termination_grace_period_seconds() == 1) {
    rest.set_termination_grace_period_seconds(old.spec().termination_grace_period_seconds());
  }
  if (!old.spec().scheduling_gates().empty()) CheckGatedPlacement(spec, &rest, old.spec(), errors);
  if (!SemanticEqual(rest, old.spec())) {
    errors->Forbidden(spec, kUpdatable + DescribeDifference(old.spec(), rest));
  }
}

void CheckPodStatusUpdate(const Pod& pod, const Pod& old, Errors* errors) {
  CheckMetaUpdate(pod.metadata(), old.metadata(), errors);
  CheckMirrorUnchanged(pod, old, errors);
  Path conditions("metadata.conditions");
  for (int i = 0; i < pod.status().conditions_size(); ++i) {
    const std::string& type = pod.status().conditions(i).type();
    if (IsOneOf(type, {"PodScheduled", "Ready", "Initialized"})) continue;
    Path item = conditions.Index(i);
    CheckQualifiedName(item.Child("Type"), type, errors);
  }
  Path status("status");
  if (pod.spec().node_name() != old.spec().node_name()) {
    errors->Forbidden(status.Child("nodeName"), "may not be changed directly");
  }
  const std::string& nominated = pod.status().nominated_node_name();
  if (nominated != old.status().nominated_node_name() && !nominated.empty()) {
    CheckDns1123Subdomain(status.Child("nominatedNodeName"), nominated, errors);
  }
  if (pod.status().qos_class() != old.status().qos_class()) {
    errors->Invalid(status.Child("qosClass"), pod.status().qos_class(), kImmutable);
  }
  const std::string& policy = old.spec().restart_policy();
  CheckStateTransitions(status.Child("containerStatuses"), pod.status().container_statuses(),
                        old.status().container_statuses(), policy, nullptr, errors);
  CheckStateTransitions(
      status.Child("initContainerStatuses"), pod.status().init_container_statuses(),
      old.status().init_container_statuses(), policy, &old.spec().init_containers(), errors);
  CheckStateTransitions(status.Child("ephemeralContainerStatuses"),
                        pod.status().ephemeral_container_statuses(),
                        old.status().ephemeral_container_statuses(), "Never", nullptr, errors);
  CheckStatusIps(status.Child("podIPs"), pod.status().pod_ips(), errors);
  if (pod.status().host_ips().empty()) return;
  Path host_ips = status.Child("hostIPs");
  if (pod.status().host_ip() != pod.status().host_ips(0).ip()) {
    Path first = host_ips.Index(0);
    errors->Invalid(first.Child("ip"), pod.status().host_ips(0).ip(), "must be equal to `hostIP`");
  }
  CheckStatusIps(host_ips, pod.status().host_ips(), errors);
}

void CheckPodEphemeralUpdate(const Pod& pod, const Pod& old, Errors* errors) {
  if (old.metadata().annotations().contains(kMirror)) {
    errors->Forbidden(Path(""), "static pods do not support ephemeral containers");
    return;
  }
  CheckMetaUpdate(pod.metadata(), old.metadata(), errors);
  CheckMetaAndSpec(pod, errors);
  CheckMirrorUnchanged(pod, old, errors);
  Path path("spec.ephemeralContainers");
  for (const auto& before : old.spec().ephemeral_containers()) {
    const std::string& name = before.ephemeral_container_common().name();
    auto now = std::find_if(
        pod.spec().ephemeral_containers().begin(), pod.spec().ephemeral_containers().end(),
        [&](const auto& c) { return c.ephemeral_container_common().name() == name; });
    if (now == pod.spec().ephemeral_containers().end()) {
      errors->Forbidden(path,
                        "existing ephemeral containers \"" + name + "\" may not be removed\n");
    } else if (!SemanticEqual(before, *now)) {
      errors->Forbidden(path, "existing ephemeral containers \"" + name + "\" may not be changed" +
                                  DescribeDifference(before, *now));
    }
  }
}

void CheckPodResize(const Pod& pod, const Pod& old, Errors* errors) {
  auto pod_level = [](const Pod& p) {
    return !p.spec().resources().requests().empty() || !p.spec().resources().limits().empty();
  };
  if (pod_level(pod) || pod_level(old)) {
    errors->Forbidden(Path(""), "pods with pod-level resources cannot be resized");
    return;
  }
  if (old.metadata().annotations().contains(kMirror)) {
    errors->Forbidden(Path(""), "static pods cannot be resized");
    return;
  }
  if (old.spec().os().name() == "windows") {
    errors->Forbidden(Path(""), "windows pods cannot be resized");
    return;
  }
  CheckMetaUpdate(pod.metadata(), old.metadata(), errors);
  CheckMetaAndSpec(pod, errors);
  Path spec("spec");
  if (!CheckSameContainers(spec.Child("containers"), pod.spec().containers(),
                           old.spec().containers(), errors))
    return;
  if (!CheckSameContainers(spec.Child("initContainers"), pod.spec().init_containers(),
                           old.spec().init_containers(), errors)) {
    return;
  }
  if (QosOf(old.spec()) != QosOf(pod.spec())) {
    errors->Invalid(spec, pod.status().qos_class(),
                    "Pod QOS Class may not change as a result of resizing");
  }
  PodSpec rest = pod.spec();
  auto check = [&](const Path& path, Container* container, const Container& before,
                   const char* immutable) {
    CheckContainerResize(path.Child("resources"), *container, before, errors);
    TakeCpuAndMemory(before.resources().requests(),
                     container->mutable_resources()->mutable_requests());
    TakeCpuAndMemory(before.resources().limits(), container->mutable_resources()->mutable_limits());
    *container->mutable_resize_policy() = before.resize_policy();
    if (!SemanticEqual(*container, before)) errors->Forbidden(spec, immutable);
  };
  Path containers = spec.Child("containers");
  for (int i = 0; i < rest.containers_size(); ++i) {
    check(containers.Index(i), rest.mutable_containers(i), old.spec().containers(i),
          "only cpu and memory resources are mutable");
  }
  Path init_containers = spec.Child("initContainers");
  for (int i = 0; i < rest.init_containers_size(); ++i) {
    const Container& before = old.spec().init_containers(i);
    if (IsRestartable(before)) {
      check(init_containers.Index(i), rest.mutable_init_containers(i), before,
            "only cpu and memory resources for sidecar containers are mutable");
    } else if (!SemanticEqual(rest.init_containers(i), before)) {
      errors->Forbidden(spec, "resources for non-sidecar init containers are immutable");
    }
  }
  if (errors->size() == 0 && !SemanticEqual(rest, old.spec())) {
    errors->Forbidden(spec, "only cpu and memory resources are mutable");
  }
}

}  // namespace gantry::api::validation
