#include "controllers/endpoints/hints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "api/core/v1/pod.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/endpoints/endpointslice.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Service;
using api::discovery::v1::Endpoint;
using api::discovery::v1::EndpointSlice;
using api::testing::FromYaml;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

api::Ref<Node> MakeNode(const std::string& name, const std::string& zone, const std::string& cpus,
                        const std::string& labels = "", const std::string& ready = "True") {
  return api::Ref<Node>::Of(
      FromYaml<Node>("{metadata: {name: " + name + ", labels: {" + labels +
                     (zone.empty() ? "" : "topology.kubernetes.io/zone: " + zone) +
                     "}}, status: {allocatable: {" + (cpus.empty() ? "" : "cpu: '" + cpus + "'") +
                     "}, conditions: [{type: Ready, status: '" + ready + "'}]}}"));
}

TEST(Hints, SharesFollowTheCpusOfReadyNodes) {
  const auto a = MakeNode("a", "z1", "1"), b = MakeNode("b", "z2", "2500m"),
             c = MakeNode("c", "z2", "500m"), away = MakeNode("d", "z3", "8", "", "False"),
             server = MakeNode("e", "z3", "8", "node-role.kubernetes.io/control-plane: '', ");
  EXPECT_THAT(SharesOfZones(std::vector{a, b, c, away, server}),
              ElementsAre(Pair("z1", 0.25), Pair("z2", 0.75)));
  EXPECT_THAT(SharesOfZones(std::vector{b, c}), IsEmpty()) << "one zone";
  EXPECT_THAT(SharesOfZones(std::vector{a, b, MakeNode("x", "", "1")}), IsEmpty());
  EXPECT_THAT(SharesOfZones(std::vector{a, b, MakeNode("x", "z1", "")}), IsEmpty());
}

// Endpoints of `zones`, spread; the hints that come of it, in order.
std::string Spread(const ZoneShares& shares, const std::vector<std::string>& zones) {
  std::vector<Endpoint> endpoints(zones.size());
  std::vector<Endpoint*> pointers;
  for (size_t i = 0; i < zones.size(); ++i) {
    const bool ready = !zones[i].starts_with('!');
    endpoints[i].mutable_conditions()->set_ready(ready);
    if (const std::string zone = zones[i].substr(ready ? 0 : 1); !zone.empty())
      endpoints[i].set_zone(zone);
    pointers.push_back(&endpoints[i]);
  }
  std::string problem = SpreadOverZones(shares, pointers);
  if (!problem.empty()) return problem;
  std::string hints;
  for (const Endpoint& endpoint : endpoints) {
    hints += hints.empty() ? "" : " ";
    hints += endpoint.has_hints() ? endpoint.hints().for_zones(0).name() : "-";
  }
  return hints;
}

