#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "api/networking/v1/ingress.pb.h"
#include "api/networking/v1/network_policy.pb.h"
#include "api/validation/meta.h"
#include "api/validation/rules.h"

namespace gantry::api::validation {
namespace {

using networking::v1::HTTPIngressPath;
using networking::v1::Ingress;
using networking::v1::IngressBackend;
using networking::v1::IngressClass;
using networking::v1::NetworkPolicy;
using networking::v1::NetworkPolicyPeer;
using networking::v1::NetworkPolicyPort;

constexpr size_t kMaxController = 250;

// Both must be valid CIDRs.
bool IsStrictSubset(const std::string& inner, const std::string& outer) {
  auto parse = [](const std::string& cidr, unsigned char* bytes, int* bits) {
    size_t slash = cidr.find('/');
    std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), *bits);
    int family = IsIpV6Cidr(cidr) ? AF_INET6 : AF_INET;
    inet_pton(family, cidr.substr(0, slash).c_str(), bytes);
    return family;
  };
  unsigned char inner_bytes[16] = {};
  unsigned char outer_bytes[16] = {};
  int inner_bits = 0;
  int outer_bits = 0;
  if (parse(inner, inner_bytes, &inner_bits) != parse(outer, outer_bytes, &outer_bits))
    return false;
  if (inner_bits <= outer_bits) return false;
  for (int bit = 0; bit < outer_bits; ++bit) {
    int mask = 0x80 >> (bit % 8);
    if ((inner_bytes[bit / 8] & mask) != (outer_bytes[bit / 8] & mask)) return false;
  }
  return true;
}

void CheckPolicyPort(const Path& path, const NetworkPolicyPort& port, Errors* errors) {
  if (port.has_protocol() && !IsOneOf(port.protocol(), {"TCP", "UDP", "SCTP"})) {
    errors->NotSupported(path.Child("protocol"), port.protocol(), {"TCP", "UDP", "SCTP"});
  }
  Path end = path.Child("endPort");
  if (!port.has_port()) {
    if (port.has_end_port())
      errors->Invalid(end, port.end_port(), "may not be specified when `port` is not specified");
    return;
  }
  if (port.has_end_port() && port.port().type() != 0)
    errors->Invalid(end, port.end_port(), "may not be specified when `port` is non-numeric");
  CheckPortNumberOrName(path.Child("port"), port.port(), errors);
  if (!port.has_end_port() || port.port().type() != 0) return;
  // The port, not the end, is what Kubernetes shows here.
  if (port.end_port() < port.port().int_val())
    errors->Invalid(end, port.port().int_val(), "must be greater than or equal to `port`");
  errors->Complain(end, port.end_port(), IsPortNumber(port.end_port()));
}

void CheckPeer(const Path& path, const NetworkPolicyPeer& peer, Errors* errors) {
  if (peer.has_pod_selector())
    CheckLabelSelector(path.Child("podSelector"), peer.pod_selector(), errors);
  if (peer.has_namespace_selector()) {
    CheckLabelSelector(path.Child("namespaceSelector"), peer.namespace_selector(), errors);
  }
  if (peer.has_ip_block()) {
    Path block = path.Child("ipBlock");
    const std::string& cidr = peer.ip_block().cidr();
    if (cidr.empty()) {
      errors->Required(block.Child("cidr"));
    } else {
      CheckCidr(block.Child("cidr"), cidr, errors);
      Path excepts = block.Child("except");
      for (int i = 0; i < peer.ip_block().except_size(); ++i) {
        const std::string& except = peer.ip_block().except(i);
        CheckCidr(excepts.Index(i), except, errors);
        if (IsCidr(cidr) && IsCidr(except) && !IsStrictSubset(except, cidr)) {
          errors->Invalid(excepts.Index(i), except, "must be a strict subset of `cidr`");
        }
      }
    }
  }
  int count = peer.has_pod_selector() + peer.has_namespace_selector() + peer.has_ip_block();
  if (count == 0) {
    errors->Required(path, "must specify a peer");
  } else if (count > 1 && peer.has_ip_block()) {
    errors->Forbidden(path, "may not specify both ipBlock and another peer");
  }
}

template <class Rules, class Peers>
void CheckPolicyRules(const Path& path, const Rules& rules, std::string_view peers_name,
                      Peers peers, Errors* errors) {
  for (int i = 0; i < rules.size(); ++i) {
    Path item = path.Index(i);
    Path ports = item.Child("ports");
    for (int p = 0; p < rules[i].ports_size(); ++p)
      CheckPolicyPort(ports.Index(p), rules[i].ports(p), errors);
    Path peers_path = item.Child(peers_name);
    const auto& list = peers(rules[i]);
    for (int p = 0; p < list.size(); ++p)
      CheckPeer(peers_path.Index(p), list[p], errors);
  }
}

