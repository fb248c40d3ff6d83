#include "net/service/frontends.h"

#include <gtest/gtest.h>

#include "net/testing/objects.h"

namespace gantry::net {
namespace {

using testing::MakeService;
using testing::MakeSlice;
using testing::TestEndpoint;
using testing::TestPort;
namespace core = api::core::v1;
using SliceRef = api::Ref<api::discovery::v1::EndpointSlice>;

std::string Describe(const std::vector<Frontend>& frontends) {
  static const char* const kKinds[] = {"internal", "external", "local", "reject", "drop"};
  std::string text;
  for (const Frontend& frontend : frontends) {
    text += frontend.key.ToString() + " " + kKinds[static_cast<int>(frontend.kind)];
    for (const Backend& backend : frontend.backends) {
      text += " " + backend.ip.ToString() + ":" + std::to_string(backend.port);
    }
    for (const Backend& backend : frontend.local)
      text += " local=" + backend.ip.ToString();
    if (frontend.affinity_seconds > 0)
      text += " sticky " + std::to_string(frontend.affinity_seconds);
    for (const Cidr& cidr : frontend.sources.value_or(std::vector<Cidr>()))
      text += " from=" + cidr.ToString();
    text += "\n";
  }
  return text;
}

struct Row {
  const char* what;
  core::Service service;
  std::vector<TestEndpoint> endpoints;
  std::string want;
};

template <class Edit>
core::Service With(core::Service service, Edit edit) {
  edit(service);
  return service;
}

TEST(Frontends, FollowKubeProxy) {
  const std::vector<TestPort> web = {{"http", 80, 8080, "TCP", 0}};
  const core::Service plain = MakeService("web", "10.43.0.5", web);
  const core::Service node_port =
      MakeService("web", "10.43.0.5", {{"http", 80, 8080, "TCP", 30080}});
  auto internal_local = [](core::Service& s) {
    s.mutable_spec()->set_internal_traffic_policy("Local");
  };
  auto external_local = [](core::Service& s) {
    s.mutable_spec()->set_external_traffic_policy("Local");
  };
  const TestEndpoint a{"10.42.0.2"}, b{"10.42.1.3", "node-2"};
  const TestEndpoint a_unready{"10.42.0.2", "node-1", false};
  const TestEndpoint a_ending{"10.42.0.2", "node-1", false, true, true};
  const TestEndpoint a_ending_unready{"10.42.0.2", "node-1", false, true, false};

  const Row rows[] = {
      {"ready endpoints of all nodes",
       plain,
       {b, a},
       "10.43.0.5:80/6 internal 10.42.0.2:8080 10.42.1.3:8080\n"},
      {"the same endpoint in two slices counts once",
       plain,
       {a, a},
       "10.43.0.5:80/6 internal 10.42.0.2:8080\n"},
      {"not ready ones are left out",
       plain,
       {a_unready, b},
       "10.43.0.5:80/6 internal 10.42.1.3:8080\n"},
      {"ending ones are left out while others are ready",
       plain,
       {a_ending, b},
       "10.43.0.5:80/6 internal 10.42.1.3:8080\n"},
      {"ending ones serve when there are no others",
       plain,
       {a_ending},
       "10.43.0.5:80/6 internal 10.42.0.2:8080\n"},
      {"but not when they cannot", plain, {a_ending_unready}, "10.43.0.5:80/6 reject\n"},
      {"no endpoints: refuse", plain, {}, "10.43.0.5:80/6 reject\n"},
      {"internal policy Local",
       With(plain, internal_local),
       {a, b},
       "10.43.0.5:80/6 internal 10.42.0.2:8080\n"},
      {"internal policy Local without a local endpoint: drop",
       With(plain, internal_local),
       {b},
       "10.43.0.5:80/6 drop\n"},
      {"internal policy Local without any: refuse",
       With(plain, internal_local),
       {},
       "10.43.0.5:80/6 reject\n"},
      {"node port",
       node_port,
       {a},
       "10.43.0.5:80/6 internal 10.42.0.2:8080\nnode port:30080/6 external 10.42.0.2:8080\n"},
      {"external policy Local keeps the cluster address open",
       With(node_port, external_local),
       {a, b},
       "10.43.0.5:80/6 internal 10.42.0.2:8080 10.42.1.3:8080\n"
       "node port:30080/6 local 10.42.0.2:8080 10.42.1.3:8080 local=10.42.0.2\n"},
      {"external policy Local without a local endpoint",
       With(node_port, external_local),
       {b},
       "10.43.0.5:80/6 internal 10.42.1.3:8080\nnode port:30080/6 local 10.42.1.3:8080\n"},
      {"external addresses",
       With(plain, [](core::Service& s) { s.mutable_spec()->add_external_ips("192.0.2.9"); }),
       {a},
       "10.43.0.5:80/6 internal 10.42.0.2:8080\n192.0.2.9:80/6 external 10.42.0.2:8080\n"},
      {"load balancer addresses, but not those of a proxying balancer",
       With(plain,
            [](core::Service& s) {
              s.mutable_spec()->set_type("LoadBalancer");
              s.mutable_status()->mutable_load_balancer()->add_ingress()->set_ip("192.0.2.9");
              auto* proxied = s.mutable_status()->mutable_load_balancer()->add_ingress();
              proxied->set_ip("192.0.2.10");
              proxied->set_ip_mode("Proxy");
            }),
       {a},
       "10.43.0.5:80/6 internal 10.42.0.2:8080\n192.0.2.9:80/6 external 10.42.0.2:8080\n"},
      {"session affinity has a default",
       With(plain, [](core::Service& s) { s.mutable_spec()->set_session_affinity("ClientIP"); }),
       {a},
       "10.43.0.5:80/6 internal 10.42.0.2:8080 sticky 10800\n"},
      {"session affinity with its own time",
       With(plain,
            [](core::Service& s) {
              s.mutable_spec()->set_session_affinity("ClientIP");
              s.mutable_spec()
                  ->mutable_session_affinity_config()
                  ->mutable_client_ip()
                  ->set_timeout_seconds(60);
            }),
       {a},
       "10.43.0.5:80/6 internal 10.42.0.2:8080 sticky 60\n"},
      {"headless", MakeService("web", "None", web), {a}, ""},
      {"no address yet", MakeService("web", "", web), {a}, ""},
      {"ExternalName",
       With(plain, [](core::Service& s) { s.mutable_spec()->set_type("ExternalName"); }),
       {},
       ""},
      {"another proxy's",
       With(
           plain,
           [](core::Service& s) {
             (*s.mutable_metadata()->mutable_labels())["service.kubernetes.io/service-proxy-name"] =
                 "x";
           }),
       {a},
       ""},
  };
  NodePlace node;
  node.name = "node-1";
  for (const Row& row : rows) {
    std::vector<SliceRef> slices = {SliceRef::Of(MakeSlice("web", web, row.endpoints))};
    EXPECT_EQ(Describe(BuildFrontends(row.service, slices, node)), row.want) << row.what;
  }
}

TEST(Frontends, MatchPortsByNameAndProtocol) {
  const std::vector<TestPort> ports = {{"dns", 53, 5353, "UDP", 0},
                                       {"dns-tcp", 53, 5354, "TCP", 0},
                                       {"dns-sctp", 53, 5355, "SCTP", 0}};
  std::vector<SliceRef> slices = {SliceRef::Of(MakeSlice("dns", ports, {{"10.42.0.2"}}))};
  EXPECT_EQ(Describe(BuildFrontends(MakeService("dns", "10.43.0.9", ports), slices, NodePlace())),
            "10.43.0.9:53/17 internal 10.42.0.2:5353\n10.43.0.9:53/6 internal 10.42.0.2:5354\n"
            "10.43.0.9:53/132 internal 10.42.0.2:5355\n");
}

TEST(Frontends, BothFamiliesHaveTheirOwnEndpoints) {
  const std::vector<TestPort> web = {{"http", 80, 8080, "TCP", 30080}};
  core::Service service = MakeService("web", "10.43.0.5", web);
  service.mutable_spec()->add_cluster_ips("fd43::5");
  service.mutable_spec()->add_external_ips("192.0.2.9");
  service.mutable_spec()->add_external_ips("2001:db8::9");
  std::vector<SliceRef> slices = {SliceRef::Of(MakeSlice("web", web, {{"10.42.0.2"}})),
                                  SliceRef::Of(MakeSlice("web", web, {{"fd42::2"}}))};
  NodePlace node;
  node.name = "node-1";
  EXPECT_EQ(Describe(BuildFrontends(service, slices, node)),
            "10.43.0.5:80/6 internal 10.42.0.2:8080\n"
            "192.0.2.9:80/6 external 10.42.0.2:8080\n"
            "node port:30080/6 external 10.42.0.2:8080\n"
            "[fd43::5]:80/6 internal fd42::2:8080\n"
            "[2001:db8::9]:80/6 external fd42::2:8080\n"
            "IPv6 node port:30080/6 external fd42::2:8080\n");
  service.mutable_spec()->clear_cluster_ips();
  service.mutable_spec()->add_cluster_ips("fd43::5");
  slices.pop_back();
  EXPECT_EQ(Describe(BuildFrontends(service, slices, node)),
            "[fd43::5]:80/6 reject\n[2001:db8::9]:80/6 reject\nIPv6 node port:30080/6 reject\n")
      << "endpoints of the other family do not count";
}

// Node "node-1" in zone "z1".
TEST(Frontends, FollowHintsAsKubeProxyDoes) {
  auto endpoint = [](const char* ip, std::vector<std::string> zones,
                     std::vector<std::string> nodes = {}) {
    TestEndpoint made{ip};
    made.node = "elsewhere";
    made.for_zones = std::move(zones);
    made.for_nodes = std::move(nodes);
    return made;
  };
  auto unready = [](TestEndpoint made, bool ending) {
    made.ready = false;
    made.terminating = ending;
    return made;
  };
  const TestEndpoint here = endpoint("10.42.0.2", {"z1"}), there = endpoint("10.42.0.3", {"z2"}),
                     both = endpoint("10.42.0.4", {"z1", "z2"}), none = endpoint("10.42.0.5", {}),
                     this_node = endpoint("10.42.0.6", {"z1"}, {"node-1"}),
                     that_node = endpoint("10.42.0.7", {"z1"}, {"node-2"});
  const struct {
    const char* what;
    std::vector<TestEndpoint> endpoints;
    std::string want;  // the last numbers of their addresses
  } rows[] = {
      {"those for the zone", {here, there, both}, "2 4"},
      {"one without a hint: all", {here, there, none}, "2 3 5"},
      {"none for the zone: all", {there}, "3"},
      {"ones that are not ready have no say", {here, there, unready(none, false)}, "2"},
      {"nor those that end", {here, there, unready(none, true)}, "2"},
      {"where only ending ones are left, hints do not matter",
       {unready(here, true), unready(there, true)},
       "2 3"},
      {"those for the node come first", {this_node, that_node}, "6"},
      {"none for the node: those for the zone", {that_node, there}, "7"},
      {"a node hint missing: those for the zone", {this_node, here, that_node}, "2 6 7"},
  };
  const std::vector<TestPort> web = {{"http", 80, 8080, "TCP", 0}};
  NodePlace node;
  node.name = "node-1", node.zone = "z1";
  auto chosen = [&](const std::vector<TestEndpoint>& endpoints) {
    std::vector<SliceRef> slices = {SliceRef::Of(MakeSlice("web", web, endpoints))};
    std::string numbers;
    for (const Frontend& frontend :
         BuildFrontends(MakeService("web", "10.43.0.5", web), slices, node)) {
      for (const Backend& backend : frontend.backends)
        numbers += (numbers.empty() ? "" : " ") + std::to_string(backend.ip.v4() & 255);
    }
    return numbers;
  };
  for (const auto& row : rows)
    EXPECT_EQ(chosen(row.endpoints), row.want) << row.what;
  node.zone.clear();
  EXPECT_EQ(chosen({here, there}), "2 3") << "a node without a zone uses all";
  EXPECT_EQ(chosen({this_node, that_node}), "6") << "but those for it alone";
}

TEST(Frontends, HintsDoNotMatterForPolicyLocal) {
  const std::vector<TestPort> web = {{"http", 80, 8080, "TCP", 30080}};
  core::Service service = MakeService("web", "10.43.0.5", web);
  service.mutable_spec()->set_external_traffic_policy("Local");
  TestEndpoint mine{"10.42.0.2"}, other{"10.42.1.2", "node-2"};
  mine.for_zones = {"z2"}, other.for_zones = {"z1"};
  NodePlace node;
  node.name = "node-1", node.zone = "z1";
  std::vector<SliceRef> slices = {SliceRef::Of(MakeSlice("web", web, {mine, other}))};
  EXPECT_EQ(Describe(BuildFrontends(service, slices, node)),
            "10.43.0.5:80/6 internal 10.42.1.2:8080\n"
            "node port:30080/6 local 10.42.1.2:8080 local=10.42.0.2\n");
}

TEST(Frontends, SourceRangesAreForTheBalancersAddress) {
  const std::vector<TestPort> web = {{"http", 80, 8080, "TCP", 30080}};
  core::Service service = MakeService("web", "10.43.0.5", web);
  service.mutable_spec()->set_type("LoadBalancer");
  service.mutable_status()->mutable_load_balancer()->add_ingress()->set_ip("192.0.2.2");
  for (const char* range : {"198.51.100.0/24", " 192.168.0.0/16 ", "2001:db8::/32"})
    service.mutable_spec()->add_load_balancer_source_ranges(range);
  NodePlace node;
  node.name = "node-1";
  EXPECT_EQ(Describe(BuildFrontends(service, {}, node)),
            "10.43.0.5:80/6 reject\n"
            "192.0.2.2:80/6 reject from=192.168.0.0/16 from=198.51.100.0/24\n"
            "node port:30080/6 reject\n");
  node.addresses = {*IpAddress::Parse("192.168.7.1")};
  EXPECT_EQ(BuildFrontends(service, {}, node)[1].sources->size(), 3u)
      << "a node that may come in may do so by the balancer's own address";
}

TEST(Frontends, HealthChecksCountTheReadyEndpointsOfTheNode) {
  const std::vector<TestPort> web = {{"http", 80, 8080, "TCP", 30080}};
  core::Service service = MakeService("web", "10.43.0.5", web);
  service.mutable_spec()->set_type("LoadBalancer");
  service.mutable_spec()->set_external_traffic_policy("Local");
  service.mutable_spec()->set_health_check_node_port(32000);
  TestEndpoint unready{"10.42.0.4"}, elsewhere{"10.42.1.2", "node-2"};
  unready.ready = false;
  std::vector<SliceRef> slices = {
      SliceRef::Of(MakeSlice("web", web, {{"10.42.0.2"}, {"10.42.0.3"}, unready, elsewhere})),
      SliceRef::Of(MakeSlice("web", web, {{"10.42.0.2"}}))};
  NodePlace node;
  node.name = "node-1";
  EXPECT_EQ(BuildHealthCheck(service, slices, node), (HealthCheck{32000, 2}));
  node.name = "node-3";
  EXPECT_EQ(BuildHealthCheck(service, slices, node), (HealthCheck{32000, 0}));
  service.mutable_spec()->set_external_traffic_policy("Cluster");
  EXPECT_EQ(BuildHealthCheck(service, slices, node), std::nullopt);
}

}  // namespace
}  // namespace gantry::net
