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
  FrontendOptions options;
  options.node_name = "node-1";
  for (const Row& row : rows) {
    std::vector<api::Ref<api::discovery::v1::EndpointSlice>> slices = {
        api::Ref<api::discovery::v1::EndpointSlice>::Of(MakeSlice("web", web, row.endpoints))};
    EXPECT_EQ(Describe(BuildFrontends(row.service, slices, options)), row.want) << row.what;
  }
}

TEST(Frontends, MatchPortsByNameAndProtocol) {
  const std::vector<TestPort> ports = {{"dns", 53, 5353, "UDP", 0},
                                       {"dns-tcp", 53, 5354, "TCP", 0}};
  std::vector<api::Ref<api::discovery::v1::EndpointSlice>> slices = {
      api::Ref<api::discovery::v1::EndpointSlice>::Of(MakeSlice("dns", ports, {{"10.42.0.2"}}))};
  FrontendOptions options;
  EXPECT_EQ(Describe(BuildFrontends(MakeService("dns", "10.43.0.9", ports), slices, options)),
            "10.43.0.9:53/17 internal 10.42.0.2:5353\n10.43.0.9:53/6 internal 10.42.0.2:5354\n");
  options.reserved = {{*IpAddress::Parse("10.43.0.9"), 17, 53}};
  EXPECT_EQ(Describe(BuildFrontends(MakeService("dns", "10.43.0.9", ports), slices, options)),
            "10.43.0.9:53/6 internal 10.42.0.2:5354\n");
}

}  // namespace
}  // namespace gantry::net
