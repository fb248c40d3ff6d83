#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/apps/v1/stateful_set.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"

namespace gantry::controllers {

// What makes the pods of a StatefulSet different from each other: name, number, claims.

inline constexpr char kPodNameLabel[] = "statefulset.kubernetes.io/pod-name";
inline constexpr char kPodIndexLabel[] = "apps.kubernetes.io/pod-index";

// The number in a pod's name; nullopt when the name is none of the set's.
std::optional<int> OrdinalOf(const std::string& set_name, const std::string& pod_name);

// The set's pod with this number, of a revision's template. `revision` is the revision's name.
api::core::v1::Pod MakePod(const api::apps::v1::StatefulSet& set,
                           const api::core::v1::PodTemplateSpec& pod_template,
                           const std::string& revision, int ordinal);

// Gives a pod the labels and volumes that its number asks for. True when something was missing.
bool RestoreIdentity(const api::apps::v1::StatefulSet& set, int ordinal, api::core::v1::Pod* pod);

// "data-web-0" for the claim template "data".
std::string ClaimName(const std::string& template_name, const std::string& pod_name);
// The claims of the pod with this number, as they are to be made.
std::vector<api::core::v1::PersistentVolumeClaim> ClaimsOf(const api::apps::v1::StatefulSet& set,
                                                           int ordinal);

}  // namespace gantry::controllers
