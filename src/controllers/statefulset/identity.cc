#include "controllers/statefulset/identity.h"

#include <charconv>

#include "api/owners.h"
#include "controllers/history/history.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::StatefulSet;
using api::core::v1::PersistentVolumeClaim;
using api::core::v1::Pod;
using api::core::v1::PodTemplateSpec;
using api::core::v1::Volume;

std::string PodName(const StatefulSet& set, int ordinal) {
  return set.metadata().name() + "-" + std::to_string(ordinal);
}

bool SetLabel(const char* key, const std::string& value, Pod* pod) {
  std::string& slot = (*pod->mutable_metadata()->mutable_labels())[key];
  if (slot == value) return false;
  slot = value;
  return true;
}

// The pod's volume of that name leads to the claim. True when it did not.
bool SetClaimVolume(const std::string& name, const std::string& claim, Pod* pod) {
  for (Volume& volume : *pod->mutable_spec()->mutable_volumes()) {
    if (volume.name() != name) continue;
    const auto& source = volume.volume_source();
    if (source.has_persistent_volume_claim() &&
        source.persistent_volume_claim().claim_name() == claim) {
      return false;
    }
    volume.clear_volume_source();
    volume.mutable_volume_source()->mutable_persistent_volume_claim()->set_claim_name(claim);
    return true;
  }
  Volume* volume = pod->mutable_spec()->add_volumes();
  volume->set_name(name);
  volume->mutable_volume_source()->mutable_persistent_volume_claim()->set_claim_name(claim);
  return true;
}

}  // namespace

std::optional<int> OrdinalOf(const std::string& set_name, const std::string& pod_name) {
  if (!pod_name.starts_with(set_name + "-")) return std::nullopt;
  const char* begin = pod_name.data() + set_name.size() + 1;
  const char* end = pod_name.data() + pod_name.size();
  int ordinal = 0;
  const auto parsed = std::from_chars(begin, end, ordinal);
  // Only the number's plain form: "web-01" is another pod than "web-1".
  if (parsed.ec != std::errc() || parsed.ptr != end || ordinal < 0) return std::nullopt;
  if (std::to_string(ordinal) != std::string(begin, end)) return std::nullopt;
  return ordinal;
}

Pod MakePod(const StatefulSet& set, const PodTemplateSpec& pod_template,
            const std::string& revision, int ordinal) {
  Pod pod;
  auto* meta = pod.mutable_metadata();
  *meta->mutable_labels() = pod_template.metadata().labels();
  *meta->mutable_annotations() = pod_template.metadata().annotations();
  *meta->mutable_finalizers() = pod_template.metadata().finalizers();
  meta->set_name(PodName(set, ordinal));
  meta->set_generate_name(set.metadata().name() + "-");
  meta->set_namespace_(set.metadata().namespace_());
  *meta->add_owner_references() =
      api::MakeControllerRef(api::KindOf<StatefulSet>(), set.metadata());
  *pod.mutable_spec() = pod_template.spec();
  pod.mutable_spec()->set_hostname(meta->name());
  pod.mutable_spec()->set_subdomain(set.spec().service_name());
  RestoreIdentity(set, ordinal, &pod);
  SetLabel(kRevisionHashLabel, revision, &pod);
  return pod;
}

bool RestoreIdentity(const StatefulSet& set, int ordinal, Pod* pod) {
  const std::string name = PodName(set, ordinal);
  bool changed = SetLabel(kPodNameLabel, name, pod);
  changed = SetLabel(kPodIndexLabel, std::to_string(ordinal), pod) || changed;
  for (const PersistentVolumeClaim& claim : set.spec().volume_claim_templates()) {
    const std::string& volume = claim.metadata().name();
    changed = SetClaimVolume(volume, ClaimName(volume, name), pod) || changed;
  }
  return changed;
}

std::string ClaimName(const std::string& template_name, const std::string& pod_name) {
  return template_name + "-" + pod_name;
}

std::vector<PersistentVolumeClaim> ClaimsOf(const StatefulSet& set, int ordinal) {
  std::vector<PersistentVolumeClaim> claims;
  for (const PersistentVolumeClaim& from : set.spec().volume_claim_templates()) {
    PersistentVolumeClaim& claim = claims.emplace_back(from);
    auto* meta = claim.mutable_metadata();
    meta->set_name(ClaimName(from.metadata().name(), PodName(set, ordinal)));
    meta->set_namespace_(set.metadata().namespace_());
    for (const auto& [key, value] : set.spec().selector().match_labels())
      (*meta->mutable_labels())[key] = value;
    claim.clear_status();
  }
  return claims;
}

}  // namespace gantry::controllers
