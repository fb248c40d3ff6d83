#include "node/registration.h"

#include <algorithm>
#include <utility>

#include "api/coordination/v1/lease.pb.h"
#include "api/formats.h"
#include "api/node_labels.h"
#include "api/same.h"
#include "base/env/notifier.h"
#include "base/log.h"
#include "client/typed.h"

namespace gantry::node {
namespace {

using api::coordination::v1::Lease;
using api::core::v1::Node;
using api::core::v1::Taint;

constexpr int kTries = 5;
constexpr Duration kLook = std::chrono::milliseconds(500);
constexpr std::chrono::seconds kDefaultLease{40};

std::vector<std::string> Split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = text.find(at);
    if (end != 0) parts.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return parts;
}

std::string AgentOf(const Node& node) {
  auto it = node.metadata().annotations().find(kAgentAnnotation);
  return it == node.metadata().annotations().end() ? std::string() : it->second;
}

std::string AddressOf(const Node& node) {
  for (const auto& address : node.status().addresses()) {
    if (address.type() == "InternalIP") return address.address();
  }
  return "unknown";
}

// An earlier agent of the very machine that `in` describes: it had another data directory.
bool IsThisMachine(const NodeInputs& in, const Node& node) {
  const auto& info = node.status().node_info();
  return !in.ips.empty() && AddressOf(node) == in.ips.front() &&
         info.machine_id() == in.machine.machine_id && info.system_uuid() == in.machine.system_uuid;
}

// Whether somebody renews the node's lease. Clocks of machines differ: what counts is that it
// changes.
Task<bool> IsAlive(Env& env, client::Client& client, std::string name, CancelToken cancel) {
  std::string first;
  std::optional<SteadyTime> until;
  while (!cancel.cancelled()) {
    std::string ns = "kube-node-lease", lease_name = name;
    Result<api::Ref<Lease>> lease =
        co_await client::Get<Lease>(client, std::move(ns), std::move(lease_name));
    if (lease.code() == Code::kNotFound) co_return false;
    if (lease.ok()) {
      const auto& spec = (*lease)->spec();
      const std::string renewed = spec.renew_time().SerializeAsString();
      if (!until) {
        first = renewed;
        const std::chrono::seconds duration(spec.lease_duration_seconds());
        until = env.Steady() + (duration > duration.zero() ? duration : kDefaultLease);
      }
      if (renewed != first) co_return true;
      if (env.Steady() >= *until) co_return false;
    }
    co_await SleepFor(env, kLook, cancel);
  }
  co_return true;
}

bool IsGivenUp(const Node& node) {
  const auto& conditions = node.status().conditions();
  return std::any_of(conditions.begin(), conditions.end(), [](const auto& condition) {
    return condition.type() == "Ready" && condition.status() == "Unknown";
  });
}

}  // namespace

Result<std::map<std::string, std::string>> ParseNodeLabels(std::string_view text) {
  std::map<std::string, std::string> labels;
  std::string forbidden;
  for (const std::string& part : Split(text, ',')) {
    const size_t at = part.find('=');
    if (at == std::string::npos)
      return Status(Code::kInvalid, "--node-labels: \"" + part + "\" is not of the form key=value");
    const std::string key = part.substr(0, at), value = part.substr(at + 1);
    api::Complaints complaints = api::IsQualifiedName(key);
    if (complaints.empty()) complaints = api::IsLabelValue(value);
    if (!complaints.empty()) {
      return Status(Code::kInvalid, "--node-labels: \"" + part + "\": " + complaints.front());
    }
    if (!api::IsLabelOfKubelets(key)) forbidden += (forbidden.empty() ? "" : ", ") + key;
    labels[key] = value;
  }
  if (!forbidden.empty()) {
    return Status(
        Code::kInvalid,
        "--node-labels: a node may not give itself " + forbidden +
            ": of the labels in the kubernetes.io and k8s.io domains those below "
            "kubelet.kubernetes.io and node.kubernetes.io are allowed, and the well-known "
            "ones of zone, region, host name, system and architecture; set others with "
            "kubectl label node");
  }
  return labels;
}

