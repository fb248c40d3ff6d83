#include "controllers/replicaset/victims.h"

#include <algorithm>
#include <bit>
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

// Ages are compared in powers of two, so that pods of about the same age are treated as equals.
int AgeRank(WallTime since, WallTime now) {
  if (since == WallTime() || now <= since) return -1;
  return std::bit_width(static_cast<uint64_t>((now - since).count())) - 1;
}

}  // namespace

std::vector<api::Ref<Pod>> ChooseVictims(std::vector<api::Ref<Pod>> pods, size_t count,
                                         const std::map<std::string, int>& crowd, WallTime now) {
  if (count >= pods.size()) return pods;
  auto crowd_of = [&](const Pod& pod) {
    auto it = crowd.find(pod.spec().node_name());
    return it == crowd.end() ? 0 : it->second;
  };
  // Smaller goes first.
  auto rank = [&](const api::Ref<Pod>& pod) {
    const WallTime created = api::ToWallTime(pod->metadata().creation_timestamp());
    return std::tuple(!pod->spec().node_name().empty(), PhaseRank(pod->status().phase()),
                      api::IsReady(*pod), DeletionCost(*pod), -crowd_of(*pod),
                      AgeRank(api::ReadySince(*pod), now), -api::MaxRestarts(*pod),
                      AgeRank(created, now), pod->metadata().uid());
  };
  std::sort(pods.begin(), pods.end(),
            [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  pods.resize(count);
  return pods;
}

}  // namespace gantry::controllers
