#include "controllers/replicaset/victims.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <tuple>

#include "api/duration.h"
#include "api/pods.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Pod;

constexpr char kDeletionCost[] = "controller.kubernetes.io/pod-deletion-cost";

int DeletionCost(const Pod& pod) {
  auto it = pod.metadata().annotations().find(kDeletionCost);
  int cost = 0;
  if (it != pod.metadata().annotations().end()) {
    std::from_chars(it->second.data(), it->second.data() + it->second.size(), cost);
  }
  return cost;
}

int PhaseRank(const std::string& phase) {
  return phase == "Pending" ? 0 : phase == "Unknown" ? 1 : 2;
}

// Ages are compared in powers of ten, so that pods of about the same age are treated as equals.
int AgeRank(WallTime since, WallTime now) {
  if (since == WallTime()) return -1;
  int rank = 0;
  for (auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - since).count();
       seconds >= 10; seconds /= 10) {
    ++rank;
  }
  return rank;
}

}  // namespace

std::vector<api::Ref<Pod>> ChooseVictims(std::vector<api::Ref<Pod>> pods, size_t count,
                                         WallTime now) {
  if (count >= pods.size()) return pods;
  std::map<std::string, int> crowd;
  for (const auto& pod : pods)
    ++crowd[pod->spec().node_name()];
  // Smaller goes first.
  auto rank = [&](const api::Ref<Pod>& pod) {
    const WallTime created = api::ToWallTime(pod->metadata().creation_timestamp());
    return std::tuple(!pod->spec().node_name().empty(), PhaseRank(pod->status().phase()),
                      api::IsReady(*pod), DeletionCost(*pod), -crowd[pod->spec().node_name()],
                      AgeRank(api::ReadySince(*pod), now), -api::MaxRestarts(*pod),
                      AgeRank(created, now), pod->metadata().uid());
  };
  std::sort(pods.begin(), pods.end(),
            [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  pods.resize(count);
  return pods;
}

}  // namespace gantry::controllers
