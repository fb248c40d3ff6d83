#include "controllers/servicelb/service_lb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Service;
using api::discovery::v1::EndpointSlice;
using api::testing::FromYaml;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ServiceLbTest : public ::testing::Test {
 protected:
  ServiceLbTest() {
    PutNode("n1", {"10.0.0.1"});
    PutNode("n2", {"10.0.0.2", "fd00::2"});
  }
  void PutNode(const std::string& name, const std::vector<std::string>& ips,
               const std::string& labels = "", const std::string& ready = "True",
               const std::string& external = "") {
    std::string addresses;
    for (const std::string& ip : ips)
      addresses += "{type: InternalIP, address: '" + ip + "'},";
    if (!external.empty()) addresses += "{type: ExternalIP, address: " + external + "}";
    harness_.Put(FromYaml<Node>("{metadata: {name: " + name + ", labels: {" + labels +
                                "}}, status: {addresses: [" + addresses +
                                "], conditions: [{type: Ready, status: '" + ready + "'}]}}"));
    harness_.Settle();
  }
  void PutService(const std::string& name, const std::string& spec, int created = 1) {
    Service service = FromYaml<Service>(
        "{metadata: {name: " + name +
        ", namespace: default}, spec: {type: LoadBalancer, ipFamilies: [IPv4], ports: [{port: 80, "
        "protocol: TCP}]}}");
    const Service wanted = FromYaml<Service>("{spec: {" + spec + "}}");
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    wanted.spec().GetReflection()->ListFields(wanted.spec(), &fields);
    for (const auto* field : fields)
      service.spec().GetReflection()->ClearField(service.mutable_spec(), field);
    service.mutable_spec()->MergeFrom(wanted.spec());
    service.mutable_metadata()->mutable_creation_timestamp()->set_seconds(created);
    harness_.Put(std::move(service));
    harness_.Settle();
  }
  void PutSlice(const std::string& service, const std::string& node, bool ready,
                const std::string& ip = "10.42.0.2") {
    harness_.Put(FromYaml<EndpointSlice>(
        "{metadata: {name: " + service +
        "-x, namespace: default, labels: {kubernetes.io/service-name: " + service +
        "}}, addressType: IPv4, ports: [{port: 6443, protocol: TCP}], endpoints: [{addresses: [" +
        ip + "], nodeName: " + node + ", conditions: {ready: " + (ready ? "true" : "false") +
        "}}]}"));
    harness_.Settle();
  }
  std::string Ingress(const std::string& name) {
    std::string all;
    const auto service = harness_.client().Peek<Service>("default", name);
    for (const auto& ingress : service->status().load_balancer().ingress()) {
      EXPECT_EQ(ingress.ip_mode(), "VIP");
      all += (all.empty() ? "" : " ") + ingress.ip();
    }
    return all;
  }
  client::ReconcilerHarness harness_{MakeServiceLbController()};
};

TEST_F(ServiceLbTest, GivesTheAddressesOfNodes) {
  const struct {
    const char* spec;
    const char* want;
  } rows[] = {
      {"", "10.0.0.1 10.0.0.2"},
      {"ipFamilies: [IPv6]", "fd00::2"},
      {"ipFamilies: [IPv6, IPv4]", "fd00::2 10.0.0.1 10.0.0.2"},
      {"loadBalancerIP: 10.0.0.2", "10.0.0.2"},
      {"loadBalancerIP: 10.0.0.9", ""},
      {"loadBalancerClass: gantry.dev/node-addresses", "10.0.0.1 10.0.0.2"},
      {"loadBalancerClass: metallb.io/metallb", ""},
      {"externalTrafficPolicy: Local", ""},
      {"type: NodePort", ""},
  };
  for (const auto& row : rows) {
    PutService("web", row.spec);
    EXPECT_EQ(Ingress("web"), row.want) << row.spec;
    if (*row.want != 0) EXPECT_THAT(harness_.Restless(), IsEmpty());
    harness_.Remove<Service>("default", "web");
  }
}

