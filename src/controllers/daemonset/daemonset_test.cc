#include "controllers/daemonset/daemonset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/daemon_set.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/daemonset/placement.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::ControllerRevision;
using api::apps::v1::DaemonSet;
using api::core::v1::Node;
using api::core::v1::Pod;
using api::testing::FromYaml;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kSet[] = R"(
metadata: {name: logs, namespace: default, generation: 1}
spec:
  revisionHistoryLimit: 10
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}
  selector: {matchLabels: {app: logs}}
  template:
    # Pods stay until their node is done with them.
    metadata: {labels: {app: logs}, finalizers: [example.com/node]}
    spec: {containers: [{name: logs, image: "logs:1"}]}
)";

class DaemonSetTest : public ::testing::Test {
 protected:
  void PutNode(const std::string& name, const std::string& more = "") {
    harness_.Put(FromYaml<Node>("{metadata: {name: " + name +
                                ", labels: {kubernetes.io/hostname: " + name + "}}" + more + "}"));
    harness_.Settle();
  }
  template <class Edit>
  void PutSet(Edit edit) {
    DaemonSet set = FromYaml<DaemonSet>(kSet);
    edit(set);
    harness_.Put(std::move(set));
    harness_.Settle();
  }
  template <class Edit>
  void Change(Edit edit) {
    DaemonSet copy = *Set();
    edit(copy);
    harness_.Put(std::move(copy));
    harness_.Settle();
  }
  void SetImage(const char* image) {
    Change([image](DaemonSet& set) {
      set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
          image);
    });
  }
  api::Ref<DaemonSet> Set() { return harness_.client().Peek<DaemonSet>("default", "logs"); }
  // "node image", with " going" for those that end.
  std::vector<std::string> Pods() {
    std::vector<std::string> pods;
    for (const auto& pod : harness_.client().All<Pod>()) {
      pods.push_back(NodeOfDaemonPod(*pod) + " " + pod->spec().containers(0).image() +
                     (pod->metadata().has_deletion_timestamp() ? " going" : ""));
    }
    return pods;
  }
  void MakeReady(const Pod& from) {
    Pod pod = from;
    pod.mutable_spec()->set_node_name(NodeOfDaemonPod(pod));
    pod.mutable_status()->set_phase("Running");
    auto* condition = pod.mutable_status()->add_conditions();
    condition->set_type("Ready");
    condition->set_status("True");
    api::SetTime(harness_.env().Now(), condition->mutable_last_transition_time());
    harness_.Put(std::move(pod));
    harness_.Settle();
  }
  void StartAll() {
    for (const auto& pod : harness_.client().All<Pod>()) {
      if (pod->status().phase().empty() || pod->status().phase() == "Pending") MakeReady(*pod);
    }
  }
  void FinishAll() {
    for (const auto& pod : harness_.client().All<Pod>()) {
      if (pod->metadata().has_deletion_timestamp())
        harness_.Remove<Pod>("default", pod->metadata().name());
    }
    harness_.Settle();
  }

  client::ReconcilerHarness harness_{MakeDaemonSetController()};
};

