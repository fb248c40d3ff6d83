#pragma once

#include <functional>
#include <set>
#include <string>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "base/env/env.h"
#include "client/informer.h"
#include "scheduler/cache/cluster_facts.h"
#include "scheduler/cache/node_table.h"
#include "scheduler/queue/scheduling_queue.h"

namespace gantry::scheduler {

// Keeps the scheduler's picture of the cluster up with the API server: nodes and the pods on them,
// the facts that rules ask about, and the pods that wait for a node. Life cycle: the handlers that
// Subscribe adds run through `post` and must not after this is gone. Threading: the scheduler's
// strand; `post` brings the handlers there.
class ClusterWatch {
 public:
  using Post = std::function<void(std::function<void()>)>;

  // `schedulers`: the names that pods ask for when they want this scheduler.
  ClusterWatch(Env& env, std::set<std::string> schedulers, SchedulingQueue::Backoff backoff)
      : env_(env), schedulers_(std::move(schedulers)), queue_(facts_, backoff) {}

  void Subscribe(client::InformerSet& informers, const Post& post);
  Task<Status> WaitForSync(CancelToken cancel);

  NodeTable& nodes() { return nodes_; }
  ClusterFacts& facts() { return facts_; }
  SchedulingQueue& queue() { return queue_; }

  // A decision counts at once.
  void Place(const PodInfoPtr& pod, const std::string& node);
  // It was not to be.
  void TakeBack(const PodInfo& pod);
  // Room is made on the node no longer: who was to have it looks elsewhere.
  void DropNomination(const PodInfo& pod);
  // The pod as the API server has it now; null when it is gone or another has its name.
  api::Ref<api::core::v1::Pod> Newest(const PodInfo& pod) const;

 private:
  void OnNode(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void OnPod(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void OnPlacedPod(const api::ObjectPtr& after);
  void OnWaitingPod(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void OnNamespace(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void OnService(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void OnBudget(const api::ObjectPtr& before, const api::ObjectPtr& after);
  template <class Workload>
  void OnWorkload(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SelectorsMayHaveChanged(uint64_t generation_before);
  void Forget(const std::string& uid);
  void PodEvent(uint32_t kinds, const PodInfo* before, const PodInfo* after);
  template <class T>
  void Follow(client::InformerSet& informers, const Post& post,
              void (ClusterWatch::*handler)(const api::ObjectPtr&, const api::ObjectPtr&));

  Env& env_;
  const std::set<std::string> schedulers_;
  NodeTable nodes_;
  ClusterFacts facts_;
  PodShapes shapes_;
  SchedulingQueue queue_;
  std::vector<client::Informer*> informers_;
  client::Informer* pods_ = nullptr;
};

}  // namespace gantry::scheduler
