#include "node/fencing.h"

#include <algorithm>
#include <csignal>

#include "api/core/v1/volume.pb.h"
#include "base/env/notifier.h"

namespace gantry::node {
namespace {

// Between looks at whether containers have ended.
constexpr Duration kLook = std::chrono::milliseconds(50);
// After SIGKILL.
constexpr Duration kLastWait = std::chrono::seconds(2);

}  // namespace

FenceTimes FenceAfter(SteadyTime renewed, const LeaseTimes& times) {
  return FenceTimes{renewed + times.duration * 2 / 3, renewed + times.duration * 9 / 10};
}

bool HasIdentity(const api::core::v1::Pod& pod,
                 const std::function<bool(const std::string& claim)>& shared) {
  for (const auto& owner : pod.metadata().owner_references()) {
    if (owner.controller() && owner.kind() == "StatefulSet") return true;
  }
  for (const auto& volume : pod.spec().volumes()) {
    const auto& source = volume.volume_source();
    if (source.has_persistent_volume_claim()) {
      const auto& claim = source.persistent_volume_claim();
      if (!claim.read_only() && !shared(claim.claim_name())) return true;
    }
    // Its claim is named after pod and volume.
    if (source.has_ephemeral() && !shared(pod.metadata().name() + "-" + volume.name())) return true;
  }
  return false;
}

Task<> EndContainers(Env& env, Runtime& runtime, std::vector<ContainerToEnd> containers,
                     SteadyTime kill, CancelToken cancel) {
  for (const ContainerToEnd& container : containers) {
    std::string id = container.id, bundle = container.bundle;
    (void)co_await runtime.Kill(std::move(id), std::move(bundle), container.stop_signal);
  }
  bool killed = false;
  SteadyTime end = kill + kLastWait;
  while (!cancel.cancelled()) {
    std::erase_if(containers, [&](const ContainerToEnd& container) {
      return !runtime.RunningPid(container.bundle);
    });
    const SteadyTime now = env.Steady();
    if (containers.empty() || (killed && now >= end)) co_return;
    if (!killed && now >= kill) {
      killed = true;
      end = now + kLastWait;
      for (const ContainerToEnd& container : containers) {
        std::string id = container.id, bundle = container.bundle;
        (void)co_await runtime.Kill(std::move(id), std::move(bundle), SIGKILL);
      }
    }
    co_await SleepFor(env, kLook, cancel);
  }
}

}  // namespace gantry::node
