#include "node/pod/actions.h"

#include "api/core/v1/container.pb.h"

namespace gantry::node {
namespace {

using api::core::v1::Pod;
using State = ContainerRun::State;

const ProbeResults& ProbesOf(const ObservedPod& observed, std::string_view name) {
  static const ProbeResults none;
  auto it = observed.probes.find(name);
  return it == observed.probes.end() ? none : it->second;
}

const ContainerRun* Current(const ObservedPod& observed, std::string_view name) {
  const ContainerRun* run = observed.runs->Latest(name);
  return run != nullptr && run->sandbox == observed.sandbox ? run : nullptr;
}

// Why a running container has to go; empty: it may stay.
std::string ReasonToReplace(const ContainerEntry& entry, const ContainerRun& run,
                            const ProbeResults& probes) {
  const std::string& name = entry.name();
  if (entry.role != ContainerRole::kInit && run.spec_hash != SpecHash(*entry.spec)) {
    return "Container " + name + " definition changed";
  }
  if (probes.startup == false) return "Container " + name + " failed startup probe";
  if (probes.liveness == false) return "Container " + name + " failed liveness probe";
  return {};
}

void ConsiderRunning(const Pod& pod, const ContainerEntry& entry, const ContainerRun& run,
                     const ProbeResults& probes, PodActions* actions) {
  std::string why = ReasonToReplace(entry, run, probes);
  if (why.empty()) return;
  bool again = entry.role == ContainerRole::kSidecar || pod.spec().restart_policy() != "Never";
  if (again) why += ", will be restarted";
  actions->kill.push_back({run.id, run.name, std::move(why)});
}

}  // namespace

bool ShouldRestart(const Pod& pod, const ContainerEntry& entry, const ContainerRun* latest) {
  if (latest == nullptr) return true;
  if (latest->state != State::kExited) return false;
  if (entry.role == ContainerRole::kEphemeral) return false;
  if (entry.role == ContainerRole::kSidecar) return true;
  const std::string& policy = pod.spec().restart_policy();
  if (entry.role == ContainerRole::kInit) return latest->exit_code != 0 && policy != "Never";
  if (policy == "Never") return false;
  if (policy == "OnFailure") return latest->exit_code != 0;
  return true;
}

bool IsStarted(const ContainerEntry& entry, const ContainerRun* latest,
               const ProbeResults& probes) {
  if (latest == nullptr || latest->state != State::kRunning) return false;
  return !entry.spec->has_startup_probe() || probes.startup == true;
}

bool IsInitialized(const ContainerList& containers, const ObservedPod& observed) {
  for (const ContainerEntry& entry : containers.Of(ContainerRole::kMain)) {
    if (Current(observed, entry.name()) != nullptr) return true;
  }
  for (const ContainerEntry& entry : containers.Initial()) {
    const ContainerRun* run = Current(observed, entry.name());
    if (run == nullptr) return false;
    if (entry.role == ContainerRole::kSidecar) {
      if (!IsStarted(entry, run, ProbesOf(observed, entry.name()))) return false;
    } else if (run->state != State::kExited || run->exit_code != 0) {
      return false;
    }
  }
  return true;
}

PodActions ComputeActions(const Pod& pod, const ContainerList& containers,
                          const ObservedPod& observed) {
  PodActions actions;
  std::vector<ContainerEntry> mains = containers.Of(ContainerRole::kMain);
  bool any_main_left = false;
  for (const ContainerEntry& entry : mains) {
    const ContainerRun* latest = observed.runs->Latest(entry.name());
    any_main_left |=
        (latest != nullptr && latest->state != State::kExited) || ShouldRestart(pod, entry, latest);
  }
  if (!any_main_left) {
    actions.finished = true;
    return actions;
  }
  if (!observed.sandbox_ready) {
    for (const ContainerRun* run : observed.runs->Running()) {
      actions.kill.push_back({run->id, run->name, "Pod sandbox changed"});
    }
    // A pod that failed to initialise for good gets no new sandbox.
    for (const ContainerEntry& entry : containers.Of(ContainerRole::kInit)) {
      const ContainerRun* latest = observed.runs->Latest(entry.name());
      if (latest != nullptr && latest->state == State::kExited && latest->exit_code != 0 &&
          !ShouldRestart(pod, entry, latest)) {
        actions.finished = true;
        return actions;
      }
    }
    actions.create_sandbox = true;
    return actions;
  }

  bool initialized = IsInitialized(containers, observed);
  for (const ContainerEntry& entry : containers.Initial()) {
    const ContainerRun* run = Current(observed, entry.name());
    if (entry.role == ContainerRole::kSidecar) {
      if (run != nullptr && run->state == State::kRunning) {
        const ProbeResults& probes = ProbesOf(observed, entry.name());
        ConsiderRunning(pod, entry, *run, probes, &actions);
        if (initialized || IsStarted(entry, run, probes)) continue;
        break;
      }
      if (run != nullptr && run->state == State::kCreated) {
        actions.kill.push_back({run->id, run->name, "Container " + run->name + " was not started"});
      }
      actions.start.push_back(entry.name());
      if (initialized) continue;
      break;
    }
    if (initialized) continue;
    if (run == nullptr) {
      actions.start.push_back(entry.name());
      break;
    }
    if (run->state == State::kRunning) break;
    if (run->state == State::kCreated) {
      actions.kill.push_back({run->id, run->name, "Container " + run->name + " was not started"});
      actions.start.push_back(entry.name());
      break;
    }
    if (run->exit_code == 0) continue;
    if (!ShouldRestart(pod, entry, run)) {
      actions.finished = true;
      actions.start.clear();
      return actions;
    }
    actions.start.push_back(entry.name());
    break;
  }

  // Ephemeral containers run beside whatever the rest does, once.
  for (const ContainerEntry& entry : containers.Of(ContainerRole::kEphemeral)) {
    if (observed.runs->Latest(entry.name()) == nullptr) actions.start.push_back(entry.name());
  }
  if (!initialized) return actions;

  for (const ContainerEntry& entry : mains) {
    const ContainerRun* latest = observed.runs->Latest(entry.name());
    if (latest != nullptr && latest->state == State::kRunning &&
        latest->sandbox == observed.sandbox) {
      ConsiderRunning(pod, entry, *latest, ProbesOf(observed, entry.name()), &actions);
      continue;
    }
    if (latest != nullptr && latest->state == State::kCreated) {
      actions.kill.push_back(
          {latest->id, latest->name, "Container " + latest->name + " was not started"});
      actions.start.push_back(entry.name());
      continue;
    }
    if (ShouldRestart(pod, entry, latest)) actions.start.push_back(entry.name());
  }
  return actions;
}

}  // namespace gantry::node
