#include "controllers/garbage/garbage_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::core::v1::ConfigMap;
using api::core::v1::Node;
using api::testing::FromYaml;
using ::testing::IsEmpty;

template <class T>
T Owned(const std::string& name, const std::string& owner_kind, const std::string& owner_uid,
        bool blocks = true) {
  const std::string version = owner_kind == "ConfigMap" ? "v1" : "apps/v1";
  return FromYaml<T>("{metadata: {name: " + name + ", namespace: default, uid: uid-" + name +
                     ", ownerReferences: [{apiVersion: " + version + ", kind: " + owner_kind +
                     ", name: " + owner_uid.substr(4) + ", uid: " + owner_uid +
                     ", controller: true, blockOwnerDeletion: " + (blocks ? "true" : "false") +
                     "}]}}");
}

class GarbageTest : public ::testing::Test {
 protected:
  void PutTree() {
    harness_.Put(FromYaml<Deployment>("{metadata: {name: web, namespace: default, uid: uid-web}}"));
    harness_.Put(Owned<ReplicaSet>("web-1", "Deployment", "uid-web"));
    harness_.Put(Owned<ConfigMap>("leaf", "ReplicaSet", "uid-web-1"));
    harness_.Settle();
  }
  // As a client's delete with a propagation policy leaves it.
  void DeleteWith(const char* finalizer) {
    Deployment owner = *harness_.client().Peek<Deployment>("default", "web");
    owner.mutable_metadata()->mutable_deletion_timestamp()->set_seconds(1);
    owner.mutable_metadata()->add_finalizers(finalizer);
    owner.mutable_metadata()->set_deletion_grace_period_seconds(0);
    harness_.Put(std::move(owner));
    harness_.Settle();
  }
  template <class T>
  api::Ref<T> Get(const char* name) {
    return harness_.client().Peek<T>("default", name);
  }

  client::ReconcilerHarness harness_{MakeGarbageCollector()};
};

