#include "scheduler/cluster_watch.h"

#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/meta/v1/selector.pb.h"
#include "api/pods.h"
#include "api/same.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;

// What about a node changed that rules look at; heartbeats are none of it.
uint32_t ChangesBetween(const Node& before, const Node& after) {
  uint32_t changes = 0;
  if (before.spec().unschedulable() != after.spec().unschedulable() ||
      !api::SameList(before.spec().taints(), after.spec().taints())) {
    changes |= ClusterEvent::kNodeTaints;
  }
  if (api::ToAmounts(before.status().allocatable()) !=
      api::ToAmounts(after.status().allocatable())) {
    changes |= ClusterEvent::kNodeAllocatable;
  }
  if (!api::SameMap(before.metadata().labels(), after.metadata().labels()))
    changes |= ClusterEvent::kNodeLabels;
  return changes;
}

// As rules see it in an event: without its pods.
NodeInfo Bare(const api::ObjectPtr& object) {
  NodeInfo info;
  info.node = api::Ref<Node>(object);
  info.name = object->name();
  info.allocatable = Resources::From(api::ToAmounts(info.node->status().allocatable()));
  return info;
}

// What of a placed pod decides where others may go did not change.
bool CountsAlike(const Pod& before, const Pod& after) {
  return before.metadata().generation() == after.metadata().generation() &&
         before.metadata().has_deletion_timestamp() == after.metadata().has_deletion_timestamp() &&
         api::SameMap(before.metadata().labels(), after.metadata().labels());
}

bool AsksForLess(const Resources& before, const Resources& after) {
  auto less = [](const Resources& a, const Resources& b) {
    for (const auto& [name, amount] : b.others) {
      auto it = a.others.find(name);
      if ((it == a.others.end() ? 0 : it->second) < amount) return true;
    }
    return a.milli_cpu < b.milli_cpu || a.memory < b.memory ||
           a.ephemeral_storage < b.ephemeral_storage;
  };
  return less(after, before);
}

api::Selector SelectorOf(const api::core::v1::ReplicationController& controller) {
  return api::Selector::FromMap(controller.spec().selector());
}
template <class Workload>
api::Selector SelectorOf(const Workload& workload) {
  Result<api::Selector> selector = api::Selector::From(workload.spec().selector());
  return selector.ok() ? *std::move(selector) : api::Selector::Nothing();
}

}  // namespace

template <class T>
void ClusterWatch::Follow(client::InformerSet& informers, const Post& post,
                          void (ClusterWatch::*handler)(const api::ObjectPtr&,
                                                        const api::ObjectPtr&)) {
  client::Informer& informer = informers.For<T>();
  informers_.push_back(&informer);
  informer.AddHandler(
      [this, post, handler](const api::ObjectPtr& before, const api::ObjectPtr& after) {
        post([this, handler, before, after] { (this->*handler)(before, after); });
      });
}

void ClusterWatch::Subscribe(client::InformerSet& informers, const Post& post) {
  using Self = ClusterWatch;
  Follow<api::core::v1::Namespace>(informers, post, &Self::OnNamespace);
  Follow<api::core::v1::Service>(informers, post, &Self::OnService);
  Follow<api::apps::v1::ReplicaSet>(informers, post, &Self::OnWorkload<api::apps::v1::ReplicaSet>);
  Follow<api::apps::v1::StatefulSet>(informers, post,
                                     &Self::OnWorkload<api::apps::v1::StatefulSet>);
  Follow<api::core::v1::ReplicationController>(
      informers, post, &Self::OnWorkload<api::core::v1::ReplicationController>);
  Follow<api::policy::v1::PodDisruptionBudget>(informers, post, &Self::OnBudget);
  Follow<Node>(informers, post, &Self::OnNode);
  Follow<Pod>(informers, post, &Self::OnPod);
  pods_ = informers_.back();
}

Task<Status> ClusterWatch::WaitForSync(CancelToken cancel) {
  for (client::Informer* informer : informers_)
    GANTRY_CO_TRY(co_await informer->WaitForSync(cancel));
  co_return Status();
}

void ClusterWatch::OnNode(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  ClusterEvent event;
  if (!after) {
    event.kinds = ClusterEvent::kNodeGone;
    nodes_.RemoveNode(before->name());
  } else {
    event.kinds = before ? ChangesBetween(before->As<Node>(), after->As<Node>())
                         : uint32_t{ClusterEvent::kNodeAdded};
    nodes_.PutNode(api::Ref<Node>(after));
  }
  if (event.kinds == 0) return;
  NodeInfo was, is;
  if (before) event.node_before = &(was = Bare(before));
  if (after) event.node = &(is = Bare(after));
  queue_.Happened(event, env_.Steady());
}

void ClusterWatch::PodEvent(uint32_t kinds, const PodInfo* before, const PodInfo* after) {
  ClusterEvent event(kinds);
  event.pod_before = before;
  event.pod = after;
  queue_.Happened(event, env_.Steady());
}

void ClusterWatch::OnPod(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  const api::Object& object = after ? *after : *before;
  const Pod& pod = object.As<Pod>();
  if (before && after && before->uid() != after->uid()) Forget(before->uid());
  if (!after || api::IsTerminal(pod)) {
    Forget(object.uid());
  } else if (!pod.spec().node_name().empty()) {
    OnPlacedPod(after);
  } else if (!nodes_.HasPod(object.uid())) {  // else it is decided, its binding is on its way
    OnWaitingPod(before, after);
  }
}