TEST(Hints, SpreadOverZonesByTheirShares) {
  const ZoneShares even = {{"z1", 0.5}, {"z2", 0.5}};
  const ZoneShares three = {{"z1", 1.0 / 3}, {"z2", 1.0 / 3}, {"z3", 1.0 / 3}};
  const struct {
    const char* what;
    ZoneShares shares;
    std::vector<std::string> zones;
    std::string want;
  } rows[] = {
      {"each to its own zone", even, {"z1", "z2"}, "z1 z2"},
      {"unready ones have none", even, {"z1", "!z1", "z2"}, "z1 - z2"},
      {"a zone without endpoints is lent some", even, {"z1", "z1", "z1", "z1"}, "z2 z2 z1 z1"},
      {"a zone with too many lends one", even, {"z1", "z1", "z1", "z2"}, "z2 z1 z1 z2"},
      {"an odd number for two equal zones",
       even,
       {"z1", "z1", "z1", "z2", "z2"},
       "Unable to allocate minimum required endpoints to each zone without exceeding overload "
       "threshold (5 endpoints, 2 zones)"},
      {"an endpoint outside of all zones' nodes stays", three, {"z1", "z2", "z3"}, "z1 z2 z3"},
      {"fewer endpoints than zones",
       three,
       {"z1", "z2"},
       "Insufficient number of endpoints (2 endpoints, 3 zones)"},
      {"no zones",
       {},
       {"z1", "z2"},
       "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"},
      {"an endpoint without a zone",
       even,
       {"z1", ""},
       "One or more endpoints do not have a zone specified"},
      {"a small zone would get too much",
       {{"z1", 0.1}, {"z2", 0.9}},
       {"z1", "z2"},
       "Unable to allocate minimum required endpoints to each zone without exceeding overload "
       "threshold (2 endpoints, 2 zones)"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(Spread(row.shares, row.zones), row.want) << row.what;
}

class HintsTest : public ::testing::Test {
 protected:
  HintsTest() {
    harness_.Put(Node(*MakeNode("n1", "z1", "2")));
    harness_.Put(Node(*MakeNode("n2", "z2", "2")));
    harness_.Put(FromYaml<Service>(
        "{metadata: {name: web, namespace: default}, spec: {selector: {app: web}, clusterIP: "
        "10.96.0.9, ipFamilies: [IPv4], ports: [{port: 80, targetPort: 8080}]}}"));
    PutPod("a", "n1", true);
    PutPod("b", "n2", true);
    PutPod("c", "n2", false);
    harness_.Settle();
  }
  void PutPod(const std::string& name, const std::string& node, bool ready) {
    const std::string ip = "10.0.0." + std::to_string(name[0]);
    harness_.Put(FromYaml<Pod>(
        "{metadata: {name: " + name +
        ", namespace: default, labels: {app: web}}, spec: {nodeName: " + node +
        "}, status: {phase: Running, podIP: " + ip + ", podIPs: [{ip: " + ip +
        "}], conditions: [{type: Ready, status: '" + (ready ? "True" : "False") + "'}]}}"));
  }
  template <class Edit>
  void EditService(Edit edit) {
    Service service = *harness_.client().Peek<Service>("default", "web");
    edit(&service);
    harness_.Put(std::move(service));
    harness_.Settle();
  }
  // "a:z1/n1 b:z2/n2 c:-"
  std::string Hints() {
    std::map<std::string, std::string> by_pod;
    for (const auto& slice : harness_.client().All<EndpointSlice>()) {
      for (const Endpoint& endpoint : slice->endpoints()) {
        std::string text;
        for (const auto& zone : endpoint.hints().for_zones())
          text += zone.name();
        for (const auto& node : endpoint.hints().for_nodes())
          text += "/" + node.name();
        by_pod[endpoint.target_ref().name()] = endpoint.has_hints() ? text : "-";
      }
    }
    std::string all;
    for (const auto& [pod, text] : by_pod)
      all += (all.empty() ? "" : " ") + pod + ":" + text;
    return all;
  }
  client::ReconcilerHarness harness_{MakeEndpointSliceController()};
};

TEST_F(HintsTest, FollowTheTrafficDistribution) {
  EXPECT_EQ(Hints(), "a:- b:- c:-");
  for (const char* wish : {"PreferClose", "PreferSameZone"}) {
    EditService([&](Service* service) { service->mutable_spec()->set_traffic_distribution(wish); });
    EXPECT_EQ(Hints(), "a:z1 b:z2 c:-") << wish;
  }
  EditService([](Service* service) {
    service->mutable_spec()->set_traffic_distribution("PreferSameNode");
  });
  EXPECT_EQ(Hints(), "a:z1/n1 b:z2/n2 c:-");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
  EditService([](Service* service) { service->mutable_spec()->clear_traffic_distribution(); });
  EXPECT_EQ(Hints(), "a:- b:- c:-");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(HintsTest, FollowTheTopologyMode) {
  EditService([](Service* service) {
    service->mutable_spec()->set_traffic_distribution("PreferSameNode");
    (*service->mutable_metadata()->mutable_annotations())["service.kubernetes.io/topology-mode"] =
        "Auto";
  });
  EXPECT_EQ(Hints(), "a:z1 b:z2 c:-") << "the annotation comes before the field";
  EXPECT_THAT(harness_.events(),
              ::testing::Contains(HasSubstr("Normal TopologyAwareHintsEnabled Topology Aware Hints "
                                            "has been enabled, addressType: IPv4")));
  EXPECT_THAT(harness_.Restless(), IsEmpty());

  harness_.Put(Node(*MakeNode("n2", "z2", "2", "", "False")));
  harness_.Settle();
  EXPECT_EQ(Hints(), "a:- b:- c:-") << "one zone is left";
  EXPECT_THAT(harness_.events().back(),
              HasSubstr("Warning TopologyAwareHintsDisabled Insufficient Node information"));
  harness_.Put(Node(*MakeNode("n2", "z2", "2")));
  harness_.Settle();
  EXPECT_EQ(Hints(), "a:z1 b:z2 c:-");
}

}  // namespace
}  // namespace gantry::controllers
