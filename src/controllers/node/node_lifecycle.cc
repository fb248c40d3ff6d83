#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "api/coordination/v1/lease.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"
#include "controllers/node/node_lifecycle.h"
#include "controllers/node/pods_by_node.h"

namespace gantry::controllers {
namespace {

using api::coordination::v1::Lease;
using api::core::v1::Node;
using api::core::v1::NodeCondition;
using api::core::v1::Pod;
using api::core::v1::Taint;
using client::Plan;

constexpr char kLeaseNamespace[] = "kube-node-lease";

// Conditions that a node reports about itself, all of which become unknown when it falls silent.
constexpr std::array kReported = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"};

struct TaintRule {
  const char* condition;
  const char* status;
  const char* taint;
  bool evicts;  // also as NoExecute
};
constexpr TaintRule kTaintRules[] = {
    {"Ready", "False", "node.kubernetes.io/not-ready", true},
    {"Ready", "Unknown", "node.kubernetes.io/unreachable", true},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure", false},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure", false},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable", false},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure", false},
};
constexpr char kUnschedulable[] = "node.kubernetes.io/unschedulable";

const NodeCondition* Find(const Node& node, std::string_view type) {
  for (const NodeCondition& condition : node.status().conditions()) {
    if (condition.type() == type) return &condition;
  }
  return nullptr;
}

bool IsManaged(const Taint& taint) {
  return taint.key() == kUnschedulable ||
         std::any_of(std::begin(kTaintRules), std::end(kTaintRules),
                     [&](const TaintRule& rule) { return taint.key() == rule.taint; });
}

bool Evicts(const Taint& taint) { return taint.effect() == "NoExecute" && IsManaged(taint); }

bool HasEvictingTaint(const Node& node) {
  return std::any_of(node.spec().taints().begin(), node.spec().taints().end(), Evicts);
}

bool WantsEviction(const Node& node) {
  const NodeCondition* ready = Find(node, "Ready");
  return !ready || ready->status() != "True";
}

// Taints that follow from the conditions: those there, those that should be, with their time of
// addition kept. Those that evict only where `evict`.
bool SyncTaints(WallTime now, bool evict, Node* node) {
  auto wanted = [&](const std::string& key, const std::string& effect) {
    if (key == kUnschedulable) return node->spec().unschedulable() && effect == "NoSchedule";
    for (const TaintRule& rule : kTaintRules) {
      if (key != rule.taint) continue;
      const NodeCondition* condition = Find(*node, rule.condition);
      const bool holds = condition ? condition->status() == rule.status
                                   : std::string_view(rule.status) == "Unknown" &&
                                         std::string_view(rule.condition) == "Ready";
      return holds && (effect == "NoSchedule" || (effect == "NoExecute" && rule.evicts && evict));
    }
    return false;
  };
  bool changed = false;
  auto* taints = node->mutable_spec()->mutable_taints();
  for (int i = taints->size() - 1; i >= 0; --i) {
    const Taint& taint = taints->Get(i);
    if (IsManaged(taint) && !wanted(taint.key(), taint.effect())) {
      taints->DeleteSubrange(i, 1);
      changed = true;
    }
  }
  auto add = [&](const char* key, const char* effect) {
    if (!wanted(key, effect)) return;
    for (const Taint& taint : *taints) {
      if (taint.key() == key && taint.effect() == effect) return;
    }
    Taint* taint = taints->Add();
    taint->set_key(key);
    taint->set_effect(effect);
    api::SetTime(now, taint->mutable_time_added());
    changed = true;
  };
  add(kUnschedulable, "NoSchedule");
  for (const TaintRule& rule : kTaintRules) {
    add(rule.taint, "NoSchedule");
    if (rule.evicts) add(rule.taint, "NoExecute");
  }
  return changed;
}

class NodeLifecycleController : public client::Reconciler {
 public:
  explicit NodeLifecycleController(NodeLifecycleOptions options) : options_(options) {}

  std::string_view name() const override { return "node-lifecycle"; }
  std::string event_source() const override { return "node-controller"; }

