#include <algorithm>
#include <set>
#include <string>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/duration.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver::tables {
namespace {

namespace core = api::core::v1;

// What the containers of a pod add up to.
struct PodSummary {
  int total = 0;
  int ready = 0;
  std::string status;
  int64_t restarts = 0;
  WallTime last_restart{};
};

void Count(const core::ContainerStatus& container, int64_t* restarts, WallTime* last) {
  *restarts += container.restart_count();
  if (container.last_state().has_terminated())
    *last = std::max(*last, api::ToWallTime(container.last_state().terminated().finished_at()));
}

std::string ExitText(const core::ContainerStateTerminated& terminated) {
  if (!terminated.reason().empty()) return terminated.reason();
  if (terminated.signal() != 0) return "Signal:" + std::to_string(terminated.signal());
  return "ExitCode:" + std::to_string(terminated.exit_code());
}

// Goes over the init containers up to the one that the pod waits for, and says whether there is
// one. `sidecar_*` receive what counts of the restartable ones after initialization.
bool SummarizeInit(const core::Pod& pod, const std::set<std::string>& sidecars, PodSummary* summary,
                   int64_t* sidecar_restarts, WallTime* sidecar_last) {
  const auto& statuses = pod.status().init_container_statuses();
  for (int i = 0; i < statuses.size(); ++i) {
    const core::ContainerStatus& container = statuses[i];
    const core::ContainerState& state = container.state();
    bool sidecar = sidecars.contains(container.name());
    Count(container, &summary->restarts, &summary->last_restart);
    if (sidecar) Count(container, sidecar_restarts, sidecar_last);
    if (state.has_terminated() && state.terminated().exit_code() == 0) continue;
    if (sidecar && container.started()) {
      if (container.ready()) ++summary->ready;
      continue;
    }
    if (state.has_terminated()) {
      summary->status = "Init:" + ExitText(state.terminated());
    } else if (!state.waiting().reason().empty() && state.waiting().reason() != "PodInitializing") {
      summary->status = "Init:" + state.waiting().reason();
    } else {
      summary->status =
          "Init:" + std::to_string(i) + "/" + std::to_string(pod.spec().init_containers_size());
    }
    return true;
  }
  return false;
}

void SummarizeContainers(const core::Pod& pod, PodSummary* summary) {
  const auto& statuses = pod.status().container_statuses();
  bool running = false;
  std::string failure;
  for (int i = statuses.size() - 1; i >= 0; --i) {
    const core::ContainerStatus& container = statuses[i];
    const core::ContainerState& state = container.state();
    Count(container, &summary->restarts, &summary->last_restart);
    if (!state.waiting().reason().empty()) {
      summary->status = state.waiting().reason();
    } else if (state.has_terminated()) {
      summary->status = ExitText(state.terminated());
      if (state.terminated().exit_code() != 0) failure = summary->status;
    } else if (container.ready() && state.has_running()) {
      running = true;
      ++summary->ready;
    }
  }
  if (summary->status != "Completed") return;
  const core::PodCondition* ready = FindCondition(pod.status().conditions(), "Ready");
  if (running && ready && ready->status() == "True") {
    summary->status = "Running";
  } else if (!failure.empty()) {
    summary->status = failure;
  } else if (running) {
    summary->status = "NotReady";
  }
}

PodSummary Summarize(const core::Pod& pod) {
  const core::PodStatus& status = pod.status();
  PodSummary summary;
  std::set<std::string> sidecars;
  for (const core::Container& container : pod.spec().init_containers())
    if (container.restart_policy() == "Always") sidecars.insert(container.name());
  summary.total = pod.spec().containers_size() + static_cast<int>(sidecars.size());
  summary.status = status.reason().empty() ? status.phase() : status.reason();
  for (const core::PodCondition& condition : status.conditions())
    if (condition.type() == "PodScheduled" && condition.reason() == "SchedulingGated")
      summary.status = condition.reason();

  int64_t sidecar_restarts = 0;
  WallTime sidecar_last{};
  bool initializing = SummarizeInit(pod, sidecars, &summary, &sidecar_restarts, &sidecar_last);
  const core::PodCondition* initialized = FindCondition(status.conditions(), "Initialized");
  if (!initializing || (initialized && initialized->status() == "True")) {
    summary.restarts = sidecar_restarts;
    summary.last_restart = sidecar_last;
    SummarizeContainers(pod, &summary);
  }
  if (pod.metadata().has_deletion_timestamp()) {
    bool over = status.phase() == "Succeeded" || status.phase() == "Failed";
    if (status.reason() == "NodeLost") {
      summary.status = "Unknown";
    } else if (!over) {
      summary.status = "Terminating";
    }
  }
  return summary;
}

std::string ReadinessGates(const core::Pod& pod) {
  if (pod.spec().readiness_gates().empty()) return std::string(kNone);
  int met = 0;
  for (const auto& gate : pod.spec().readiness_gates()) {
    const core::PodCondition* condition =
        FindCondition(pod.status().conditions(), gate.condition_type());
    if (condition && condition->status() == "True") ++met;
  }
  return std::to_string(met) + "/" + std::to_string(pod.spec().readiness_gates_size());
}

constexpr Column kPod[] = {
    kName,
    Text("Ready", "Containers that are ready, and how many there are"),
    Text("Status", "What the pod does, or what keeps it from running"),
    Text("Restarts", "How often containers were restarted, and when last"),
    kAge,
    Wide("IP", "Address of the pod"),
    Wide("Node", "Node that the pod is bound to"),
    Wide("Nominated Node", "Node that is being freed for the pod"),
    Wide("Readiness Gates", "Conditions that hold, and how many the pod waits for"),
};
void PodRow(const core::Pod& pod, Cells& cells) {
  PodSummary summary = Summarize(pod);
  std::string restarts = std::to_string(summary.restarts);
  if (summary.restarts != 0 && summary.last_restart != WallTime{})
    restarts += " (" + api::HumanDuration(cells.now() - summary.last_restart) + " ago)";
  cells.Add(pod.metadata().name());
  cells.Add(std::to_string(summary.ready) + "/" + std::to_string(summary.total));
  cells.Add(summary.status);
  cells.Add(restarts);
  cells.Age(pod.metadata());
  cells.Add(pod.status().pod_ips().empty() ? kNone : OrElse(pod.status().pod_ips(0).ip(), kNone));
  cells.Add(OrElse(pod.spec().node_name(), kNone));
  cells.Add(OrElse(pod.status().nominated_node_name(), kNone));
  cells.Add(ReadinessGates(pod));
  if (pod.status().phase() == "Succeeded")
    cells.Completed("Succeeded", "The pod has completed successfully.");
  if (pod.status().phase() == "Failed") cells.Completed("Failed", "The pod failed.");
}

constexpr Column kPodTemplate[] = {
    kName,
    Text("Containers", "Names of the containers"),
    Text("Images", "Images of the containers"),
    Text("Pod Labels", "Labels that the pods get"),
};
void PodTemplateRow(const core::PodTemplate& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(ContainerNames(object.template_()));
  cells.Add(ContainerImages(object.template_()));
  cells.Add(LabelText(object.template_().metadata().labels()));
}

}  // namespace

std::span<const Printer> PodPrinters() {
  static const Printer printers[] = {
      PrinterOf<core::Pod, PodRow>(kPod),
      PrinterOf<core::PodTemplate, PodTemplateRow>(kPodTemplate),
  };
  return printers;
}

}  // namespace gantry::apiserver::tables
