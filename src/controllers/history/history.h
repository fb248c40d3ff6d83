#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/apps/v1/controller_revision.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/object.h"
#include "client/reconciler.h"

namespace gantry::controllers {

// The templates that a StatefulSet or DaemonSet has had, as ControllerRevisions: what `kubectl
// rollout history` and `undo` read. A revision's data is a patch of the owner that replaces its
// template.

using RevisionRef = api::Ref<api::apps::v1::ControllerRevision>;

// On pods: which revision they were made of (a StatefulSet's: its name; a DaemonSet's: its hash).
inline constexpr char kRevisionHashLabel[] = "controller-revision-hash";
// On the revisions of a StatefulSet; those of a DaemonSet have the pods' label.
inline constexpr char kHistoryHashLabel[] = "controller.kubernetes.io/hash";

// The revision that an owner's template is, among those that there are.
struct TemplateRevision {
  api::apps::v1::ControllerRevision revision;
  bool exists = false;  // else it has yet to be created
  bool newest = false;  // else its number has to be raised: somebody went back to it
};

// `revisions`: all of the owner's. `collision_count` makes another name when one is taken. Of a
// revision that is not the newest, `revision` has its new number already.
TemplateRevision FindTemplateRevision(const api::KindInfo& kind,
                                      const api::meta::v1::ObjectMeta& owner,
                                      const api::core::v1::PodTemplateSpec& pod_template,
                                      const std::vector<RevisionRef>& revisions,
                                      int collision_count);

// The template that a revision keeps. kDataLoss when it does not hold one.
Result<api::core::v1::PodTemplateSpec> TemplateOf(
    const api::apps::v1::ControllerRevision& revision);

// Deletes the oldest revisions beyond `limit`, of those that `live` (names) does not hold.
void TruncateHistory(std::vector<RevisionRef> revisions, const std::vector<std::string>& live,
                     int limit, client::Plan* plan);

}  // namespace gantry::controllers
