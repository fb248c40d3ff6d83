#include <algorithm>
#include <memory>
#include <string_view>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/json.h"
#include "api/object.h"
#include "api/pods.h"
#include "api/quantity.h"
#include "api/tolerations.h"
#include "cli/client/fields.h"
#include "cli/client/why.h"
#include "cli/client/why_changes.h"
#include "scheduler/evaluation/evaluation.h"
#include "scheduler/plugins/profile.h"
#include "scheduler/preemption/preemption.h"

namespace gantry::cli {
using api::JsonValue;
using api::Quantity;
using api::core::v1::Node;
using api::core::v1::Pod;
using scheduler::NodeInfo;
using scheduler::PodInfo;

namespace {

// What is there of an object; fields that this program does not know are left out.
template <class T>
api::Ref<T> ReadRef(const JsonValue& value) {
  T message;
  (void)api::ReadJson(value.ToString(), &message);
  return api::Ref<T>::Of(std::move(message));
}

struct Amounts {
  int64_t wanted = 0, has = 0, used = 0;
  Quantity (*show)(int64_t) = nullptr;
  int64_t free() const { return std::max<int64_t>(has - used, 0); }
};

Quantity ShowMilli(int64_t amount) { return Quantity::FromMilli(amount); }
Quantity ShowBytes(int64_t amount) {
  return Quantity::FromValue(amount, Quantity::Format::kBinarySI);
}
Quantity ShowCount(int64_t amount) { return Quantity::FromValue(amount); }

int64_t OtherOf(const scheduler::Resources& resources, const std::string& name) {
  const auto found = resources.others.find(name);
  return found == resources.others.end() ? 0 : found->second;
}

Amounts AmountsOf(const PodInfo& pod, const NodeInfo& node, const std::string& resource) {
  const auto& wants = pod.shape->requests;
  const auto& has = node.allocatable;
  const auto& used = node.requested;
  if (resource == "cpu") return {wants.milli_cpu, has.milli_cpu, used.milli_cpu, ShowMilli};
  if (resource == "memory") return {wants.memory, has.memory, used.memory, ShowBytes};
  if (resource == "ephemeral-storage")
    return {wants.ephemeral_storage, has.ephemeral_storage, used.ephemeral_storage, ShowBytes};
  return {OtherOf(wants, resource), OtherOf(has, resource), OtherOf(used, resource), ShowCount};
}

using Nodes = std::vector<const NodeInfo*>;

void ExplainResource(const PodInfo& pod, const Nodes& nodes, const std::string& resource,
                     Finding* finding) {
  const NodeInfo* best = nullptr;
  Amounts most;
  for (const NodeInfo* node : nodes) {
    const Amounts amounts = AmountsOf(pod, *node, resource);
    finding->details.push_back("node " + node->name + ": " +
                               amounts.show(amounts.free()).ToString() + " of " +
                               amounts.show(amounts.has).ToString() + " " + resource + " is free");
    if (best != nullptr && amounts.free() <= most.free()) continue;
    best = node;
    most = amounts;
  }
  if (best == nullptr) return;
  const std::string free = most.show(most.free()).ToString();
  finding->fixes.push_back("it needs " + most.show(most.wanted - most.free()).ToString() +
                           " more " + resource + " on node " + best->name);
  std::string fix = "it needs " + most.show(most.wanted).ToString() + " " + resource +
                    "; the largest free is " + free + " on node " + best->name + ": ";
  if (most.free() > 0) fix += "lower requests." + resource + " to " + free + ", or ";
  finding->fixes.push_back(
      fix + (most.wanted <= most.has ? "free some there, or add a node" : "add a larger node"));
}

void ExplainPods(const PodInfo&, const Nodes& nodes, Finding* finding) {
  for (const NodeInfo* node : nodes) {
    finding->details.push_back("node " + node->name + " has " +
                               std::to_string(node->requested.pods) + " of " +
                               std::to_string(node->allocatable.pods) + " pods");
  }
  finding->fixes.push_back("delete pods that are not needed, or add a node");
}

void ExplainCordon(const PodInfo&, const Nodes& nodes, Finding* finding) {
  std::string names;
  for (const NodeInfo* node : nodes)
    names += " " + node->name;
  finding->details.push_back("cordoned:" + names);
  finding->fixes.push_back("gantry uncordon" + names);
}

void ExplainTaint(const PodInfo& pod, const Nodes& nodes, Finding* finding) {
  std::vector<std::string> told;
  for (const NodeInfo* node : nodes) {
    for (const auto& taint : node->node->spec().taints()) {
      if (taint.effect() == "PreferNoSchedule" ||
          api::FindToleration(pod.pod->spec().tolerations(), taint) != nullptr)
        continue;
      const std::string shown =
          taint.key() + (taint.value().empty() ? "" : "=" + taint.value()) + ":" + taint.effect();
      finding->details.push_back("node " + node->name + " has taint " + shown);
      if (std::find(told.begin(), told.end(), shown) != told.end()) continue;
      told.push_back(shown);
      if (taint.key() == "node.kubernetes.io/not-ready" ||
          taint.key() == "node.kubernetes.io/unreachable") {
        finding->fixes.push_back(
            "node " + node->name +
            " is not ready: start its agent, or look at it: gantry describe node " + node->name);
        continue;
      }
      if (taint.key().starts_with("node.kubernetes.io/")) {
        finding->fixes.push_back("node " + node->name +
                                 " is short of something: gantry describe node " + node->name);
        continue;
      }
      const std::string match = taint.value().empty()
                                    ? "operator: Exists"
                                    : "operator: Equal, value: \"" + taint.value() + "\"";
      finding->fixes.push_back("add to the pod's spec: tolerations: [{key: " + taint.key() + ", " +
                               match + ", effect: " + taint.effect() + "}]");
      finding->fixes.push_back("or remove the taint: gantry taint node " + node->name + " " +
                               taint.key() + ":" + taint.effect() + "-");
    }
  }
}

void ExplainAffinity(const PodInfo& pod, const Nodes& nodes, Finding* finding) {
  const auto& selector = pod.pod->spec().node_selector();
  std::vector<std::pair<std::string, std::string>> wanted(selector.begin(), selector.end());
  std::sort(wanted.begin(), wanted.end());
  // The node that lacks the fewest labels is the nearest.
  const NodeInfo* nearest = nullptr;
  std::vector<std::string> fewest;
  for (const NodeInfo* node : nodes) {
    const auto& labels = node->node->metadata().labels();
    std::vector<std::string> lacking;
    for (const auto& [key, value] : wanted) {
      const auto label = labels.find(key);
      if (label != labels.end() && label->second == value) continue;
      lacking.push_back(key + "=" + value);
      finding->details.push_back(
          "node " + node->name +
          (label == labels.end() ? " has no label " + key + "=" + value
                                 : " has label " + key + "=" + label->second + ", not " + value));
    }
    if (lacking.empty())
      finding->details.push_back("node " + node->name +
                                 " does not match requiredDuringSchedulingIgnoredDuringExecution");
    if (!lacking.empty() && (nearest == nullptr || lacking.size() < fewest.size())) {
      nearest = node;
      fewest = lacking;
    }
  }
  if (nearest != nullptr) {
    const bool change = std::any_of(fewest.begin(), fewest.end(), [&](const std::string& label) {
      return nearest->node->metadata().labels().contains(label.substr(0, label.find('=')));
    });
    finding->fixes.push_back("gantry label node " + nearest->name + " " + JoinText(fewest, " ") +
                             (change ? " --overwrite" : "") + ", or change the pod's nodeSelector");
  } else {
    finding->fixes.push_back(
        "label a node as the pod's spec.affinity.nodeAffinity asks, or change it");
  }
}

void ExplainPorts(const PodInfo& pod, const Nodes& nodes, Finding* finding) {
  for (const NodeInfo* node : nodes) {
    for (const auto& [uid, placed] : node->pods) {
      const PodInfo* other = placed.pod.get();
      for (const auto& theirs : other->shape->host_ports) {
        const auto& wanted = pod.shape->host_ports;
        const bool clash = std::any_of(wanted.begin(), wanted.end(), [&](const auto& ours) {
          return ours.ConflictsWith(theirs);
        });
        if (clash)
          finding->details.push_back("node " + node->name + ": port " +
                                     std::to_string(theirs.port) + "/" + theirs.protocol +
                                     " is taken by pod " + other->FullName());
      }
    }
  }
  finding->fixes.push_back("use another hostPort (or a Service instead of one), or add a node");
}

std::string NamesOf(const Nodes& nodes) {
  std::string names;
  for (const NodeInfo* node : nodes)
    names += " " + node->name;
  return names;
}

std::string TermText(const scheduler::AffinityTerm& term) {
  std::string text = "pods with " + term.selector.ToString();
  if (term.selector.empty()) text = "all pods";
  if (term.selector.nothing()) text = "no pods (it has no labelSelector)";
  if (!term.namespaces.empty())
    text += " in namespace " + JoinText({term.namespaces.begin(), term.namespaces.end()}, ", ");
  if (term.namespace_selector) text += " in the namespaces that its namespaceSelector picks";
  return text;
}

void ExplainPodAffinity(const PodInfo& pod, const Nodes& nodes, Finding* finding) {
  for (const auto& term : pod.shape->terms.required_affinity)
    finding->details.push_back("it must stand by " + term.topology_key + " beside " +
                               TermText(term));
  finding->details.push_back("no such pods there:" + NamesOf(nodes));
}

void ExplainPodAntiAffinity(const PodInfo& pod, const Nodes& nodes, Finding* finding) {
  for (const auto& term : pod.shape->terms.required_anti_affinity)
    finding->details.push_back("it may not stand by " + term.topology_key + " beside " +
                               TermText(term));
  finding->details.push_back("there are such pods there:" + NamesOf(nodes));
}

void ExplainExistingAntiAffinity(const PodInfo&, const Nodes& nodes, Finding* finding) {
  finding->details.push_back("pods that want none like it near them keep it away:" +
                             NamesOf(nodes));
}

void ExplainSpread(const PodInfo& pod, const Nodes& nodes, Finding* finding) {
  for (const auto& constraint : pod.shape->spread) {
    if (!constraint.hard) continue;
    finding->details.push_back("a place (" + constraint.topology_key + ") may have at most " +
                               std::to_string(constraint.max_skew) + " more pods with " +
                               constraint.selector.ToString() +
                               " than the place that has the fewest");
  }
  finding->details.push_back("that would be too many there:" + NamesOf(nodes));
}

void ExplainSpreadLabel(const PodInfo& pod, const Nodes& nodes, Finding* finding) {
  std::string keys;
  for (const auto& constraint : pod.shape->spread) {
    if (constraint.hard) keys += " " + constraint.topology_key;
  }
  finding->details.push_back("nodes without one of the labels" + keys + ":" + NamesOf(nodes));
  finding->fixes.push_back("give these nodes the label: gantry label node" + NamesOf(nodes) +
                           " KEY=VALUE");
}

struct Rule {
  std::string_view part;
  void (*explain)(const PodInfo&, const Nodes&, Finding*);
};

constexpr Rule kRules[] = {
    {"Too many pods", ExplainPods},
    {"were unschedulable", ExplainCordon},
    {"untolerated taint", ExplainTaint},
    {"node affinity/selector", ExplainAffinity},
    {"free ports", ExplainPorts},
    {"match pod affinity rules", ExplainPodAffinity},
    {"match pod anti-affinity rules", ExplainPodAntiAffinity},
    {"existing pods anti-affinity", ExplainExistingAntiAffinity},
    {"missing required label", ExplainSpreadLabel},
    {"topology spread constraints", ExplainSpread},
};

constexpr std::string_view kInsufficient = "Insufficient ";

Finding ExplainReason(const PodInfo& pod, const Nodes& nodes, const std::string& reason) {
  Finding finding;
  finding.rule = std::to_string(nodes.size()) + " " + reason;
  if (reason.starts_with(kInsufficient)) {
    ExplainResource(pod, nodes, reason.substr(kInsufficient.size()), &finding);
    return finding;
  }
  for (const Rule& rule : kRules) {
    if (reason.find(rule.part) == std::string::npos) continue;
    rule.explain(pod, nodes, &finding);
    return finding;
  }
  for (const NodeInfo* node : nodes)
    finding.details.push_back("node " + node->name);
  return finding;
}

std::string SchedulersWord(const PodFacts& facts) {
  for (const JsonValue& condition : ItemsAt(facts.pod, "status.conditions")) {
    if (TextAt(condition, "type") == "PodScheduled" && TextAt(condition, "status") == "False")
      return TextAt(condition, "message");
  }
  return {};
}

}  // namespace

std::vector<Finding> FindSchedulingProblems(const PodFacts& facts) {
  const std::string said = SchedulersWord(facts);
  const auto& gates = ItemsAt(facts.pod, "spec.schedulingGates");
  if (!gates.empty()) {
    Finding finding;
    finding.rule = "it has scheduling gates, and is placed when the last one is removed";
    for (const JsonValue& gate : gates)
      finding.details.push_back("gate " + TextAt(gate, "name"));
    finding.fixes.push_back("whoever set the gates removes them from spec.schedulingGates");
    return {finding};
  }
  const std::string name = TextAt(facts.pod, "spec.schedulerName");
  if (said.empty() && !name.empty() && name != "default-scheduler") {
    return {{"it asks for the scheduler \"" + name + "\", which has not answered",
             {},
             {"start that scheduler, or leave spec.schedulerName out"}}};
  }
  if (facts.nodes.empty()) {
    return {{"the cluster has no nodes", {}, {"add one: gantry agent --server URL --token TOKEN"}}};
  }

  WhyCluster cluster;
  for (const JsonValue& node : facts.nodes)
    cluster.nodes.PutNode(ReadRef<Node>(node));
  for (const JsonValue& space : facts.namespaces) {
    const auto read = ReadRef<api::core::v1::Namespace>(space);
    cluster.facts.PutNamespace(read->metadata().name(), read->metadata().labels());
  }
  for (const JsonValue& other : facts.pods) {
    const api::Ref<Pod> placed = ReadRef<Pod>(other);
    if (placed->spec().node_name().empty() || api::IsTerminal(*placed)) continue;
    cluster.nodes.PutPod(std::make_shared<const PodInfo>(placed), placed->spec().node_name());
  }
  const auto pod = std::make_shared<const PodInfo>(ReadRef<Pod>(facts.pod));
  scheduler::Evaluation evaluation(cluster.profile, cluster.nodes, cluster.facts, pod);
  evaluation.Refresh();
  if (const size_t fits = evaluation.Best(*pod, 0); fits != scheduler::NodeTable::kNoSlot) {
    Finding finding;
    finding.rule = said.empty() ? "the scheduler has not placed it yet" : said;
    finding.details.push_back("by the rules for nodes, node " + cluster.nodes.slots()[fits].name +
                              " would take it");
    if (said.find("PersistentVolumeClaim") != std::string::npos ||
        said.find("persistentvolumeclaim") != std::string::npos) {
      finding.fixes.push_back("bind its claims first: gantry get pvc, gantry describe pvc NAME");
    } else {
      finding.fixes.push_back(
          "wait a moment; if nothing happens, check that the server runs its scheduler");
    }
    return {finding};
  }

  scheduler::Explanation explanation = evaluation.Explain(*pod);
  explanation.preemption = scheduler::PlanPreemption(evaluation, cluster.nodes, cluster.facts,
                                                     scheduler::Profile::Preemption(), *pod, 0)
                               .message;
  Finding summary;
  summary.rule = "no node takes it: " + explanation.Message();
  if (!said.empty() && !said.starts_with(explanation.Message()))
    summary.details.push_back("the scheduler said: " + said);
  if (const std::string node = TextAt(facts.pod, "status.nominatedNodeName"); !node.empty())
    summary.details.push_back("room is being made for it on node " + node);
  summary.fixes = NearestChanges(cluster, *pod);
  std::vector<Finding> out = {summary};
  for (const auto& [reason, names] : evaluation.NodesByReason(*pod)) {
    Nodes nodes;
    for (const std::string& node : names) {
      if (const NodeInfo* info = cluster.nodes.Find(node)) nodes.push_back(info);
    }
    out.push_back(ExplainReason(*pod, nodes, reason));
  }
  return out;
}

}  // namespace gantry::cli
