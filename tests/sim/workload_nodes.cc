// What the operators of a cluster do with its nodes.

#include <algorithm>
#include <utility>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "client/typed.h"
#include "sim/manifests.h"
#include "sim/workload.h"

namespace gantry::sim {

using api::core::v1::Node;
using api::core::v1::Pod;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr char kOutOfService[] = "node.kubernetes.io/out-of-service";

bool IsLost(const Node& node) {
  const auto& conditions = node.status().conditions();
  return std::any_of(conditions.begin(), conditions.end(), [](const auto& condition) {
    return condition.type() == "Ready" && condition.status() == "Unknown";
  });
}

}  // namespace

Task<> Workload::ChangeNode(std::string what, std::string node, std::function<void(Node&)> change) {
  auto act = [this, node, change]() -> Task<Status> {
    std::string none;
    Result<api::Ref<Node>> found = co_await client::Get<Node>(cluster_.user_client(), none, node);
    if (found.code() == Code::kNotFound) co_return Status::Ok();
    GANTRY_CO_TRY(found);
    Node changed = **found;
    change(changed);
    Result<api::Ref<Node>> written =
        co_await client::Update<Node>(cluster_.user_client(), std::move(changed));
    co_return written.status();
  };
  co_await Insist(what + " " + node, act);
}

Task<> Workload::SetUnschedulable(std::string node, bool value) {
  std::string what = value ? "cordons" : "takes back";
  auto change = [value](Node& object) {
    if (value)
      object.mutable_spec()->set_unschedulable(true);
    else
      object.mutable_spec()->clear_unschedulable();
  };
  co_await ChangeNode(std::move(what), std::move(node), change);
}

// Evicts every pod of the node, as long as it is worth while.
Task<> Workload::Drain(std::string node) {
  for (int round = 0; round < 20 && !finishing_; ++round) {
    client::ListOptions options;
    options.field_selector = "spec.nodeName=" + node;
    Result<client::List> pods =
        co_await cluster_.user_client().ListObjects(api::KindOf<Pod>(), std::move(options));
    if (pods.ok() && pods->items.empty()) {
      world_.Tell("user: has drained " + node);
      co_return;
    }
    if (pods.ok()) {
      for (const api::ObjectPtr& pod : pods->items) {
        if (pod->meta().has_deletion_timestamp()) continue;
        auto eviction = std::make_unique<api::policy::v1::Eviction>();
        eviction->mutable_metadata()->set_name(pod->name());
        eviction->mutable_metadata()->set_namespace_(pod->ns());
        std::string ns = pod->ns(), name = pod->name(), sub = "eviction";
        client::WriteOptions none;
        std::unique_ptr<google::protobuf::Message> body = std::move(eviction);
        Result<api::ObjectPtr> evicted = co_await cluster_.user_client().Create(
            api::KindOf<Pod>(), std::move(ns), std::move(name), std::move(sub), std::move(body),
            std::move(none));
        (void)evicted.ok();
      }
    }
    co_await Rest(milliseconds(500), seconds(3));
  }
}

Task<> Workload::OperateNodes() {
  const auto& agents = cluster_.agents();
  while (!finishing_) {
    co_await Rest(seconds(5), seconds(60));
    if (finishing_) break;
    std::string node =
        agents[static_cast<size_t>(dice_.Below(static_cast<int>(agents.size())))]->name();
    co_await SetUnschedulable(node, true);
    if (dice_.Percent(60)) co_await Drain(node);
    co_await Rest(seconds(1), seconds(30));
    co_await SetUnschedulable(node, false);
  }
}

// Says that a machine will not come back: its pods may be replaced.
Task<> Workload::GiveUp(std::string node) {
  if (dice_.Percent(50)) {
    auto remove = [this, node]() -> Task<Status> {
      std::string none;
      Status gone = co_await client::Delete<Node>(cluster_.user_client(), none, node);
      co_return IsAny(gone, {Code::kNotFound}) ? Status::Ok() : gone;
    };
    co_await Insist("deletes node " + node, remove);
    co_return;
  }
  auto taint = [](Node& object) {
    auto* added = object.mutable_spec()->add_taints();
    added->set_key(kOutOfService);
    added->set_value("nodeshutdown");
    added->set_effect("NoExecute");
  };
  co_await ChangeNode("takes out of service", node, taint);
  co_await Rest(seconds(5), seconds(60));
  auto untaint = [](Node& object) {
    auto* taints = object.mutable_spec()->mutable_taints();
    for (int i = taints->size() - 1; i >= 0; --i) {
      if (taints->Get(i).key() == kOutOfService) taints->DeleteSubrange(i, 1);
    }
  };
  co_await ChangeNode("takes back into service", node, untaint);
}

// Nodes that the cluster has lost are given up, where nothing can run there any more that must not
// run twice. Who does that has to know; here they do.
Task<> Workload::ReplaceLostNodes() {
  while (!finishing_) {
    co_await Rest(seconds(1), seconds(15));
    for (const auto& agent : cluster_.agents()) {
      if (finishing_) break;
      std::string name = agent->name(), none;
      Result<api::Ref<Node>> node =
          co_await client::Get<Node>(cluster_.user_client(), std::move(none), std::move(name));
      if (!node.ok() || !IsLost(**node)) continue;
      if (!agent->HasHadTimeToFence(world_.env().Steady())) continue;
      co_await GiveUp(agent->name());
    }
  }
}

}  // namespace gantry::sim
