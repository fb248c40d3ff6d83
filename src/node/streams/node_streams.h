#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "client/node_api.h"
#include "net/pod_network.h"
#include "node/pages/pages.h"
#include "node/pod/containers.h"
#include "node/runtime/runtime.h"

namespace gantry::node {

// What the streams need to know about a pod, taken on the agent's strand.
struct PodView {
  std::string ns, name, uid, network_namespace;
  bool known_container = false;
  std::optional<ContainerRun> run;  // of the container that was asked for, or the run before it
  std::string waiting_reason;       // when it has no run
  bool terminal = false, stdin_open = false;
  std::string container;  // the name, the default one where none was given
};

// The agent as NodeStreams sees it. Threading: any thread.
class PodLookup {
 public:
  virtual ~PodLookup() = default;
  // kNotFound when the pod is not on this node.
  virtual Task<Result<PodView>> Look(std::string ns, std::string pod, std::string uid,
                                     std::string container, bool previous) = 0;
};

// The kubelet's endpoints, and the drain of the node's service maps (`drain` may be null: there are
// none). All outlive it.
std::shared_ptr<client::NodeApi> MakeNodeApi(Env& env, PodLookup& pods, Runtime& runtime,
                                             net::EndpointDrain* drain, NodePages& pages);

}  // namespace gantry::node
