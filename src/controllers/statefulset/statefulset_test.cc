#include "controllers/statefulset/statefulset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/statefulset/identity.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::ControllerRevision;
using api::apps::v1::StatefulSet;
using api::core::v1::PersistentVolumeClaim;
using api::core::v1::Pod;
using api::testing::FromYaml;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kSet[] = R"(
metadata: {name: db, namespace: default, generation: 1}
spec:
  replicas: 3
  serviceName: peers
  revisionHistoryLimit: 10
  podManagementPolicy: OrderedReady
  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}
  selector: {matchLabels: {app: db}}
  template:
    # Pods stay until their node is done with them.
    metadata: {labels: {app: db}, finalizers: [example.com/node]}
    spec: {containers: [{name: db, image: "db:1"}]}
)";

class StatefulSetTest : public ::testing::Test {
 protected:
  template <class Edit>
  void Put(Edit edit) {
    StatefulSet set = FromYaml<StatefulSet>(kSet);
    edit(set);
    harness_.Put(std::move(set));
    harness_.Settle();
  }
  template <class Edit>
  void Change(Edit edit) {
    StatefulSet copy = *Set();
    edit(copy);
    harness_.Put(std::move(copy));
    harness_.Settle();
  }
  api::Ref<StatefulSet> Set() { return harness_.client().Peek<StatefulSet>("default", "db"); }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& pod : harness_.client().All<Pod>()) {
      names.push_back(pod->metadata().name() +
                      (pod->metadata().has_deletion_timestamp() ? " going" : ""));
    }
    return names;
  }
  std::string Image(const std::string& pod) {
    return harness_.client().Peek<Pod>("default", pod)->spec().containers(0).image();
  }
  void SetPhase(const std::string& name, const char* phase, bool ready) {
    Pod pod = *harness_.client().Peek<Pod>("default", name);
    pod.mutable_status()->set_phase(phase);
    pod.mutable_status()->clear_conditions();
    auto* condition = pod.mutable_status()->add_conditions();
    condition->set_type("Ready");
    condition->set_status(ready ? "True" : "False");
    api::SetTime(harness_.env().Now(), condition->mutable_last_transition_time());
    harness_.Put(std::move(pod));
    harness_.Settle();
  }
  void MakeReady(const std::string& name) { SetPhase(name, "Running", true); }
  // What the node does for a pod that is being deleted.
  void Finish(const std::string& name) {
    harness_.Remove<Pod>("default", name);
    harness_.Settle();
  }
  // Nodes that do at once what they are asked, until there is nothing more to do.
  void RunNodes() {
    for (int i = 0; i < 50; ++i) {
      harness_.Settle();
      for (const auto& pod : harness_.client().All<Pod>()) {
        if (pod->metadata().has_deletion_timestamp()) {
          Finish(pod->metadata().name());
        } else if (pod->status().phase() != "Running") {
          MakeReady(pod->metadata().name());
        }
      }
    }
  }

  client::ReconcilerHarness harness_{MakeStatefulSetController()};
};