TEST_F(ServiceLbTest, FollowsTheNodes) {
  PutService("web", "");
  EXPECT_THAT(harness_.events(), Contains(HasSubstr("EnsuredLoadBalancer")));
  PutNode("n3", {"10.0.0.3"});
  EXPECT_EQ(Ingress("web"), "10.0.0.1 10.0.0.2 10.0.0.3");
  EXPECT_THAT(harness_.events(), Contains(HasSubstr("UpdatedLoadBalancer Updated load balancer "
                                                    "with new hosts")));
  PutNode("n1", {"10.0.0.1"}, "", "Unknown");
  PutNode("n2", {"10.0.0.2"}, "node.kubernetes.io/exclude-from-external-load-balancers: ''");
  EXPECT_EQ(Ingress("web"), "10.0.0.3");
  PutNode("n3", {"10.0.0.3"}, "", "True", "192.0.2.3");
  EXPECT_EQ(Ingress("web"), "192.0.2.3") << "where the world reaches it";
  harness_.Remove<Node>("", "n3");
  harness_.Settle();
  EXPECT_EQ(Ingress("web"), "");
  EXPECT_THAT(harness_.events().back(),
              HasSubstr("Warning UnAvailableLoadBalancer There are no available nodes"));
}

TEST_F(ServiceLbTest, PolicyLocalTakesNodesWithReadyEndpoints) {
  PutService("web", "externalTrafficPolicy: Local");
  PutSlice("web", "n2", true);
  EXPECT_EQ(Ingress("web"), "10.0.0.2");
  PutSlice("web", "n1", true);
  EXPECT_EQ(Ingress("web"), "10.0.0.1");
  PutSlice("web", "n1", false);
  EXPECT_EQ(Ingress("web"), "");
}

TEST_F(ServiceLbTest, APortOfAnAddressBelongsToOneService) {
  PutService("first", "", 5);
  PutService("second", "", 1);
  EXPECT_EQ(Ingress("first"), "10.0.0.1 10.0.0.2") << "who has it keeps it, older or not";
  EXPECT_EQ(Ingress("second"), "");
  EXPECT_THAT(harness_.events(),
              Contains(HasSubstr("Warning PortUnavailable port 80/TCP of 2 "
                                 "addresses is taken by service default/first")));
  PutService("other", "ports: [{port: 80, protocol: UDP}]", 9);
  EXPECT_EQ(Ingress("other"), "10.0.0.1 10.0.0.2") << "another protocol is another port";
  harness_.Remove<Service>("default", "first");
  harness_.Settle();
  EXPECT_EQ(Ingress("second"), "10.0.0.1 10.0.0.2");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(ServiceLbTest, MayLeaveServicesWithoutAClassToOthers) {
  client::ReconcilerHarness harness(MakeServiceLbController(/*without_class=*/false));
  harness.Put(Node(*harness_.client().Peek<Node>("", "n1")));
  for (const char* name : {"plain", "ours"}) {
    Service service = FromYaml<Service>(
        "{metadata: {namespace: default}, spec: {type: LoadBalancer, ports: [{port: 80}]}}");
    service.mutable_metadata()->set_name(name);
    if (name == std::string("ours"))
      service.mutable_spec()->set_load_balancer_class(kServiceLbClass);
    harness.Put(std::move(service));
  }
  harness.Settle();
  auto count = [&](const char* name) {
    return harness.client().Peek<Service>("default", name)->status().load_balancer().ingress_size();
  };
  EXPECT_EQ(count("plain"), 0);
  EXPECT_EQ(count("ours"), 1);
}

TEST_F(ServiceLbTest, TheApiServersPortIsItsOwn) {
  PutSlice("kubernetes", "n1", true, "10.0.0.1");
  PutService("web", "ports: [{port: 6443, protocol: TCP}]");
  EXPECT_EQ(Ingress("web"), "10.0.0.2");
}

}  // namespace
}  // namespace gantry::controllers
