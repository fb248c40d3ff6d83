#include "api/kinds.h"

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <set>

#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/events/v1/event.pb.h"
#include "api/meta/v1/status.pb.h"

namespace gantry::api {
namespace {

TEST(KindsTest, StorageKeysAreThoseOfAKubernetesEtcd) {
  struct Row {
    const char* group;
    const char* plural;
    const char* key;
  };
  for (const Row& row : std::vector<Row>{
           {"", "pods", "/registry/pods/ns/x"},
           {"", "services", "/registry/services/specs/ns/x"},
           {"", "endpoints", "/registry/services/endpoints/ns/x"},
           {"", "nodes", "/registry/minions/x"},
           {"", "namespaces", "/registry/namespaces/x"},
           {"", "replicationcontrollers", "/registry/controllers/ns/x"},
           {"", "events", "/registry/events/ns/x"},
           {"events.k8s.io", "events", "/registry/events/ns/x"},
           {"apps", "deployments", "/registry/deployments/ns/x"},
           {"networking.k8s.io", "ingresses", "/registry/ingress/ns/x"},
           {"networking.k8s.io", "networkpolicies", "/registry/networkpolicies/ns/x"},
           {"coordination.k8s.io", "leases", "/registry/leases/ns/x"},
           {"discovery.k8s.io", "endpointslices", "/registry/endpointslices/ns/x"},
           {"rbac.authorization.k8s.io", "clusterroles", "/registry/clusterroles/x"},
           {"storage.k8s.io", "csistoragecapacities", "/registry/csistoragecapacities/ns/x"},
       }) {
    const KindInfo* kind = FindResource(row.group, "v1", row.plural);
    ASSERT_NE(kind, nullptr) << row.plural;
    EXPECT_EQ(StorageKey(*kind, "ns", "x"), row.key);
  }
  EXPECT_EQ(StoragePrefix(KindOf<core::v1::Pod>()), "/registry/pods/");
  EXPECT_EQ(StoragePrefix(KindOf<core::v1::Pod>(), "ns"), "/registry/pods/ns/");
}

TEST(KindsTest, EveryKindCanBeFoundInEveryWay) {
  std::set<std::string> resources;
  for (const KindInfo& kind : AllKinds()) {
    SCOPED_TRACE(kind.kind);
    EXPECT_TRUE(resources.insert(kind.ApiVersion() + "/" + std::string(kind.plural)).second);
    EXPECT_EQ(FindKind(kind.group, kind.version, kind.kind), &kind);
    EXPECT_EQ(FindKindByApiVersion(kind.ApiVersion(), kind.kind), &kind);
    EXPECT_EQ(FindResource(kind.group, kind.version, kind.plural), &kind);
    EXPECT_EQ(&KindOfDescriptor(kind.prototype->GetDescriptor()), &kind);
    EXPECT_EQ(kind.list_prototype == nullptr, kind.list_kind.empty());
    ASSERT_NE(kind.storage_kind, nullptr);
    EXPECT_EQ(kind.storage_kind->storage_prefix, kind.storage_prefix);
  }
}

TEST(KindsTest, KindsOfSeveralVersionsAreStoredInOne) {
  EXPECT_EQ(KindOf<events::v1::Event>().storage_kind, &KindOf<core::v1::Event>());
  EXPECT_EQ(KindOf<autoscaling::v1::HorizontalPodAutoscaler>().storage_kind->ApiVersion(),
            "autoscaling/v2");
  EXPECT_EQ(KindOf<core::v1::Pod>().storage_kind, &KindOf<core::v1::Pod>());
}

TEST(KindsTest, TypesThatAreNoResourcesHaveAKindToo) {
  EXPECT_EQ(KindOf<meta::v1::Status>().ApiVersion(), "v1");
  EXPECT_EQ(KindOf<core::v1::PodList>().kind, "PodList");
  EXPECT_NE(FindKindByApiVersion("policy/v1", "Eviction"), nullptr);
  EXPECT_NE(FindKindByApiVersion("autoscaling/v1", "Scale"), nullptr);
  EXPECT_EQ(FindKindByApiVersion("apps/v1beta1", "Deployment"), nullptr);
  EXPECT_EQ(KindOf<core::v1::Pod>().GroupResource(), "pods");
  EXPECT_EQ(FindResource("apps", "v1", "deployments")->GroupResource(), "deployments.apps");
}

}  // namespace
}  // namespace gantry::api
