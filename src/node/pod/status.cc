#include "node/pod/status.h"

#include <algorithm>
#include <set>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/container_status.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/duration.h"
#include "api/quantity.h"

namespace gantry::node {
namespace {

using api::core::v1::Container;
using api::core::v1::ContainerState;
using api::core::v1::ContainerStatus;
using api::core::v1::Pod;
using api::core::v1::PodCondition;
using api::core::v1::PodStatus;
using State = ContainerRun::State;

const ProbeResults& ProbesOf(const ObservedPod& observed, std::string_view name) {
  static const ProbeResults none;
  auto it = observed.probes.find(name);
  return it == observed.probes.end() ? none : it->second;
}

// The messages of all containers of a pod together, so that its status stays small.
constexpr size_t kMaxMessages = 12 * 1024;

// The share of one container.
size_t MaxMessage(const StatusInputs& in) {
  return kMaxMessages / std::max<size_t>(1, in.containers->all().size());
}

// Cut to at most `size` bytes, and not within a character.
std::string Shortened(const std::string& text, size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80)
    --size;
  return text.substr(0, size);
}

void SetTerminated(const ContainerRun& run, size_t max_message, ContainerState* state) {
  auto* terminated = state->mutable_terminated();
  terminated->set_exit_code(run.exit_code);
  terminated->set_reason(run.reason);
  if (!run.message.empty()) terminated->set_message(Shortened(run.message, max_message));
  // One that never started did so at the beginning of time.
  api::SetTime(run.started_at, terminated->mutable_started_at());
  api::SetTime(run.finished_at, terminated->mutable_finished_at());
  terminated->set_container_id(std::string(kContainerIdScheme) + run.id);
}

const ContainerStatus* OldStatus(const Pod& pod, const ContainerEntry& entry) {
  const auto& list = entry.role == ContainerRole::kMain ? pod.status().container_statuses()
                     : entry.role == ContainerRole::kEphemeral
                         ? pod.status().ephemeral_container_statuses()
                         : pod.status().init_container_statuses();
  for (const ContainerStatus& status : list) {
    if (status.name() == entry.name()) return &status;
  }
  return nullptr;
}

ContainerStatus StatusOf(const StatusInputs& in, const ContainerEntry& entry, bool initialized) {
  const std::string& name = entry.name();
  const size_t max_message = MaxMessage(in);
  const ContainerRun* run = in.observed.runs->Latest(name);
  ContainerStatus status;
  status.set_name(name);
  status.set_image(entry.spec->image());
  status.set_image_id("");
  status.set_ready(false);
  status.set_restart_count(0);
  status.mutable_state();
  status.mutable_last_state();
  bool started = run != nullptr && IsStarted(entry, run, ProbesOf(in.observed, name));
  if (run != nullptr) {
    status.set_image(run->image);
    status.set_image_id(run->image_id);
    status.set_container_id(std::string(kContainerIdScheme) + run->id);
    status.set_restart_count(run->attempt);
  }
  if (entry.role != ContainerRole::kEphemeral) status.set_started(started);

  auto waiting = in.waiting.find(name);
  bool restarts = !in.ending && ShouldRestart(*in.pod, entry, run);
  if (run != nullptr && run->state == State::kRunning) {
    api::SetTime(run->started_at, status.mutable_state()->mutable_running()->mutable_started_at());
    const ContainerRun* before = in.observed.runs->Previous(name);
    if (before != nullptr && before->state == State::kExited)
      SetTerminated(*before, max_message, status.mutable_last_state());
  } else if (run != nullptr && run->state == State::kExited &&
             !(restarts && waiting != in.waiting.end())) {
    SetTerminated(*run, max_message, status.mutable_state());
    const ContainerRun* before = in.observed.runs->Previous(name);
    if (before != nullptr && before->state == State::kExited)
      SetTerminated(*before, max_message, status.mutable_last_state());
  } else {
    auto* state = status.mutable_state()->mutable_waiting();
    if (waiting != in.waiting.end()) {
      state->set_reason(waiting->second.reason);
      if (!waiting->second.message.empty()) state->set_message(waiting->second.message);
    } else {
      bool behind_init = entry.role == ContainerRole::kMain && !in.containers->Initial().empty();
      bool pod_initializing = behind_init || (entry.role != ContainerRole::kMain &&
                                              entry.role != ContainerRole::kEphemeral);
      (void)initialized;
      state->set_reason(pod_initializing ? "PodInitializing" : "ContainerCreating");
    }
    if (run != nullptr && run->state == State::kExited)
      SetTerminated(*run, max_message, status.mutable_last_state());
  }
  if (run == nullptr) {
    // What was known of earlier runs stays known after their records have gone.
    if (const ContainerStatus* old = OldStatus(*in.pod, entry)) {
      if (old->has_last_state()) *status.mutable_last_state() = old->last_state();
      status.set_restart_count(old->restart_count());
    }
  }
  if (entry.role == ContainerRole::kInit) {
    status.set_ready(run != nullptr && run->state == State::kExited && run->exit_code == 0);
  } else if (run != nullptr && run->state == State::kRunning && started && !in.ending) {
    status.set_ready(!entry.spec->has_readiness_probe() ||
                     ProbesOf(in.observed, name).readiness == true);
  } else if (run != nullptr && run->state == State::kRunning && in.ending && !in.all_ended) {
    const ContainerStatus* old = OldStatus(*in.pod, entry);
    status.set_ready(old != nullptr && old->ready() &&
                     ProbesOf(in.observed, name).readiness != false);
  }
  if (status.state().has_running() || status.state().has_terminated()) {
    for (const auto& [resource, quantity] : entry.spec->resources().requests()) {
      (*status.mutable_allocated_resources())[resource] = quantity;
    }
    if (entry.spec->resources().requests_size() > 0 || entry.spec->resources().limits_size() > 0) {
      *status.mutable_resources() = entry.spec->resources();
      status.mutable_resources()->clear_claims();
    } else if (status.state().has_running()) {
      status.mutable_resources();
    }
  }
  for (const auto& mount : entry.spec->volume_mounts()) {
    auto* out = status.add_volume_mounts();
    out->set_name(mount.name());
    out->set_mount_path(mount.mount_path());
    if (mount.read_only()) {
      out->set_read_only(true);
      out->set_recursive_read_only(
          mount.recursive_read_only().empty() ? "Disabled" : mount.recursive_read_only());
    }
  }
  return status;
}

std::string Phase(const StatusInputs& in, const PodStatus& status, bool initialized) {
  int pending_init = 0, failed_init = 0;
  for (int i = 0; i < status.init_container_statuses_size(); ++i) {
    const ContainerStatus& init = status.init_container_statuses(i);
    const ContainerEntry* entry = in.containers->Find(init.name());
    if (entry->role == ContainerRole::kSidecar) {
      pending_init += !init.started();
      continue;
    }
    if (init.state().has_terminated()) {
      failed_init += init.state().terminated().exit_code() != 0;
      continue;
    }
    if (init.state().has_waiting() && init.last_state().has_terminated()) {
      failed_init += init.last_state().terminated().exit_code() != 0;
      continue;
    }
    ++pending_init;
  }
  int unknown = 0, running = 0, waiting = 0, stopped = 0, succeeded = 0;
  for (const ContainerStatus& main : status.container_statuses()) {
    if (main.state().has_running()) {
      ++running;
    } else if (main.state().has_terminated()) {
      ++stopped;
      succeeded += main.state().terminated().exit_code() == 0;
    } else if (main.state().has_waiting()) {
      if (main.last_state().has_terminated()) {
        ++stopped;
      } else {
        ++waiting;
      }
    } else {
      ++unknown;
    }
  }
  const std::string& policy = in.pod->spec().restart_policy();
  if (failed_init > 0 && policy == "Never") return "Failed";
  if (pending_init + failed_init > 0 && !initialized) return "Pending";
  if (waiting > 0) return stopped > 0 ? "Running" : "Pending";
  if (running > 0 && unknown == 0) return "Running";
  if (running == 0 && stopped > 0 && unknown == 0) {
    if (policy == "Always" && !in.ending) return "Running";
    bool done = !in.ending || in.all_ended;
    // Sidecars that still run hold the pod's end back.
    for (const ContainerStatus& init : status.init_container_statuses()) {
      const ContainerEntry* entry = in.containers->Find(init.name());
      if (entry->role == ContainerRole::kSidecar && init.state().has_running()) done = false;
    }
    if (!done) return "Running";
    if (stopped == succeeded) return "Succeeded";
    if (policy == "Never" || in.all_ended) return "Failed";
    return "Running";
  }
  return "Pending";
}

struct Condition {
  std::string type;
  bool value = false;
  std::string reason, message;
};

std::string NameList(const std::vector<std::string>& names) {
  std::string out = "[";
  for (size_t i = 0; i < names.size(); ++i)
    out += (i > 0 ? " " : "") + names[i];
  return out + "]";
}

Condition ContainersReady(const StatusInputs& in, const PodStatus& status,
                          const std::string& phase) {
  Condition condition{"ContainersReady", false, {}, {}};
  if (phase == "Succeeded") {
    condition.reason = "PodCompleted";
    return condition;
  }
  if (phase == "Failed") {
    condition.reason = "PodFailed";
    return condition;
  }
  std::vector<std::string> unready;
  for (const ContainerStatus& init : status.init_container_statuses()) {
    const ContainerEntry* entry = in.containers->Find(init.name());
    if (entry->role == ContainerRole::kSidecar && !init.ready()) unready.push_back(init.name());
  }
  for (const ContainerStatus& main : status.container_statuses()) {
    if (!main.ready()) unready.push_back(main.name());
  }
  if (unready.empty()) {
    condition.value = true;
    return condition;
  }
  condition.reason = "ContainersNotReady";
  condition.message = "containers with unready status: " + NameList(unready);
  return condition;
}

Condition PodReady(const StatusInputs& in, const Condition& containers_ready) {
  Condition condition = containers_ready;
  condition.type = "Ready";
  if (!containers_ready.value) return condition;
  std::string problems;
  for (const auto& gate : in.pod->spec().readiness_gates()) {
    const PodCondition* found = nullptr;
    for (const PodCondition& c : in.pod->status().conditions()) {
      if (c.type() == gate.condition_type()) found = &c;
    }
    if (found != nullptr && found->status() == "True") continue;
    problems += problems.empty() ? "" : ", ";
    problems += found == nullptr ? "corresponding condition of pod readiness gate \"" +
                                       gate.condition_type() + "\" does not exist."
                                 : "the status of pod readiness gate \"" + gate.condition_type() +
                                       "\" is not \"True\", but " + found->status();
  }
  if (problems.empty()) return condition;
  condition.value = false;
  condition.reason = "ReadinessGatesNotReady";
  condition.message = problems;
  return condition;
}

Condition Initialized(const StatusInputs& in, const PodStatus& status, const std::string& phase,
                      bool initialized) {
  Condition condition{"Initialized", true, {}, {}};
  if (phase == "Succeeded") {
    condition.reason = "PodCompleted";
    return condition;
  }
  if (in.containers->Initial().empty() || initialized) return condition;
  std::vector<std::string> incomplete;
  for (const ContainerStatus& init : status.init_container_statuses()) {
    const ContainerEntry* entry = in.containers->Find(init.name());
    bool done = entry->role == ContainerRole::kSidecar ? init.started() : init.ready();
    if (!done) incomplete.push_back(init.name());
  }
  if (incomplete.empty()) return condition;
  condition.value = false;
  condition.reason = "ContainersNotInitialized";
  condition.message = "containers with incomplete status: " + NameList(incomplete);
  return condition;
}

// Puts ours in place, keeps the transition time where the value stays, and keeps what others set.
void SetConditions(const StatusInputs& in, const std::vector<Condition>& ours, PodStatus* status) {
  const auto& old = in.pod->status().conditions();
  for (const Condition& condition : ours) {
    PodCondition* out = status->add_conditions();
    out->set_type(condition.type);
    out->set_status(condition.value ? "True" : "False");
    if (!condition.reason.empty()) out->set_reason(condition.reason);
    if (!condition.message.empty()) out->set_message(condition.message);
    if (in.pod->metadata().generation() > 0)
      out->set_observed_generation(in.pod->metadata().generation());
    api::SetTime(in.now, out->mutable_last_transition_time());
    for (const PodCondition& before : old) {
      if (before.type() == condition.type && before.status() == out->status() &&
          before.has_last_transition_time()) {
        *out->mutable_last_transition_time() = before.last_transition_time();
      }
    }
  }
  for (const PodCondition& before : old) {
    bool replaced = std::any_of(ours.begin(), ours.end(),
                                [&](const Condition& c) { return c.type == before.type(); });
    if (!replaced) *status->add_conditions() = before;
  }
}

}  // namespace

