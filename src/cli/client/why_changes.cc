#include "cli/client/why_changes.h"

#include <algorithm>
#include <functional>
#include <map>

#include "api/core/v1/pod.pb.h"
#include "api/tolerations.h"
#include "scheduler/evaluation/evaluation.h"

namespace gantry::cli {
namespace {

using api::core::v1::Pod;
using scheduler::PodInfo;

// By what is done to the pod: "a toleration for ...".
using Changes = std::map<std::string, std::function<void(Pod*)>>;

void AddTolerations(const WhyCluster& cluster, const PodInfo& pod, Changes* changes) {
  for (const auto& node : cluster.nodes.slots()) {
    if (!node.node) continue;
    for (const auto& taint : node.node->spec().taints()) {
      if (taint.effect() == "PreferNoSchedule" ||
          api::FindToleration(pod.pod->spec().tolerations(), taint) != nullptr)
        continue;
      const std::string shown =
          taint.key() + (taint.value().empty() ? "" : "=" + taint.value()) + ":" + taint.effect();
      (*changes)["a toleration for " + shown] = [taint](Pod* changed) {
        auto* toleration = changed->mutable_spec()->add_tolerations();
        toleration->set_key(taint.key());
        toleration->set_operator_("Exists");
        toleration->set_effect(taint.effect());
      };
    }
  }
}

void AddWithoutTerms(const PodInfo& pod, Changes* changes) {
  const auto& spec = pod.pod->spec();
  if (!spec.node_selector().empty())
    (*changes)["leaving out nodeSelector"] = [](Pod* changed) {
      changed->mutable_spec()->clear_node_selector();
    };
  const auto& affinity = spec.affinity();
  if (affinity.node_affinity().has_required_during_scheduling_ignored_during_execution())
    (*changes)["leaving out the required nodeAffinity"] = [](Pod* changed) {
      changed->mutable_spec()
          ->mutable_affinity()
          ->mutable_node_affinity()
          ->clear_required_during_scheduling_ignored_during_execution();
    };
  if (affinity.pod_affinity().required_during_scheduling_ignored_during_execution_size() > 0)
    (*changes)["making the required podAffinity a preferred one"] = [](Pod* changed) {
      changed->mutable_spec()->mutable_affinity()->clear_pod_affinity();
    };
  if (affinity.pod_anti_affinity().required_during_scheduling_ignored_during_execution_size() > 0)
    (*changes)["making the required podAntiAffinity a preferred one"] = [](Pod* changed) {
      changed->mutable_spec()->mutable_affinity()->clear_pod_anti_affinity();
    };
  if (!pod.shape->host_ports.empty())
    (*changes)["leaving out the host ports"] = [](Pod* changed) {
      for (auto* containers : {changed->mutable_spec()->mutable_containers(),
                               changed->mutable_spec()->mutable_init_containers()}) {
        for (auto& container : *containers)
          container.clear_ports();
      }
    };
}

void AddWiderSpread(const PodInfo& pod, Changes* changes) {
  const auto& constraints = pod.pod->spec().topology_spread_constraints();
  for (int i = 0; i < constraints.size(); ++i) {
    if (constraints[i].when_unsatisfiable() != "DoNotSchedule") continue;
    const int32_t skew = constraints[i].max_skew();
    const std::string& key = constraints[i].topology_key();
    (*changes)["maxSkew: " + std::to_string(skew + 1) + " over " + key] = [i, skew](Pod* changed) {
      changed->mutable_spec()->mutable_topology_spread_constraints(i)->set_max_skew(skew + 1);
    };
    (*changes)["whenUnsatisfiable: ScheduleAnyway over " + key] = [i](Pod* changed) {
      changed->mutable_spec()->mutable_topology_spread_constraints(i)->set_when_unsatisfiable(
          "ScheduleAnyway");
    };
  }
}

size_t NodesFor(WhyCluster& cluster, const Pod& changed) {
  const auto pod = std::make_shared<const PodInfo>(api::Ref<Pod>::Of(changed));
  scheduler::Evaluation evaluation(cluster.profile, cluster.nodes, cluster.facts, pod);
  evaluation.Refresh();
  return evaluation.Feasible(*pod).size();
}

}  // namespace

std::vector<std::string> NearestChanges(WhyCluster& cluster, const PodInfo& pod) {
  Changes changes;
  AddTolerations(cluster, pod, &changes);
  AddWithoutTerms(pod, &changes);
  AddWiderSpread(pod, &changes);
  std::vector<std::pair<size_t, std::string>> found;
  for (const auto& [what, change] : changes) {
    Pod changed = *pod.pod;
    change(&changed);
    if (const size_t nodes = NodesFor(cluster, changed); nodes > 0)
      found.emplace_back(nodes, what + " would allow " + std::to_string(nodes) +
                                    (nodes == 1 ? " node" : " nodes"));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> texts;
  for (auto& [nodes, text] : found)
    texts.push_back(std::move(text));
  return texts;
}

}  // namespace gantry::cli
