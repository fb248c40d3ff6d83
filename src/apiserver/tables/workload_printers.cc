#include <string>

#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/daemon_set.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/autoscaling/v1/scale.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/duration.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "api/selector.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver::tables {
namespace {

namespace apps = api::apps::v1;
namespace autoscaling = api::autoscaling::v2;
namespace autoscaling1 = api::autoscaling::v1;
namespace batch = api::batch::v1;
namespace core = api::core::v1;
namespace policy = api::policy::v1;

constexpr Column kContainers = Wide("Containers", "Names of the containers in the template");
constexpr Column kImages = Wide("Images", "Images of the containers in the template");
constexpr Column kSelector = Wide("Selector", "Which pods belong to it");
constexpr Column kDesired = Number("Desired", "Pods wanted");
constexpr Column kCurrent = Number("Current", "Pods there are");
constexpr Column kReady = Number("Ready", "Pods that are ready");

std::string Fraction(int64_t part, int64_t whole) {
  return std::to_string(part) + "/" + std::to_string(whole);
}

constexpr Column kDeployment[] = {
    kName,
    Text("Ready", "Pods that are ready, and how many are wanted"),
    Text("Up-to-date", "Pods of the newest template"),
    Text("Available", "Pods that have been ready for long enough"),
    kAge,
    kContainers,
    kImages,
    kSelector,
};
void DeploymentRow(const apps::Deployment& object, Cells& cells) {
  auto selector = api::Selector::From(object.spec().selector());
  cells.Add(object.metadata().name());
  cells.Add(Fraction(object.status().ready_replicas(), object.spec().replicas()));
  cells.Add(object.status().updated_replicas());
  cells.Add(object.status().available_replicas());
  cells.Age(object.metadata());
  cells.Add(ContainerNames(object.spec().template_()));
  cells.Add(ContainerImages(object.spec().template_()));
  cells.Add(selector.ok() ? selector->ToString() : std::string("<invalid>"));
}

constexpr Column kReplicaSet[] = {kName, kDesired,    kCurrent, kReady,
                                  kAge,  kContainers, kImages,  kSelector};
void ReplicaSetRow(const apps::ReplicaSet& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().replicas());
  cells.Add(object.status().replicas());
  cells.Add(object.status().ready_replicas());
  cells.Age(object.metadata());
  cells.Add(ContainerNames(object.spec().template_()));
  cells.Add(ContainerImages(object.spec().template_()));
  cells.Add(SelectorText(object.spec().selector()));
}
void ReplicationControllerRow(const core::ReplicationController& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().replicas());
  cells.Add(object.status().replicas());
  cells.Add(object.status().ready_replicas());
  cells.Age(object.metadata());
  cells.Add(ContainerNames(object.spec().template_()));
  cells.Add(ContainerImages(object.spec().template_()));
  cells.Add(LabelText(object.spec().selector()));
}

constexpr Column kStatefulSet[] = {
    kName,   Text("Ready", "Pods that are ready, and how many are wanted"), kAge, kContainers,
    kImages,
};
void StatefulSetRow(const apps::StatefulSet& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(Fraction(object.status().ready_replicas(), object.spec().replicas()));
  cells.Age(object.metadata());
  cells.Add(ContainerNames(object.spec().template_()));
  cells.Add(ContainerImages(object.spec().template_()));
}

constexpr Column kDaemonSet[] = {
    kName,
    Number("Desired", "Nodes that should run the pod"),
    Number("Current", "Nodes that run the pod and should"),
    Number("Ready", "Nodes whose pod is ready"),
    Number("Up-to-date", "Nodes with a pod of the newest template"),
    Number("Available", "Nodes whose pod has been ready for long enough"),
    Text("Node Selector", "Labels that a node must have"),
    kAge,
    kContainers,
    kImages,
    kSelector,
};
void DaemonSetRow(const apps::DaemonSet& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.status().desired_number_scheduled());
  cells.Add(object.status().current_number_scheduled());
  cells.Add(object.status().number_ready());
  cells.Add(object.status().updated_number_scheduled());
  cells.Add(object.status().number_available());
  cells.Add(LabelText(object.spec().template_().spec().node_selector()));
  cells.Age(object.metadata());
  cells.Add(ContainerNames(object.spec().template_()));
  cells.Add(ContainerImages(object.spec().template_()));
  cells.Add(SelectorText(object.spec().selector()));
}

constexpr Column kControllerRevision[] = {
    kName,
    Text("Controller", "Object that the revision belongs to"),
    Text("Revision", "Number of the revision"),
    kAge,
};
void ControllerRevisionRow(const apps::ControllerRevision& object, Cells& cells) {
  std::string controller(kNone);
  for (const auto& owner : object.metadata().owner_references()) {
    if (!owner.controller()) continue;
    controller = LowerCase(owner.kind());
    if (size_t slash = owner.api_version().find('/'); slash != std::string::npos)
      controller += "." + owner.api_version().substr(0, slash);
    controller += "/" + owner.name();
    break;
  }
  cells.Add(object.metadata().name());
  cells.Add(controller);
  cells.Add(object.revision());
  cells.Age(object.metadata());
}