void CreatePolicy(const NetworkPolicy& policy, Errors* errors) {
  CheckMeta(policy.metadata(), true, NameIsDns1123Subdomain, errors);
  const auto& spec = policy.spec();
  Path path("spec");
  CheckLabelSelector(path.Child("podSelector"), spec.pod_selector(), errors);
  CheckPolicyRules(
      path.Child("ingress"), spec.ingress(), "from",
      [](const auto& rule) -> const auto& { return rule.from(); }, errors);
  CheckPolicyRules(
      path.Child("egress"), spec.egress(), "to",
      [](const auto& rule) -> const auto& { return rule.to(); }, errors);
  Path types = path.Child("policyTypes");
  if (spec.policy_types_size() > 2) {
    errors->Invalid(types, spec.policy_types(), "may not specify more than two policyTypes");
    return;
  }
  for (int i = 0; i < spec.policy_types_size(); ++i) {
    if (!IsOneOf(spec.policy_types(i), {"Ingress", "Egress"})) {
      errors->NotSupported(types.Index(i), spec.policy_types(i), {"Ingress", "Egress"});
    }
  }
}

void UpdatePolicy(const NetworkPolicy& policy, const NetworkPolicy& old, Errors* errors) {
  CheckMetaUpdate(policy.metadata(), old.metadata(), errors);
  CreatePolicy(policy, errors);
}

void CheckBackend(const Path& path, const IngressBackend& backend, Errors* errors) {
  if (backend.has_service() && backend.has_resource()) {
    errors->Invalid(path, "", "cannot set both resource and service backends");
  } else if (backend.has_resource()) {
    const auto& resource = backend.resource();
    Path resource_path = path.Child("resource");
    if (resource.kind().empty()) errors->Required(resource_path.Child("kind"));
    if (resource.name().empty()) errors->Required(resource_path.Child("name"));
  } else if (backend.has_service()) {
    const auto& service = backend.service();
    Path name = path.Child("service.name");
    if (service.name().empty()) {
      errors->Required(name);
    } else {
      errors->Complain(name, service.name(), IsDns1035Label(service.name()));
    }
    bool has_name = !service.port().name().empty();
    bool has_number = service.port().number() != 0;
    if (has_name && has_number) {
      errors->Invalid(path, "", "cannot set both port name & port number");
    } else if (has_name) {
      errors->Complain(path.Child("service.port.name"), service.port().name(),
                       IsPortName(service.port().name()));
    } else if (has_number) {
      errors->Complain(path.Child("service.port.number"), service.port().number(),
                       IsPortNumber(service.port().number()));
    } else {
      errors->Required(path, "port name or number is required");
    }
  } else {
    errors->Invalid(path, "", "resource or service backend is required");
  }
}

void CheckIngressPath(const Path& path, const HTTPIngressPath& item, Errors* errors) {
  Path path_field = path.Child("path");
  const std::string& value = item.path();
  if (!item.has_path_type()) {
    errors->Required(path.Child("pathType"), "pathType must be specified");
  } else if (IsOneOf(item.path_type(), {"Exact", "Prefix"})) {
    if (!value.starts_with('/')) errors->Invalid(path_field, value, "must be an absolute path");
    for (std::string_view part : {"//", "/./", "/../", "%2f", "%2F"}) {
      if (value.find(part) != std::string::npos) {
        errors->Invalid(path_field, value, "must not contain '" + std::string(part) + "'");
      }
    }
    for (std::string_view end : {"/..", "/."}) {
      if (value.ends_with(end))
        errors->Invalid(path_field, value, "cannot end with '" + std::string(end) + "'");
    }
  } else if (item.path_type() == "ImplementationSpecific") {
    if (!value.empty() && !value.starts_with('/'))
      errors->Invalid(path_field, value, "must be an absolute path");
  } else {
    errors->NotSupported(path.Child("pathType"), item.path_type(),
                         {"Exact", "ImplementationSpecific", "Prefix"});
  }
  CheckBackend(path.Child("backend"), item.backend(), errors);
}

void CheckHost(const Path& path, const std::string& host, Errors* errors) {
  if (IsIp(host)) errors->Invalid(path, host, "must be a DNS name, not an IP address");
  errors->Complain(path, host,
                   host.find('*') != std::string::npos ? IsWildcardDns1123Subdomain(host)
                                                       : IsDns1123Subdomain(host));
}

