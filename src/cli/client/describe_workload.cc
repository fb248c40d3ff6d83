#include <map>

#include "api/duration.h"
#include "cli/client/describe_page.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr const char* kHashLabel = "pod-template-hash";

std::string Count(const JsonValue& object, std::string_view path, int64_t fallback = 0) {
  return std::to_string(IntAt(object, path, fallback));
}

bool ControlledBy(const JsonValue& child, const JsonValue& object) {
  for (const JsonValue& owner : ItemsAt(child, "metadata.ownerReferences")) {
    if (BoolAt(owner, "controller")) return TextAt(owner, "uid") == TextAt(object, "metadata.uid");
  }
  return false;
}

void AddPodsStatus(const Described& what, Page* page) {
  std::map<std::string, int> phases;
  for (const JsonValue& pod : what.Related("pods")) {
    if (ControlledBy(pod, what.object)) ++phases[TextAt(pod, "status.phase")];
  }
  page->Line(0, {"Pods Status:", std::to_string(phases["Running"]) + " Running / " +
                                     std::to_string(phases["Pending"]) + " Waiting / " +
                                     std::to_string(phases["Succeeded"]) + " Succeeded / " +
                                     std::to_string(phases["Failed"]) + " Failed"});
}

void AddTemplate(const JsonValue& object, Page* page) {
  if (const JsonValue* pod_template = At(object, "spec.template"))
    AddPodTemplate(*pod_template, page);
}

void AddCreated(const JsonValue& object, Page* page) {
  page->Line(0, {"CreationTimestamp:", LongTime(TextAt(object, "metadata.creationTimestamp"))});
}

bool SameTemplate(const JsonValue& set, const JsonValue& deployment) {
  const JsonValue* wanted = At(deployment, "spec.template");
  const JsonValue* has = At(set, "spec.template");
  if (wanted == nullptr || has == nullptr) return false;
  JsonValue copy = *has;
  if (JsonValue* meta = copy.Find("metadata")) {
    if (JsonValue* labels = meta->Find("labels")) labels->Erase(kHashLabel);
  }
  return copy == *wanted;
}

void AddReplicaSets(const Described& what, Page* page) {
  std::vector<std::string> old_sets, new_set;
  for (const JsonValue& set : what.Related("replicasets")) {
    if (!ControlledBy(set, what.object)) continue;
    const std::string text = TextAt(set, "metadata.name") + " (" + Count(set, "status.replicas") +
                             "/" + Count(set, "spec.replicas", 1) + " replicas created)";
    (SameTemplate(set, what.object) ? new_set : old_sets).push_back(text);
  }
  page->Line(0, {"OldReplicaSets:", OrNone(JoinText(old_sets, ", "))});
  page->Line(0, {"NewReplicaSet:", OrNone(JoinText(new_set, ", "))});
}

}  // namespace

void DescribeDeployment(const Described& what, Page* page) {
  const JsonValue& object = what.object;
  AddName(object, page);
  AddNamespace(object, page);
  AddCreated(object, page);
  AddLabels(object, page);
  AddAnnotations(object, page);
  AddSelector(object, page);
  page->Line(0, {"Replicas:", Count(object, "spec.replicas", 1) + " desired | " +
                                  Count(object, "status.updatedReplicas") + " updated | " +
                                  Count(object, "status.replicas") + " total | " +
                                  Count(object, "status.availableReplicas") + " available | " +
                                  Count(object, "status.unavailableReplicas") + " unavailable"});
  page->Line(0, {"StrategyType:", TextAt(object, "spec.strategy.type")});
  page->Line(0, {"MinReadySeconds:", Count(object, "spec.minReadySeconds")});
  if (const JsonValue* rolling = At(object, "spec.strategy.rollingUpdate"))
    page->Line(
        0, {"RollingUpdateStrategy:", TextAt(*rolling, "maxUnavailable") + " max unavailable, " +
                                          TextAt(*rolling, "maxSurge") + " max surge"});
  AddTemplate(object, page);
  AddConditions(object, page);
  AddReplicaSets(what, page);
}

void DescribeReplicaSet(const Described& what, Page* page) {
  const JsonValue& object = what.object;
  AddName(object, page);
  AddNamespace(object, page);
  AddSelector(object, page);
  AddLabels(object, page);
  AddAnnotations(object, page);
  AddController(object, page);
  page->Line(0, {"Replicas:", Count(object, "status.replicas") + " current / " +
                                  Count(object, "spec.replicas", 1) + " desired"});
  AddPodsStatus(what, page);
  AddTemplate(object, page);
  AddConditions(object, page);
}