void ClusterWatch::OnPlacedPod(const api::ObjectPtr& after) {
  const Pod& pod = after->As<Pod>();
  queue_.Remove(after->uid());
  const PodInfoPtr had = nodes_.FindPod(after->uid());
  const bool stayed = had && nodes_.NodeOf(after->uid()) == pod.spec().node_name();
  if (stayed && CountsAlike(*had->pod, pod)) {
    nodes_.UpdatePod(std::make_shared<const PodInfo>(api::Ref<Pod>(after), had->shape));
    return;
  }
  auto info = std::make_shared<const PodInfo>(api::Ref<Pod>(after), shapes_.Of(pod));
  nodes_.PutPod(info, pod.spec().node_name());
  uint32_t kinds = 0;
  if (!stayed) {
    kinds = ClusterEvent::kPodPlaced;
  } else {
    if (!api::SameMap(had->shape->labels, info->shape->labels)) kinds |= ClusterEvent::kPodLabels;
    if (AsksForLess(had->shape->requests, info->shape->requests))
      kinds |= ClusterEvent::kPodSmaller;
  }
  if (kinds != 0) PodEvent(kinds, stayed ? had.get() : nullptr, info.get());
}

void ClusterWatch::OnWaitingPod(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  const Pod& pod = after->As<Pod>();
  const std::string& uid = after->uid();
  if (pod.metadata().has_deletion_timestamp() ||
      !schedulers_.contains(pod.spec().scheduler_name()) ||
      pod.spec().scheduling_gates_size() > 0) {
    queue_.Remove(uid);
    nodes_.RemoveNomination(uid);
    return;
  }
  auto info = std::make_shared<const PodInfo>(api::Ref<Pod>(after), shapes_.Of(pod));
  queue_.Put(info, env_.Steady());
  const std::string& nominated = pod.status().nominated_node_name();
  if (!nominated.empty()) {
    nodes_.Nominate(info, nominated);
  } else if (before && !before->As<Pod>().status().nominated_node_name().empty()) {
    DropNomination(*info);
  }
}

void ClusterWatch::Forget(const std::string& uid) {
  queue_.Remove(uid);
  nodes_.RemoveNomination(uid);
  const PodInfoPtr had = nodes_.FindPod(uid);
  if (!had) return;
  nodes_.RemovePod(uid);
  PodEvent(ClusterEvent::kPodGone, had.get(), nullptr);
}

void ClusterWatch::Place(const PodInfoPtr& pod, const std::string& node) {
  nodes_.PutPod(pod, node);
  PodEvent(ClusterEvent::kPodPlaced, nullptr, pod.get());
}

void ClusterWatch::TakeBack(const PodInfo& pod) {
  nodes_.RemovePod(pod.uid());
  PodEvent(ClusterEvent::kPodGone, &pod, nullptr);
}

void ClusterWatch::DropNomination(const PodInfo& pod) {
  nodes_.RemoveNomination(pod.uid());
  queue_.Wake(pod.uid(), env_.Steady());
}

api::Ref<Pod> ClusterWatch::Newest(const PodInfo& pod) const {
  const auto& meta = pod.pod->metadata();
  api::Ref<Pod> now = client::GetFrom<Pod>(*pods_, meta.namespace_(), meta.name());
  return now && now->metadata().uid() == pod.uid() ? now : api::Ref<Pod>();
}

void ClusterWatch::OnNamespace(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  const uint64_t generation = facts_.namespaces_generation();
  if (after) {
    facts_.PutNamespace(after->name(), after->meta().labels());
  } else {
    facts_.RemoveNamespace(before->name());
  }
  if (facts_.namespaces_generation() != generation)
    queue_.Happened(ClusterEvent(ClusterEvent::kNamespaceLabels), env_.Steady());
}

void ClusterWatch::SelectorsMayHaveChanged(uint64_t generation_before) {
  if (facts_.selectors_generation() != generation_before)
    queue_.Happened(ClusterEvent(ClusterEvent::kSelectors), env_.Steady());
}

void ClusterWatch::OnService(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  const uint64_t generation = facts_.selectors_generation();
  if (after) {
    facts_.PutService(after->ns(), after->name(),
                      after->As<api::core::v1::Service>().spec().selector());
  } else {
    facts_.RemoveService(before->ns(), before->name());
  }
  SelectorsMayHaveChanged(generation);
}

template <class Workload>
void ClusterWatch::OnWorkload(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  const uint64_t generation = facts_.selectors_generation();
  const std::string kind(api::KindOf<Workload>().kind);
  if (after) {
    facts_.PutWorkload(kind, after->ns(), after->name(), SelectorOf(after->As<Workload>()));
  } else {
    facts_.RemoveWorkload(kind, before->ns(), before->name());
  }
  SelectorsMayHaveChanged(generation);
}

void ClusterWatch::OnBudget(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  if (after) {
    facts_.PutBudget(ClusterFacts::Budget(after));
  } else {
    facts_.RemoveBudget(before->ns(), before->name());
  }
}

}  // namespace gantry::scheduler
