#include "controllers/volume/protection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::core::v1::PersistentVolume;
using api::core::v1::PersistentVolumeClaim;
using api::core::v1::Pod;
using api::testing::FromYaml;
using ::testing::IsEmpty;

constexpr char kGoingClaim[] =
    "{metadata: {name: data, namespace: a, uid: c1, deletionTimestamp: 2020-01-01T00:00:00Z, "
    "finalizers: [kubernetes.io/pvc-protection, example.com/mine]}}";

bool IsProtected(client::ReconcilerHarness& harness) {
  auto claim = harness.client().Peek<PersistentVolumeClaim>("a", "data");
  for (const std::string& finalizer : claim->metadata().finalizers()) {
    if (finalizer == "kubernetes.io/pvc-protection") return true;
  }
  return false;
}

TEST(ClaimProtection, AGoingClaimStaysWhileAPodUsesIt) {
  struct Row {
    const char* pod;
    bool stays;
  };
  constexpr Row kRows[] = {
      {"{metadata: {name: p, namespace: a, uid: p1}, spec: {nodeName: n1, volumes: [{name: v, "
       "persistentVolumeClaim: {claimName: data}}]}}",
       true},
      // Terminated, but still there.
      {"{metadata: {name: p, namespace: a, uid: p1}, spec: {nodeName: n1, volumes: [{name: v, "
       "persistentVolumeClaim: {claimName: data}}]}, status: {phase: Succeeded}}",
       true},
      // No node has it.
      {"{metadata: {name: p, namespace: a, uid: p1}, spec: {volumes: [{name: v, "
       "persistentVolumeClaim: {claimName: data}}]}}",
       false},
      {"{metadata: {name: p, namespace: a, uid: p1}, spec: {nodeName: n1, volumes: [{name: v, "
       "persistentVolumeClaim: {claimName: other}}]}}",
       false},
      {"{metadata: {name: p, namespace: b, uid: p1}, spec: {nodeName: n1, volumes: [{name: v, "
       "persistentVolumeClaim: {claimName: data}}]}}",
       false},
      // An ephemeral volume of that name whose claim belongs to somebody else.
      {"{metadata: {name: da, namespace: a, uid: p1}, spec: {nodeName: n1, volumes: [{name: ta, "
       "ephemeral: {}}]}}",
       false},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.pod);
    client::ReconcilerHarness harness(MakeClaimProtection());
    harness.Put(FromYaml<Pod>(row.pod));
    harness.Put(FromYaml<PersistentVolumeClaim>(kGoingClaim));
    harness.Settle();
    EXPECT_EQ(IsProtected(harness), row.stays);
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

TEST(ClaimProtection, LetsGoWhenTheLastPodHasGone) {
  client::ReconcilerHarness harness(MakeClaimProtection());
  harness.Put(
      FromYaml<Pod>("{metadata: {name: p, namespace: a}, spec: {nodeName: n1, volumes: "
                    "[{name: v, persistentVolumeClaim: {claimName: data}}]}}"));
  harness.Put(FromYaml<PersistentVolumeClaim>(kGoingClaim));
  harness.Settle();
  ASSERT_TRUE(IsProtected(harness));
  harness.Remove<Pod>("a", "p");
  harness.Settle();
  EXPECT_FALSE(IsProtected(harness));
  auto claim = harness.client().Peek<PersistentVolumeClaim>("a", "data");
  EXPECT_EQ(claim->metadata().finalizers_size(), 1) << "another's finalizer is left alone";
}

TEST(ClaimProtection, AnEphemeralVolumesClaimGoesWithItsPod) {
  client::ReconcilerHarness harness(MakeClaimProtection());
  auto claim = FromYaml<PersistentVolumeClaim>(
      "{metadata: {name: p-v, namespace: a, deletionTimestamp: 2020-01-01T00:00:00Z, finalizers: "
      "[kubernetes.io/pvc-protection], ownerReferences: [{apiVersion: v1, kind: Pod, name: p, "
      "uid: p1, controller: true}]}}");
  auto pod = FromYaml<Pod>(
      "{metadata: {name: p, namespace: a, uid: p1}, spec: {nodeName: n1, volumes: [{name: v, "
      "ephemeral: {}}]}}");
  harness.Put(pod);
  harness.Put(claim);
  harness.Settle();
  EXPECT_TRUE(harness.client().Peek<PersistentVolumeClaim>("a", "p-v"));
  // Shut down, and held by a finalizer of its own: the claim need not wait for that.
  auto going = FromYaml<Pod>(
      "{metadata: {name: p, namespace: a, uid: p1, deletionTimestamp: 2020-01-01T00:00:00Z, "
      "deletionGracePeriodSeconds: 0, finalizers: [example.com/mine]}, spec: {nodeName: n1, "
      "volumes: [{name: v, ephemeral: {}}]}}");
  harness.Put(going);
  harness.Settle();
  auto left = harness.client().Peek<PersistentVolumeClaim>("a", "p-v");
  EXPECT_TRUE(!left || left->metadata().finalizers().empty());
}

TEST(ClaimProtection, IsGivenToClaimsThatComeWithoutIt) {
  client::ReconcilerHarness harness(MakeClaimProtection());
  harness.Put(FromYaml<PersistentVolumeClaim>("{metadata: {name: data, namespace: a}}"));
  harness.Settle();
  EXPECT_TRUE(IsProtected(harness));
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

TEST(VolumeProtection, AGoingVolumeStaysWhileItIsBound) {
  client::ReconcilerHarness harness(MakeVolumeProtection());
  auto volume = FromYaml<PersistentVolume>(
      "{metadata: {name: v, deletionTimestamp: 2020-01-01T00:00:00Z, finalizers: "
      "[kubernetes.io/pv-protection, example.com/mine]}, status: {phase: Bound}}");
  harness.Put(volume);
  harness.Settle();
  EXPECT_EQ(harness.client().Peek<PersistentVolume>("", "v")->metadata().finalizers_size(), 2);
  PersistentVolume released = *harness.client().Peek<PersistentVolume>("", "v");
  released.mutable_status()->set_phase("Released");
  harness.Put(released);
  harness.Settle();
  EXPECT_EQ(harness.client().Peek<PersistentVolume>("", "v")->metadata().finalizers_size(), 1);
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

}  // namespace
}  // namespace gantry::controllers