void DescribeStatefulSet(const Described& what, Page* page) {
  const JsonValue& object = what.object;
  AddName(object, page);
  AddNamespace(object, page);
  AddCreated(object, page);
  AddSelector(object, page);
  AddLabels(object, page);
  AddAnnotations(object, page);
  page->Line(0, {"Replicas:", Count(object, "spec.replicas", 1) + " desired | " +
                                  Count(object, "status.replicas") + " total"});
  page->Line(0, {"Update Strategy:", TextAt(object, "spec.updateStrategy.type")});
  if (const JsonValue* partition = At(object, "spec.updateStrategy.rollingUpdate.partition"))
    page->Line(1, {"Partition:", ScalarText(*partition)});
  AddPodsStatus(what, page);
  AddTemplate(object, page);
  const auto& claims = ItemsAt(object, "spec.volumeClaimTemplates");
  if (claims.empty()) {
    page->Line(0, {"Volume Claims:", "<none>"});
    return;
  }
  page->Head("Volume Claims:");
  for (const JsonValue& claim : claims) {
    page->Line(1, {"Name:", TextAt(claim, "metadata.name")});
    page->Line(1, {"StorageClass:", TextAt(claim, "spec.storageClassName")});
    page->Lines(1, "Labels:", Pairs(claim, "metadata.labels", "="));
    page->Lines(1, "Annotations:", Pairs(claim, "metadata.annotations", ": "));
    page->Line(
        1, {"Capacity:", OrNone(TextAt(claim, "spec.resources.requests.storage"), "<default>")});
    page->Line(1, {"Access Modes:", "[" + JoinText(Texts(claim, "spec.accessModes"), " ") + "]"});
  }
}

void DescribeDaemonSet(const Described& what, Page* page) {
  const JsonValue& object = what.object;
  AddName(object, page);
  AddNamespace(object, page);
  AddSelector(object, page);
  page->Line(0, {"Node-Selector:",
                 OrNone(JoinText(Pairs(object, "spec.template.spec.nodeSelector", "="), ","))});
  AddLabels(object, page);
  AddAnnotations(object, page);
  struct Row {
    const char *title, *path;
  };
  static constexpr Row kRows[] = {
      {"Desired Number of Nodes Scheduled: ", "status.desiredNumberScheduled"},
      {"Current Number of Nodes Scheduled: ", "status.currentNumberScheduled"},
      {"Number of Nodes Scheduled with Up-to-date Pods: ", "status.updatedNumberScheduled"},
      {"Number of Nodes Scheduled with Available Pods: ", "status.numberAvailable"},
      {"Number of Nodes Misscheduled: ", "status.numberMisscheduled"}};
  for (const Row& row : kRows)
    page->Head(row.title + Count(object, row.path));
  AddPodsStatus(what, page);
  AddTemplate(object, page);
}

void DescribeJob(const Described& what, Page* page) {
  const JsonValue& object = what.object;
  AddName(object, page);
  AddNamespace(object, page);
  AddSelector(object, page);
  AddLabels(object, page);
  AddAnnotations(object, page);
  AddController(object, page);
  page->Line(0, {"Parallelism:", Count(object, "spec.parallelism", 1)});
  page->Line(0, {"Completions:", OrNone(TextAt(object, "spec.completions"), "<unset>")});
  page->Line(0, {"Completion Mode:", OrNone(TextAt(object, "spec.completionMode"), "NonIndexed")});
  page->Line(0, {"Suspend:", Truth(BoolAt(object, "spec.suspend"))});
  page->Line(0, {"Backoff Limit:", Count(object, "spec.backoffLimit", 6)});
  const std::string start = TextAt(object, "status.startTime");
  const std::string end = TextAt(object, "status.completionTime");
  if (!start.empty()) page->Line(0, {"Start Time:", LongTime(start)});
  if (!end.empty()) page->Line(0, {"Completed At:", LongTime(end)});
  const Result<WallTime> began = api::ParseTime(start), ended = api::ParseTime(end);
  if (began.ok() && ended.ok()) page->Line(0, {"Duration:", api::HumanDuration(*ended - *began)});
  if (const JsonValue* seconds = At(object, "spec.activeDeadlineSeconds"))
    page->Line(0, {"Active Deadline Seconds:", ScalarText(*seconds) + "s"});
  page->Line(0, {"Pods Statuses:", Count(object, "status.active") + " Active (" +
                                       Count(object, "status.ready") + " Ready) / " +
                                       Count(object, "status.succeeded") + " Succeeded / " +
                                       Count(object, "status.failed") + " Failed"});
  AddTemplate(object, page);
}

}  // namespace gantry::cli