constexpr Column kJob[] = {
    kName,
    Text("Status", "How far the job is"),
    Text("Completions", "Pods that succeeded, and how many must"),
    Text("Duration", "How long the job has run or took"),
    kAge,
    kContainers,
    kImages,
    kSelector,
};
std::string JobStatusText(const batch::Job& job) {
  auto holds = [&](std::string_view type) {
    for (const auto& condition : job.status().conditions())
      if (condition.type() == type && condition.status() == "True") return true;
    return false;
  };
  if (holds("Complete")) return "Complete";
  if (holds("Failed")) return "Failed";
  if (job.metadata().has_deletion_timestamp()) return "Terminating";
  for (const char* type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"})
    if (holds(type)) return type;
  return "Running";
}
void JobRow(const batch::Job& job, Cells& cells) {
  std::string completions = std::to_string(job.status().succeeded()) + "/";
  if (job.spec().has_completions()) {
    completions += std::to_string(job.spec().completions());
  } else {
    completions += "1";
    if (job.spec().parallelism() > 1)
      completions += " of " + std::to_string(job.spec().parallelism());
  }
  std::string duration;
  if (job.status().has_start_time()) {
    WallTime end = job.status().has_completion_time()
                       ? api::ToWallTime(job.status().completion_time())
                       : cells.now();
    duration = api::HumanDuration(end - api::ToWallTime(job.status().start_time()));
  }
  cells.Add(job.metadata().name());
  cells.Add(JobStatusText(job));
  cells.Add(completions);
  cells.Add(duration);
  cells.Age(job.metadata());
  cells.Add(ContainerNames(job.spec().template_()));
  cells.Add(ContainerImages(job.spec().template_()));
  cells.Add(SelectorText(job.spec().selector()));
}

constexpr Column kCronJob[] = {
    kName,
    Text("Schedule", "When jobs start, as cron writes it"),
    Text("Timezone", "Time zone of the schedule"),
    Flag("Suspend", "Whether no new jobs are started"),
    Number("Active", "Jobs that run"),
    Text("Last Schedule", "Time since a job was last started"),
    kAge,
    kContainers,
    kImages,
    kSelector,
};
void CronJobRow(const batch::CronJob& object, Cells& cells) {
  const batch::JobSpec& job = object.spec().job_template().spec();
  cells.Add(object.metadata().name());
  cells.Add(object.spec().schedule());
  cells.Add(object.spec().has_time_zone() ? std::string_view(object.spec().time_zone()) : kNone);
  cells.Add(!object.spec().has_suspend() ? kUnset : object.spec().suspend() ? "True" : "False");
  cells.Add(object.status().active_size());
  cells.Add(object.status().has_last_schedule_time()
                ? AgeOf(object.status().last_schedule_time(), cells.now())
                : std::string(kNone));
  cells.Age(object.metadata());
  cells.Add(ContainerNames(job.template_()));
  cells.Add(ContainerImages(job.template_()));
  cells.Add(SelectorText(job.selector()));
}

constexpr Column kBudget[] = {
    kName,
    Text("Min Available", "Pods that must stay available"),
    Text("Max Unavailable", "Pods that may be unavailable"),
    Number("Allowed Disruptions", "Pods that may be evicted now"),
    kAge,
};
void BudgetRow(const policy::PodDisruptionBudget& object, Cells& cells) {
  const policy::PodDisruptionBudgetSpec& spec = object.spec();
  cells.Add(object.metadata().name());
  cells.Add(spec.has_min_available() ? IntOrStringText(spec.min_available()) : "N/A");
  cells.Add(spec.has_max_unavailable() ? IntOrStringText(spec.max_unavailable()) : "N/A");
  cells.Add(object.status().disruptions_allowed());
  cells.Age(object.metadata());
}

constexpr Column kAutoscaler[] = {
    kName,
    Text("Reference", "Object that is scaled"),
    Text("Targets", "Each metric: its value and the value that is aimed at"),
    Text("MinPods", "Least pods"),
    Text("MaxPods", "Most pods"),
    Text("Replicas", "Pods there are"),
    kAge,
};

// "current/target", or "current/target (avg)" where the target is an average.
template <class Spec, class Metric>
std::string ValueTarget(const Spec& spec, const Metric* status) {
  const autoscaling::MetricTarget& target = spec.target();
  bool average = target.has_average_value();
  std::string current(kUnknown);
  if (status && average && status->current().has_average_value())
    current = status->current().average_value().string();
  if (status && !average) current = OrElse(status->current().value().string(), "0");
  return average ? current + "/" + target.average_value().string() + " (avg)"
                 : current + "/" + std::string(OrElse(target.value().string(), "0"));
}

template <class Spec, class Metric>
std::string ResourceTarget(const Spec& spec, const Metric* status) {
  const autoscaling::MetricTarget& target = spec.target();
  std::string current(kUnknown);
  std::string wanted = "<auto>";
  if (target.has_average_value()) {
    if (status) current = OrElse(status->current().average_value().string(), "0");
    wanted = target.average_value().string();
  } else {
    if (status && status->current().has_average_utilization())
      current = std::to_string(status->current().average_utilization()) + "%";
    if (target.has_average_utilization())
      wanted = std::to_string(target.average_utilization()) + "%";
  }
  return spec.name() + ": " + current + "/" + wanted;
}

std::string MetricText(const autoscaling::MetricSpec& spec,
                       const autoscaling::MetricStatus* status) {
  if (spec.type() == "External")
    return ValueTarget(spec.external(),
                       status && status->has_external() ? &status->external() : nullptr);
  if (spec.type() == "Object")
    return ValueTarget(spec.object(), status && status->has_object() ? &status->object() : nullptr);
  if (spec.type() == "Pods") {
    std::string_view current = kUnknown;
    if (status && status->has_pods())
      current = OrElse(status->pods().current().average_value().string(), "0");
    return std::string(current) + "/" + spec.pods().target().average_value().string();
  }
  if (spec.type() == "Resource")
    return ResourceTarget(spec.resource(),
                          status && status->has_resource() ? &status->resource() : nullptr);
  if (spec.type() == "ContainerResource")
    return ResourceTarget(spec.container_resource(), status && status->has_container_resource()
                                                         ? &status->container_resource()
                                                         : nullptr);
  return "<unknown type>";
}

std::string MetricsText(const autoscaling::HorizontalPodAutoscaler& object) {
  constexpr int kShown = 2;
  const auto& specs = object.spec().metrics();
  const auto& statuses = object.status().current_metrics();
  if (specs.empty()) return std::string(kNone);
  Strings parts;
  for (int i = 0; i < specs.size() && i < kShown; ++i)
    parts.push_back(MetricText(specs[i], i < statuses.size() ? &statuses[i] : nullptr));
  std::string out = Join(parts, ", ");
  if (specs.size() > kShown) out += " + " + std::to_string(specs.size() - kShown) + " more...";
  return out;
}

template <class T>
void AutoscalerCells(const T& object, const std::string& targets, Cells& cells) {
  const auto& reference = object.spec().scale_target_ref();
  cells.Add(object.metadata().name());
  cells.Add(reference.kind() + "/" + reference.name());
  cells.Add(targets);
  cells.Add(object.spec().has_min_replicas() ? std::to_string(object.spec().min_replicas())
                                             : std::string(kUnset));
  cells.Add(object.spec().max_replicas());
  cells.Add(object.status().current_replicas());
  cells.Age(object.metadata());
}
void AutoscalerRow(const autoscaling::HorizontalPodAutoscaler& object, Cells& cells) {
  AutoscalerCells(object, MetricsText(object), cells);
}
void Autoscaler1Row(const autoscaling1::HorizontalPodAutoscaler& object, Cells& cells) {
  std::string targets(kNone);
  if (object.spec().has_target_cpu_utilization_percentage()) {
    targets = object.status().has_current_cpu_utilization_percentage()
                  ? std::to_string(object.status().current_cpu_utilization_percentage()) + "%"
                  : std::string(kUnknown);
    targets = "cpu: " + targets + "/" +
              std::to_string(object.spec().target_cpu_utilization_percentage()) + "%";
  }
  AutoscalerCells(object, targets, cells);
}

constexpr Column kScale[] = {
    {"Name", "string", "", "Name of the object that is scaled", 0},
    Number("Desired", "Pods wanted"),
    Number("Available", "Pods there are"),
    kAge,
};
void ScaleRow(const autoscaling1::Scale& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().replicas());
  cells.Add(object.status().replicas());
  cells.Age(object.metadata());
}

}  // namespace

std::span<const Printer> WorkloadPrinters() {
  static const Printer printers[] = {
      PrinterOf<apps::ControllerRevision, ControllerRevisionRow>(kControllerRevision),
      PrinterOf<apps::DaemonSet, DaemonSetRow>(kDaemonSet),
      PrinterOf<apps::Deployment, DeploymentRow>(kDeployment),
      PrinterOf<apps::ReplicaSet, ReplicaSetRow>(kReplicaSet),
      PrinterOf<apps::StatefulSet, StatefulSetRow>(kStatefulSet),
      PrinterOf<autoscaling::HorizontalPodAutoscaler, AutoscalerRow>(kAutoscaler),
      PrinterOf<autoscaling1::HorizontalPodAutoscaler, Autoscaler1Row>(kAutoscaler),
      PrinterOf<autoscaling1::Scale, ScaleRow>(kScale),
      PrinterOf<batch::CronJob, CronJobRow>(kCronJob),
      PrinterOf<batch::Job, JobRow>(kJob),
      PrinterOf<core::ReplicationController, ReplicationControllerRow>(kReplicaSet),
      PrinterOf<policy::PodDisruptionBudget, BudgetRow>(kBudget),
  };
  return printers;
}

}  // namespace gantry::apiserver::tables
