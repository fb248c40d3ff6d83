#include "cli/client/describe_page.h"
#include "cli/client/event_list.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

void AddReadinessGates(const JsonValue& pod, Page* page) {
  const auto& gates = ItemsAt(pod, "spec.readinessGates");
  if (gates.empty()) return;
  page->Head("Readiness Gates:");
  page->Line(1, {"Type", "Status"});
  for (const JsonValue& gate : gates) {
    const std::string type = TextAt(gate, "conditionType");
    std::string status = "<none>";
    for (const JsonValue& condition : ItemsAt(pod, "status.conditions")) {
      if (TextAt(condition, "type") == type) status = TextAt(condition, "status");
    }
    page->Line(1, {type + " ", status + " "});
  }
}

void AddStatus(const Described& what, Page* page) {
  const JsonValue& pod = what.object;
  const std::string phase = TextAt(pod, "status.phase");
  const std::string deleted = TextAt(pod, "metadata.deletionTimestamp");
  if (deleted.empty() || phase == "Succeeded" || phase == "Failed") {
    page->Line(0, {"Status:", phase});
  } else {
    page->Line(0, {"Status:", "Terminating (lasts " + AgeOf(deleted, what.now) + ")"});
    page->Line(0, {"Termination Grace Period:",
                   std::to_string(IntAt(pod, "metadata.deletionGracePeriodSeconds")) + "s"});
  }
  struct Row {
    const char *path, *title;
  };
  static constexpr Row kRows[] = {
      {"status.reason", "Reason:"},
      {"status.message", "Message:"},
      {"spec.securityContext.seccompProfile.type", "SeccompProfile:"},
      {"spec.securityContext.seccompProfile.localhostProfile", "LocalhostProfile:"}};
  for (const Row& row : kRows) {
    if (const std::string text = TextAt(pod, row.path); !text.empty())
      page->Line(0, {row.title, text});
  }
}

}  // namespace

void DescribePod(const Described& what, Page* page) {
  const JsonValue& pod = what.object;
  AddName(pod, page);
  AddNamespace(pod, page);
  page->Line(0, {"Priority:", std::to_string(IntAt(pod, "spec.priority"))});
  for (const auto& [path, title] : {std::pair("spec.priorityClassName", "Priority Class Name:"),
                                    {"spec.runtimeClassName", "Runtime Class Name:"},
                                    {"spec.serviceAccountName", "Service Account:"}}) {
    if (const std::string text = TextAt(pod, path); !text.empty()) page->Line(0, {title, text});
  }
  const std::string node = TextAt(pod, "spec.nodeName");
  page->Line(0, {"Node:", node.empty() ? "<none>" : node + "/" + TextAt(pod, "status.hostIP")});
  if (const std::string start = TextAt(pod, "status.startTime"); !start.empty())
    page->Line(0, {"Start Time:", LongTime(start)});
  AddLabels(pod, page);
  AddAnnotations(pod, page);
  AddStatus(what, page);
  page->Line(0, {"IP:", TextAt(pod, "status.podIP")});
  const auto& addresses = ItemsAt(pod, "status.podIPs");
  if (addresses.empty())
    page->Line(0, {"IPs:", "<none>"});
  else
    page->Head("IPs:");
  for (const JsonValue& address : addresses)
    page->Line(1, {"IP:", TextAt(address, "ip")});
  AddController(pod, page);
  if (const std::string name = TextAt(pod, "status.nominatedNodeName"); !name.empty())
    page->Line(0, {"NominatedNodeName:", name});
  const JsonValue* spec = pod.Find("spec");
  if (spec == nullptr) return;
  static const JsonValue kNoStatus = JsonValue::MakeObject();
  const JsonValue* status = pod.Find("status");
  AddContainers(pod, *spec, status == nullptr ? &kNoStatus : status, page);
  AddReadinessGates(pod, page);
  const auto& conditions = ItemsAt(pod, "status.conditions");
  if (!conditions.empty()) {
    page->Head("Conditions:");
    page->Line(1, {"Type", "Status"});
    for (const JsonValue& condition : conditions)
      page->Line(1, {TextAt(condition, "type") + " ", TextAt(condition, "status") + " "});
  }
  AddVolumes(*spec, false, page);
  page->Line(0, {"QoS Class:", TextAt(pod, "status.qosClass")});
  AddPlacement(*spec, 0, page);
}

}  // namespace gantry::cli