TEST_F(DaemonSetTest, EveryNodeGetsAPodAndSoDoesOneThatJoinsLater) {
  PutNode("a");
  PutNode("b");
  PutSet([](DaemonSet&) {});
  EXPECT_THAT(Pods(), UnorderedElementsAre("a logs:1", "b logs:1"));
  StartAll();
  PutNode("c");
  EXPECT_THAT(Pods(), UnorderedElementsAre("a logs:1", "b logs:1", "c logs:1"));
  EXPECT_EQ(Set()->status().desired_number_scheduled(), 3);
  EXPECT_EQ(Set()->status().number_ready(), 2);
  EXPECT_EQ(Set()->status().number_unavailable(), 1);
  StartAll();
  EXPECT_EQ(Set()->status().number_available(), 3);
  EXPECT_EQ(Set()->status().updated_number_scheduled(), 3);
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(DaemonSetTest, APodIsTiedToItsNodeAndToleratesItsTroubles) {
  PutNode("a");
  PutSet([](DaemonSet&) {});
  const Pod pod = *harness_.client().All<Pod>()[0];
  const auto& terms = pod.spec()
                          .affinity()
                          .node_affinity()
                          .required_during_scheduling_ignored_during_execution()
                          .node_selector_terms();
  ASSERT_EQ(terms.size(), 1);
  EXPECT_EQ(terms[0].match_fields(0).key(), "metadata.name");
  EXPECT_EQ(pod.spec().tolerations_size(), 6);
  EXPECT_EQ(pod.metadata().owner_references(0).kind(), "DaemonSet");
  const auto revision = harness_.client().All<ControllerRevision>()[0];
  EXPECT_EQ("logs-" + pod.metadata().labels().at("controller-revision-hash"),
            revision->metadata().name());
}

TEST_F(DaemonSetTest, TaintsAndSelectorsDecideWhereItRuns) {
  PutNode("plain");
  PutNode("cordoned",
          ", spec: {unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: "
          "NoSchedule}]}");
  PutNode("reserved", ", spec: {taints: [{key: team, value: x, effect: NoSchedule}]}");
  PutSet([](DaemonSet&) {});
  EXPECT_THAT(Pods(), UnorderedElementsAre("plain logs:1", "cordoned logs:1"));
  Change([](DaemonSet& set) {
    (*set.mutable_spec()
          ->mutable_template_()
          ->mutable_spec()
          ->mutable_node_selector())["kubernetes.io/hostname"] = "plain";
  });
  StartAll();
  FinishAll();
  EXPECT_EQ(Set()->status().desired_number_scheduled(), 1);
}

// NoSchedule leaves what is there, NoExecute does not.
TEST_F(DaemonSetTest, ANewTaintMayEndAPod) {
  PutNode("a");
  PutSet([](DaemonSet&) {});
  StartAll();
  PutNode("a", ", spec: {taints: [{key: team, effect: NoSchedule}]}");
  EXPECT_THAT(Pods(), ElementsAre("a logs:1"));
  EXPECT_EQ(Set()->status().number_misscheduled(), 1);
  PutNode("a", ", spec: {taints: [{key: team, effect: NoExecute}]}");
  EXPECT_THAT(Pods(), ElementsAre("a logs:1 going"));
}

TEST_F(DaemonSetTest, RollsOneNodeAfterAnother) {
  for (const char* node : {"a", "b", "c"})
    PutNode(node);
  PutSet([](DaemonSet&) {});
  StartAll();
  SetImage("logs:2");
  auto count = [&](const std::string& text) {
    int found = 0;
    for (const std::string& pod : Pods())
      found += pod.find(text) != std::string::npos;
    return found;
  };
  for (int left = 3; left > 0; --left) {
    EXPECT_EQ(count("going"), 1);
    FinishAll();
    EXPECT_EQ(count("logs:2"), 4 - left);
    EXPECT_EQ(count("going"), 0) << "the next one waits until this one is available";
    StartAll();
  }
  EXPECT_EQ(count("logs:2"), 3);
  EXPECT_EQ(Set()->status().updated_number_scheduled(), 3);
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(DaemonSetTest, ASurgeMakesTheNewPodFirst) {
  PutNode("a");
  PutNode("b");
  PutSet([](DaemonSet& set) {
    auto* update = set.mutable_spec()->mutable_update_strategy()->mutable_rolling_update();
    update->mutable_max_unavailable()->set_int_val(0);
    update->mutable_max_surge()->set_int_val(1);
  });
  StartAll();
  SetImage("logs:2");
  EXPECT_EQ(Pods().size(), 3u);
  StartAll();
  EXPECT_THAT(Pods(), Contains(::testing::HasSubstr("going")));
  for (int i = 0; i < 3; ++i) {
    FinishAll();
    StartAll();
  }
  EXPECT_THAT(Pods(), UnorderedElementsAre("a logs:2", "b logs:2"));
}

TEST_F(DaemonSetTest, OnDeleteWaitsForTheUser) {
  PutNode("a");
  PutSet(
      [](DaemonSet& set) { set.mutable_spec()->mutable_update_strategy()->set_type("OnDelete"); });
  StartAll();
  SetImage("logs:2");
  EXPECT_THAT(Pods(), ElementsAre("a logs:1"));
  harness_.Remove<Pod>("default", harness_.client().All<Pod>()[0]->metadata().name());
  harness_.Settle();
  EXPECT_THAT(Pods(), ElementsAre("a logs:2"));
}

TEST_F(DaemonSetTest, AFailedPodIsReplacedAfterAPause) {
  PutNode("a");
  PutSet([](DaemonSet&) {});
  Pod failed = *harness_.client().All<Pod>()[0];
  failed.mutable_status()->set_phase("Failed");
  harness_.Put(std::move(failed));
  harness_.Settle();
  EXPECT_THAT(Pods(), ElementsAre("a logs:1"));
  harness_.Advance(std::chrono::seconds(11));
  EXPECT_THAT(Pods(), ElementsAre("a logs:1 going"));
  FinishAll();
  EXPECT_THAT(Pods(), ElementsAre("a logs:1"));
  EXPECT_THAT(harness_.events(),
              Contains(::testing::HasSubstr("Warning FailedDaemonPod Found failed "
                                            "daemon pod default/logs-")));
}

TEST_F(DaemonSetTest, OfTwoOnANodeTheOlderStays) {
  PutNode("a");
  PutSet([](DaemonSet&) {});
  StartAll();
  harness_.Advance(std::chrono::seconds(5));
  Pod twin = *harness_.client().All<Pod>()[0];
  const std::string first = twin.metadata().name();
  twin.mutable_metadata()->set_name("logs-twin");
  twin.mutable_metadata()->clear_uid();
  api::SetTime(harness_.env().Now(), twin.mutable_metadata()->mutable_creation_timestamp());
  harness_.Put(std::move(twin));
  harness_.Settle();
  EXPECT_TRUE(
      harness_.client().Peek<Pod>("default", "logs-twin")->metadata().has_deletion_timestamp());
  EXPECT_FALSE(harness_.client().Peek<Pod>("default", first)->metadata().has_deletion_timestamp());
}

}  // namespace
}  // namespace gantry::controllers
