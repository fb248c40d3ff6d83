#include "api/defaults/rules.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/networking/v1/ingress.pb.h"
#include "api/networking/v1/network_policy.pb.h"

namespace gantry::api::defaults {
namespace {

void DefaultPolicy(networking::v1::NetworkPolicy* policy) {
  auto* spec = policy->mutable_spec();
  auto default_ports = [](auto* rules) {
    for (auto& rule : *rules) {
      for (auto& port : *rule.mutable_ports()) {
        if (!port.has_protocol()) port.set_protocol("TCP");
      }
    }
  };
  default_ports(spec->mutable_ingress());
  default_ports(spec->mutable_egress());
  if (!spec->policy_types().empty()) return;
  spec->add_policy_types("Ingress");
  if (!spec->egress().empty()) spec->add_policy_types("Egress");
}

void DefaultIngressClass(networking::v1::IngressClass* ingress_class) {
  if (!ingress_class->spec().has_parameters()) return;
  auto* parameters = ingress_class->mutable_spec()->mutable_parameters();
  if (!parameters->has_scope()) parameters->set_scope("Cluster");
}

void DefaultSlice(discovery::v1::EndpointSlice* slice) {
  for (auto& port : *slice->mutable_ports()) {
    if (!port.has_name()) port.set_name("");
    if (!port.has_protocol()) port.set_protocol("TCP");
  }
}

}  // namespace

std::vector<RuleRow> NetworkRules() {
  return {
      Row<discovery::v1::EndpointSlice, DefaultSlice>(),
      Row<networking::v1::IngressClass, DefaultIngressClass>(),
      Row<networking::v1::NetworkPolicy, DefaultPolicy>(),
  };
}

}  // namespace gantry::api::defaults