void CreateIngress(const Ingress& ingress, Errors* errors) {
  CheckMeta(ingress.metadata(), true, NameIsDns1123Subdomain, errors);
  const auto& spec = ingress.spec();
  Path path("spec");
  if (spec.rules().empty() && !spec.has_default_backend()) {
    errors->Invalid(path, spec.rules(), "either `defaultBackend` or `rules` must be specified");
  }
  if (spec.has_default_backend())
    CheckBackend(path.Child("defaultBackend"), spec.default_backend(), errors);
  Path rules = path.Child("rules");
  for (int i = 0; i < spec.rules_size(); ++i) {
    const auto& rule = spec.rules(i);
    Path item = rules.Index(i);
    if (!rule.host().empty()) CheckHost(item.Child("host"), rule.host(), errors);
    if (!rule.ingress_rule_value().has_http()) continue;
    const auto& http = rule.ingress_rule_value().http();
    Path paths = item.Child("http.paths");
    if (http.paths().empty()) errors->Required(paths);
    for (int p = 0; p < http.paths_size(); ++p)
      CheckIngressPath(paths.Index(p), http.paths(p), errors);
  }
  Path tls = path.Child("tls");
  for (int i = 0; i < spec.tls_size(); ++i) {
    Path item = tls.Index(i);
    Path hosts = item.Child("hosts");
    for (int h = 0; h < spec.tls(i).hosts_size(); ++h) {
      const std::string& host = spec.tls(i).hosts(h);
      errors->Complain(hosts.Index(h), host,
                       host.find('*') != std::string::npos ? IsWildcardDns1123Subdomain(host)
                                                           : IsDns1123Subdomain(host));
    }
    if (!spec.tls(i).secret_name().empty()) {
      CheckDns1123Subdomain(item.Child("secretName"), spec.tls(i).secret_name(), errors);
    }
  }
  if (spec.has_ingress_class_name()) {
    CheckDns1123Subdomain(path.Child("ingressClassName"), spec.ingress_class_name(), errors);
  }
}

void UpdateIngress(const Ingress& ingress, const Ingress& old, Errors* errors) {
  CheckMetaUpdate(ingress.metadata(), old.metadata(), errors);
  CreateIngress(ingress, errors);
}

void CreateClass(const IngressClass& ingress_class, Errors* errors) {
  CheckMeta(ingress_class.metadata(), false, NameIsDns1123Subdomain, errors);
  Path controller("spec.controller");
  const std::string& name = ingress_class.spec().controller();
  if (name.size() > kMaxController) errors->TooLong(controller, kMaxController);
  size_t slash = name.find('/');
  if (name.empty()) {
    errors->Required(controller);
  } else if (slash == std::string::npos || slash == 0 || slash + 1 == name.size()) {
    errors->Invalid(controller, name, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  } else {
    errors->Complain(controller, name.substr(0, slash), IsDns1123Subdomain(name.substr(0, slash)));
  }
  if (!ingress_class.spec().has_parameters()) return;
  const auto& parameters = ingress_class.spec().parameters();
  Path path("spec.parameters");
  if (parameters.kind().empty()) errors->Required(path.Child("kind"), "kind is required");
  if (parameters.name().empty()) errors->Required(path.Child("name"), "name is required");
  if (!IsOneOf(parameters.scope(), {"Cluster", "Namespace"})) {
    errors->NotSupported(path.Child("scope"), parameters.scope(), {"Cluster", "Namespace"});
  }
  if (parameters.scope() == "Namespace" && parameters.namespace_().empty()) {
    errors->Required(path.Child("namespace"), "`parameters.scope` is set to 'Namespace'");
  }
  if (parameters.scope() == "Cluster" && parameters.has_namespace_()) {
    errors->Forbidden(path.Child("namespace"), "`parameters.scope` is set to 'Cluster'");
  }
}

void UpdateClass(const IngressClass& ingress_class, const IngressClass& old, Errors* errors) {
  CheckMetaUpdate(ingress_class.metadata(), old.metadata(), errors);
  CreateClass(ingress_class, errors);
  if (ingress_class.spec().controller() != old.spec().controller()) {
    errors->Invalid(Path("spec.controller"), ingress_class.spec().controller(), kImmutable);
  }
}

}  // namespace

std::vector<RuleRow> NetworkRules() {
  return {
      Row<Ingress, CreateIngress, UpdateIngress>(),
      Row<IngressClass, CreateClass, UpdateClass>(),
      Row<NetworkPolicy, CreatePolicy, UpdatePolicy>(),
  };
}

}  // namespace gantry::api::validation
