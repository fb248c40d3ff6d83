#include "api/quota.h"

#include <algorithm>
#include <set>

#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/pod_peak.h"
#include "api/pods.h"

namespace gantry::api {
namespace {

using core::v1::PersistentVolumeClaim;
using core::v1::Pod;
using core::v1::PodSpec;
using core::v1::ResourceRequirements;
using core::v1::Service;

constexpr std::string_view kClassSuffix = ".storageclass.storage.k8s.io/";
constexpr std::string_view kRequests = "requests.", kLimits = "limits.", kHugePages = "hugepages-";
// Kinds whose objects also count under their plain name.
constexpr std::string_view kPlainNames[] = {"configmaps",     "persistentvolumeclaims",
                                            "pods",           "replicationcontrollers",
                                            "resourcequotas", "secrets",
                                            "services"};
// What counts with and without "requests." in front.
constexpr std::string_view kCompute[] = {"cpu", "memory", "ephemeral-storage"};

template <class Range>
bool Has(const Range& range, std::string_view name) {
  return std::find(std::begin(range), std::end(range), name) != std::end(range);
}

using Pick = const QuantityMap& (*)(const ResourceRequirements&);
const QuantityMap& Requests(const ResourceRequirements& resources) { return resources.requests(); }
const QuantityMap& Limits(const ResourceRequirements& resources) { return resources.limits(); }

// With the overhead, which is a request, and a limit where there is one.
QuotaAmounts PeakOf(const PodSpec& spec, Pick pick) {
  QuotaAmounts peak = PodPeak(spec, [pick](const ResourceRequirements& resources) {
    return ToQuotaAmounts(pick(resources));
  });
  for (const auto& [name, amount] : ToQuotaAmounts(spec.overhead())) {
    if (pick == Requests || peak.contains(name)) peak[name] += amount;
  }
  return peak;
}

// Amounts by the names that quotas know them by.
QuotaAmounts NamedAmounts(const QuotaAmounts& requests, const QuotaAmounts& limits) {
  QuotaAmounts out;
  for (const auto& [name, amount] : requests) {
    const bool plain = Has(kCompute, name) || name.starts_with(kHugePages);
    if (plain) out[name] = amount;
    if (plain || name.find('/') != std::string::npos) out[std::string(kRequests) + name] = amount;
  }
  for (const auto& [name, amount] : limits) {
    if (Has(kCompute, name)) out[std::string(kLimits) + name] = amount;
  }
  return out;
}

std::string CountName(const KindInfo& kind) { return "count/" + kind.GroupResource(); }

void AddPod(const Pod& pod, QuotaAmounts* usage) {
  if (IsTerminal(pod)) return;
  (*usage)["pods"] = Quantity::FromValue(1);
  AddAmounts(NamedAmounts(PeakOf(pod.spec(), Requests), PeakOf(pod.spec(), Limits)), usage);
}

void AddService(const Service& service, QuotaAmounts* usage) {
  const auto& spec = service.spec();
  const bool balanced = spec.type() == "LoadBalancer";
  int64_t ports = 0;
  if (spec.type() == "NodePort" || balanced) {
    const bool only_named = balanced && spec.has_allocate_load_balancer_node_ports() &&
                            !spec.allocate_load_balancer_node_ports();
    for (const auto& port : spec.ports())
      ports += !only_named || port.node_port() != 0 ? 1 : 0;
  }
  (*usage)["services.nodeports"] = Quantity::FromValue(ports);
  (*usage)["services.loadbalancers"] = Quantity::FromValue(balanced ? 1 : 0);
}

void AddClaim(const PersistentVolumeClaim& claim, QuotaAmounts* usage) {
  std::string of_class;
  auto annotated = claim.metadata().annotations().find("volume.beta.kubernetes.io/storage-class");
  if (annotated != claim.metadata().annotations().end()) {
    of_class = annotated->second;
  } else {
    of_class = claim.spec().storage_class_name();
  }
  if (!of_class.empty()) of_class += kClassSuffix;
  if (!of_class.empty()) (*usage)[of_class + "persistentvolumeclaims"] = Quantity::FromValue(1);
  const auto& requests = claim.spec().resources().requests();
  auto storage = requests.find("storage");
  if (storage == requests.end()) return;
  Quantity amount = Quantity::ParseOrZero(storage->second.string());
  // While a claim shrinks back, what was given to it still counts.
  const auto& given = claim.status().allocated_resources();
  if (auto held = given.find("storage"); held != given.end())
    amount = std::max(amount, Quantity::ParseOrZero(held->second.string()));
  (*usage)["requests.storage"] = amount;
  if (!of_class.empty()) (*usage)[of_class + "requests.storage"] = amount;
}

bool IsBestEffort(const PodSpec& spec) {
  auto asks = [](const ResourceRequirements& resources) {
    for (const char* name : {"cpu", "memory"}) {
      for (const QuantityMap* list : {&resources.requests(), &resources.limits()}) {
        auto found = list->find(name);
        if (found != list->end() && Quantity::ParseOrZero(found->second.string()).Sign() > 0)
          return true;
      }
    }
    return false;
  };
  for (const auto& container : spec.containers())
    if (asks(container.resources())) return false;
  for (const auto& container : spec.init_containers())
    if (asks(container.resources())) return false;
  return !asks(spec.resources());
}

bool CrossesNamespaces(const PodSpec& spec) {
  auto crosses = [](const core::v1::PodAffinityTerm& term) {
    return !term.namespaces().empty() || term.has_namespace_selector();
  };
  auto any = [&](const auto& affinity) {
    for (const auto& term : affinity.required_during_scheduling_ignored_during_execution())
      if (crosses(term)) return true;
    for (const auto& term : affinity.preferred_during_scheduling_ignored_during_execution())
      if (crosses(term.pod_affinity_term())) return true;
    return false;
  };
  return any(spec.affinity().pod_affinity()) || any(spec.affinity().pod_anti_affinity());
}

bool InScope(std::string_view scope, std::string_view op, const std::set<std::string>& values,
             const PodSpec& spec) {
  if (scope == "Terminating") return spec.has_active_deadline_seconds();
  if (scope == "NotTerminating") return !spec.has_active_deadline_seconds();
  if (scope == "BestEffort") return IsBestEffort(spec);
  if (scope == "NotBestEffort") return !IsBestEffort(spec);
  if (scope == "CrossNamespacePodAffinity") return CrossesNamespaces(spec);
  if (scope != "PriorityClass") return false;
  const std::string& name = spec.priority_class_name();
  if (op == "Exists") return !name.empty();
  if (op == "DoesNotExist") return name.empty();
  if (op == "NotIn") return !values.contains(name);
  return !name.empty() && values.contains(name);
}

}  // namespace

QuotaAmounts ToQuotaAmounts(const QuantityMap& list) {
  QuotaAmounts amounts;
  for (const auto& [name, value] : list)
    amounts[name] = Quantity::ParseOrZero(value.string());
  return amounts;
}

QuotaAmounts QuotaUsage(const KindInfo& kind, const google::protobuf::Message& object) {
  QuotaAmounts usage;
  usage[CountName(kind)] = Quantity::FromValue(1);
  if (!kind.group.empty()) return usage;
  if (kind.kind == "Pod") {
    AddPod(static_cast<const Pod&>(object), &usage);
    return usage;
  }
  if (Has(kPlainNames, kind.plural)) usage[std::string(kind.plural)] = Quantity::FromValue(1);
  if (kind.kind == "Service") AddService(static_cast<const Service&>(object), &usage);
  if (kind.kind == "PersistentVolumeClaim")
    AddClaim(static_cast<const PersistentVolumeClaim&>(object), &usage);
  return usage;
}

bool QuotaCountsKind(const KindInfo& kind, std::string_view name) {
  if (name.starts_with("count/")) return name == CountName(kind);
  if (!kind.group.empty()) return false;
  if (name == kind.plural) return Has(kPlainNames, name);
  if (kind.kind == "Service")
    return name == "services.nodeports" || name == "services.loadbalancers";
  const bool storage = name == "requests.storage" || name.find(kClassSuffix) != name.npos;
  if (kind.kind == "PersistentVolumeClaim") return storage;
  if (kind.kind != "Pod" || storage) return false;
  return Has(kCompute, name) || name.starts_with(kHugePages) || name.starts_with(kRequests) ||
         name.starts_with(kLimits);
}

bool InQuotaScopes(const core::v1::ResourceQuotaSpec& spec, const KindInfo& kind,
                   const google::protobuf::Message& object) {
  const auto& rules = spec.scope_selector().match_expressions();
  if (spec.scopes().empty() && rules.empty()) return true;
  if (!kind.group.empty() || kind.kind != "Pod") return false;
  const PodSpec& pod = static_cast<const Pod&>(object).spec();
  for (const std::string& scope : spec.scopes()) {
    if (!InScope(scope, "Exists", {}, pod)) return false;
  }
  for (const auto& rule : rules) {
    std::set<std::string> values(rule.values().begin(), rule.values().end());
    if (!InScope(rule.scope_name(), rule.operator_(), values, pod)) return false;
  }
  return true;
}

std::string MissingForQuota(const PodSpec& spec, const std::vector<std::string>& names) {
  static constexpr std::string_view kRequired[] = {"cpu",    "limits.cpu",   "limits.memory",
                                                   "memory", "requests.cpu", "requests.memory"};
  std::map<std::string, std::set<std::string>> missing;
  auto look = [&](const core::v1::Container& container) {
    QuotaAmounts said = NamedAmounts(ToQuotaAmounts(container.resources().requests()),
                                     ToQuotaAmounts(container.resources().limits()));
    for (const std::string& name : names) {
      if (Has(kRequired, name) && !said.contains(name)) missing[name].insert(container.name());
    }
  };
  for (const auto& container : spec.containers())
    look(container);
  for (const auto& container : spec.init_containers())
    look(container);
  std::string text;
  for (const auto& [name, containers] : missing) {
    text += (text.empty() ? "" : "; ") + name + " for: ";
    bool first = true;
    for (const std::string& container : containers) {
      text += (first ? "" : ",") + container;
      first = false;
    }
  }
  return text;
}

}  // namespace gantry::api