std::string QosClass(const api::core::v1::PodSpec& spec) {
  bool any = false, guaranteed = true;
  auto consider = [&](const Container& container) {
    const auto& requests = container.resources().requests();
    const auto& limits = container.resources().limits();
    for (const char* resource : {"cpu", "memory"}) {
      auto request = requests.find(resource), limit = limits.find(resource);
      api::Quantity asked = request == requests.end()
                                ? api::Quantity()
                                : api::Quantity::ParseOrZero(request->second.string());
      api::Quantity bound = limit == limits.end()
                                ? api::Quantity()
                                : api::Quantity::ParseOrZero(limit->second.string());
      any |= !asked.IsZero() || !bound.IsZero();
      guaranteed &= !bound.IsZero() && (request == requests.end() || asked == bound);
    }
  };
  for (const Container& container : spec.containers())
    consider(container);
  for (const Container& container : spec.init_containers())
    consider(container);
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

PodStatus BuildPodStatus(const StatusInputs& in) {
  PodStatus status;
  const PodStatus& old = in.pod->status();
  bool over = old.phase() == "Succeeded" || old.phase() == "Failed";
  if (in.rejected ||
      (over && old.container_statuses().empty() && in.observed.runs->all().empty())) {
    status = old;
    if (over) return status;
    status.set_phase("Failed");
    status.set_reason(in.end_reason);
    status.set_message(in.end_message);
    if (in.pod->metadata().generation() > 0)
      status.set_observed_generation(in.pod->metadata().generation());
    status.set_qos_class(QosClass(in.pod->spec()));
    if (!status.has_start_time()) api::SetTime(in.now, status.mutable_start_time());
    return status;
  }
  bool initialized = IsInitialized(*in.containers, in.observed);
  for (const ContainerEntry& entry : in.containers->all()) {
    ContainerStatus one = StatusOf(in, entry, initialized);
    switch (entry.role) {
      case ContainerRole::kMain:
        *status.add_container_statuses() = std::move(one);
        break;
      case ContainerRole::kEphemeral:
        *status.add_ephemeral_container_statuses() = std::move(one);
        break;
      default:
        *status.add_init_container_statuses() = std::move(one);
        break;
    }
  }
  std::string phase = Phase(in, status, initialized);
  // A phase that is final stays.
  if (over) phase = old.phase();
  if (!in.end_reason.empty()) {
    phase = "Failed";
    status.set_reason(in.end_reason);
    if (!in.end_message.empty()) status.set_message(in.end_message);
  } else if (phase == "Failed" || phase == "Succeeded") {
    if (!old.reason().empty()) status.set_reason(old.reason());
    if (!old.message().empty()) status.set_message(old.message());
  }
  status.set_phase(phase);
  status.set_qos_class(old.qos_class().empty() ? QosClass(in.pod->spec()) : old.qos_class());
  if (in.pod->metadata().generation() > 0)
    status.set_observed_generation(in.pod->metadata().generation());
  if (!in.host_ips.empty()) status.set_host_ip(in.host_ips.front());
  for (const std::string& ip : in.host_ips)
    status.add_host_ips()->set_ip(ip);
  std::vector<std::string> ips = in.pod_ips;
  if (ips.empty()) {
    for (const auto& ip : old.pod_ips())
      ips.push_back(ip.ip());
  }
  if (!ips.empty()) status.set_pod_ip(ips.front());
  for (const std::string& ip : ips)
    status.add_pod_ips()->set_ip(ip);
  if (old.has_start_time()) {
    *status.mutable_start_time() = old.start_time();
  } else {
    api::SetTime(in.now, status.mutable_start_time());
  }
  if (!old.nominated_node_name().empty()) status.set_nominated_node_name(old.nominated_node_name());
  if (!old.resize().empty()) status.set_resize(old.resize());
  *status.mutable_resource_claim_statuses() = old.resource_claim_statuses();

  bool sandbox = in.observed.sandbox_ready && !in.pod_ips.empty();
  Condition containers_ready = ContainersReady(in, status, phase);
  std::vector<Condition> conditions;
  conditions.push_back({"PodReadyToStartContainers", sandbox, {}, {}});
  conditions.push_back(Initialized(in, status, phase, initialized));
  conditions.push_back(PodReady(in, containers_ready));
  conditions.push_back(containers_ready);
  conditions.push_back({"PodScheduled", true, {}, {}});
  if (in.end_reason == "Evicted")
    conditions.push_back({"DisruptionTarget", true, "TerminationByKubelet", in.end_message});
  SetConditions(in, conditions, &status);
  return status;
}

}  // namespace gantry::node
