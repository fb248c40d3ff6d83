#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/intstr/int_or_string.pb.h"
#include "api/resource/quantity.pb.h"

// Rules that the defaults of several kinds share. One file per group holds the rules of its kinds.
namespace gantry::api::defaults {

using ResourceList = google::protobuf::Map<std::string, resource::Quantity>;

// Values finer than 1/1000 are rounded up.
void RoundUp(ResourceList* list);

void Spec(core::v1::PodSpec* spec);
void Template(core::v1::PodTemplateSpec* pod_template);
void ClaimSpec(core::v1::PersistentVolumeClaimSpec* spec);
void Claim(core::v1::PersistentVolumeClaim* claim);
void VolumeSpec(core::v1::PersistentVolumeSpec* spec);

inline void SetInt(int32_t value, intstr::IntOrString* out) {
  out->set_type(0);
  out->set_int_val(value);
}
inline void SetString(std::string_view value, intstr::IntOrString* out) {
  out->set_type(1);
  out->set_str_val(std::string(value));
}

// How a group's rules enter the table of defaults.cc.
using Rule = void (*)(google::protobuf::Message*);
struct RuleRow {
  const google::protobuf::Descriptor* type;
  Rule rule;
};
template <class T, void (*Apply)(T*)>
RuleRow Row() {
  return {T::descriptor(),
          [](google::protobuf::Message* message) { Apply(static_cast<T*>(message)); }};
}

std::vector<RuleRow> AdmissionRules();
std::vector<RuleRow> AppsRules();
std::vector<RuleRow> AutoscalingRules();
std::vector<RuleRow> BatchRules();
std::vector<RuleRow> ClusterRules();
std::vector<RuleRow> CoreRules();
std::vector<RuleRow> NetworkRules();
std::vector<RuleRow> PodRules();

}  // namespace gantry::api::defaults
