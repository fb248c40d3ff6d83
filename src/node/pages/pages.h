#pragma once

#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/env.h"
#include "client/node_api.h"
#include "node/pages/usage.h"
#include "node/runtime/cgroup.h"

namespace gantry::node {

// The agent as its pages see it. Threading: any thread.
class PodList {
 public:
  virtual ~PodList() = default;
  virtual Task<std::vector<api::Ref<api::core::v1::Pod>>> Pods() = 0;
  // The pods that take resources and their running containers, without figures.
  virtual Task<std::vector<PodUsage>> Groups() = 0;
};

// What the kubelet shows over HTTP: health, pods, statistics, metrics, the machine's log files.
// Figures are read when they are asked for. Threading: any thread.
class NodePages {
 public:
  struct Options {
    Options() = default;
    std::string node_name;
    std::string data_dir;
    std::string log_dir = "/var/log";
  };
  // All outlive it.
  NodePages(Env& env, PodList& pods, const Cgroups& cgroups, Options options);

  Task<Result<client::NodePage>> Get(std::string path);

 private:
  Task<NodeUsage> ReadUsage();
  Task<std::string> PodsJson(bool running_only);
  Result<client::NodePage> LogFile(const std::string& path) const;

  Env& env_;
  PodList& pods_;
  const Cgroups& cgroups_;
  const Options options_;
};

}  // namespace gantry::node
