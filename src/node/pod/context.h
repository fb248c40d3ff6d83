#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/core/v1/service.pb.h"
#include "api/object.h"
#include "base/env/env.h"
#include "client/client.h"
#include "client/events.h"
#include "net/pod_network.h"
#include "node/images/images.h"
#include "node/objects.h"
#include "node/os/turns.h"
#include "node/paths.h"
#include "node/pod/environment.h"
#include "node/pod/sandbox.h"
#include "node/runtime/cgroup.h"
#include "node/runtime/cgroup_warmer.h"
#include "node/runtime/runtime.h"
#include "node/streams/log_file.h"

namespace gantry::node {

struct Rejection {
  std::string reason, message;  // "OutOfcpu"
};

// What all pods of a node work with. Everything outlives the workers; functions are called on the
// agent's strand.
struct NodeContext {
  NodeContext(Env& env, client::Client& client, client::EventRecorder& events, const Paths& paths,
              Images& images, Runtime& runtime, const Cgroups& cgroups, Sandboxes& sandboxes,
              WatchedObjects& objects)
      : env(env),
        client(client),
        events(events),
        paths(paths),
        images(images),
        runtime(runtime),
        cgroups(cgroups),
        sandboxes(sandboxes),
        objects(objects) {}

  Env& env;
  client::Client& client;
  client::EventRecorder& events;
  const Paths& paths;
  Images& images;
  Runtime& runtime;
  const Cgroups& cgroups;
  Sandboxes& sandboxes;
  WatchedObjects& objects;
  net::PodNetwork* network = nullptr;   // null: only pods of the host's network
  net::EndpointDrain* drain = nullptr;  // null: nobody to wait for
  // The same for the service maps of all nodes; null: this node's are all there are.
  std::function<Task<>(std::vector<std::string> addresses, Duration timeout)> cluster_drain;
  std::string node_name, cluster_domain;
  std::vector<std::string> node_ips;     // the primary first
  std::vector<std::string> cluster_dns;  // addresses
  NodeAllocatable allocatable;
  LogLimits log_limits;
  int64_t memory_capacity = 0;
  // Who takes down what a container or a pod had. The kernel's locks let little of it happen at the
  // same time, and pods that start should not queue behind a hundred that end.
  Turns take_down{2};
  CgroupWarmer* warmer = nullptr;
  std::function<std::vector<api::Ref<api::core::v1::Service>>()> services;
  // Whether the node can take one more pod.
  std::function<std::optional<Rejection>(const api::core::v1::Pod& pod)> admit;
  // Whether no container of the pod may be started now (node/fence.h).
  std::function<bool(const api::Ref<api::core::v1::Pod>& pod)> fenced;
};

}  // namespace gantry::node
