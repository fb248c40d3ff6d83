// Owners, states, tolerations, requests and placement of pods: what controllers, scheduler and node
// agree on.
#include <gtest/gtest.h>

#include "api/apps/v1/replica_set.pb.h"
#include "api/node_selector.h"
#include "api/owners.h"
#include "api/pod_resources.h"
#include "api/pods.h"
#include "api/testing/from_yaml.h"
#include "api/tolerations.h"

namespace gantry::api {
namespace {

using core::v1::Node;
using core::v1::Pod;
using testing::FromYaml;

Pod PodWith(const std::string& fields) { return FromYaml<Pod>("{" + fields + "}"); }

TEST(Owners, TheControllerIsTheOneThatSaysSo) {
  Pod pod = PodWith("metadata: {ownerReferences: [{uid: a}, {uid: b, controller: true}]}");
  ASSERT_NE(ControllerOf(pod.metadata()), nullptr);
  EXPECT_EQ(ControllerOf(pod.metadata())->uid(), "b");
  EXPECT_TRUE(IsControlledBy(pod.metadata(), "b"));
  EXPECT_FALSE(IsControlledBy(pod.metadata(), "a"));
  EXPECT_EQ(ControllerOf(Pod().metadata()), nullptr);
  meta::v1::ObjectMeta owner;
  owner.set_name("web");
  owner.set_uid("u");
  const auto reference = MakeControllerRef(KindOf<apps::v1::ReplicaSet>(), owner);
  EXPECT_EQ(reference.api_version(), "apps/v1");
  EXPECT_EQ(reference.kind(), "ReplicaSet");
  EXPECT_TRUE(reference.controller() && reference.block_owner_deletion());
}

TEST(Pods, States) {
  struct {
    const char* fields;
    bool terminal, active, ready;
  } rows[] = {
      {"status: {phase: Pending}", false, true, false},
      {"status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}", false, true, true},
      {"status: {phase: Running, conditions: [{type: Ready, status: Unknown}]}", false, true,
       false},
      {"status: {phase: Failed}", true, false, false},
      {"status: {phase: Succeeded}", true, false, false},
      {"metadata: {deletionTimestamp: 2020-01-01T00:00:00Z}, status: {phase: Running}", false,
       false, false},
  };
  for (const auto& row : rows) {
    const Pod pod = PodWith(row.fields);
    EXPECT_EQ(IsTerminal(pod), row.terminal) << row.fields;
    EXPECT_EQ(IsActive(pod), row.active) << row.fields;
    EXPECT_EQ(IsReady(pod), row.ready) << row.fields;
  }
}

TEST(Pods, AvailableAfterMinReadySeconds) {
  const Pod pod = PodWith(
      "status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: "
      "1970-01-01T00:01:40Z}], containerStatuses: [{restartCount: 2}, {restartCount: 5}]}");
  const WallTime ready{std::chrono::seconds(100)};
  EXPECT_EQ(ReadySince(pod), ready);
  EXPECT_TRUE(IsAvailable(pod, 0, ready));
  EXPECT_FALSE(IsAvailable(pod, 10, ready + std::chrono::seconds(9)));
  EXPECT_TRUE(IsAvailable(pod, 10, ready + std::chrono::seconds(10)));
  EXPECT_FALSE(IsAvailable(Pod(), 0, ready));
  EXPECT_EQ(MaxRestarts(pod), 5);
}

TEST(Tolerations, Match) {
  struct {
    const char* toleration;
    bool tolerates;  // k=v:NoExecute
  } rows[] = {
      {"{operator: Exists}", true},
      {"{key: k, operator: Exists}", true},
      {"{key: k, operator: Exists, effect: NoExecute}", true},
      {"{key: k, operator: Exists, effect: NoSchedule}", false},
      {"{key: k, value: v}", true},
      {"{key: k, operator: Equal, value: v}", true},
      {"{key: k, operator: Equal, value: w}", false},
      {"{key: j, operator: Exists}", false},
      {"{key: k, operator: Like, value: v}", false},
  };
  core::v1::Taint taint;
  taint.set_key("k");
  taint.set_value("v");
  taint.set_effect("NoExecute");
  for (const auto& row : rows) {
    const Pod pod = PodWith(std::string("spec: {tolerations: [") + row.toleration + "]}");
    EXPECT_EQ(FindToleration(pod.spec().tolerations(), taint) != nullptr, row.tolerates)
        << row.toleration;
  }
}

TEST(PodRequests, PeakOfInitAndRunning) {
  const char* kMain =
      "containers: [{resources: {requests: {cpu: 500m, memory: 1Ki}}}, "
      "{resources: {requests: {cpu: '1'}}}]";
  struct {
    const char* more;
    int64_t cpu;
  } rows[] = {
      {"", 1500},
      {", initContainers: [{resources: {requests: {cpu: '3'}}}]", 3000},
      {", initContainers: [{resources: {requests: {cpu: '1'}}}]", 1500},
      {", initContainers: [{restartPolicy: Always, resources: {requests: {cpu: '1'}}}]", 2500},
      {", initContainers: [{restartPolicy: Always, resources: {requests: {cpu: '1'}}}, {resources: "
       "{requests: {cpu: '2'}}}]",
       3000},
      {", initContainers: [{resources: {requests: {cpu: '2'}}}, {restartPolicy: Always, resources: "
       "{requests: {cpu: '1'}}}]",
       2500},
      {", overhead: {cpu: 250m}", 1750},
      {", resources: {requests: {cpu: '2'}}, overhead: {cpu: 250m}", 2250},
  };
  for (const auto& row : rows) {
    const ResourceAmounts requests =
        PodRequests(PodWith(std::string("spec: {") + kMain + row.more + "}"));
    EXPECT_EQ(requests.at("cpu"), row.cpu) << row.more;
    EXPECT_EQ(requests.at("memory"), 1024);
  }
}

TEST(NodeSelector, Placement) {
  const Node node =
      FromYaml<Node>("{metadata: {name: n1, labels: {zone: a, size: '10', empty: ''}}}");
  auto required = [](const std::string& terms) {
    return "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
           "{nodeSelectorTerms: [" +
           terms + "]}}}";
  };
  auto expression = [&](const std::string& text) {
    return required("{matchExpressions: [" + text + "]}");
  };
  struct {
    std::string spec;
    bool matches;
  } rows[] = {
      {"", true},
      {"nodeSelector: {zone: a}", true},
      {"nodeSelector: {zone: b}", false},
      {"nodeSelector: {missing: ''}", false},
      {expression("{key: zone, operator: In, values: [a, b]}"), true},
      {expression("{key: zone, operator: NotIn, values: [a]}"), false},
      {expression("{key: missing, operator: NotIn, values: [a]}"), true},
      {expression("{key: empty, operator: Exists}"), true},
      {expression("{key: zone, operator: DoesNotExist}"), false},
      {expression("{key: size, operator: Gt, values: ['9']}"), true},
      {expression("{key: size, operator: Lt, values: ['10']}"), false},
      {expression("{key: zone, operator: Gt, values: ['9']}"), false},
      {expression("{key: zone, operator: Near, values: [a]}"), false},
      {required("{matchFields: [{key: metadata.name, operator: In, values: [n1]}]}"), true},
      {required("{matchFields: [{key: metadata.uid, operator: Exists}]}"), false},
      {required("{}"), false},
      {required("{}, {matchExpressions: [{key: zone, operator: Exists}]}"), true},
      {"nodeSelector: {zone: b}, " + expression("{key: zone, operator: Exists}"), false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(MatchesPodPlacement(PodWith("spec: {" + row.spec + "}").spec(), node), row.matches)
        << row.spec;
  }
}

}  // namespace
}  // namespace gantry::api
