#include "cli/cluster_dns.h"

#include <algorithm>

#include "api/core/v1/service.pb.h"
#include "base/ip.h"
#include "client/typed.h"

namespace gantry::cli {
namespace {

using api::core::v1::Service;
using api::core::v1::ServiceSpec;

void SetAddresses(const std::vector<IpAddress>& addresses, ServiceSpec* spec) {
  spec->clear_cluster_ips();
  spec->clear_ip_families();
  for (const IpAddress& ip : addresses) {
    spec->add_cluster_ips(ip.ToString());
    spec->add_ip_families(ip.is_v6() ? "IPv6" : "IPv4");
  }
  spec->set_cluster_ip(spec->cluster_ips(0));
  spec->set_ip_family_policy(addresses.size() > 1 ? "PreferDualStack" : "SingleStack");
}

Service MakeClusterDns(const std::vector<IpAddress>& addresses) {
  Service service;
  auto* meta = service.mutable_metadata();
  meta->set_name("kube-dns");
  meta->set_namespace_("kube-system");
  auto& labels = *meta->mutable_labels();
  labels["k8s-app"] = "kube-dns";
  labels["kubernetes.io/cluster-service"] = "true";
  labels["kubernetes.io/name"] = "CoreDNS";
  SetAddresses(addresses, service.mutable_spec());
  for (const auto& [name, protocol] : {std::pair("dns", "UDP"), std::pair("dns-tcp", "TCP")}) {
    auto* port = service.mutable_spec()->add_ports();
    port->set_name(name);
    port->set_protocol(protocol);
    port->set_port(53);
  }
  return service;
}

}  // namespace

Task<Status> PublishClusterDns(client::Client& client, std::string addresses) {
  GANTRY_CO_ASSIGN(const std::vector<IpAddress> ips, ParseAddresses(addresses));
  if (ips.empty()) co_return Status::Ok();
  // A create of what is there would fail on the address, which is its own.
  Result<api::Ref<Service>> there =
      co_await client::Get<Service>(client, "kube-system", "kube-dns");
  Result<api::Ref<Service>> written = there;
  if (!there.ok()) {
    Service service = MakeClusterDns(ips);
    written = co_await client::Create(client, std::move(service));
  } else if (const ServiceSpec& spec = (*there)->spec(); spec.cluster_ips_size() == 1 &&
                                                         ips.size() == 2 &&
                                                         spec.cluster_ip() == ips[0].ToString()) {
    // The cluster has got a second family.
    Service service = **there;
    SetAddresses(ips, service.mutable_spec());
    written = co_await client::Update(client, std::move(service));
  }
  if (written.ok() || written.code() == Code::kAlreadyExists) co_return Status::Ok();
  co_return written.status().WithContext("cannot reserve the address of cluster DNS");
}

}  // namespace gantry::cli
