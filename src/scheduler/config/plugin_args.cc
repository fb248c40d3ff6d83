#include "scheduler/config/plugin_args.h"

#include "api/json.h"

namespace gantry::scheduler {
namespace {

int64_t IntWithin(FieldReader& args, std::string_view name, int64_t fallback, int64_t least,
                  int64_t most) {
  const int64_t value = args.Int(name, fallback);
  if (value < least || value > most)
    args.Fail(name, std::to_string(value) + " is not in the range [" + std::to_string(least) +
                        ", " + std::to_string(most) + "]");
  return value;
}

std::vector<ResourceWeight> ReadResources(FieldReader& from, std::vector<ResourceWeight> fallback,
                                          int64_t max_weight) {
  if (!from.Has("resources")) {
    from.Ignore({"resources"});
    return fallback;
  }
  std::vector<ResourceWeight> resources;
  from.Objects("resources", [&](FieldReader& entry) {
    ResourceWeight resource;
    resource.name = entry.Text("name");
    if (resource.name.empty()) entry.Fail("name", "is required");
    resource.weight = entry.Int("weight", 1);
    if (resource.weight == 0) resource.weight = 1;
    if (resource.weight < 1 || resource.weight > max_weight)
      entry.Fail("weight", std::to_string(resource.weight) + " is not in the range [1, " +
                               std::to_string(max_weight) + "]");
    resources.push_back(std::move(resource));
  });
  return resources.empty() ? fallback : resources;
}

void ReadPreemption(FieldReader& args, ProfileConfig* profile) {
  auto& options = profile->preemption;
  options.min_candidate_nodes_percentage =
      static_cast<int>(IntWithin(args, "minCandidateNodesPercentage", 10, 0, 100));
  options.min_candidate_nodes_absolute =
      static_cast<int>(IntWithin(args, "minCandidateNodesAbsolute", 100, 0, INT32_MAX));
  if (options.min_candidate_nodes_percentage == 0 && options.min_candidate_nodes_absolute == 0)
    args.Fail("", "minCandidateNodesPercentage and minCandidateNodesAbsolute cannot both be 0");
}

void ReadInterPodAffinity(FieldReader& args, ProfileConfig* profile) {
  auto& affinity = profile->args.inter_pod_affinity;
  affinity.hard_pod_affinity_weight = IntWithin(args, "hardPodAffinityWeight", 1, 0, 100);
  affinity.ignore_preferred_terms_of_existing_pods =
      args.Bool("ignorePreferredTermsOfExistingPods");
}

void ReadNodeAffinity(FieldReader& args, ProfileConfig* profile) {
  const api::JsonValue* added = args.Member("addedAffinity");
  if (added == nullptr) return;
  api::core::v1::NodeAffinity affinity;
  api::JsonIssues issues;
  const Status read = api::ReadJson(added->ToString(), &affinity, &issues);
  if (!read.ok()) return args.Fail("addedAffinity", read.message());
  if (!issues.messages.empty()) return args.Fail("addedAffinity", issues.messages.front());
  profile->args.node_affinity.added_affinity = std::move(affinity);
}

void ReadShape(FieldReader& ratio, NodeResourcesFitArgs* fit) {
  ratio.Objects("shape", [&](FieldReader& point) {
    NodeResourcesFitArgs::ShapePoint read;
    read.utilization = IntWithin(point, "utilization", 0, 0, 100);
    read.score = IntWithin(point, "score", 0, 0, 10);
    if (!fit->shape.empty() && read.utilization <= fit->shape.back().utilization)
      point.Fail("utilization", "must be larger than that of the point before");
    fit->shape.push_back(read);
  });
  if (fit->shape.empty()) ratio.Fail("shape", "at least one point must be specified");
}

void ReadFit(FieldReader& args, ProfileConfig* profile) {
  NodeResourcesFitArgs& fit = profile->args.fit;
  fit.ignored_resources = args.Texts("ignoredResources");
  fit.ignored_resource_groups = args.Texts("ignoredResourceGroups");
  FieldReader strategy = args.Object("scoringStrategy");
  const std::string type = strategy.Text("type", "LeastAllocated");
  fit.resources = ReadResources(strategy, std::move(fit.resources), 100);
  FieldReader ratio = strategy.Object("requestedToCapacityRatio");
  if (type == "LeastAllocated") {
    fit.strategy = NodeResourcesFitArgs::Strategy::kLeastAllocated;
  } else if (type == "MostAllocated") {
    fit.strategy = NodeResourcesFitArgs::Strategy::kMostAllocated;
  } else if (type == "RequestedToCapacityRatio") {
    fit.strategy = NodeResourcesFitArgs::Strategy::kRequestedToCapacityRatio;
  } else {
    strategy.Fail("type", "unsupported value \"" + type +
                              "\": supported values: \"LeastAllocated\", \"MostAllocated\", "
                              "\"RequestedToCapacityRatio\"");
  }
  if (fit.strategy == NodeResourcesFitArgs::Strategy::kRequestedToCapacityRatio) {
    ReadShape(ratio, &fit);
  } else {
    ratio.Ignore({"shape"});
  }
  ratio.Finish();
  strategy.Finish();
}

void ReadBalanced(FieldReader& args, ProfileConfig* profile) {
  auto& balanced = profile->args.balanced;
  balanced.resources = ReadResources(args, std::move(balanced.resources), 1);
}

void ReadSpread(FieldReader& args, ProfileConfig* profile) {
  PodTopologySpreadArgs& spread = profile->args.spread;
  const std::string defaulting = args.Text("defaultingType", "System");
  if (defaulting != "System" && defaulting != "List")
    args.Fail("defaultingType",
              "unsupported value \"" + defaulting + "\": supported values: \"List\", \"System\"");
  spread.system_defaults = defaulting == "System";
  if (spread.system_defaults) {
    if (args.Member("defaultConstraints") != nullptr)
      args.Fail("defaultConstraints", "cannot be set when defaultingType is \"System\"");
    return;
  }
  spread.default_constraints.clear();
  args.Objects("defaultConstraints", [&](FieldReader& entry) {
    SpreadConstraint constraint;
    constraint.max_skew = static_cast<int32_t>(IntWithin(entry, "maxSkew", 0, 1, INT32_MAX));
    constraint.topology_key = entry.Text("topologyKey");
    if (constraint.topology_key.empty()) entry.Fail("topologyKey", "is required");
    const std::string when = entry.Text("whenUnsatisfiable");
    if (when != "DoNotSchedule" && when != "ScheduleAnyway")
      entry.Fail("whenUnsatisfiable", "unsupported value \"" + when +
                                          "\": supported values: \"DoNotSchedule\", "
                                          "\"ScheduleAnyway\"");
    constraint.hard = when == "DoNotSchedule";
    if (entry.Member("labelSelector") != nullptr)
      entry.Fail("labelSelector", "must not be set: it is that of the pod's siblings");
    constraint.min_domains = static_cast<int32_t>(IntWithin(entry, "minDomains", 1, 1, INT32_MAX));
    constraint.honor_affinity = entry.Text("nodeAffinityPolicy", "Honor") != "Ignore";
    constraint.honor_taints = entry.Text("nodeTaintsPolicy", "Ignore") == "Honor";
    spread.default_constraints.push_back(std::move(constraint));
  });
}

struct Row {
  std::string_view plugin;
  void (*read)(FieldReader&, ProfileConfig*);
};
constexpr Row kRows[] = {
    {"DefaultPreemption", ReadPreemption},
    {"InterPodAffinity", ReadInterPodAffinity},
    {"NodeAffinity", ReadNodeAffinity},
    {"NodeResourcesBalancedAllocation", ReadBalanced},
    {"NodeResourcesFit", ReadFit},
    {"PodTopologySpread", ReadSpread},
    {"VolumeBinding",
     [](FieldReader& args, ProfileConfig*) { args.Ignore({"bindTimeoutSeconds", "shape"}); }},
};

}  // namespace

void ReadPluginConfig(FieldReader& entry, ProfileConfig* profile) {
  const std::string name = entry.Text("name");
  FieldReader args = entry.Object("args");
  const std::string kind = args.Text("kind");
  if (!kind.empty() && kind != name + "Args")
    args.Fail("kind", "\"" + kind + "\" does not fit plugin \"" + name + "\"");
  args.Ignore({"apiVersion"});
  for (const Row& row : kRows) {
    if (row.plugin != name) continue;
    row.read(args, profile);
    args.Finish();
    return;
  }
  entry.Fail("name", "there is no plugin \"" + name + "\" with arguments");
}

}  // namespace gantry::scheduler
