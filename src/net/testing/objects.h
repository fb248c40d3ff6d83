#pragma once

#include <string>
#include <vector>

#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"

namespace gantry::net::testing {

struct TestPort {
  std::string name;
  int port = 80;
  int target = 8080;
  std::string protocol = "TCP";
  int node_port = 0;
};

struct TestEndpoint {
  std::string ip;
  std::string node = "node-1";
  bool ready = true;
  bool terminating = false;
  bool serving = true;
  std::string hostname;
  std::vector<std::string> for_zones = {}, for_nodes = {};
};

inline api::core::v1::Service MakeService(const std::string& name, const std::string& cluster_ip,
                                          const std::vector<TestPort>& ports) {
  api::core::v1::Service service;
  service.mutable_metadata()->set_name(name);
  service.mutable_metadata()->set_namespace_("default");
  service.mutable_spec()->set_type("ClusterIP");
  service.mutable_spec()->set_cluster_ip(cluster_ip);
  service.mutable_spec()->add_cluster_ips(cluster_ip);
  for (const TestPort& port : ports) {
    auto* added = service.mutable_spec()->add_ports();
    added->set_name(port.name);
    added->set_port(port.port);
    added->set_protocol(port.protocol);
    if (port.node_port != 0) {
      added->set_node_port(port.node_port);
      service.mutable_spec()->set_type("NodePort");
    }
  }
  return service;
}

inline api::discovery::v1::EndpointSlice MakeSlice(const std::string& service,
                                                   const std::vector<TestPort>& ports,
                                                   const std::vector<TestEndpoint>& endpoints) {
  api::discovery::v1::EndpointSlice slice;
  slice.mutable_metadata()->set_name(service + "-1");
  slice.mutable_metadata()->set_namespace_("default");
  (*slice.mutable_metadata()->mutable_labels())["kubernetes.io/service-name"] = service;
  const bool v6 = !endpoints.empty() && endpoints[0].ip.find(':') != std::string::npos;
  slice.set_address_type(v6 ? "IPv6" : "IPv4");
  for (const TestPort& port : ports) {
    auto* added = slice.add_ports();
    added->set_name(port.name);
    added->set_port(port.target);
    added->set_protocol(port.protocol);
  }
  for (const TestEndpoint& endpoint : endpoints) {
    auto* added = slice.add_endpoints();
    added->add_addresses(endpoint.ip);
    added->set_node_name(endpoint.node);
    added->mutable_conditions()->set_ready(endpoint.ready);
    added->mutable_conditions()->set_serving(endpoint.serving);
    added->mutable_conditions()->set_terminating(endpoint.terminating);
    if (!endpoint.hostname.empty()) added->set_hostname(endpoint.hostname);
    for (const std::string& zone : endpoint.for_zones)
      added->mutable_hints()->add_for_zones()->set_name(zone);
    for (const std::string& node : endpoint.for_nodes)
      added->mutable_hints()->add_for_nodes()->set_name(node);
  }
  return slice;
}

}  // namespace gantry::net::testing
