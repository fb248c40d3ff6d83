#include "node/fence.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "api/core/v1/persistent_volume_claim.pb.h"
#include "base/log.h"
#include "base/metrics.h"
#include "client/typed.h"

namespace gantry::node {

using api::core::v1::PersistentVolumeClaim;
using api::core::v1::Pod;
using std::chrono::seconds;

namespace {

// Between looks while pods are fenced.
constexpr Duration kLook = seconds(1);

Gauge& FencedPods() {
  static Gauge& gauge =
      MetricRegistry::Default()
          .Gauges("gantry_node_fenced_pods", "Pods that are stopped because no server is reached.")
          .With({});
  return gauge;
}

Counter& Fencings() {
  static Counter& counter = MetricRegistry::Default()
                                .Counters("gantry_node_fenced_pods_total",
                                          "Pods that were stopped because no server was reached.")
                                .With({});
  return counter;
}

}  // namespace

Fence::Fence(Env& env, client::Client& client, Runtime& runtime, client::EventRecorder& events,
             const NodeLease& lease, FencedNode& node)
    : env_(env),
      client_(client),
      runtime_(runtime),
      events_(events),
      lease_(lease),
      node_(node),
      began_(env.Steady()),
      duration_(lease.granted().duration) {}

void Fence::LeaseGranted() {
  if (!fenced_.empty()) release_.Notify();
  // Else the time to begin has only moved on, which is seen when it comes.
  if (lease_.granted().duration == duration_) return;
  duration_ = lease_.granted().duration;
  lease_changed_.Notify();
}

// When it has to begin, going by the last lease that was granted.
FenceTimes Fence::Times() const {
  return FenceAfter(lease_.renewed().value_or(began_), lease_.granted());
}

Task<> Fence::Keep(CancelToken cancel) {
  FencedPods().Set(0);  // the figures are there from the start
  Fencings().Add(0);
  while (!cancel.cancelled()) {
    const FenceTimes times = Times();
    const SteadyTime now = env_.Steady();
    if (now < times.begin) {
      co_await lease_changed_.Wait(env_, cancel, times.begin);
      continue;
    }
    co_await StopPods(times.kill, cancel);
    co_await lease_changed_.Wait(env_, cancel, env_.Steady() + kLook);
  }
}

Task<> Fence::KeepReleasing(CancelToken cancel) {
  while (!cancel.cancelled()) {
    std::optional<SteadyTime> next;
    if (!fenced_.empty()) next = env_.Steady() + kLook;
    co_await release_.Wait(env_, cancel, next);
    if (!fenced_.empty() && env_.Steady() < Times().begin) co_await LetGo(cancel);
  }
}

bool Fence::IsAlone(const Pod& pod) const {
  return HasIdentity(pod, [&](const std::string& claim) {
    return shared_claims_.contains(pod.metadata().namespace_() + "/" + claim);
  });
}

void Fence::Hold(const api::Ref<Pod>& pod) {
  auto [held, added] = fenced_.try_emplace(pod->metadata().uid());
  held->second.pod = pod;
  if (!added) return;
  FencedPods().Set(static_cast<double>(fenced_.size()));
  Fencings().Add();
  log::Warning("node", "no server is reached: a pod of which there must be only one is stopped",
               {{"pod", pod->metadata().namespace_() + "/" + pod->metadata().name()}});
  events_.Record(pod.object(), "Warning", "Fenced",
                 "Stopped: the node reached no server for most of its lease, and the pod may be "
                 "replaced elsewhere");
}

bool Fence::Forbids(const api::Ref<Pod>& pod) {
  if (fenced_.contains(pod->metadata().uid())) return true;
  if (env_.Steady() < Times().begin || !IsAlone(*pod)) return false;
  Hold(pod);
  return true;
}

Task<> Fence::StopPods(SteadyTime kill, CancelToken cancel) {
  std::vector<ContainerToEnd> containers;
  for (FencedNode::PodHere& here : node_.PodsHere()) {
    if (!IsAlone(*here.pod)) continue;
    Hold(here.pod);
    std::move(here.running.begin(), here.running.end(), std::back_inserter(containers));
  }
  if (!containers.empty())
    co_await EndContainers(env_, runtime_, std::move(containers), kill, std::move(cancel));
}

// A server is back. Pods that are still ours go on.
Task<> Fence::LetGo(CancelToken cancel) {
  std::set<std::string> here;
  for (const FencedNode::PodHere& pod : node_.PodsHere())
    here.insert(pod.pod->metadata().uid());
  std::erase_if(fenced_, [&here](const auto& entry) { return !here.contains(entry.first); });
  const std::map<std::string, Fenced> fenced = fenced_;
  for (const auto& [uid, entry] : fenced) {
    if (entry.replaced) continue;
    const auto& meta = entry.pod->metadata();
    std::string ns = meta.namespace_(), name = meta.name();
    Result<api::Ref<Pod>> newest =
        co_await client::Get<Pod>(client_, std::move(ns), std::move(name));
    // Asking may have taken as long as the lease.
    if (cancel.cancelled() || env_.Steady() >= Times().begin) break;
    if (!newest.ok() && newest.code() != Code::kNotFound) break;
    if (newest.ok() && (*newest)->metadata().uid() == uid &&
        !(*newest)->metadata().has_deletion_timestamp()) {
      fenced_.erase(uid);
      node_.OnReleased(uid);
    } else {
      fenced_[uid].replaced = true;
    }
  }
  FencedPods().Set(static_cast<double>(fenced_.size()));
}

Task<> Fence::LookUpClaims(api::Ref<Pod> pod) {
  for (const auto& volume : pod->spec().volumes()) {
    const auto& source = volume.volume_source();
    if (!source.has_persistent_volume_claim()) continue;
    std::string ns = pod->metadata().namespace_();
    std::string name = source.persistent_volume_claim().claim_name();
    const std::string key = ns + "/" + name;
    Result<api::Ref<PersistentVolumeClaim>> claim =
        co_await client::Get<PersistentVolumeClaim>(client_, std::move(ns), std::move(name));
    if (!claim.ok()) continue;
    const auto& modes = (*claim)->spec().access_modes();
    const bool shared =
        !modes.empty() && std::all_of(modes.begin(), modes.end(), [](const auto& mode) {
          return mode == "ReadWriteMany" || mode == "ReadOnlyMany";
        });
    if (shared)
      shared_claims_.insert(key);
    else
      shared_claims_.erase(key);
  }
}

}  // namespace gantry::node
