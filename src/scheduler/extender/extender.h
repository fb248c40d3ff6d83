#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/env/env.h"
#include "client/http/transport.h"
#include "scheduler/config/configuration.h"
#include "scheduler/preemption/preemption.h"

namespace gantry::scheduler {

// A program outside that takes part in decisions (kube-scheduler's HTTP extender protocol, v1).
// Nodes and pods are handed over as shared objects and survive the wait. Life cycle: Stop before
// destruction. Threading: any thread; one strand awaits it.
class Extender {
 public:
  static Result<std::unique_ptr<Extender>> Make(Env& env, const ExtenderConfig& config);

  const ExtenderConfig& config() const { return config_; }
  // Whether it wants to be asked about the pod.
  bool IsInterested(const PodInfo& pod) const;

  using Nodes = std::vector<api::Ref<api::core::v1::Node>>;
  struct Filtered {
    std::vector<std::string> nodes;
    std::map<std::string, std::string> failed;  // by node: why
    std::map<std::string, std::string> failed_for_good;
  };
  Task<Result<Filtered>> Filter(PodInfoPtr pod, Nodes nodes);
  // By node, 0 to 10, before its weight.
  Task<Result<std::map<std::string, int64_t>>> Prioritize(PodInfoPtr pod, Nodes nodes);
  // Which candidates remain. `on_node` are the pods of each candidate's node, for the names that
  // come back.
  using Candidates = std::map<std::string, Victims>;
  using PodsByNode = std::map<std::string, std::vector<PodInfoPtr>>;
  Task<Result<Candidates>> Preempt(PodInfoPtr pod, Candidates candidates, PodsByNode on_node);
  Task<Status> Bind(PodInfoPtr pod, std::string node);

  Task<> Stop() { return transport_->Stop(); }

 private:
  Extender(Env& env, ExtenderConfig config, std::unique_ptr<client::HttpTransport> transport)
      : env_(env), config_(std::move(config)), transport_(std::move(transport)) {}
  // Posts the arguments; the answer as JSON.
  Task<Result<api::JsonValue>> Ask(std::string verb, std::string body);
  std::string NodeArguments(const PodInfo& pod, const Nodes& nodes) const;

  Env& env_;
  const ExtenderConfig config_;
  std::unique_ptr<client::HttpTransport> transport_;
};

}  // namespace gantry::scheduler