TEST_F(StatefulSetTest, MakesOnePodAfterAnother) {
  Put([](StatefulSet&) {});
  EXPECT_THAT(Names(), ElementsAre("db-0"));
  MakeReady("db-0");
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1"));
  SetPhase("db-1", "Running", false);
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1"));
  MakeReady("db-1");
  MakeReady("db-2");
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1", "db-2"));
  EXPECT_EQ(Set()->status().ready_replicas(), 3);
  EXPECT_EQ(Set()->status().available_replicas(), 3);
  EXPECT_EQ(Set()->status().current_revision(), Set()->status().update_revision());
  EXPECT_THAT(harness_.events(),
              Contains("Normal SuccessfulCreate create Pod db-0 in StatefulSet db successful"));
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(StatefulSetTest, APodHasItsNameAndNumber) {
  Put([](StatefulSet&) {});
  const api::Ref<Pod> pod = harness_.client().Peek<Pod>("default", "db-0");
  EXPECT_EQ(pod->spec().hostname(), "db-0");
  EXPECT_EQ(pod->spec().subdomain(), "peers");
  EXPECT_EQ(pod->metadata().labels().at(kPodNameLabel), "db-0");
  EXPECT_EQ(pod->metadata().labels().at(kPodIndexLabel), "0");
  EXPECT_EQ(pod->metadata().labels().at("controller-revision-hash"),
            Set()->status().update_revision());
  EXPECT_EQ(pod->metadata().owner_references(0).kind(), "StatefulSet");
}

TEST_F(StatefulSetTest, ParallelDoesNotWait) {
  Put([](StatefulSet& set) { set.mutable_spec()->set_pod_management_policy("Parallel"); });
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1", "db-2"));
  Change([](StatefulSet& set) { set.mutable_spec()->set_replicas(0); });
  EXPECT_THAT(Names(), ElementsAre("db-0 going", "db-1 going", "db-2 going"));
}

TEST_F(StatefulSetTest, NumbersMayStartElsewhere) {
  Put([](StatefulSet& set) {
    set.mutable_spec()->mutable_ordinals()->set_start(5);
    set.mutable_spec()->set_replicas(2);
  });
  RunNodes();
  EXPECT_THAT(Names(), ElementsAre("db-5", "db-6"));
}

TEST_F(StatefulSetTest, ScalesDownFromTheHighestNumberOneByOne) {
  Put([](StatefulSet&) {});
  RunNodes();
  Change([](StatefulSet& set) { set.mutable_spec()->set_replicas(1); });
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1", "db-2 going"));
  Finish("db-2");
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1 going"));
  Finish("db-1");
  EXPECT_THAT(Names(), ElementsAre("db-0"));
  EXPECT_THAT(harness_.events(),
              Contains("Normal SuccessfulDelete delete Pod db-2 in StatefulSet db successful"));
}

// The identity is free only when its holder is gone.
TEST_F(StatefulSetTest, NoReplacementWhileTheOldPodIsStillThere) {
  Put([](StatefulSet&) {});
  RunNodes();
  Pod going = *harness_.client().Peek<Pod>("default", "db-1");
  api::SetTime(harness_.env().Now(), going.mutable_metadata()->mutable_deletion_timestamp());
  harness_.Put(std::move(going));
  harness_.Settle();
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1 going", "db-2"));
  Finish("db-1");
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1", "db-2"));
}

TEST_F(StatefulSetTest, AFailedPodIsMadeAnew) {
  Put([](StatefulSet&) {});
  RunNodes();
  SetPhase("db-1", "Failed", false);
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1 going", "db-2"));
  EXPECT_THAT(
      harness_.events(),
      Contains("Warning RecreatingFailedPod StatefulSet default/db is recreating failed Pod "
               "db-1"));
  Finish("db-1");
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1", "db-2"));
}

TEST_F(StatefulSetTest, RollsFromTheHighestNumberAndWaitsForEach) {
  Put([](StatefulSet&) {});
  RunNodes();
  const std::string old = Set()->status().current_revision();
  Change([](StatefulSet& set) {
    set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
        "db:2");
  });
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1", "db-2 going"));
  EXPECT_EQ(Set()->status().current_revision(), old);
  EXPECT_NE(Set()->status().update_revision(), old);
  Finish("db-2");
  EXPECT_EQ(Image("db-2"), "db:2");
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1", "db-2"));
  MakeReady("db-2");
  EXPECT_THAT(Names(), ElementsAre("db-0", "db-1 going", "db-2"));
  RunNodes();
  EXPECT_EQ(Image("db-0"), "db:2");
  EXPECT_EQ(Set()->status().current_revision(), Set()->status().update_revision());
  EXPECT_EQ(Set()->status().updated_replicas(), 3);
}

