#include <algorithm>
#include <set>

#include "api/quantity.h"
#include "cli/client/describe_page.h"
#include "cli/client/event_list.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;
using api::Quantity;

namespace {

constexpr std::string_view kRole = "node-role.kubernetes.io/";

// What a pod counts for: its containers and sidecars together, or its largest init container, and
// its overhead.
Quantity PodAmount(const JsonValue& pod, const std::string& which, const std::string& resource) {
  auto amount = [&](const JsonValue& container) {
    return Quantity::ParseOrZero(MemberAt(container, "resources." + which, resource));
  };
  Quantity sum, sidecars, largest;
  for (const JsonValue& container : ItemsAt(pod, "spec.containers"))
    sum += amount(container);
  for (const JsonValue& container : ItemsAt(pod, "spec.initContainers")) {
    const Quantity one = amount(container);
    if (TextAt(container, "restartPolicy") == "Always") {
      sum += one;
      sidecars += one;
      largest = std::max(largest, sidecars);
    } else {
      largest = std::max(largest, one + sidecars);
    }
  }
  sum = std::max(sum, largest);
  if (which == "requests" || !sum.IsZero())
    sum += Quantity::ParseOrZero(MemberAt(pod, "spec.overhead", resource));
  return sum;
}

std::string WithPercent(const Quantity& amount, const Quantity& of) {
  const double percent = of.IsZero() ? 0 : amount.AsDouble() / of.AsDouble() * 100;
  return amount.ToString() + " (" + std::to_string(static_cast<int64_t>(percent)) + "%)";
}

Quantity Allocatable(const JsonValue& node, const std::string& resource) {
  std::string text = MemberAt(node, "status.allocatable", resource);
  if (text.empty()) text = MemberAt(node, "status.capacity", resource);
  return Quantity::ParseOrZero(text);
}

void AddPods(const Described& what, Page* page) {
  const auto& pods = what.Related("pods");
  page->Line(0, {"Non-terminated Pods:", "(" + std::to_string(pods.size()) + " in total)"});
  page->Line(1, {"Namespace", "Name", "", "CPU Requests", "CPU Limits", "Memory Requests",
                 "Memory Limits", "Age"});
  page->Line(1, {"---------", "----", "", "------------", "----------", "---------------",
                 "-------------", "---"});
  for (const JsonValue& pod : pods) {
    std::vector<std::string> row = {TextAt(pod, "metadata.namespace"), TextAt(pod, "metadata.name"),
                                    ""};
    for (const char* resource : {"cpu", "memory"}) {
      for (const char* which : {"requests", "limits"})
        row.push_back(
            WithPercent(PodAmount(pod, which, resource), Allocatable(what.object, resource)));
    }
    row.push_back(AgeOf(TextAt(pod, "metadata.creationTimestamp"), what.now));
    page->Line(1, row);
  }
}

void AddAllocated(const Described& what, Page* page) {
  std::vector<std::string> resources = {"cpu", "memory", "ephemeral-storage"};
  std::set<std::string> others;
  if (const JsonValue* all = At(what.object, "status.allocatable");
      all != nullptr && all->is_object()) {
    for (const auto& [name, value] : all->as_object()) {
      if (name != "pods" && std::find(resources.begin(), resources.end(), name) == resources.end())
        others.insert(name);
    }
  }
  resources.insert(resources.end(), others.begin(), others.end());
  page->Head("Allocated resources:");
  page->Head("  (Total limits may be over 100 percent, i.e., overcommitted.)");
  page->Line(1, {"Resource", "Requests", "Limits"});
  page->Line(1, {"--------", "--------", "------"});
  for (const std::string& resource : resources) {
    Quantity requests, limits;
    for (const JsonValue& pod : what.Related("pods")) {
      requests += PodAmount(pod, "requests", resource);
      limits += PodAmount(pod, "limits", resource);
    }
    const Quantity of = Allocatable(what.object, resource);
    const bool extended = resource.find('/') != std::string::npos;
    page->Line(1, {resource, extended ? requests.ToString() : WithPercent(requests, of),
                   extended ? limits.ToString() : WithPercent(limits, of)});
  }
}

void AddLease(const Described& what, Page* page) {
  page->Head("Lease:");
  const auto& leases = what.Related("lease");
  static const JsonValue kNone;
  const JsonValue& lease = leases.empty() ? kNone : leases[0];
  page->Line(1, {"HolderIdentity:", OrNone(TextAt(lease, "spec.holderIdentity"), "<unset>")});
  page->Line(1, {"AcquireTime:", LongTime(TextAt(lease, "spec.acquireTime"))});
  page->Line(1, {"RenewTime:", LongTime(TextAt(lease, "spec.renewTime"))});
}

void AddNodeConditions(const JsonValue& node, Page* page) {
  page->Head("Conditions:");
  page->Line(1, {"Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"});
  page->Line(1, {"----", "------", "-----------------", "------------------", "------", "-------"});
  for (const JsonValue& condition : ItemsAt(node, "status.conditions")) {
    page->Line(1, {TextAt(condition, "type") + " ", TextAt(condition, "status") + " ",
                   LongTime(TextAt(condition, "lastHeartbeatTime")) + " ",
                   LongTime(TextAt(condition, "lastTransitionTime")) + " ",
                   TextAt(condition, "reason") + " ", TextAt(condition, "message")});
  }
}

void AddSystem(const JsonValue& node, Page* page) {
  struct Row {
    const char *field, *title;
  };
  static constexpr Row kInfo[] = {{"machineID", "Machine ID:"},
                                  {"systemUUID", "System UUID:"},
                                  {"bootID", "Boot ID:"},
                                  {"kernelVersion", "Kernel Version:"},
                                  {"osImage", "OS Image:"},
                                  {"operatingSystem", "Operating System:"},
                                  {"architecture", "Architecture:"},
                                  {"containerRuntimeVersion", "Container Runtime Version:"},
                                  {"kubeletVersion", "Kubelet Version:"},
                                  {"kubeProxyVersion", "Kube-Proxy Version:"}};
  page->Head("System Info:");
  for (const Row& row : kInfo)
    page->Line(1, {row.title, TextAt(node, std::string("status.nodeInfo.") + row.field)});
  if (const std::string cidr = TextAt(node, "spec.podCIDR"); !cidr.empty())
    page->Line(0, {"PodCIDR:", cidr});
  if (const auto cidrs = Texts(node, "spec.podCIDRs"); !cidrs.empty())
    page->Line(0, {"PodCIDRs:", JoinText(cidrs, ",")});
  if (const std::string id = TextAt(node, "spec.providerID"); !id.empty())
    page->Line(0, {"ProviderID:", id});
}

}  // namespace

