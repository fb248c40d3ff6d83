#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/spawn.h"
#include "node/pod/actions.h"
#include "node/runtime/runtime.h"

namespace gantry::client {
class EventRecorder;
}

namespace gantry::node {

// Asks the containers of one pod how they are. Every probe of a running container is one coroutine
// with its own timer; a result that changes what the pod's status says is told at once. Threading:
// one strand.
class Prober {
 public:
  // `changed` is called after a result has changed. All outlive the prober.
  Prober(Env& env, Runtime& runtime, client::EventRecorder& events, Executor strand,
         std::function<void()> changed);
  // Before Sync: counts the coroutines; outlives them all.
  void UseGate(Gate& gate) { gate_ = &gate; }
  ~Prober();

  // The runs that are there now: probes of new ones begin, those of ended ones stop.
  void Sync(const api::Ref<api::core::v1::Pod>& pod, const ContainerList& containers,
            const ContainerRuns& runs, const std::vector<std::string>& pod_ips);
  void StopContainer(const std::string& name, bool keep_readiness);
  void StopAll();

  std::map<std::string, ProbeResults, std::less<>> Results() const;
  // A probe of its own that overrides the grace period of the container's end, when that was its
  // cause.
  std::optional<int64_t> GraceFor(const std::string& container) const;

 private:
  struct Watch;
  static Task<> Run(std::shared_ptr<Watch> watch);

  Env& env_;
  Runtime& runtime_;
  client::EventRecorder& events_;
  Executor strand_;
  std::function<void()> changed_;
  std::map<std::string, std::vector<std::shared_ptr<Watch>>> watches_;  // by container
  Gate* gate_ = nullptr;
};

}  // namespace gantry::node
