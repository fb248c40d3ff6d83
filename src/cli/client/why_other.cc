#include <array>

#include "cli/client/event_list.h"
#include "cli/client/fields.h"
#include "cli/client/why.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr size_t kEvents = 3;

// Conditions that are good when they are "False"; others are when they are "True".
constexpr std::array<std::string_view, 8> kGoodWhenFalse = {
    "MemoryPressure", "DiskPressure",   "PIDPressure",   "NetworkUnavailable",
    "Failed",         "ReplicaFailure", "FailureTarget", "Suspended"};

bool IsBad(const JsonValue& condition) {
  const std::string type = TextAt(condition, "type"), status = TextAt(condition, "status");
  bool good_when_false = type.starts_with("Namespace");  // of a namespace that ends
  for (const std::string_view one : kGoodWhenFalse)
    good_when_false = good_when_false || type == one;
  return good_when_false ? status == "True" : status != "True";
}

void AddDeletion(const JsonValue& object, WallTime now, std::vector<Finding>* out) {
  const std::string deleted = TextAt(object, "metadata.deletionTimestamp");
  if (deleted.empty()) return;
  Finding finding;
  finding.rule = "it is being deleted since " + AgeOf(deleted, now);
  for (const char* path : {"metadata.finalizers", "spec.finalizers"}) {
    for (const JsonValue& finalizer : ItemsAt(object, path))
      finding.details.push_back("finalizer " + ScalarText(finalizer) +
                                " keeps it: whoever set it has to remove it");
  }
  if (!ItemsAt(object, "metadata.finalizers").empty()) {
    std::string kind = TextAt(object, "kind");
    for (char& c : kind)
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    finding.fixes.push_back("if nobody does: gantry patch " + kind + " " +
                            TextAt(object, "metadata.name") +
                            " --type=merge -p '{\"metadata\":{\"finalizers\":null}}'");
  }
  out->push_back(std::move(finding));
}

void AddNodeState(const JsonValue& node, std::vector<Finding>* out) {
  const std::string name = TextAt(node, "metadata.name");
  if (BoolAt(node, "spec.unschedulable"))
    out->push_back({"it is cordoned: no new pods come to it", {}, {"gantry uncordon " + name}});
}

}  // namespace

std::vector<Finding> FindOtherProblems(const JsonValue& object,
                                       const std::vector<JsonValue>& events, WallTime now) {
  std::vector<Finding> out;
  AddDeletion(object, now, &out);
  if (TextAt(object, "kind") == "Node") AddNodeState(object, &out);
  for (const JsonValue& condition : ItemsAt(object, "status.conditions")) {
    if (!IsBad(condition)) continue;
    Finding finding;
    finding.rule = "condition " + TextAt(condition, "type") + " is " + TextAt(condition, "status") +
                   ": " + TextAt(condition, "reason");
    if (const std::string message = TextAt(condition, "message"); !message.empty())
      finding.details.push_back(message);
    if (TextAt(object, "kind") == "Node" && TextAt(condition, "type") == "Ready")
      finding.fixes.push_back("start its agent again: gantry agent --server URL --token TOKEN");
    out.push_back(std::move(finding));
  }
  if (out.empty()) return out;
  // What warned last may say what is behind it.
  size_t shown = 0;
  for (auto event = events.rbegin(); event != events.rend() && shown < kEvents; ++event) {
    if (TextAt(*event, "type") != "Warning") continue;
    out.back().details.push_back("event " + TextAt(*event, "reason") + ", " +
                                 EventAge(*event, now) + " ago: " + TextAt(*event, "message"));
    ++shown;
  }
  return out;
}

}  // namespace gantry::cli
