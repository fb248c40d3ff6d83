#include "scheduler/evaluation/evaluations.h"

#include <algorithm>

namespace gantry::scheduler {
namespace {

// What is kept costs about a hundred bytes for each node.
constexpr size_t kMaxKeptNodes = 200000;
constexpr size_t kMinKept = 4;

}  // namespace

std::string Evaluations::KeyOf(const Profile& profile, const PodInfo& pod) const {
  const PodShape& shape = *pod.shape;
  // Almost no pod that waits names its node; one that does is alike only those that name the same.
  std::string key = profile.name + '\n' + pod.pod->spec().node_name() + '\n';
  if (shape.unnumbered_signature.empty() || nodes_.has_terms_on_numbers())
    return key + shape.signature;
  // The siblings may be those of one pod.
  return key + facts_.SiblingsOf(shape).ToString() + '\n' + shape.unnumbered_signature;
}

Evaluation& Evaluations::For(const Profile& profile, const PodInfoPtr& pod) {
  std::string key = KeyOf(profile, *pod);
  auto it = by_key_.find(key);
  if (it != by_key_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, it->second);
  } else {
    const size_t max =
        std::max(kMinKept, kMaxKeptNodes / std::max<size_t>(1, nodes_.slots().size()));
    while (by_use_.size() >= std::min<size_t>(max, 256)) {
      by_key_.erase(by_use_.back().key);
      by_use_.pop_back();
    }
    by_use_.push_front({key, std::make_unique<Evaluation>(profile, nodes_, facts_, pod)});
    by_key_[std::move(key)] = by_use_.begin();
  }
  Evaluation& evaluation = *by_use_.front().evaluation;
  evaluation.Refresh();
  return evaluation;
}

}  // namespace gantry::scheduler