TEST_F(StatefulSetTest, APartitionKeepsLowerNumbersAtTheOldRevision) {
  Put([](StatefulSet&) {});
  RunNodes();
  Change([](StatefulSet& set) {
    set.mutable_spec()->mutable_update_strategy()->mutable_rolling_update()->set_partition(2);
    set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
        "db:2");
  });
  RunNodes();
  EXPECT_EQ(Image("db-2"), "db:2");
  EXPECT_EQ(Image("db-1"), "db:1");
  harness_.Remove<Pod>("default", "db-0");
  RunNodes();
  EXPECT_EQ(Image("db-0"), "db:1");
  EXPECT_EQ(Set()->status().current_replicas(), 2);
  EXPECT_EQ(Set()->status().updated_replicas(), 1);
}

TEST_F(StatefulSetTest, OnDeleteWaitsForTheUser) {
  Put([](StatefulSet& set) {
    set.mutable_spec()->mutable_update_strategy()->set_type("OnDelete");
  });
  RunNodes();
  Change([](StatefulSet& set) {
    set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
        "db:2");
  });
  RunNodes();
  EXPECT_EQ(Image("db-2"), "db:1");
  harness_.Remove<Pod>("default", "db-1");
  RunNodes();
  EXPECT_EQ(Image("db-1"), "db:2");
}

TEST_F(StatefulSetTest, GoingBackRaisesTheOldRevision) {
  auto image = [](const char* name) {
    return [name](StatefulSet& set) {
      set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
          name);
    };
  };
  Put([](StatefulSet&) {});
  RunNodes();
  Change(image("db:2"));
  RunNodes();
  Change(image("db:1"));
  RunNodes();
  std::vector<int64_t> numbers;
  for (const auto& revision : harness_.client().All<ControllerRevision>())
    numbers.push_back(revision->revision());
  EXPECT_THAT(numbers, ::testing::UnorderedElementsAre(2, 3));
  EXPECT_EQ(Image("db-0"), "db:1");
}

TEST_F(StatefulSetTest, OldRevisionsBeyondTheLimitGo) {
  Put([](StatefulSet& set) { set.mutable_spec()->set_revision_history_limit(1); });
  RunNodes();
  for (int i = 2; i < 6; ++i) {
    Change([i](StatefulSet& set) {
      set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
          "db:" + std::to_string(i));
    });
    RunNodes();
  }
  EXPECT_EQ(harness_.client().All<ControllerRevision>().size(), 2u);
}

TEST_F(StatefulSetTest, EachPodHasItsOwnClaims) {
  Put([](StatefulSet& set) {
    auto* claim = set.mutable_spec()->add_volume_claim_templates();
    claim->mutable_metadata()->set_name("data");
    set.mutable_spec()->mutable_persistent_volume_claim_retention_policy()->set_when_scaled(
        "Delete");
  });
  RunNodes();
  std::vector<std::string> claims;
  for (const auto& claim : harness_.client().All<PersistentVolumeClaim>())
    claims.push_back(claim->metadata().name());
  EXPECT_THAT(claims, ElementsAre("data-db-0", "data-db-1", "data-db-2"));
  const api::Ref<Pod> pod = harness_.client().Peek<Pod>("default", "db-1");
  EXPECT_EQ(pod->spec().volumes(0).volume_source().persistent_volume_claim().claim_name(),
            "data-db-1");
  // What goes when the set shrinks belongs to the pod that goes.
  Change([](StatefulSet& set) { set.mutable_spec()->set_replicas(2); });
  const auto claim = harness_.client().Peek<PersistentVolumeClaim>("default", "data-db-2");
  ASSERT_EQ(claim->metadata().owner_references_size(), 1);
  EXPECT_EQ(claim->metadata().owner_references(0).kind(), "Pod");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST(StatefulSetNames, OnlyPlainNumbersAreOrdinals) {
  EXPECT_EQ(OrdinalOf("db", "db-0"), 0);
  EXPECT_EQ(OrdinalOf("db", "db-12"), 12);
  for (const char* name : {"db", "db-", "db-01", "db-x", "db-1x", "other-1", "db--1"})
    EXPECT_EQ(OrdinalOf("db", name), std::nullopt) << name;
}

}  // namespace
}  // namespace gantry::controllers
