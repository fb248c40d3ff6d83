#include "api/convert.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/events/v1/event.pb.h"
#include "api/json.h"
#include "api/json_value.h"
#include "api/kinds.h"

namespace gantry::api {
namespace {

using google::protobuf::Message;
namespace hpa1 = autoscaling::v1;
namespace hpa2 = autoscaling::v2;

// --- Events ---

void Convert(const core::v1::Event& in, events::v1::Event* out) {
  *out->mutable_metadata() = in.metadata();
  if (in.has_event_time()) *out->mutable_event_time() = in.event_time();
  if (in.has_series()) {
    out->mutable_series()->set_count(in.series().count());
    *out->mutable_series()->mutable_last_observed_time() = in.series().last_observed_time();
  }
  out->set_reporting_controller(in.reporting_component());
  out->set_reporting_instance(in.reporting_instance());
  out->set_action(in.action());
  out->set_reason(in.reason());
  *out->mutable_regarding() = in.involved_object();
  if (in.has_related()) *out->mutable_related() = in.related();
  out->set_note(in.message());
  out->set_type(in.type());
  *out->mutable_deprecated_source() = in.source();
  if (in.has_first_timestamp()) *out->mutable_deprecated_first_timestamp() = in.first_timestamp();
  if (in.has_last_timestamp()) *out->mutable_deprecated_last_timestamp() = in.last_timestamp();
  out->set_deprecated_count(in.count());
}

void Convert(const events::v1::Event& in, core::v1::Event* out) {
  *out->mutable_metadata() = in.metadata();
  *out->mutable_involved_object() = in.regarding();
  out->set_reason(in.reason());
  out->set_message(in.note());
  *out->mutable_source() = in.deprecated_source();
  if (in.has_deprecated_first_timestamp())
    *out->mutable_first_timestamp() = in.deprecated_first_timestamp();
  if (in.has_deprecated_last_timestamp())
    *out->mutable_last_timestamp() = in.deprecated_last_timestamp();
  out->set_count(in.deprecated_count());
  out->set_type(in.type());
  if (in.has_event_time()) *out->mutable_event_time() = in.event_time();
  if (in.has_series()) {
    out->mutable_series()->set_count(in.series().count());
    *out->mutable_series()->mutable_last_observed_time() = in.series().last_observed_time();
  }
  out->set_action(in.action());
  if (in.has_related()) *out->mutable_related() = in.related();
  out->set_reporting_component(in.reporting_controller());
  out->set_reporting_instance(in.reporting_instance());
}

// --- HorizontalPodAutoscaler ---

// What v1 has no fields for travels in these annotations.
constexpr char kMetrics[] = "autoscaling.alpha.kubernetes.io/metrics";
constexpr char kCurrentMetrics[] = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr char kConditions[] = "autoscaling.alpha.kubernetes.io/conditions";
constexpr char kBehavior[] = "autoscaling.alpha.kubernetes.io/behavior";

template <class From, class To>
void ConvertReference(const From& in, To* out) {
  out->set_kind(in.kind());
  out->set_name(in.name());
  out->set_api_version(in.api_version());
}

template <class T>
void ConvertCondition(const auto& in, T* out) {
  out->set_type(in.type());
  out->set_status(in.status());
  if (in.has_last_transition_time())
    *out->mutable_last_transition_time() = in.last_transition_time();
  out->set_reason(in.reason());
  out->set_message(in.message());
}

// What v1 spreads over a metric's fields, v2 keeps in one identifier.
void SetMetric(const std::string& name, bool has_selector, const meta::v1::LabelSelector& selector,
               hpa2::MetricIdentifier* out) {
  out->set_name(name);
  if (has_selector) *out->mutable_selector() = selector;
}

void Convert(const hpa1::MetricSpec& in, hpa2::MetricSpec* out) {
  out->set_type(in.type());
  if (in.has_object()) {
    auto* object = out->mutable_object();
    ConvertReference(in.object().target(), object->mutable_described_object());
    SetMetric(in.object().metric_name(), in.object().has_selector(), in.object().selector(),
              object->mutable_metric());
    if (in.object().has_average_value()) {
      object->mutable_target()->set_type("AverageValue");
      *object->mutable_target()->mutable_average_value() = in.object().average_value();
    } else {
      object->mutable_target()->set_type("Value");
      *object->mutable_target()->mutable_value() = in.object().target_value();
    }
  }
  if (in.has_pods()) {
    auto* pods = out->mutable_pods();
    SetMetric(in.pods().metric_name(), in.pods().has_selector(), in.pods().selector(),
              pods->mutable_metric());
    pods->mutable_target()->set_type("AverageValue");
    *pods->mutable_target()->mutable_average_value() = in.pods().target_average_value();
  }
  auto resource_target = [](const auto& source, hpa2::MetricTarget* target) {
    target->set_type(source.has_target_average_utilization() ? "Utilization" : "AverageValue");
    if (source.has_target_average_utilization())
      target->set_average_utilization(source.target_average_utilization());
    if (source.has_target_average_value())
      *target->mutable_average_value() = source.target_average_value();
  };
  if (in.has_resource()) {
    out->mutable_resource()->set_name(in.resource().name());
    resource_target(in.resource(), out->mutable_resource()->mutable_target());
  }
  if (in.has_container_resource()) {
    out->mutable_container_resource()->set_name(in.container_resource().name());
    out->mutable_container_resource()->set_container(in.container_resource().container());
    resource_target(in.container_resource(), out->mutable_container_resource()->mutable_target());
  }
  if (in.has_external()) {
    auto* external = out->mutable_external();
    SetMetric(in.external().metric_name(), in.external().has_metric_selector(),
              in.external().metric_selector(), external->mutable_metric());
    external->mutable_target()->set_type(in.external().has_target_value() ? "Value"
                                                                          : "AverageValue");
    if (in.external().has_target_value())
      *external->mutable_target()->mutable_value() = in.external().target_value();
    if (in.external().has_target_average_value())
      *external->mutable_target()->mutable_average_value() = in.external().target_average_value();
  }
}

void Convert(const hpa2::MetricSpec& in, hpa1::MetricSpec* out) {
  out->set_type(in.type());
  if (in.has_object()) {
    auto* object = out->mutable_object();
    ConvertReference(in.object().described_object(), object->mutable_target());
    object->set_metric_name(in.object().metric().name());
    if (in.object().metric().has_selector())
      *object->mutable_selector() = in.object().metric().selector();
    if (in.object().target().has_value())
      *object->mutable_target_value() = in.object().target().value();
    if (in.object().target().has_average_value())
      *object->mutable_average_value() = in.object().target().average_value();
  }
  if (in.has_pods()) {
    out->mutable_pods()->set_metric_name(in.pods().metric().name());
    if (in.pods().metric().has_selector())
      *out->mutable_pods()->mutable_selector() = in.pods().metric().selector();
    *out->mutable_pods()->mutable_target_average_value() = in.pods().target().average_value();
  }
  auto resource_source = [](const hpa2::MetricTarget& target, auto* source) {
    if (target.has_average_utilization())
      source->set_target_average_utilization(target.average_utilization());
    if (target.has_average_value())
      *source->mutable_target_average_value() = target.average_value();
  };
  if (in.has_resource()) {
    out->mutable_resource()->set_name(in.resource().name());
    resource_source(in.resource().target(), out->mutable_resource());
  }
  if (in.has_container_resource()) {
    out->mutable_container_resource()->set_name(in.container_resource().name());
    out->mutable_container_resource()->set_container(in.container_resource().container());
    resource_source(in.container_resource().target(), out->mutable_container_resource());
  }
  if (in.has_external()) {
    auto* external = out->mutable_external();
    external->set_metric_name(in.external().metric().name());
    if (in.external().metric().has_selector())
      *external->mutable_metric_selector() = in.external().metric().selector();
    if (in.external().target().has_value())
      *external->mutable_target_value() = in.external().target().value();
    if (in.external().target().has_average_value())
      *external->mutable_target_average_value() = in.external().target().average_value();
  }
}

void Convert(const hpa1::MetricStatus& in, hpa2::MetricStatus* out) {
  out->set_type(in.type());
  if (in.has_object()) {
    auto* object = out->mutable_object();
    ConvertReference(in.object().target(), object->mutable_described_object());
    SetMetric(in.object().metric_name(), in.object().has_selector(), in.object().selector(),
              object->mutable_metric());
    *object->mutable_current()->mutable_value() = in.object().current_value();
    if (in.object().has_average_value())
      *object->mutable_current()->mutable_average_value() = in.object().average_value();
  }
  if (in.has_pods()) {
    SetMetric(in.pods().metric_name(), in.pods().has_selector(), in.pods().selector(),
              out->mutable_pods()->mutable_metric());
    *out->mutable_pods()->mutable_current()->mutable_average_value() =
        in.pods().current_average_value();
  }
  auto resource_current = [](const auto& status, hpa2::MetricValueStatus* current) {
    if (status.has_current_average_utilization())
      current->set_average_utilization(status.current_average_utilization());
    *current->mutable_average_value() = status.current_average_value();
  };
  if (in.has_resource()) {
    out->mutable_resource()->set_name(in.resource().name());
    resource_current(in.resource(), out->mutable_resource()->mutable_current());
  }
  if (in.has_container_resource()) {
    out->mutable_container_resource()->set_name(in.container_resource().name());
    out->mutable_container_resource()->set_container(in.container_resource().container());
    resource_current(in.container_resource(), out->mutable_container_resource()->mutable_current());
  }
  if (in.has_external()) {
    auto* external = out->mutable_external();
    SetMetric(in.external().metric_name(), in.external().has_metric_selector(),
              in.external().metric_selector(), external->mutable_metric());
    *external->mutable_current()->mutable_value() = in.external().current_value();
    if (in.external().has_current_average_value())
      *external->mutable_current()->mutable_average_value() = in.external().current_average_value();
  }
}

void Convert(const hpa2::MetricStatus& in, hpa1::MetricStatus* out) {
  out->set_type(in.type());
  if (in.has_object()) {
    auto* object = out->mutable_object();
    ConvertReference(in.object().described_object(), object->mutable_target());
    object->set_metric_name(in.object().metric().name());
    if (in.object().metric().has_selector())
      *object->mutable_selector() = in.object().metric().selector();
    if (in.object().current().has_value())
      *object->mutable_current_value() = in.object().current().value();
    if (in.object().current().has_average_value())
      *object->mutable_average_value() = in.object().current().average_value();
  }
  if (in.has_pods()) {
    out->mutable_pods()->set_metric_name(in.pods().metric().name());
    if (in.pods().metric().has_selector())
      *out->mutable_pods()->mutable_selector() = in.pods().metric().selector();
    *out->mutable_pods()->mutable_current_average_value() = in.pods().current().average_value();
  }
  auto resource_status = [](const hpa2::MetricValueStatus& current, auto* status) {
    if (current.has_average_utilization())
      status->set_current_average_utilization(current.average_utilization());
    if (current.has_average_value())
      *status->mutable_current_average_value() = current.average_value();
  };
  if (in.has_resource()) {
    out->mutable_resource()->set_name(in.resource().name());
    resource_status(in.resource().current(), out->mutable_resource());
  }
  if (in.has_container_resource()) {
    out->mutable_container_resource()->set_name(in.container_resource().name());
    out->mutable_container_resource()->set_container(in.container_resource().container());
    resource_status(in.container_resource().current(), out->mutable_container_resource());
  }
  if (in.has_external()) {
    auto* external = out->mutable_external();
    external->set_metric_name(in.external().metric().name());
    if (in.external().metric().has_selector())
      *external->mutable_metric_selector() = in.external().metric().selector();
    if (in.external().current().has_value())
      *external->mutable_current_value() = in.external().current().value();
    if (in.external().current().has_average_value())
      *external->mutable_current_average_value() = in.external().current().average_value();
  }
}

// Reads the annotation's list of T, item by item; false where there is none or where it does not
// read.
template <class T>
bool ReadAnnotation(const meta::v1::ObjectMeta& meta, const char* name,
                    google::protobuf::RepeatedPtrField<T>* out) {
  auto it = meta.annotations().find(name);
  if (it == meta.annotations().end()) return false;
  Result<JsonValue> list = JsonValue::Parse(it->second);
  if (!list.ok() || !list->is_array()) return false;
  for (const JsonValue& item : list->as_array()) {
    if (ReadJson(item.ToString(), out->Add()).ok()) continue;
    out->Clear();
    return false;
  }
  return out->size() > 0;
}

template <class T>
void WriteAnnotation(const google::protobuf::RepeatedPtrField<T>& list, const char* name,
                     meta::v1::ObjectMeta* meta) {
  if (list.empty()) return;
  std::string text;
  for (const T& item : list) {
    text += text.empty() ? '[' : ',';
    WriteJson(item, &text);
  }
  (*meta->mutable_annotations())[name] = text + "]";
}

// CPU utilization is the one metric that v1 has fields for.
bool IsCpuUtilization(const hpa2::MetricSpec& metric) {
  return metric.type() == "Resource" && metric.resource().name() == "cpu" &&
         metric.resource().target().has_average_utilization();
}

void Convert(const hpa1::HorizontalPodAutoscaler& in, hpa2::HorizontalPodAutoscaler* out) {
  *out->mutable_metadata() = in.metadata();
  for (const char* name : {kMetrics, kCurrentMetrics, kConditions, kBehavior})
    out->mutable_metadata()->mutable_annotations()->erase(name);

  auto* spec = out->mutable_spec();
  ConvertReference(in.spec().scale_target_ref(), spec->mutable_scale_target_ref());
  if (in.spec().has_min_replicas()) spec->set_min_replicas(in.spec().min_replicas());
  spec->set_max_replicas(in.spec().max_replicas());
  google::protobuf::RepeatedPtrField<hpa1::MetricSpec> metrics;
  if (ReadAnnotation(in.metadata(), kMetrics, &metrics))
    for (const auto& metric : metrics)
      Convert(metric, spec->add_metrics());
  if (in.spec().has_target_cpu_utilization_percentage()) {
    auto* metric = spec->add_metrics();
    metric->set_type("Resource");
    metric->mutable_resource()->set_name("cpu");
    metric->mutable_resource()->mutable_target()->set_type("Utilization");
    metric->mutable_resource()->mutable_target()->set_average_utilization(
        in.spec().target_cpu_utilization_percentage());
  }
  if (auto it = in.metadata().annotations().find(kBehavior);
      it != in.metadata().annotations().end()) {
    hpa2::HorizontalPodAutoscalerBehavior behavior;
    if (ReadJson(it->second, &behavior).ok()) *spec->mutable_behavior() = behavior;
  }

  auto* status = out->mutable_status();
  if (in.status().has_observed_generation())
    status->set_observed_generation(in.status().observed_generation());
  if (in.status().has_last_scale_time())
    *status->mutable_last_scale_time() = in.status().last_scale_time();
  status->set_current_replicas(in.status().current_replicas());
  status->set_desired_replicas(in.status().desired_replicas());
  google::protobuf::RepeatedPtrField<hpa1::MetricStatus> current;
  if (ReadAnnotation(in.metadata(), kCurrentMetrics, &current)) {
    for (const auto& metric : current)
      Convert(metric, status->add_current_metrics());
  } else if (in.status().has_current_cpu_utilization_percentage()) {
    auto* metric = status->add_current_metrics();
    metric->set_type("Resource");
    metric->mutable_resource()->set_name("cpu");
    metric->mutable_resource()->mutable_current()->set_average_utilization(
        in.status().current_cpu_utilization_percentage());
  }
  google::protobuf::RepeatedPtrField<hpa1::HorizontalPodAutoscalerCondition> conditions;
  if (ReadAnnotation(in.metadata(), kConditions, &conditions))
    for (const auto& condition : conditions)
      ConvertCondition(condition, status->add_conditions());
}

void Convert(const hpa2::HorizontalPodAutoscaler& in, hpa1::HorizontalPodAutoscaler* out) {
  *out->mutable_metadata() = in.metadata();
  for (const char* name : {kMetrics, kCurrentMetrics, kConditions, kBehavior})
    out->mutable_metadata()->mutable_annotations()->erase(name);

  auto* spec = out->mutable_spec();
  ConvertReference(in.spec().scale_target_ref(), spec->mutable_scale_target_ref());
  if (in.spec().has_min_replicas()) spec->set_min_replicas(in.spec().min_replicas());
  spec->set_max_replicas(in.spec().max_replicas());
  google::protobuf::RepeatedPtrField<hpa1::MetricSpec> others;
  for (const auto& metric : in.spec().metrics()) {
    if (IsCpuUtilization(metric)) {
      spec->set_target_cpu_utilization_percentage(metric.resource().target().average_utilization());
    } else {
      Convert(metric, others.Add());
    }
  }
  WriteAnnotation(others, kMetrics, out->mutable_metadata());
  if (in.spec().has_behavior()) {
    std::string text;
    WriteJson(in.spec().behavior(), &text);
    (*out->mutable_metadata()->mutable_annotations())[kBehavior] = text;
  }

  auto* status = out->mutable_status();
  if (in.status().has_observed_generation())
    status->set_observed_generation(in.status().observed_generation());
  if (in.status().has_last_scale_time())
    *status->mutable_last_scale_time() = in.status().last_scale_time();
  status->set_current_replicas(in.status().current_replicas());
  status->set_desired_replicas(in.status().desired_replicas());
  google::protobuf::RepeatedPtrField<hpa1::MetricStatus> current;
  for (const auto& metric : in.status().current_metrics()) {
    Convert(metric, current.Add());
    if (metric.type() == "Resource" && metric.resource().name() == "cpu" &&
        metric.resource().current().has_average_utilization())
      status->set_current_cpu_utilization_percentage(
          metric.resource().current().average_utilization());
  }
  WriteAnnotation(current, kCurrentMetrics, out->mutable_metadata());
  google::protobuf::RepeatedPtrField<hpa1::HorizontalPodAutoscalerCondition> conditions;
  for (const auto& condition : in.status().conditions())
    ConvertCondition(condition, conditions.Add());
  WriteAnnotation(conditions, kConditions, out->mutable_metadata());
}

// True, and done, where the two messages are From and To.
template <class From, class To>
bool TryConvert(const Message& in, Message* out) {
  if (in.GetDescriptor() != From::descriptor() || out->GetDescriptor() != To::descriptor())
    return false;
  Convert(static_cast<const From&>(in), static_cast<To*>(out));
  return true;
}

}  // namespace

Result<std::unique_ptr<Message>> ConvertTo(const KindInfo& kind, const Message& object) {
  std::unique_ptr<Message> out(kind.prototype->New());
  if (object.GetDescriptor() == out->GetDescriptor()) {
    out->CopyFrom(object);
    return out;
  }
  if (TryConvert<core::v1::Event, events::v1::Event>(object, out.get()) ||
      TryConvert<events::v1::Event, core::v1::Event>(object, out.get()) ||
      TryConvert<hpa1::HorizontalPodAutoscaler, hpa2::HorizontalPodAutoscaler>(object, out.get()) ||
      TryConvert<hpa2::HorizontalPodAutoscaler, hpa1::HorizontalPodAutoscaler>(object, out.get()))
    return out;
  return InternalError("no conversion from " + object.GetDescriptor()->full_name() + " to " +
                       out->GetDescriptor()->full_name());
}

}  // namespace gantry::api
