#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/autoscaling/v1/scale.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "api/validation/meta.h"
#include "api/validation/resources.h"
#include "api/validation/rules.h"

namespace gantry::api::validation {
namespace {

using autoscaling::v1::Scale;
using policy::v1::PodDisruptionBudget;
using AutoscalerV1 = autoscaling::v1::HorizontalPodAutoscaler;
using AutoscalerV2 = autoscaling::v2::HorizontalPodAutoscaler;

constexpr int32_t kMaxPeriodSeconds = 1800;
constexpr int32_t kMaxStabilizationSeconds = 3600;

template <class Reference>
void CheckReference(const Path& path, const Reference& reference, Errors* errors) {
  auto segment = [&](std::string_view name, const std::string& value) {
    Path field = path.Child(name);
    if (value.empty()) {
      errors->Required(field);
    } else {
      errors->Complain(field, value, IsPathSegmentName(value));
    }
  };
  segment("kind", reference.kind());
  segment("name", reference.name());
}

template <class Spec>
void CheckBounds(const Path& path, const Spec& spec, Errors* errors) {
  if (spec.has_min_replicas() && spec.min_replicas() < 1) {
    errors->Invalid(path.Child("minReplicas"), spec.min_replicas(),
                    "must be greater than or equal to 1");
  }
  if (spec.max_replicas() < 1) {
    errors->Invalid(path.Child("maxReplicas"), spec.max_replicas(), "must be greater than 0");
  }
  if (spec.has_min_replicas() && spec.max_replicas() < spec.min_replicas()) {
    errors->Invalid(path.Child("maxReplicas"), spec.max_replicas(),
                    "must be greater than or equal to `minReplicas`");
  }
  CheckReference(path.Child("scaleTargetRef"), spec.scale_target_ref(), errors);
}

void CheckTarget(const Path& path, const autoscaling::v2::MetricTarget& target, Errors* errors) {
  if (target.type().empty()) {
    errors->Required(path.Child("type"), "must specify a metric target type");
  } else if (!IsOneOf(target.type(), {"Utilization", "Value", "AverageValue"})) {
    errors->Invalid(path.Child("type"), target.type(),
                    "must be either Utilization, Value, or AverageValue");
  }
  auto positive = [&](std::string_view name, const resource::Quantity& quantity) {
    if (ToQuantity(quantity).Sign() != 1)
      errors->Invalid(path.Child(name), quantity.string(), "must be positive");
  };
  if (target.has_value()) positive("value", target.value());
  if (target.has_average_value()) positive("averageValue", target.average_value());
  if (target.has_average_utilization() && target.average_utilization() < 1) {
    errors->Invalid(path.Child("averageUtilization"), target.average_utilization(),
                    "must be greater than 0");
  }
}

void CheckResourceMetric(const Path& path, const std::string& name,
                         const autoscaling::v2::MetricTarget& target, Errors* errors) {
  if (name.empty()) errors->Required(path.Child("name"), "must specify a resource name");
  Path target_path = path.Child("target");
  CheckTarget(target_path, target, errors);
  if (target.has_average_utilization() && target.has_average_value()) {
    errors->Forbidden(target_path.Child("averageValue"),
                      "may not set both a target raw value and a target utilization");
  }
  if (!target.has_average_utilization() && !target.has_average_value()) {
    errors->Required(target_path.Child("averageUtilization"),
                     "must set either a target raw value or a target utilization");
  }
}

void CheckIdentifier(const Path& path, const autoscaling::v2::MetricIdentifier& metric,
                     Errors* errors) {
  if (metric.name().empty()) {
    errors->Required(path.Child("name"), "must specify a metric name");
  } else {
    errors->Complain(path.Child("name"), metric.name(), IsPathSegmentName(metric.name()));
  }
  if (metric.has_selector()) CheckLabelSelector(path.Child("selector"), metric.selector(), errors);
}

void CheckMetric(const Path& path, const autoscaling::v2::MetricSpec& metric, Errors* errors) {
  struct Source {
    std::string_view type;
    std::string_view field;
    bool present;
  } sources[] = {{"Object", "object", metric.has_object()},
                 {"External", "external", metric.has_external()},
                 {"Pods", "pods", metric.has_pods()},
                 {"Resource", "resource", metric.has_resource()},
                 {"ContainerResource", "containerResource", metric.has_container_resource()}};
  if (metric.type().empty()) {
    errors->Required(path.Child("type"), "must specify a metric source type");
    return;
  }
  const Source* expected = nullptr;
  for (const Source& source : sources) {
    if (source.type == metric.type()) expected = &source;
  }
  if (expected == nullptr) {
    errors->NotSupported(path.Child("type"), metric.type(),
                         {"ContainerResource", "External", "Object", "Pods", "Resource"});
    return;
  }
  if (metric.has_object()) {
    Path object = path.Child("object");
    CheckReference(object.Child("describedObject"), metric.object().described_object(), errors);
    CheckIdentifier(object.Child("metric"), metric.object().metric(), errors);
    CheckTarget(object.Child("target"), metric.object().target(), errors);
    if (!metric.object().target().has_value() && !metric.object().target().has_average_value()) {
      errors->Required(object.Child("target.averageValue"),
                       "must set either a target value or averageValue");
    }
  }
  if (metric.has_external()) {
    Path external = path.Child("external");
    CheckIdentifier(external.Child("metric"), metric.external().metric(), errors);
    CheckTarget(external.Child("target"), metric.external().target(), errors);
    const auto& target = metric.external().target();
    if (!target.has_value() && !target.has_average_value()) {
      errors->Required(external.Child("target.averageValue"),
                       "must set either a target value for metric or a per-pod target");
    }
    if (target.has_value() && target.has_average_value()) {
      errors->Forbidden(external.Child("target.value"),
                        "may not set both a target value for metric and a per-pod target");
    }
  }
  if (metric.has_pods()) {
    Path pods = path.Child("pods");
    CheckIdentifier(pods.Child("metric"), metric.pods().metric(), errors);
    CheckTarget(pods.Child("target"), metric.pods().target(), errors);
    if (ToQuantity(metric.pods().target().average_value()).Sign() != 1) {
      errors->Required(pods.Child("target.averageValue"),
                       "must specify a positive target averageValue");
    }
  }
  if (metric.has_resource()) {
    CheckResourceMetric(path.Child("resource"), metric.resource().name(),
                        metric.resource().target(), errors);
  }
  if (metric.has_container_resource()) {
    Path container = path.Child("containerResource");
    if (metric.container_resource().container().empty()) {
      errors->Required(container.Child("container"), "must specify a container");
    }
    CheckResourceMetric(container, metric.container_resource().name(),
                        metric.container_resource().target(), errors);
  }
  if (!expected->present) {
    errors->Required(path.Child(expected->field),
                     "must populate information for the given metric source");
  }
  for (const Source& source : sources) {
    if (source.present && &source != expected) {
      errors->Forbidden(path.Child(source.field), "must populate the given metric source only");
    }
  }
}

void CheckScalingRules(const Path& path, const autoscaling::v2::HPAScalingRules& rules,
                       Errors* errors) {
  if (rules.has_stabilization_window_seconds()) {
    Path window = path.Child("stabilizationWindowSeconds");
    if (rules.stabilization_window_seconds() < 0) {
      errors->Invalid(window, rules.stabilization_window_seconds(),
                      "must be greater than or equal to zero");
    }
    if (rules.stabilization_window_seconds() > kMaxStabilizationSeconds) {
      errors->Invalid(window, rules.stabilization_window_seconds(),
                      "must be less than or equal to 3600");
    }
  }
  if (rules.has_select_policy() && !IsOneOf(rules.select_policy(), {"Disabled", "Max", "Min"})) {
    errors->NotSupported(path.Child("selectPolicy"), rules.select_policy(),
                         {"Disabled", "Max", "Min"});
  }
  Path policies = path.Child("policies");
  if (rules.policies().empty()) errors->Required(policies, "must specify at least one Policy");
  for (int i = 0; i < rules.policies_size(); ++i) {
    const auto& policy = rules.policies(i);
    Path item = policies.Index(i);
    if (!IsOneOf(policy.type(), {"Percent", "Pods"})) {
      errors->NotSupported(item.Child("type"), policy.type(), {"Percent", "Pods"});
    }
    if (policy.value() <= 0) errors->Invalid(item.Child("value"), policy.value(), kNotPositive);
    if (policy.period_seconds() <= 0)
      errors->Invalid(item.Child("periodSeconds"), policy.period_seconds(), kNotPositive);
    if (policy.period_seconds() > kMaxPeriodSeconds) {
      errors->Invalid(item.Child("periodSeconds"), policy.period_seconds(),
                      "must be less than or equal to 1800");
    }
  }
}

void CreateV2(const AutoscalerV2& autoscaler, Errors* errors) {
  CheckMeta(autoscaler.metadata(), true, NameIsDns1123Subdomain, errors);
  Path path("spec");
  CheckBounds(path, autoscaler.spec(), errors);
  Path metrics = path.Child("metrics");
  for (int i = 0; i < autoscaler.spec().metrics_size(); ++i) {
    CheckMetric(metrics.Index(i), autoscaler.spec().metrics(i), errors);
  }
  if (!autoscaler.spec().has_behavior()) return;
  Path behavior = path.Child("behavior");
  if (autoscaler.spec().behavior().has_scale_up()) {
    CheckScalingRules(behavior.Child("scaleUp"), autoscaler.spec().behavior().scale_up(), errors);
  }
  if (autoscaler.spec().behavior().has_scale_down()) {
    CheckScalingRules(behavior.Child("scaleDown"), autoscaler.spec().behavior().scale_down(),
                      errors);
  }
}

void UpdateV2(const AutoscalerV2& autoscaler, const AutoscalerV2& old, Errors* errors) {
  CheckMetaUpdate(autoscaler.metadata(), old.metadata(), errors);
  CreateV2(autoscaler, errors);
}

void CreateV1(const AutoscalerV1& autoscaler, Errors* errors) {
  CheckMeta(autoscaler.metadata(), true, NameIsDns1123Subdomain, errors);
  Path path("spec");
  CheckBounds(path, autoscaler.spec(), errors);
  const auto& spec = autoscaler.spec();
  if (spec.has_target_cpu_utilization_percentage() &&
      spec.target_cpu_utilization_percentage() < 1) {
    errors->Invalid(path.Child("targetCPUUtilizationPercentage"),
                    spec.target_cpu_utilization_percentage(), "must be greater than 0");
  }
}

void UpdateV1(const AutoscalerV1& autoscaler, const AutoscalerV1& old, Errors* errors) {
  CheckMetaUpdate(autoscaler.metadata(), old.metadata(), errors);
  CreateV1(autoscaler, errors);
}

void CreateScale(const Scale& scale, Errors* errors) {
  CheckMeta(scale.metadata(), true, NameIsDns1123Subdomain, errors);
  Path path("spec.replicas");
  if (scale.spec().replicas() < 0) {
    errors->Invalid(path, scale.spec().replicas(), "must be greater than or equal to 0");
  }
}

void UpdateScale(const Scale& scale, const Scale& old, Errors* errors) {
  CreateScale(scale, errors);
}

void CheckBudgetSpec(const PodDisruptionBudget& budget, Errors* errors) {
  const auto& spec = budget.spec();
  Path path("spec");
  if (spec.has_min_available() && spec.has_max_unavailable()) {
    errors->Invalid(path, spec, "minAvailable and maxUnavailable cannot be both set");
  }
  if (spec.has_min_available()) {
    CheckIntOrPercent(path.Child("minAvailable"), spec.min_available(), errors);
    CheckAtMostAll(path.Child("minAvailable"), spec.min_available(), errors);
  }
  if (spec.has_max_unavailable()) {
    CheckIntOrPercent(path.Child("maxUnavailable"), spec.max_unavailable(), errors);
    CheckAtMostAll(path.Child("maxUnavailable"), spec.max_unavailable(), errors);
  }
  if (spec.has_selector()) CheckLabelSelector(path.Child("selector"), spec.selector(), errors);
  if (spec.has_unhealthy_pod_eviction_policy() &&
      !IsOneOf(spec.unhealthy_pod_eviction_policy(), {"AlwaysAllow", "IfHealthyBudget"})) {
    errors->NotSupported(path.Child("unhealthyPodEvictionPolicy"),
                         spec.unhealthy_pod_eviction_policy(), {"AlwaysAllow", "IfHealthyBudget"});
  }
}

void CreateBudget(const PodDisruptionBudget& budget, Errors* errors) {
  CheckMeta(budget.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckBudgetSpec(budget, errors);
}

void UpdateBudget(const PodDisruptionBudget& budget, const PodDisruptionBudget& old,
                  Errors* errors) {
  CheckMetaUpdate(budget.metadata(), old.metadata(), errors);
  CheckBudgetSpec(budget, errors);
}

void UpdateBudgetStatus(const PodDisruptionBudget& budget, const PodDisruptionBudget& old,
                        Errors* errors) {
  CheckMetaUpdate(budget.metadata(), old.metadata(), errors);
  Path status("status");
  CheckNonnegative(status.Child("podDisruptionsAllowed"), budget.status().disruptions_allowed(),
                   errors);
  CheckNonnegative(status.Child("currentHealthy"), budget.status().current_healthy(), errors);
  CheckNonnegative(status.Child("desiredHealthy"), budget.status().desired_healthy(), errors);
  CheckNonnegative(status.Child("expectedPods"), budget.status().expected_pods(), errors);
}

}  // namespace

std::vector<RuleRow> AutoscalingRules() {
  return {
      Row<AutoscalerV1, CreateV1, UpdateV1>(),
      Row<AutoscalerV2, CreateV2, UpdateV2>(),
      Row<PodDisruptionBudget, CreateBudget, UpdateBudget, UpdateBudgetStatus>(),
      Row<Scale, CreateScale, UpdateScale>(),
  };
}

}  // namespace gantry::api::validation