TEST_F(GarbageTest, LeavesOwnedObjectsAloneWhileTheirOwnersAreThere) {
  PutTree();
  EXPECT_THAT(harness_.client().writes(), IsEmpty());
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(GarbageTest, CollectsTheWholeTreeOnceTheOwnerIsGone) {
  PutTree();
  harness_.Remove<Deployment>("default", "web");
  harness_.Settle();
  harness_.Advance(std::chrono::seconds(1));
  EXPECT_FALSE(Get<ReplicaSet>("web-1"));
  EXPECT_FALSE(Get<ConfigMap>("leaf"));
}

TEST_F(GarbageTest, ForegroundDeletionEndsWithTheOwner) {
  PutTree();
  DeleteWith("foregroundDeletion");
  EXPECT_FALSE(Get<ConfigMap>("leaf"));
  EXPECT_FALSE(Get<ReplicaSet>("web-1"));
  EXPECT_FALSE(Get<Deployment>("web"));
  std::vector<std::string> deleted;
  for (const auto& call : harness_.client().writes()) {
    if (call.verb == "delete") deleted.push_back(call.name);
  }
  EXPECT_THAT(deleted, ::testing::ElementsAre("web-1", "leaf"));
}

TEST_F(GarbageTest, ForegroundDeletionWaitsOnlyForDependentsThatBlock) {
  for (bool blocks : {true, false}) {
    client::ReconcilerHarness harness(MakeGarbageCollector());
    Deployment owner = FromYaml<Deployment>(
        "{metadata: {name: web, namespace: default, uid: uid-web, deletionTimestamp: "
        "2020-01-01T00:00:00Z, deletionGracePeriodSeconds: 0, finalizers: [foregroundDeletion]}}");
    harness.Put(std::move(owner));
    ConfigMap held = Owned<ConfigMap>("held", "Deployment", "uid-web", blocks);
    held.mutable_metadata()->add_finalizers("example.com/hold");
    harness.Put(std::move(held));
    harness.Settle();
    EXPECT_TRUE(
        harness.client().Peek<ConfigMap>("default", "held")->metadata().has_deletion_timestamp());
    EXPECT_EQ(bool(harness.client().Peek<Deployment>("default", "web")), blocks);
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

TEST_F(GarbageTest, OrphanDeletionKeepsTheDependents) {
  PutTree();
  DeleteWith("orphan");
  EXPECT_FALSE(Get<Deployment>("web"));
  ASSERT_TRUE(Get<ReplicaSet>("web-1"));
  EXPECT_EQ(Get<ReplicaSet>("web-1")->metadata().owner_references_size(), 0);
  EXPECT_EQ(Get<ConfigMap>("leaf")->metadata().owner_references_size(), 1);
}

TEST_F(GarbageTest, OneOwnerThatIsThereKeepsTheObjectAndTheOthersAreDropped) {
  PutTree();
  ConfigMap two = Owned<ConfigMap>("two", "ReplicaSet", "uid-web-1");
  auto* gone = two.mutable_metadata()->add_owner_references();
  *gone = two.metadata().owner_references(0);
  gone->set_uid("uid-long-gone");
  harness_.Put(std::move(two));
  // Something newer of the owner's kind shows that the view is up to date.
  harness_.Put(FromYaml<ReplicaSet>("{metadata: {name: other, namespace: default}}"));
  harness_.Advance(std::chrono::seconds(1));
  ASSERT_TRUE(Get<ConfigMap>("two"));
  ASSERT_EQ(Get<ConfigMap>("two")->metadata().owner_references_size(), 1);
  EXPECT_EQ(Get<ConfigMap>("two")->metadata().owner_references(0).uid(), "uid-web-1");
}

TEST_F(GarbageTest, AnOwnerThatNeverWasIsGone) {
  harness_.Put(Owned<ConfigMap>("early", "ReplicaSet", "uid-late"));
  harness_.Advance(std::chrono::seconds(1));
  EXPECT_FALSE(Get<ConfigMap>("early"));
}

TEST_F(GarbageTest, OwnersThatWaitForEachOtherInARingAllGo) {
  auto in_ring = [](const std::string& name, const std::string& owner) {
    return FromYaml<ConfigMap>(
        "{metadata: {name: " + name + ", namespace: default, uid: uid-" + name +
        ", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: " + owner + ", uid: uid-" +
        owner + ", blockOwnerDeletion: true}]}}");
  };
  ConfigMap first = in_ring("a", "c");
  first.mutable_metadata()->mutable_deletion_timestamp()->set_seconds(1);
  first.mutable_metadata()->add_finalizers("foregroundDeletion");
  harness_.Put(in_ring("b", "a"));
  harness_.Put(in_ring("c", "b"));
  harness_.Put(first);
  harness_.Advance(std::chrono::seconds(5));
  for (const char* name : {"a", "b", "c"})
    EXPECT_FALSE(Get<ConfigMap>(name)) << name;
}

TEST_F(GarbageTest, AnOwnerInAnotherNamespaceIsNone) {
  harness_.Put(FromYaml<ReplicaSet>("{metadata: {name: rs, namespace: other, uid: uid-rs}}"));
  harness_.Put(Owned<ConfigMap>("stray", "ReplicaSet", "uid-rs"));
  harness_.Advance(std::chrono::seconds(1));
  EXPECT_FALSE(Get<ConfigMap>("stray"));
  ASSERT_FALSE(harness_.events().empty());
  EXPECT_THAT(harness_.events()[0],
              ::testing::AllOf(
                  ::testing::StartsWith("Warning OwnerRefInvalidNamespace ownerRef "
                                        "[apps/v1/ReplicaSet, namespace: default, "),
                  ::testing::EndsWith("uid: uid-rs] does not exist in namespace \"default\"")));
}

TEST_F(GarbageTest, AClusterObjectThatNamesANamespacedOwnerIsSpared) {
  harness_.Put(FromYaml<ReplicaSet>("{metadata: {name: rs, namespace: default, uid: uid-rs}}"));
  harness_.Put(FromYaml<Node>(
      "{metadata: {name: n1, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, "
      "uid: uid-rs}]}}"));
  harness_.Remove<ReplicaSet>("default", "rs");
  harness_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(harness_.client().Peek<Node>("", "n1"));
}

TEST_F(GarbageTest, OwnersOfUnknownKindsAreNotJudged) {
  harness_.Put(FromYaml<ConfigMap>(
      "{metadata: {name: a, namespace: default, ownerReferences: [{apiVersion: example.com/v1, "
      "kind: Widget, name: w, uid: uid-w}]}}"));
  harness_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(Get<ConfigMap>("a"));
}

}  // namespace
}  // namespace gantry::controllers