  // Keys are names of nodes, and the empty one for what looks at all of them.
  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    nodes_ = &informers.For<Node>();
    leases_ = &informers.For<Lease>();
    pods_ = &informers.For<Pod>();
    IndexPodsByNode(*pods_);
    nodes_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      enqueue({"", (after ? after : before)->name()});
      if (!before || !after ||
          WantsEviction(before->As<Node>()) != WantsEviction(after->As<Node>()))
        enqueue({});
    });
    leases_->AddHandler([enqueue](const api::ObjectPtr&, const api::ObjectPtr& after) {
      if (after && after->ns() == kLeaseNamespace) enqueue({"", after->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    WallTime::rep never = 0;
    started_.compare_exchange_strong(never, now.time_since_epoch().count());
    return key.name.empty() ? EvictSlowly(now) : Look(key.name, now);
  }

 private:
  Plan Look(const std::string& name, WallTime now) {
    Plan plan;
    api::Ref<Node> node = client::GetFrom<Node>(*nodes_, "", name);
    Announce(name, node, &plan);
    if (!node) return plan;
    const Duration grace = Grace(*node, name);
    const WallTime deadline = LastSeen(*node, name, now) + grace;
    if (now > deadline && now < deadline + grace && options_.heard && options_.heard(name)) {
      plan.requeue_after = grace / 8;
    } else if (now > deadline) {
      plan.requeue_after = options_.monitor_period;
      if (MarkUnknown(node, now, &plan)) return plan;
    } else {
      plan.requeue_after = deadline - now + std::chrono::milliseconds(1);
    }
    Node copy = *node;
    const bool evict = HasEvictingTaint(copy) && !halted_.load();
    if (SyncTaints(now, evict, &copy)) plan.Update(std::move(copy));
    const NodeCondition* ready = Find(*node, "Ready");
    if (ready && ready->status() == "Unknown") MarkPodsNotReady(node, now, &plan);
    return plan;
  }

  // Which nodes come and go.
  void Announce(const std::string& name, const api::Ref<Node>& node, Plan* plan) {
    absl::MutexLock lock(&mutex_);
    auto it = known_.find(name);
    auto note = [&](const api::ObjectPtr& about, const char* reason, const std::string& what) {
      plan->events.push_back(
          {about, "Normal", reason, "Node " + name + " event: " + what + " Controller"});
    };
    if (it != known_.end() && (!node || node->metadata().uid() != it->second->uid())) {
      note(it->second, "RemovingNode", "Removing Node " + name + " from");
      known_.erase(it);
      it = known_.end();
    }
    if (!node) heard_.erase(name);
    if (!node || it != known_.end()) return;
    note(node.object(), "RegisteredNode", "Registered Node " + name + " in");
    known_.emplace(name, node.object());
  }

  // Taints that evict, one node of a zone at a time.
  Plan EvictSlowly(WallTime now) {
    Plan plan;
    const std::vector<api::Ref<Node>> nodes = client::Typed<Node>(nodes_->List());
    if (nodes.empty()) return plan;
    plan.requeue_after = options_.monitor_period;
    const std::map<std::string, Zone> zones = JudgeZones(nodes, options_.rates);
    const bool halted = AllDisrupted(zones);
    if (halted_.exchange(halted) && !halted) {
      // Nodes could not report while nothing was reached: they get their time anew.
      started_.store(now.time_since_epoch().count());
    }
    absl::MutexLock lock(&mutex_);
    std::erase_if(next_eviction_, [&](const auto& entry) { return !zones.contains(entry.first); });
    std::set<std::string> served;
    for (const api::Ref<Node>& node : nodes) {
      const std::string zone = ZoneOf(*node);
      const bool tainted = HasEvictingTaint(*node);
      if (halted ? !tainted : (tainted || !WantsEviction(*node) || served.contains(zone))) continue;
      const Duration interval = zones.at(zone).interval;
      if (!halted) {
        if (interval == Duration::max()) continue;
        served.insert(zone);
        if (const WallTime next = next_eviction_[zone]; now < next) {
          plan.requeue_after = std::min<Duration>(*plan.requeue_after, next - now);
          continue;
        }
      }
      Node copy = *node;
      if (!SyncTaints(now, !halted, &copy)) continue;
      plan.Update(std::move(copy));
      plan.actions.back().independent = true;
      if (halted) continue;
      plan.actions.back().on_success = [this, zone, next = now + interval](const api::ObjectPtr&) {
        absl::MutexLock taken(&mutex_);
        next_eviction_[zone] = next;
        return client::EventNote();
      };
    }
    return plan;
  }

  Duration Grace(const Node& node, const std::string& name) const {
    if (!Find(node, "Ready")) return options_.startup_grace_period;
    Duration grace = options_.grace_period;
    if (api::ObjectPtr lease = leases_->Get(kLeaseNamespace, name)) {
      grace = std::max<Duration>(
          grace, std::chrono::seconds(lease->As<Lease>().spec().lease_duration_seconds()));
    }
    return grace;
  }

  // When the node was last seen to say anything: this clock's time of the last change.
  WallTime LastSeen(const Node& node, const std::string& name, WallTime now) {
    std::string said;
    if (api::ObjectPtr lease = leases_->Get(kLeaseNamespace, name))
      said = lease->As<Lease>().spec().renew_time().SerializeAsString();
    if (const NodeCondition* ready = Find(node, "Ready"))
      said += "/" + ready->last_heartbeat_time().SerializeAsString();
    // Nodes could not renew their leases while the control plane was away, or the store full.
    WallTime started{WallTime::duration(started_.load())};
    if (options_.since_refusal) {
      if (std::optional<Duration> since = options_.since_refusal())
        started = std::max(started, now - *since);
    }
    absl::MutexLock lock(&mutex_);
    auto [it, first] = heard_.try_emplace(name);
    if (first) {
      // What was said before this controller looked has been said by then at the latest.
      it->second = {said, std::min(now, std::max(started, CreationTime(node)))};
    } else if (it->second.said != said) {
      it->second = {said, now};
    }
    return std::max(it->second.at, started);
  }

  static WallTime CreationTime(const Node& node) {
    return api::ToWallTime(node.metadata().creation_timestamp());
  }

  static bool MarkUnknown(const api::Ref<Node>& node, WallTime now, Plan* plan) {
    Node copy = *node;
    bool changed = false;
    for (const char* type : kReported) {
      NodeCondition* condition = nullptr;
      for (NodeCondition& candidate : *copy.mutable_status()->mutable_conditions()) {
        if (candidate.type() == type) condition = &candidate;
      }
      if (condition && condition->status() == "Unknown") continue;
      const bool reported = condition != nullptr;
      if (!reported) {
        condition = copy.mutable_status()->add_conditions();
        condition->set_type(type);
        *condition->mutable_last_heartbeat_time() = node->metadata().creation_timestamp();
      }
      condition->set_status("Unknown");
      condition->set_reason(reported ? "NodeStatusUnknown" : "NodeStatusNeverUpdated");
      condition->set_message(reported ? "Kubelet stopped posting node status."
                                      : "Kubelet never posted node status.");
      api::SetTime(now, condition->mutable_last_transition_time());
      changed = true;
    }
    if (!changed) return false;
    plan->UpdateStatus(std::move(copy));
    const NodeCondition* ready = Find(*node, "Ready");
    if (ready && ready->status() == "True") {
      plan->events.push_back({node.object(), "Normal", "NodeNotReady",
                              "Node " + node->metadata().name() + " status is now: NodeNotReady"});
    }
    return true;
  }

  void MarkPodsNotReady(const api::Ref<Node>& node, WallTime now, Plan* plan) const {
    for (const api::Ref<Pod>& pod : PodsOnNode(*pods_, node->metadata().name())) {
      if (!api::IsReady(*pod)) continue;
      Pod copy = *pod;
      for (auto& condition : *copy.mutable_status()->mutable_conditions()) {
        if (condition.type() != "Ready") continue;
        condition.set_status("False");
        api::SetTime(now, condition.mutable_last_transition_time());
      }
      plan->UpdateStatus(std::move(copy));
      plan->events.push_back({pod.object(), "Warning", "NodeNotReady", "Node is not ready"});
    }
  }

  const NodeLifecycleOptions options_;
  // When this controller first looked at a node, or could again.
  std::atomic<WallTime::rep> started_{0};
  std::atomic<bool> halted_{false};  // no node anywhere is ready
  absl::Mutex mutex_;
  struct Word {
    std::string said;  // times of the last renewal and heartbeat, by the node's clock
    WallTime at;       // when that was seen first, by ours
  };
  std::map<std::string, Word> heard_ ABSL_GUARDED_BY(mutex_);            // by node
  std::map<std::string, api::ObjectPtr> known_ ABSL_GUARDED_BY(mutex_);  // nodes, for their events
  std::map<std::string, WallTime> next_eviction_ ABSL_GUARDED_BY(mutex_);  // by zone
  client::Informer* nodes_ = nullptr;
  client::Informer* leases_ = nullptr;
  client::Informer* pods_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeNodeLifecycleController(NodeLifecycleOptions options) {
  return std::make_unique<NodeLifecycleController>(options);
}

}  // namespace gantry::controllers