void DescribeNode(const Described& what, Page* page) {
  const JsonValue& node = what.object;
  AddName(node, page);
  std::vector<std::string> roles;
  for (const std::string& label : Pairs(node, "metadata.labels", "=")) {
    if (label.starts_with(kRole))
      roles.push_back(label.substr(kRole.size(), label.find('=') - kRole.size()));
  }
  page->Line(0, {"Roles:", OrNone(JoinText(roles, ","))});
  AddLabels(node, page);
  AddAnnotations(node, page);
  page->Line(0, {"CreationTimestamp:", LongTime(TextAt(node, "metadata.creationTimestamp"))});
  std::vector<std::string> taints;
  for (const JsonValue& taint : ItemsAt(node, "spec.taints")) {
    const std::string value = TextAt(taint, "value");
    taints.push_back(TextAt(taint, "key") + (value.empty() ? "" : "=" + value) + ":" +
                     TextAt(taint, "effect"));
  }
  page->Lines(0, "Taints:", taints);
  page->Line(0, {"Unschedulable:", Truth(BoolAt(node, "spec.unschedulable"))});
  AddLease(what, page);
  AddNodeConditions(node, page);
  page->Head("Addresses:");
  for (const JsonValue& address : ItemsAt(node, "status.addresses"))
    page->Line(1, {TextAt(address, "type") + ":", TextAt(address, "address")});
  for (const auto& [path, title] :
       {std::pair("status.capacity", "Capacity:"), {"status.allocatable", "Allocatable:"}}) {
    page->Head(title);
    for (const std::string& pair : Pairs(node, path, ":\t"))
      page->Line(1, {pair});
  }
  AddSystem(node, page);
  AddPods(what, page);
  AddAllocated(what, page);
}

}  // namespace gantry::cli
