#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/object.h"

namespace gantry::controllers {

// How a deployment's replica sets relate to it: which one is of the current template, what they are
// annotated with.

using SetRef = api::Ref<api::apps::v1::ReplicaSet>;

inline constexpr char kRevisionAnnotation[] = "deployment.kubernetes.io/revision";
inline constexpr char kRevisionHistoryAnnotation[] = "deployment.kubernetes.io/revision-history";
inline constexpr char kDesiredReplicasAnnotation[] = "deployment.kubernetes.io/desired-replicas";
inline constexpr char kMaxReplicasAnnotation[] = "deployment.kubernetes.io/max-replicas";
inline constexpr char kTemplateHashLabel[] = "pod-template-hash";

// The replica sets of a deployment, oldest first.
struct Revisions {
  SetRef current;           // of the deployment's template; null when it has yet to be made
  std::vector<SetRef> old;  // all others
  int64_t max_old_revision = 0;

  std::vector<SetRef> All() const;
};
Revisions SortRevisions(const api::apps::v1::Deployment& deployment, std::vector<SetRef> sets);

// Equal but for the label that tells a set's pods from those of others.
bool SameTemplate(const api::core::v1::PodTemplateSpec& a, const api::core::v1::PodTemplateSpec& b);

// Older sets come first.
bool IsOlder(const api::apps::v1::ReplicaSet& a, const api::apps::v1::ReplicaSet& b);

int64_t RevisionOf(const api::meta::v1::ObjectMeta& meta);
int DesiredReplicasOf(const api::apps::v1::ReplicaSet& set);  // by annotation; -1 when it has none

// The upper bound of pods during a rollout, and how many may be unavailable.
int MaxSurge(const api::apps::v1::Deployment& deployment);
int MaxUnavailable(const api::apps::v1::Deployment& deployment);

// Brings the annotations of a replica set up to date (deployment's own, revision, history). True
// when something changed.
bool AnnotateRevision(const api::apps::v1::Deployment& deployment, int64_t revision, bool exists,
                      api::apps::v1::ReplicaSet* set);
bool AnnotateReplicas(int desired, int max, api::apps::v1::ReplicaSet* set);

// A new replica set for the deployment's template, without replicas.
api::apps::v1::ReplicaSet NewReplicaSet(const api::apps::v1::Deployment& deployment,
                                        int64_t revision);

}  // namespace gantry::controllers
