#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod.pb.h"
#include "base/env/real/real_env.h"
#include "client/testing/fake_client.h"
#include "net/pod_network.h"
#include "node/agent.h"
#include "node/paths.h"

namespace gantry::node::testing {

// Gives out addresses and connects nothing.
class PaperNetwork : public net::PodNetwork {
 public:
  Task<Result<std::vector<std::string>>> Attach(net::PodAttachment pod) override;
  Task<Status> Detach(std::string uid) override;
  Task<Status> ReleaseAllBut(std::vector<std::string> live_uids) override;
  std::string NotReadyReason() const override { return {}; }
};

// A directory with an image store, a pretended API server and a real agent. The destructor removes
// everything from the machine, whatever the test did. Threading: the test's thread.
class TestNode {
 public:
  TestNode();
  ~TestNode();

  void StartAgent(LeaseTimes lease = LeaseTimes());
  // Like kill -9 as far as an agent can tell: nothing is said goodbye to.
  void DropAgent();
  // Ends all processes of the node and empties what a reboot empties: run directory, mounts,
  // control groups.
  void Reboot();

  // Puts a pod that is bound to this node there.
  std::string Run(api::core::v1::Pod pod);
  api::Ref<api::core::v1::Pod> Get(const std::string& name);
  void Delete(const std::string& name, int64_t grace_seconds);
  // Waits (up to 30 s) until the condition holds; the test fails with the pod's status when it
  // never does.
  bool Until(const std::string& name, std::function<bool(const api::core::v1::Pod&)> condition);
  bool UntilGone(const std::string& name);
  bool UntilPhase(const std::string& name, const std::string& phase);
  bool UntilReady(const std::string& name);
  bool UntilTrue(std::function<bool()> condition);
  std::string Logs(const std::string& name, const std::string& container = "",
                   bool previous = false);
  // Exit code and output of a command in the pod's container.
  std::pair<int, std::string> Exec(const std::string& name, std::vector<std::string> command,
                                   const std::string& input = "", bool tty = false);
  bool HasEvent(const std::string& reason, const std::string& part);
  std::string Events();

  RealEnv& env() { return env_; }
  client::FakeClient& api() { return *api_; }
  const Paths& paths() const { return *paths_; }
  client::NodeApi& node_api() { return *agent_->node_api(); }

 private:
  std::string dir_;
  RealEnv env_{2};
  std::unique_ptr<client::FakeClient> api_;
  std::unique_ptr<Paths> paths_;
  PaperNetwork network_;
  std::unique_ptr<Agent> agent_;
};

// A pod named `name` with one container "main" that runs a shell script.
api::core::v1::Pod ShellPod(const std::string& name, const std::string& script);

}  // namespace gantry::node::testing
