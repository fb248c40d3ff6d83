#include "controllers/deployment/revisions.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "api/duration.h"
#include "api/int_or_percent.h"
#include "api/owners.h"
#include "api/same.h"
#include "controllers/history/template_hash.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::core::v1::PodTemplateSpec;

// The history annotation of a replica set that was rolled back to many times stays below this.
constexpr size_t kMaxHistoryLength = 2000;

// Annotations that stay with the object they are on.
bool IsCopied(const std::string& key) {
  static const std::set<std::string, std::less<>>* const kept =
      new std::set<std::string, std::less<>>{"kubectl.kubernetes.io/last-applied-configuration",
                                             kRevisionAnnotation,
                                             kRevisionHistoryAnnotation,
                                             kDesiredReplicasAnnotation,
                                             kMaxReplicasAnnotation,
                                             "deprecated.deployment.rollback.to"};
  return !kept->contains(key);
}

bool SetAnnotation(const std::string& key, const std::string& value, ReplicaSet* set) {
  std::string& slot = (*set->mutable_metadata()->mutable_annotations())[key];
  if (slot == value) return false;
  slot = value;
  return true;
}

}  // namespace

std::vector<SetRef> Revisions::All() const {
  std::vector<SetRef> all = old;
  if (current) all.push_back(current);
  return all;
}

int64_t RevisionOf(const api::meta::v1::ObjectMeta& meta) {
  auto it = meta.annotations().find(kRevisionAnnotation);
  int64_t revision = 0;
  if (it != meta.annotations().end()) {
    std::from_chars(it->second.data(), it->second.data() + it->second.size(), revision);
  }
  return revision;
}

int DesiredReplicasOf(const ReplicaSet& set) {
  auto it = set.metadata().annotations().find(kDesiredReplicasAnnotation);
  int desired = -1;
  if (it != set.metadata().annotations().end()) {
    std::from_chars(it->second.data(), it->second.data() + it->second.size(), desired);
  }
  return desired;
}

bool IsOlder(const ReplicaSet& a, const ReplicaSet& b) {
  const WallTime a_time = api::ToWallTime(a.metadata().creation_timestamp());
  const WallTime b_time = api::ToWallTime(b.metadata().creation_timestamp());
  return a_time != b_time ? a_time < b_time : a.metadata().name() < b.metadata().name();
}

bool SameTemplate(const PodTemplateSpec& a, const PodTemplateSpec& b) {
  if (!api::Same(a.spec(), b.spec())) return false;
  auto without_hash = [](const PodTemplateSpec& from) {
    api::meta::v1::ObjectMeta meta = from.metadata();
    meta.mutable_labels()->erase(kTemplateHashLabel);
    return meta;
  };
  return api::Same(without_hash(a), without_hash(b));
}

Revisions SortRevisions(const Deployment& deployment, std::vector<SetRef> sets) {
  std::sort(sets.begin(), sets.end(),
            [](const SetRef& a, const SetRef& b) { return IsOlder(*a, *b); });
  const PodTemplateSpec& wanted = deployment.spec().template_();
  auto is_wanted = [&](const SetRef& set) { return SameTemplate(set->spec().template_(), wanted); };
  // The set is nearly always the one that is named after the template; only else are all compared.
  const std::string hash =
      sets.empty() ? "" : TemplateHash(wanted, deployment.status().collision_count());
  auto current = std::find_if(sets.begin(), sets.end(), [&](const SetRef& set) {
    auto label = set->metadata().labels().find(kTemplateHashLabel);
    return label != set->metadata().labels().end() && label->second == hash && is_wanted(set);
  });
  if (current == sets.end()) current = std::find_if(sets.begin(), sets.end(), is_wanted);
  Revisions revisions;
  for (auto it = sets.begin(); it != sets.end(); ++it) {
    if (it == current) {
      revisions.current = *it;
      continue;
    }
    revisions.max_old_revision =
        std::max(revisions.max_old_revision, RevisionOf((*it)->metadata()));
    revisions.old.push_back(*it);
  }
  return revisions;
}

int MaxSurge(const Deployment& deployment) {
  if (deployment.spec().strategy().type() != "RollingUpdate") return 0;
  return api::Scaled(deployment.spec().strategy().rolling_update().max_surge(),
                     deployment.spec().replicas(), api::Rounding::kUp);
}

int MaxUnavailable(const Deployment& deployment) {
  if (deployment.spec().strategy().type() != "RollingUpdate" || deployment.spec().replicas() == 0)
    return 0;
  const int replicas = deployment.spec().replicas();
  int unavailable = api::Scaled(deployment.spec().strategy().rolling_update().max_unavailable(),
                                replicas, api::Rounding::kDown);
  // Both bounds at zero after rounding would never get anywhere.
  if (unavailable == 0 && MaxSurge(deployment) == 0) unavailable = 1;
  return std::min(unavailable, replicas);
}

bool AnnotateRevision(const Deployment& deployment, int64_t revision, bool exists,
                      ReplicaSet* set) {
  bool changed = false;
  for (const auto& [key, value] : deployment.metadata().annotations()) {
    if (IsCopied(key)) changed = SetAnnotation(key, value, set) || changed;
  }
  const int64_t had = RevisionOf(set->metadata());
  if (had >= revision) return changed;
  if (exists && had > 0) {
    std::string& history =
        (*set->mutable_metadata()->mutable_annotations())[kRevisionHistoryAnnotation];
    const std::string entry = std::to_string(had);
    while (history.size() + entry.size() + 1 > kMaxHistoryLength) {
      history.erase(0, history.find(',') + 1);
    }
    history += (history.empty() ? "" : ",") + entry;
  }
  SetAnnotation(kRevisionAnnotation, std::to_string(revision), set);
  return true;
}

bool AnnotateReplicas(int desired, int max, ReplicaSet* set) {
  const bool desired_changed =
      SetAnnotation(kDesiredReplicasAnnotation, std::to_string(desired), set);
  return SetAnnotation(kMaxReplicasAnnotation, std::to_string(max), set) || desired_changed;
}

ReplicaSet NewReplicaSet(const Deployment& deployment, int64_t revision) {
  const std::string hash =
      TemplateHash(deployment.spec().template_(), deployment.status().collision_count());
  ReplicaSet set;
  auto* meta = set.mutable_metadata();
  meta->set_name(deployment.metadata().name() + "-" + hash);
  meta->set_namespace_(deployment.metadata().namespace_());
  *meta->add_owner_references() =
      api::MakeControllerRef(api::KindOf<Deployment>(), deployment.metadata());
  auto* spec = set.mutable_spec();
  spec->set_replicas(0);
  spec->set_min_ready_seconds(deployment.spec().min_ready_seconds());
  *spec->mutable_selector() = deployment.spec().selector();
  (*spec->mutable_selector()->mutable_match_labels())[kTemplateHashLabel] = hash;
  *spec->mutable_template_() = deployment.spec().template_();
  (*spec->mutable_template_()->mutable_metadata()->mutable_labels())[kTemplateHashLabel] = hash;
  *meta->mutable_labels() = spec->template_().metadata().labels();
  AnnotateRevision(deployment, revision, false, &set);
  return set;
}

}  // namespace gantry::controllers
