#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/defaults/rules.h"

namespace gantry::api::defaults {
namespace {

constexpr int32_t kCpuPercent = 80;

void DefaultV1(autoscaling::v1::HorizontalPodAutoscaler* autoscaler) {
  auto* spec = autoscaler->mutable_spec();
  if (!spec->has_min_replicas()) spec->set_min_replicas(1);
  // Other metrics of a later version travel in an annotation.
  if (!spec->has_target_cpu_utilization_percentage() &&
      !autoscaler->metadata().annotations().contains("autoscaling.alpha.kubernetes.io/metrics")) {
    spec->set_target_cpu_utilization_percentage(kCpuPercent);
  }
}

void AddPolicy(std::string type, int32_t value, autoscaling::v2::HPAScalingRules* rules) {
  auto* policy = rules->add_policies();
  policy->set_type(std::move(type));
  policy->set_value(value);
  policy->set_period_seconds(15);
}

void DefaultV2(autoscaling::v2::HorizontalPodAutoscaler* autoscaler) {
  auto* spec = autoscaler->mutable_spec();
  if (!spec->has_min_replicas()) spec->set_min_replicas(1);
  if (spec->metrics().empty()) {
    auto* metric = spec->add_metrics();
    metric->set_type("Resource");
    metric->mutable_resource()->set_name("cpu");
    metric->mutable_resource()->mutable_target()->set_type("Utilization");
    metric->mutable_resource()->mutable_target()->set_average_utilization(kCpuPercent);
  }
  if (!spec->has_behavior()) return;
  auto* up = spec->mutable_behavior()->mutable_scale_up();
  if (!up->has_stabilization_window_seconds()) up->set_stabilization_window_seconds(0);
  if (!up->has_select_policy()) up->set_select_policy("Max");
  if (up->policies().empty()) {
    AddPolicy("Pods", 4, up);
    AddPolicy("Percent", 100, up);
  }
  auto* down = spec->mutable_behavior()->mutable_scale_down();
  if (!down->has_select_policy()) down->set_select_policy("Max");
  if (down->policies().empty()) AddPolicy("Percent", 100, down);
}

}  // namespace

std::vector<RuleRow> AutoscalingRules() {
  return {
      Row<autoscaling::v1::HorizontalPodAutoscaler, DefaultV1>(),
      Row<autoscaling::v2::HorizontalPodAutoscaler, DefaultV2>(),
  };
}

}  // namespace gantry::api::defaults