Result<std::vector<Taint>> ParseNodeTaints(std::string_view text) {
  constexpr std::string_view kEffects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};
  std::vector<Taint> taints;
  for (const std::string& part : Split(text, ',')) {
    auto invalid = [&](const std::string& why) {
      return Status(Code::kInvalid, "--register-with-taints: \"" + part + "\": " + why);
    };
    const size_t colon = part.rfind(':');
    if (colon == std::string::npos) return invalid("it is not of the form key=value:effect");
    Taint taint;
    taint.set_effect(part.substr(colon + 1));
    if (std::find(std::begin(kEffects), std::end(kEffects), taint.effect()) == std::end(kEffects))
      return invalid("the effect must be NoSchedule, PreferNoSchedule or NoExecute");
    const std::string who = part.substr(0, colon);
    const size_t at = who.find('=');
    taint.set_key(who.substr(0, at));
    if (at != std::string::npos) taint.set_value(who.substr(at + 1));
    api::Complaints complaints = api::IsQualifiedName(taint.key());
    if (complaints.empty()) complaints = api::IsLabelValue(taint.value());
    if (!complaints.empty()) return invalid(complaints.front());
    for (const Taint& other : taints) {
      if (other.key() == taint.key() && other.effect() == taint.effect())
        return invalid("there is another taint with this key and effect");
    }
    taints.push_back(std::move(taint));
  }
  return taints;
}

Task<Result<api::Ref<Node>>> RegisterNode(Env& env, client::Client& client, NodeInputs inputs,
                                          RegistrationOptions options, CancelToken cancel) {
  std::string settled;  // the other agent that is known to be gone
  for (int attempt = 0; attempt < kTries; ++attempt) {
    std::string name = inputs.name, none;
    Result<api::Ref<Node>> found =
        co_await client::Get<Node>(client, std::move(none), std::move(name));
    if (found.code() == Code::kNotFound) {
      Node node;
      node.mutable_metadata()->set_name(inputs.name);
      (*node.mutable_metadata()->mutable_annotations())[kAgentAnnotation] = options.agent_id;
      for (const auto& [key, value] : options.labels)
        (*node.mutable_metadata()->mutable_labels())[key] = value;
      node.mutable_spec();
      for (const Taint& taint : options.taints)
        *node.mutable_spec()->add_taints() = taint;
      SetNodeLabels(inputs, &node);
      SetNodeStatus(inputs, &node);
      Result<api::Ref<Node>> created = co_await client::Create<Node>(client, std::move(node));
      if (created.code() == Code::kAlreadyExists) continue;
      co_return created;
    }
    GANTRY_CO_TRY(found);
    const std::string other = AgentOf(**found);
    if (!other.empty() && other != options.agent_id && other != settled) {
      if (!IsGivenUp(**found) && !IsThisMachine(inputs, **found)) {
        log::Warning("node", "there is a node of this name; waiting to see whether it lives",
                     {{"node", inputs.name}, {"address", AddressOf(**found)}});
        const bool alive = co_await IsAlive(env, client, inputs.name, cancel);
        if (alive) {
          co_return Status(
              Code::kConflict,
              "node \"" + inputs.name + "\" is another machine of this cluster (" +
                  AddressOf(**found) +
                  ") that is alive; choose another name with --node-name, or stop that "
                  "one and remove it: kubectl delete node " +
                  inputs.name);
        }
      }
      log::Warning("node", "taking the place of a machine that is gone",
                   {{"node", inputs.name}, {"address", AddressOf(**found)}});
      settled = other;
      --attempt;  // it may have changed meanwhile
      continue;
    }
    Node node = **found;
    SetNodeLabels(inputs, &node);
    (*node.mutable_metadata()->mutable_annotations())[kAgentAnnotation] = options.agent_id;
    if (api::SameMap(node.metadata().labels(), (*found)->metadata().labels()) &&
        other == options.agent_id) {
      co_return found;
    }
    Result<api::Ref<Node>> updated = co_await client::Update<Node>(client, std::move(node));
    if (updated.code() == Code::kConflict || updated.code() == Code::kNotFound) continue;
    co_return updated;
  }
  co_return Unavailable("the node could not be registered: it changes too often");
}

}  // namespace gantry::node
