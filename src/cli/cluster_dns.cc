#include "cli/cluster_dns.h"

#include "api/core/v1/service.pb.h"
#include "client/typed.h"

namespace gantry::cli {

Task<Status> PublishClusterDns(client::Client& client, std::string address) {
  // A create of what is there would fail on the address, which is its own.
  Result<api::Ref<api::core::v1::Service>> there =
      co_await client::Get<api::core::v1::Service>(client, "kube-system", "kube-dns");
  if (there.ok()) co_return Status::Ok();
  api::core::v1::Service service;
  auto* meta = service.mutable_metadata();
  meta->set_name("kube-dns");
  meta->set_namespace_("kube-system");
  auto& labels = *meta->mutable_labels();
  labels["k8s-app"] = "kube-dns";
  labels["kubernetes.io/cluster-service"] = "true";
  labels["kubernetes.io/name"] = "CoreDNS";
  service.mutable_spec()->set_cluster_ip(address);
  service.mutable_spec()->add_cluster_ips(address);
  for (const auto& [name, protocol] : {std::pair("dns", "UDP"), std::pair("dns-tcp", "TCP")}) {
    auto* port = service.mutable_spec()->add_ports();
    port->set_name(name);
    port->set_protocol(protocol);
    port->set_port(53);
  }
  Result<api::Ref<api::core::v1::Service>> made =
      co_await client::Create(client, std::move(service));
  if (made.ok() || made.code() == Code::kAlreadyExists) co_return Status::Ok();
  co_return made.status().WithContext("cannot reserve the address of cluster DNS");
}

}  // namespace gantry::cli
