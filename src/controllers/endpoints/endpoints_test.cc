#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "api/core/v1/endpoints.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/endpoints/endpointslice.h"
#include "controllers/endpoints/slices.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Endpoints;
using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Service;
using api::discovery::v1::EndpointSlice;
using api::testing::FromYaml;
using client::ReconcilerHarness;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kService[] = R"(
metadata: {name: web, namespace: default, labels: {team: a}}
spec:
  selector: {app: web}
  clusterIP: 10.96.0.9
  ipFamilies: [IPv4]
  ports: [{name: http, port: 80, targetPort: http, protocol: TCP}]
)";

Pod MakePod(const std::string& name, const std::string& ip, bool ready) {
  return FromYaml<Pod>("{metadata: {name: " + name +
                       ", namespace: default, labels: {app: web}},"
                       " spec: {nodeName: n1, containers: [{name: c, ports: [{name: http,"
                       " containerPort: 8080}]}]}, status: {phase: Running, podIP: " +
                       ip + ", podIPs: [{ip: " + ip + "}], conditions: [{type: Ready, status: '" +
                       (ready ? "True" : "False") + "'}]}}");
}

void SetDeleting(Pod* pod) {
  pod->mutable_metadata()->mutable_deletion_timestamp()->set_seconds(1);
  pod->mutable_metadata()->set_deletion_grace_period_seconds(30);
}

class EndpointSliceTest : public ::testing::Test {
 protected:
  EndpointSliceTest() { harness_.Put(FromYaml<Node>("{metadata: {name: n1}}")); }
  std::vector<api::Ref<EndpointSlice>> Slices() { return harness_.client().All<EndpointSlice>(); }
  ReconcilerHarness harness_{MakeEndpointSliceController()};
};

TEST_F(EndpointSliceTest, TellsReadyServingAndTerminating) {
  struct {
    bool ready, deleting, publish;
    bool want_ready, want_serving, want_terminating;
  } rows[] = {
      {true, false, false, true, true, false},  {false, false, false, false, false, false},
      {true, true, false, false, true, true},   {false, true, false, false, false, true},
      {false, false, true, true, false, false}, {true, true, true, true, true, true},
      {false, true, true, true, false, true},
  };
  for (const auto& row : rows) {
    ReconcilerHarness harness(MakeEndpointSliceController());
    harness.Put(FromYaml<Node>("{metadata: {name: n1}}"));
    Service service = FromYaml<Service>(kService);
    service.mutable_spec()->set_publish_not_ready_addresses(row.publish);
    harness.Put(std::move(service));
    Pod pod = MakePod("a", "10.0.0.1", row.ready);
    if (row.deleting) SetDeleting(&pod);
    harness.Put(std::move(pod));
    harness.Settle();
    auto slices = harness.client().All<EndpointSlice>();
    ASSERT_EQ(slices.size(), 1u);
    ASSERT_EQ(slices[0]->endpoints_size(), 1);
    const auto& conditions = slices[0]->endpoints(0).conditions();
    EXPECT_EQ(conditions.ready(), row.want_ready);
    EXPECT_EQ(conditions.serving(), row.want_serving);
    EXPECT_EQ(conditions.terminating(), row.want_terminating);
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

TEST_F(EndpointSliceTest, DescribesTheServiceAndItsPods) {
  harness_.Put(FromYaml<Node>("{metadata: {name: n1, labels: {topology.kubernetes.io/zone: z1}}}"));
  harness_.Put(FromYaml<Service>(kService));
  harness_.Put(MakePod("a", "10.0.0.1", true));
  Pod unaddressed = MakePod("b", "10.0.0.2", true);
  unaddressed.mutable_status()->clear_pod_ip();
  unaddressed.mutable_status()->clear_pod_ips();
  harness_.Put(std::move(unaddressed));
  Pod done = MakePod("c", "10.0.0.3", false);
  done.mutable_status()->set_phase("Succeeded");
  harness_.Put(std::move(done));
  harness_.Settle();
  ASSERT_EQ(Slices().size(), 1u);
  const EndpointSlice& slice = *Slices()[0];
  EXPECT_THAT(slice.metadata().name(), ::testing::StartsWith("web-"));
  EXPECT_EQ(slice.address_type(), "IPv4");
  EXPECT_EQ(slice.metadata().labels().at("kubernetes.io/service-name"), "web");
  EXPECT_EQ(slice.metadata().labels().at("endpointslice.kubernetes.io/managed-by"),
            "endpointslice-controller.k8s.io");
  EXPECT_EQ(slice.metadata().labels().at("team"), "a");
  EXPECT_EQ(slice.metadata().owner_references(0).kind(), "Service");
  ASSERT_EQ(slice.ports_size(), 1);
  EXPECT_EQ(slice.ports(0).name(), "http");
  EXPECT_EQ(slice.ports(0).port(), 8080);
  ASSERT_EQ(slice.endpoints_size(), 1);
  EXPECT_EQ(slice.endpoints(0).addresses(0), "10.0.0.1");
  EXPECT_EQ(slice.endpoints(0).node_name(), "n1");
  EXPECT_EQ(slice.endpoints(0).zone(), "z1");
  EXPECT_EQ(slice.endpoints(0).target_ref().name(), "a");
}

TEST_F(EndpointSliceTest, FollowsTheZonesOfNodesAndLeavesOutPodsOfMissingOnes) {
  harness_.Put(FromYaml<Service>(kService));
  harness_.Put(MakePod("a", "10.0.0.1", true));
  harness_.Settle();
  EXPECT_EQ(Slices()[0]->endpoints(0).zone(), "");
  harness_.Put(FromYaml<Node>("{metadata: {name: n1, labels: {topology.kubernetes.io/zone: z2}}}"));
  harness_.Settle();
  EXPECT_EQ(Slices()[0]->endpoints(0).zone(), "z2");
  harness_.Remove<Node>("", "n1");
  harness_.Settle();
  EXPECT_EQ(Slices()[0]->endpoints_size(), 0);
  Service service = FromYaml<Service>(kService);
  service.mutable_spec()->set_publish_not_ready_addresses(true);
  harness_.Put(std::move(service));
  harness_.Settle();
  EXPECT_EQ(Slices()[0]->endpoints_size(), 1);
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(EndpointSliceTest, TellsWhenWhatItShowsChanged) {
  Service service = FromYaml<Service>(kService);
  service.mutable_metadata()->mutable_creation_timestamp()->set_seconds(1'000'000);
  harness_.Put(std::move(service));
  auto put = [&](const std::string& name, const std::string& ip, int64_t since) {
    Pod pod = MakePod(name, ip, true);
    pod.mutable_status()->mutable_conditions(0)->mutable_last_transition_time()->set_seconds(since);
    harness_.Put(std::move(pod));
    harness_.Settle();
  };
  auto trigger = [&] {
    const auto& annotations = Slices()[0]->metadata().annotations();
    auto it = annotations.find("endpoints.kubernetes.io/last-change-trigger-time");
    return it == annotations.end() ? "" : it->second;
  };
  harness_.Settle();
  EXPECT_EQ(trigger(), "1970-01-12T13:46:40Z");
  put("a", "10.0.0.1", 1'000'060);
  EXPECT_EQ(trigger(), "1970-01-12T13:47:40Z");
  put("b", "10.0.0.2", 1'000'120);
  EXPECT_EQ(trigger(), "1970-01-12T13:48:40Z");
  harness_.Remove<Pod>("default", "a");
  harness_.Settle();
  EXPECT_EQ(trigger(), "") << "nobody knows when";
}

TEST_F(EndpointSliceTest, WhatIsLeftGoesWhereAllOfItFits) {
  auto frame = [] {
    SliceFrame made;
    made.meta.set_namespace_("default");
    made.prefix = "web-";
    made.max_endpoints = 4;
    return made;
  }();
  auto group_of = [](int count) {
    EndpointGroup group{"IPv4", {}, {}};
    for (int i = 0; i < count; ++i)
      group.endpoints.emplace_back().add_addresses("10.0.0." + std::to_string(i));
    return group;
  };
  auto slice_of = [](const std::string& name, int from, int to) {
    EndpointSlice slice;
    slice.mutable_metadata()->set_name(name);
    slice.mutable_metadata()->set_namespace_("default");
    slice.set_address_type("IPv4");
    for (int i = from; i < to; ++i)
      slice.add_endpoints()->add_addresses("10.0.0." + std::to_string(i));
    return SliceRef::Of(std::move(slice));
  };
  const struct {
    int wanted;
    std::vector<SliceRef> existing;
    std::vector<std::string> writes;  // "" for a new one
  } rows[] = {
      {5, {slice_of("a", 0, 3), slice_of("b", 3, 4)}, {"a"}},  // the fullest that has room
      {6, {slice_of("a", 0, 3), slice_of("b", 3, 4)}, {"b"}},  // room for both
      {8, {slice_of("a", 0, 3), slice_of("b", 3, 5)}, {""}},   // nowhere room for all three
      {4, {slice_of("a", 0, 3), slice_of("b", 7, 9)}, {"b"}},  // it changes anyway
      {13, {}, {"", "", "", ""}},
  };
  for (const auto& row : rows) {
    client::Plan plan;
    PlanSlices(frame, {group_of(row.wanted)}, row.existing, &plan);
    std::vector<std::string> names;
    for (const auto& action : plan.actions)
      names.push_back(action.name);
    EXPECT_EQ(names, row.writes) << row.wanted;
  }
}

class MirroringTest : public ::testing::Test {
 protected:
  MirroringTest() {
    Service service = FromYaml<Service>(kService);
    service.mutable_spec()->clear_selector();
    harness_.Put(std::move(service));
  }
  std::vector<api::Ref<EndpointSlice>> Slices() { return harness_.client().All<EndpointSlice>(); }
  ReconcilerHarness harness_{MakeEndpointSliceMirroringController()};
};

TEST_F(MirroringTest, ShowsWhatPeopleWriteIntoEndpoints) {
  harness_.Put(FromYaml<Endpoints>(R"(
metadata: {name: web, namespace: default, labels: {team: a}, annotations: {note: x,
  kubectl.kubernetes.io/last-applied-configuration: old}}
subsets:
- addresses: [{ip: 1.2.3.4, hostname: db}, {ip: "fd00::1"}]
  notReadyAddresses: [{ip: 1.2.3.5}]
  ports: [{name: http, port: 80}]
)"));
  harness_.Settle();
  ASSERT_EQ(Slices().size(), 2u);
  const auto v4 = Slices()[0]->address_type() == "IPv4" ? Slices()[0] : Slices()[1];
  EXPECT_THAT(v4->metadata().name(), ::testing::StartsWith("web-"));
  EXPECT_EQ(v4->metadata().labels().at("kubernetes.io/service-name"), "web");
  EXPECT_EQ(v4->metadata().labels().at("endpointslice.kubernetes.io/managed-by"),
            "endpointslicemirroring-controller.k8s.io");
  EXPECT_EQ(v4->metadata().labels().at("team"), "a");
  EXPECT_EQ(v4->metadata().annotations_size(), 1);
  EXPECT_EQ(v4->metadata().owner_references(0).kind(), "Endpoints");
  ASSERT_EQ(v4->endpoints_size(), 2);
  EXPECT_EQ(v4->endpoints(0).hostname(), "db");
  EXPECT_TRUE(v4->endpoints(0).conditions().ready());
  EXPECT_FALSE(v4->endpoints(1).conditions().ready());
  EXPECT_EQ(v4->ports(0).port(), 80);
  EXPECT_THAT(harness_.Restless(), IsEmpty());

  Service own = FromYaml<Service>(kService);
  harness_.Put(std::move(own));
  harness_.Settle();
  EXPECT_THAT(Slices(), IsEmpty()) << "the pods' own controller makes them now";
}

TEST_F(MirroringTest, LeavesOutWhatSaysSoAndGoesWithTheEndpoints) {
  harness_.Put(
      FromYaml<Endpoints>("{metadata: {name: web, namespace: default, labels: "
                          "{endpointslice.kubernetes.io/skip-mirror: \"true\"}}, subsets: "
                          "[{addresses: [{ip: 1.2.3.4}]}]}"));
  harness_.Settle();
  EXPECT_THAT(Slices(), IsEmpty());
  harness_.Put(FromYaml<Endpoints>(
      "{metadata: {name: web, namespace: default}, subsets: [{addresses: [{ip: 1.2.3.4}]}]}"));
  harness_.Settle();
  EXPECT_EQ(Slices().size(), 1u);
  harness_.Remove<Endpoints>("default", "web");
  harness_.Settle();
  EXPECT_THAT(Slices(), IsEmpty());
}

TEST_F(EndpointSliceTest, NamedPortsThatDifferMakeSlicesOfTheirOwn) {
  harness_.Put(FromYaml<Service>(kService));
  harness_.Put(MakePod("a", "10.0.0.1", true));
  Pod other = MakePod("b", "10.0.0.2", true);
  other.mutable_spec()->mutable_containers(0)->mutable_ports(0)->set_container_port(9090);
  harness_.Put(std::move(other));
  Pod sidecar = MakePod("c", "10.0.0.3", true);
  *sidecar.mutable_spec()->add_init_containers() = sidecar.spec().containers(0);
  sidecar.mutable_spec()->mutable_init_containers(0)->set_restart_policy("Always");
  sidecar.mutable_spec()->mutable_init_containers(0)->mutable_ports(0)->set_container_port(7070);
  sidecar.mutable_spec()->mutable_containers(0)->clear_ports();
  harness_.Put(std::move(sidecar));
  harness_.Settle();
  std::map<int, std::string> by_port;
  for (const auto& slice : Slices()) {
    ASSERT_EQ(slice->endpoints_size(), 1);
    by_port[slice->ports(0).port()] = slice->endpoints(0).addresses(0);
  }
  EXPECT_THAT(by_port,
              ElementsAre(::testing::Pair(7070, "10.0.0.3"), ::testing::Pair(8080, "10.0.0.1"),
                          ::testing::Pair(9090, "10.0.0.2")));
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(EndpointSliceTest, ManyPodsFillSlicesOfAHundredAndOneChangeTouchesOneSlice) {
  harness_.Put(FromYaml<Service>(kService));
  for (int i = 0; i < 250; ++i) {
    harness_.Put(MakePod("p" + std::to_string(i),
                         "10.0." + std::to_string(i / 100) + "." + std::to_string(i % 100), true));
  }
  harness_.Settle();
  std::multiset<int> sizes;
  for (const auto& slice : Slices())
    sizes.insert(slice->endpoints_size());
  EXPECT_THAT(sizes, ElementsAre(50, 100, 100));
  EXPECT_THAT(harness_.Restless(), IsEmpty());

  size_t writes = harness_.client().writes().size();
  harness_.Put(MakePod("p7", "10.0.0.7", false));
  harness_.Settle();
  EXPECT_EQ(harness_.client().writes().size(), writes + 1);

  writes = harness_.client().writes().size();
  harness_.Remove<Pod>("default", "p7");
  harness_.Put(MakePod("p250", "10.0.9.9", true));
  harness_.Settle();
  EXPECT_EQ(Slices().size(), 3u);
  EXPECT_EQ(harness_.client().writes().size(), writes + 1) << "the new one takes the gap";
}

TEST_F(EndpointSliceTest, ChangesOfPodsThatEndpointsDoNotShowWakeNobody) {
  harness_.Put(FromYaml<Service>(kService));
  harness_.Put(MakePod("a", "10.0.0.1", true));
  harness_.Settle();
  Pod pod = MakePod("a", "10.0.0.1", true);
  pod.mutable_metadata()->set_uid(harness_.client().Peek<Pod>("default", "a")->metadata().uid());
  pod.mutable_status()->add_container_statuses()->set_restart_count(3);
  harness_.Put(std::move(pod));
  EXPECT_THAT(harness_.TakeQueued(), IsEmpty());
}

TEST_F(EndpointSliceTest, OneEmptySliceStaysAndAllGoWithTheService) {
  harness_.Put(FromYaml<Service>(kService));
  harness_.Settle();
  ASSERT_EQ(Slices().size(), 1u);
  EXPECT_EQ(Slices()[0]->endpoints_size(), 0);
  EXPECT_THAT(harness_.Restless(), IsEmpty());
  harness_.Put(MakePod("a", "10.0.0.1", true));
  harness_.Settle();
  EXPECT_EQ(Slices().size(), 1u);
  harness_.Remove<Pod>("default", "a");
  harness_.Settle();
  ASSERT_EQ(Slices().size(), 1u);
  EXPECT_EQ(Slices()[0]->endpoints_size(), 0);
  harness_.Remove<Service>("default", "web");
  harness_.Settle();
  EXPECT_THAT(Slices(), IsEmpty());
}

TEST_F(EndpointSliceTest, LeavesSlicesOfOthersAndServicesWithoutASelectorAlone) {
  harness_.Put(FromYaml<EndpointSlice>(
      "{metadata: {name: mine, namespace: default, labels: {kubernetes.io/service-name: web}},"
      " addressType: IPv4, endpoints: [{addresses: [1.2.3.4]}]}"));
  Service service = FromYaml<Service>(kService);
  service.mutable_spec()->clear_selector();
  harness_.Put(std::move(service));
  harness_.Settle();
  harness_.Remove<Service>("default", "web");
  harness_.Settle();
  EXPECT_EQ(Slices().size(), 1u);
}

class EndpointsTest : public ::testing::Test {
 protected:
  api::Ref<Endpoints> Get() { return harness_.client().Peek<Endpoints>("default", "web"); }
  ReconcilerHarness harness_{MakeEndpointsController()};
};

TEST_F(EndpointsTest, SortsReadyFromNotReadyAndLeavesOutWhatLeaves) {
  harness_.Put(FromYaml<Service>(kService));
  harness_.Put(MakePod("a", "10.0.0.2", true));
  harness_.Put(MakePod("b", "10.0.0.1", true));
  harness_.Put(MakePod("c", "10.0.0.3", false));
  Pod leaving = MakePod("d", "10.0.0.4", true);
  SetDeleting(&leaving);
  harness_.Put(std::move(leaving));
  Pod portless = MakePod("e", "10.0.0.5", true);
  portless.mutable_spec()->mutable_containers(0)->clear_ports();
  harness_.Put(std::move(portless));
  harness_.Settle();
  ASSERT_TRUE(Get());
  ASSERT_EQ(Get()->subsets_size(), 1);
  const auto subset = Get()->subsets(0);
  ASSERT_EQ(subset.addresses_size(), 2);
  EXPECT_EQ(subset.addresses(0).ip(), "10.0.0.1");
  EXPECT_EQ(subset.addresses(1).ip(), "10.0.0.2");
  EXPECT_EQ(subset.addresses(0).target_ref().name(), "b");
  ASSERT_EQ(subset.not_ready_addresses_size(), 1);
  EXPECT_EQ(subset.not_ready_addresses(0).ip(), "10.0.0.3");
  EXPECT_EQ(subset.ports(0).port(), 8080);
  EXPECT_EQ(Get()->metadata().labels().at("team"), "a");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(EndpointsTest, ReadyOnesComeFirstWhereThereIsNoRoomForAll) {
  harness_.Put(FromYaml<Service>(kService));
  for (int i = 0; i < 1010; ++i)
    harness_.Put(MakePod("p" + std::to_string(i),
                         "10.0." + std::to_string(i / 100) + "." + std::to_string(i % 100),
                         i >= 20));
  harness_.Settle();
  ASSERT_EQ(Get()->subsets_size(), 1);
  EXPECT_EQ(Get()->subsets(0).addresses_size(), 990);
  EXPECT_EQ(Get()->subsets(0).not_ready_addresses_size(), 10);
  EXPECT_EQ(Get()->metadata().annotations().at("endpoints.kubernetes.io/over-capacity"),
            "truncated");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(EndpointsTest, PublishesNotReadyOnesWhereTheServiceSaysSo) {
  Service service = FromYaml<Service>(kService);
  service.mutable_spec()->set_publish_not_ready_addresses(true);
  harness_.Put(std::move(service));
  Pod leaving = MakePod("d", "10.0.0.4", false);
  SetDeleting(&leaving);
  harness_.Put(std::move(leaving));
  harness_.Settle();
  ASSERT_EQ(Get()->subsets_size(), 1);
  EXPECT_EQ(Get()->subsets(0).addresses_size(), 1);
}

TEST_F(EndpointsTest, GoWithTheirServiceButMayComeBeforeIt) {
  harness_.Put(FromYaml<Endpoints>("{metadata: {name: web, namespace: default}}"));
  harness_.Settle();
  ASSERT_TRUE(Get());
  Service service = FromYaml<Service>(kService);
  service.mutable_spec()->clear_selector();
  harness_.Put(std::move(service));
  harness_.Settle();
  EXPECT_FALSE(Get()->metadata().labels().contains("endpoints.kubernetes.io/managed-by"));
  harness_.Remove<Service>("default", "web");
  harness_.Settle();
  EXPECT_FALSE(Get());
}

}  // namespace
}  // namespace gantry::controllers
