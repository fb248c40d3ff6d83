#include "cli/client/why.h"

#include <algorithm>
#include <string_view>

#include "api/duration.h"
#include "cli/client/describe_page.h"
#include "cli/client/event_list.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr int64_t kSignalBase = 128;

struct ExitHint {
  int64_t code;
  const char* means;
  const char* fix;
};

constexpr ExitHint kExitHints[] = {
    {1, "the program reported an error",
     "read its log above, or all of it with: gantry logs {pod} -c {container} -p"},
    {2, "misuse of a shell command or wrong arguments",
     "check command and args of container {container}"},
    {126, "the command cannot be executed",
     "check that the file of container {container}'s command may be executed and fits this "
     "machine"},
    {128, "it could not be started",
     "check command and args of container {container} against what is in its image"},
    {127, "the command was not found",
     "check command and args of container {container} against what is in its image"},
    {134, "the program aborted (SIGABRT)", "read its log: gantry logs {pod} -c {container} -p"},
    {137, "it was killed (SIGKILL)",
     "a failing liveness probe, a node under pressure or a program that does not end on SIGTERM: "
     "see gantry events --for pod/{pod}"},
    {139, "it crashed (SIGSEGV)", "check that the image is made for this machine's processor"},
    {143, "it was told to end (SIGTERM)", "see who stopped it: gantry events --for pod/{pod}"},
};

std::string Fill(std::string text, const std::string& pod, const std::string& container) {
  for (const auto& [name, value] : {std::pair<std::string_view, const std::string&>("{pod}", pod),
                                    {"{container}", container}}) {
    for (size_t at; (at = text.find(name)) != std::string::npos;)
      text.replace(at, name.size(), value);
  }
  return text;
}

std::string PodName(const JsonValue& pod) { return TextAt(pod, "metadata.name"); }

const JsonValue* Named(const JsonValue::Array& items, const std::string& name) {
  for (const JsonValue& item : items) {
    if (TextAt(item, "name") == name) return &item;
  }
  return nullptr;
}

const JsonValue* Condition(const JsonValue& object, std::string_view type) {
  for (const JsonValue& condition : ItemsAt(object, "status.conditions")) {
    if (TextAt(condition, "type") == type) return &condition;
  }
  return nullptr;
}

// The newest event for one of these reasons whose message has `part`; null where there is none.
const JsonValue* LastEvent(const std::vector<JsonValue>& events,
                           std::initializer_list<std::string_view> reasons,
                           std::string_view part = {}) {
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    const std::string reason = TextAt(*event, "reason");
    if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) continue;
    if (TextAt(*event, "message").find(part) != std::string::npos) return &*event;
  }
  return nullptr;
}

void AddEvent(const PodFacts& facts, const JsonValue* event, std::vector<std::string>* details) {
  if (event == nullptr) return;
  details->push_back("event " + TextAt(*event, "reason") + ", " + EventAge(*event, facts.now) +
                     " ago: " + TextAt(*event, "message"));
}

void AddLog(const PodFacts& facts, const std::string& container,
            std::vector<std::string>* details) {
  const auto log = facts.last_logs.find(container);
  if (log == facts.last_logs.end() || log->second.empty()) return;
  details->push_back("the last it wrote:");
  for (const std::string& line : SplitText(log->second, '\n')) {
    if (!line.empty()) details->push_back("  | " + line);
  }
}

// What a run of a container ended with.
Finding OfExit(const PodFacts& facts, const std::string& container, const JsonValue& terminated) {
  Finding finding;
  const std::string pod = PodName(facts.pod);
  const std::string reason = TextAt(terminated, "reason");
  const int64_t code = IntAt(terminated, "exitCode");
  finding.rule = "container " + container + " ended with exit code " + std::to_string(code);
  if (reason == "OOMKilled") {
    finding.rule = "container " + container +
                   " used more memory than its limit and was killed (OOMKilled, exit code " +
                   std::to_string(code) + ")";
    for (const char* list : {"spec.containers", "spec.initContainers"}) {
      const JsonValue* spec = Named(ItemsAt(facts.pod, list), container);
      const std::string limit = spec == nullptr ? "" : TextAt(*spec, "resources.limits.memory");
      if (!limit.empty())
        finding.details.push_back("its limit is resources.limits.memory=" + limit);
    }
    finding.fixes.push_back("raise resources.limits.memory of container " + container +
                            ", or make the program use less");
  } else {
    const int64_t signal = IntAt(terminated, "signal");
    if (signal > 0) finding.rule += " by signal " + std::to_string(signal);
    for (const ExitHint& hint : kExitHints) {
      if (hint.code != code) continue;
      finding.rule += std::string(": ") + hint.means;
      finding.fixes.push_back(Fill(hint.fix, pod, container));
    }
    if (finding.fixes.empty() && code > kSignalBase && code < kSignalBase + 65)
      finding.rule += ": killed by signal " + std::to_string(code - kSignalBase);
    if (code == 0) {
      finding.rule += ": it did its work and ended, but is meant to run on";
      finding.fixes.push_back("give container " + container +
                              " a command that goes on, or run it as a Job");
    }
    if (finding.fixes.empty())
      finding.fixes.push_back("read its log: gantry logs " + pod + " -c " + container + " -p");
  }
  const std::string message = TextAt(terminated, "message");
  if (!message.empty()) finding.details.push_back("its message: " + message);
  return finding;
}

Finding OfCrashLoop(const PodFacts& facts, const std::string& container, const JsonValue& status,
                    const std::string& message) {
  const JsonValue* last = At(status, "lastState.terminated");
  Finding finding;
  if (last != nullptr) {
    finding = OfExit(facts, container, *last);
  } else {
    finding.rule = "container " + container + " ends again and again";
    finding.fixes.push_back("read its log: gantry logs " + PodName(facts.pod) + " -c " + container +
                            " -p");
  }
  const int64_t restarts = IntAt(status, "restartCount");
  finding.details.insert(finding.details.begin(),
                         "it was restarted " +
                             (restarts == 1 ? "once" : std::to_string(restarts) + " times") +
                             "; the next start waits (CrashLoopBackOff): " + message);
  if (const JsonValue* liveness = LastEvent(facts.events, {"Unhealthy"}, "Liveness")) {
    AddEvent(facts, liveness, &finding.details);
    finding.fixes.push_back(
        "its liveness probe fails: fix the probe, or give the program more time with "
        "initialDelaySeconds or a startupProbe");
  }
  AddLog(facts, container, &finding.details);
  return finding;
}

struct WaitHint {
  const char* reason;
  const char* rule;
  const char* fix;
};

constexpr WaitHint kWaitHints[] = {
    {"ErrImageNeverPull", "image {image} is not on the node and imagePullPolicy is Never",
     "put it there (gantry image import FILE.tar), or set imagePullPolicy: IfNotPresent"},
    {"InvalidImageName", "{image} is not the name of an image",
     "correct the image of container {container}"},
    {"ImagePullBackOff", "image {image} cannot be pulled", ""},
    {"ErrImagePull", "image {image} cannot be pulled", ""},
    {"RunContainerError", "container {container} cannot be started",
     "check command, working directory and mounts of container {container} against its image"},
    {"CreateContainerError", "container {container} cannot be created",
     "correct what the message names in container {container}"},
};

std::string ImageFix(const std::string& message, const std::string& image) {
  struct Row {
    const char* part;
    const char* fix;
  };
  static constexpr Row kRows[] = {
      {"unauthorized",
       "the registry wants credentials: create a docker-registry secret and name it in "
       "imagePullSecrets"},
      {"authentication required",
       "the registry wants credentials: create a docker-registry secret and name it in "
       "imagePullSecrets"},
      {"denied",
       "the registry wants credentials, or there is no such repository: check the name, then "
       "imagePullSecrets"},
      {"manifest unknown", "there is no such tag: correct the part behind ':'"},
      {"not found", "there is no such image: correct its name or tag"},
      {"no such host", "the registry's name does not resolve: correct it, or check the node's DNS"},
      {"connection refused",
       "the registry does not answer: check that it runs and is reachable from the node"},
      {"timeout", "the registry does not answer: check the node's way to it"},
      {"x509", "the registry's certificate is not trusted: install its CA on the node"},
  };
  for (const Row& row : kRows) {
    if (message.find(row.part) != std::string::npos) return row.fix;
  }
  return "check that " + image +
         " exists and that the node reaches its registry, or import it: gantry image import "
         "FILE.tar";
}

// "couldn't find key nokey in Secret default/keys"
std::string KeyFix(const std::string& message, const std::string& container) {
  const size_t in = message.find(" in "), slash = message.find('/', in);
  std::string fix = "add the key, or correct its name in container " + container;
  if (in == std::string::npos || slash == std::string::npos) return fix;
  const bool secret = message.find("Secret", in) != std::string::npos;
  return fix + "; what there is: gantry describe " + (secret ? "secret " : "configmap ") +
         message.substr(slash + 1, message.find_first_of(" ,\n", slash) - slash - 1);
}

// How to make what is missing.
std::string CreateFix(const std::string& kind, const std::string& name, const JsonValue& pod) {
  const std::string where = " in namespace " + TextAt(pod, "metadata.namespace");
  if (kind == "configmap")
    return "create configmap " + name + where + ": gantry create configmap " + name +
           " --from-literal=KEY=VALUE";
  if (kind == "secret")
    return "create secret " + name + where + ": gantry create secret generic " + name +
           " --from-literal=KEY=VALUE";
  return "create " + kind + " " + name + where;
}

Finding OfConfigError(const PodFacts& facts, const std::string& container,
                      const std::string& message) {
  Finding finding;
  finding.rule = "container " + container + " needs something that is not there: " + message;
  for (const char* kind : {"configmap", "secret"}) {
    const size_t at = message.find(std::string(kind) + " \"");
    if (at == std::string::npos || message.find("not found") == std::string::npos) continue;
    const size_t from = message.find('"', at) + 1;
    const std::string name = message.substr(from, message.find('"', from) - from);
    finding.fixes.push_back(CreateFix(kind, name, facts.pod) +
                            " (or mark the reference optional: true)");
  }
  if (message.find("couldn't find key") != std::string::npos)
    finding.fixes.push_back(KeyFix(message, container));
  if (message.find("runAsNonRoot") != std::string::npos)
    finding.fixes.push_back("set securityContext.runAsUser to a number other than 0");
  if (finding.fixes.empty()) finding.fixes.push_back("correct what the message names");
  return finding;
}

Finding OfCreating(const PodFacts& facts, const std::string& container) {
  Finding finding;
  finding.rule = "container " + container + " is being created";
  const JsonValue* mount = LastEvent(facts.events, {"FailedMount", "FailedAttachVolume"});
  const JsonValue* sandbox = LastEvent(
      facts.events, {"FailedCreatePodSandBox", "FailedCreatePodContainer", "NetworkNotReady"});
  if (mount != nullptr) {
    finding.rule = "a volume of the pod cannot be mounted";
    AddEvent(facts, mount, &finding.details);
    const std::string message = TextAt(*mount, "message");
    const bool missing = message.find("not found") != std::string::npos;
    for (const char* kind : {"configmap", "secret", "persistentvolumeclaim"}) {
      const size_t at = message.find(std::string(kind) + " \"");
      if (!missing || at == std::string::npos) continue;
      const size_t from = message.find('"', at) + 1;
      finding.fixes.push_back(
          CreateFix(kind, message.substr(from, message.find('"', from) - from), facts.pod));
    }
    if (message.find("no volume plugin matched") != std::string::npos)
      finding.fixes.push_back(
          "this cluster has no volumes of that kind: use emptyDir, hostPath, configMap or secret");
    if (finding.fixes.empty()) finding.fixes.push_back("correct the volume that the message names");
  } else if (sandbox != nullptr) {
    finding.rule = "the pod's network or namespaces cannot be set up";
    AddEvent(facts, sandbox, &finding.details);
    finding.fixes.push_back("look at the node: gantry describe node " +
                            TextAt(facts.pod, "spec.nodeName"));
  } else if (const JsonValue* pulling = LastEvent(facts.events, {"Pulling"});
             pulling != nullptr && LastEvent(facts.events, {"Pulled", "Failed"}) == nullptr) {
    finding.rule = "the image of container " + container + " is being pulled";
    AddEvent(facts, pulling, &finding.details);
  }
  return finding;
}

Finding OfWaiting(const PodFacts& facts, const std::string& container, const JsonValue& status,
                  const JsonValue& waiting) {
  const std::string reason = TextAt(waiting, "reason");
  const std::string message = TextAt(waiting, "message");
  if (reason == "CrashLoopBackOff") return OfCrashLoop(facts, container, status, message);
  if (reason == "CreateContainerConfigError") return OfConfigError(facts, container, message);
  Finding finding;
  for (const WaitHint& hint : kWaitHints) {
    if (reason != hint.reason) continue;
    std::string rule = hint.rule;
    const std::string image = TextAt(status, "image");
    if (const size_t at = rule.find("{image}"); at != std::string::npos)
      rule.replace(at, 7, "\"" + image + "\"");
    finding.rule = Fill(rule, PodName(facts.pod), container) + " (" + reason + ")";
    finding.details.push_back("container " + container + ": " + message);
    const JsonValue* failed = LastEvent(facts.events, {"Failed"}, "pull");
    // Mostly the message has the event's own words at its end.
    const std::string told = failed == nullptr ? std::string() : TextAt(*failed, "message");
    constexpr size_t kEnd = 40;
    if (told.size() < kEnd || message.find(told.substr(told.size() - kEnd)) == std::string::npos)
      AddEvent(facts, failed, &finding.details);
    const std::string all = message + (failed == nullptr ? "" : TextAt(*failed, "message"));
    finding.fixes.push_back(*hint.fix != '\0' ? Fill(hint.fix, PodName(facts.pod), container)
                                              : ImageFix(all, image));
    return finding;
  }
  if (reason == "ContainerCreating" || reason == "PodInitializing" || reason.empty())
    return OfCreating(facts, container);
  finding.rule = "container " + container + " waits: " + reason;
  if (!message.empty()) finding.details.push_back(message);
  return finding;
}

// A container that runs and is not ready.
Finding OfUnready(const PodFacts& facts, const std::string& container, const JsonValue& status) {
  Finding finding;
  const bool started = BoolAt(status, "started");
  const char* probe = started ? "Readiness" : "Startup";
  finding.rule = "container " + container + " runs, but its " +
                 (started ? "readiness" : "startup") + " probe does not succeed";
  const JsonValue* spec = Named(ItemsAt(facts.pod, "spec.containers"), container);
  const JsonValue* wanted =
      spec == nullptr ? nullptr : spec->Find(started ? "readinessProbe" : "startupProbe");
  if (wanted != nullptr) finding.details.push_back("the probe: " + ProbeText(*wanted));
  const JsonValue* unhealthy = LastEvent(facts.events, {"Unhealthy"}, probe);
  AddEvent(facts, unhealthy, &finding.details);
  const std::string message = unhealthy == nullptr ? "" : TextAt(*unhealthy, "message");
  if (message.find("connection refused") != std::string::npos) {
    finding.fixes.push_back(
        "nothing listens on that port yet: correct the probe's port, or have the program listen on "
        "it");
  } else if (message.find("statuscode: 404") != std::string::npos) {
    finding.fixes.push_back("the program does not know that path: correct the probe's path");
  } else if (message.find("statuscode: 5") != std::string::npos) {
    finding.fixes.push_back("the program says that it is not ready: read its log: gantry logs " +
                            PodName(facts.pod) + " -c " + container);
  } else if (message.find("deadline exceeded") != std::string::npos ||
             message.find("timed out") != std::string::npos) {
    finding.fixes.push_back("the program answers too slowly: raise the probe's timeoutSeconds");
  } else {
    finding.fixes.push_back("run the probe by hand in the container (gantry exec " +
                            PodName(facts.pod) + " -c " + container + " -- ...) and read the log");
  }
  return finding;
}

// The containers of one list; true when the ones that follow have to wait for it.
bool AddContainers(const PodFacts& facts, const char* statuses, bool init,
                   std::vector<Finding>* out) {
  bool blocked = false;
  for (const JsonValue& status : ItemsAt(facts.pod, statuses)) {
    const std::string container = TextAt(status, "name");
    const JsonValue* waiting = At(status, "state.waiting");
    const JsonValue* terminated = At(status, "state.terminated");
    if (waiting != nullptr) {
      // Of containers that only wait for their turn the first is enough to know.
      const std::string reason = TextAt(*waiting, "reason");
      const bool turn = reason == "PodInitializing" || reason == "ContainerCreating";
      if (turn && !out->empty()) continue;
      out->push_back(OfWaiting(facts, container, status, *waiting));
      blocked = true;
    } else if (terminated != nullptr && (IntAt(*terminated, "exitCode") != 0 || !init)) {
      const std::string policy = TextAt(facts.pod, "spec.restartPolicy");
      if (IntAt(*terminated, "exitCode") == 0 && policy != "Always") continue;
      out->push_back(OfExit(facts, container, *terminated));
      AddLog(facts, container, &out->back().details);
      blocked = true;
    } else if (At(status, "state.running") != nullptr && !BoolAt(status, "ready")) {
      if (init) {
        Finding finding;
        finding.rule =
            "init container " + container + " has not ended yet; the others start after it";
        finding.details.push_back("it runs for " +
                                  AgeOf(TextAt(status, "state.running.startedAt"), facts.now));
        finding.fixes.push_back("see what it waits for: gantry logs " + PodName(facts.pod) +
                                " -c " + container);
        out->push_back(std::move(finding));
        blocked = true;
      } else {
        out->push_back(OfUnready(facts, container, status));
      }
    }
  }
  return blocked;
}

Finding OfDeletion(const PodFacts& facts) {
  Finding finding;
  const std::string name = PodName(facts.pod);
  const std::string deleted = TextAt(facts.pod, "metadata.deletionTimestamp");
  const Result<WallTime> end = api::ParseTime(deleted);
  const std::string grace =
      std::to_string(IntAt(facts.pod, "metadata.deletionGracePeriodSeconds")) + " s";
  const bool time_left = end.ok() && *end > facts.now;
  finding.rule =
      "it is being deleted; its containers have " + grace + " to end, " +
      (time_left ? "until " + deleted : "which ended " + AgeOf(deleted, facts.now) + " ago");
  const auto& finalizers = ItemsAt(facts.pod, "metadata.finalizers");
  for (const JsonValue& finalizer : finalizers)
    finding.details.push_back("finalizer " + ScalarText(finalizer) +
                              " keeps it: whoever set it has to remove it");
  if (!finalizers.empty()) {
    finding.fixes.push_back("if nobody does: gantry patch pod " + name +
                            " --type=merge -p '{\"metadata\":{\"finalizers\":null}}'");
  } else if (time_left) {
    finding.fixes.push_back("wait; a program that ends on SIGTERM goes at once");
  } else {
    finding.fixes.push_back(
        "its node (" + TextAt(facts.pod, "spec.nodeName") +
        ") does not confirm the end: check the node; if it is gone for good: gantry delete pod " +
        name + " --force");
  }
  return finding;
}

// A node that is down explains all that its pods show.
void AddNode(const PodFacts& facts, std::vector<Finding>* out) {
  const std::string wanted = TextAt(facts.pod, "spec.nodeName");
  for (const JsonValue& node : facts.nodes) {
    if (TextAt(node, "metadata.name") != wanted) continue;
    const JsonValue* ready = Condition(node, "Ready");
    if (ready != nullptr && TextAt(*ready, "status") == "True") return;
    Finding finding;
    finding.rule = "its node " + wanted + " is not ready";
    if (ready != nullptr)
      finding.details.push_back(TextAt(*ready, "reason") + ": " + TextAt(*ready, "message"));
    finding.fixes.push_back("start the agent on " + wanted +
                            " again, or look at it: gantry describe node " + wanted);
    out->push_back(std::move(finding));
    return;
  }
  if (facts.nodes.empty()) return;
  Finding finding;
  finding.rule = "its node " + wanted + " does not exist";
  finding.fixes.push_back("add the node, or delete the pod: gantry delete pod " +
                          PodName(facts.pod) + " --force");
  out->push_back(std::move(finding));
}

void AddReadinessGates(const PodFacts& facts, std::vector<Finding>* out) {
  for (const JsonValue& gate : ItemsAt(facts.pod, "spec.readinessGates")) {
    const std::string type = TextAt(gate, "conditionType");
    const JsonValue* condition = Condition(facts.pod, type);
    if (condition != nullptr && TextAt(*condition, "status") == "True") continue;
    Finding finding;
    finding.rule = "readiness gate " + type + " is not True";
    if (condition != nullptr)
      finding.details.push_back(TextAt(*condition, "reason") + ": " +
                                TextAt(*condition, "message"));
    finding.fixes.push_back("whoever sets condition " + type + " on the pod has to set it");
    out->push_back(std::move(finding));
  }
}

}  // namespace

std::vector<Finding> FindPodProblems(const PodFacts& facts) {
  std::vector<Finding> out;
  const JsonValue& pod = facts.pod;
  const std::string phase = TextAt(pod, "status.phase");
  if (!TextAt(pod, "metadata.deletionTimestamp").empty()) out.push_back(OfDeletion(facts));
  if (phase == "Succeeded") return out;
  if (TextAt(pod, "spec.nodeName").empty()) {
    for (Finding& finding : FindSchedulingProblems(facts))
      out.push_back(std::move(finding));
    return out;
  }
  if (const std::string reason = TextAt(pod, "status.reason");
      phase == "Failed" && !reason.empty()) {
    Finding finding;
    finding.rule = "the node ended it: " + reason;
    if (const std::string message = TextAt(pod, "status.message"); !message.empty())
      finding.details.push_back(message);
    finding.fixes.push_back(
        reason == "Evicted"
            ? "the node ran short: set requests that fit what it uses, or free room on the node"
            : "delete it, so that its owner makes another: gantry delete pod " + PodName(pod));
    out.push_back(std::move(finding));
    return out;
  }
  AddNode(facts, &out);
  // How its containers ended does not matter any more.
  if (!TextAt(pod, "metadata.deletionTimestamp").empty()) return out;
  const bool blocked = AddContainers(facts, "status.initContainerStatuses", true, &out);
  if (!blocked) AddContainers(facts, "status.containerStatuses", false, &out);
  if (out.empty()) AddReadinessGates(facts, &out);
  if (out.empty() && phase == "Pending") out.push_back(OfCreating(facts, "(all)"));
  return out;
}

std::vector<Finding> FindWorkloadProblems(const JsonValue& workload,
                                          const std::vector<JsonValue>& events) {
  std::vector<Finding> out;
  std::string message;
  if (const JsonValue* failure = Condition(workload, "ReplicaFailure");
      failure != nullptr && TextAt(*failure, "status") == "True") {
    message = TextAt(*failure, "message");
  } else if (const JsonValue* event = LastEvent(events, {"FailedCreate"})) {
    message = TextAt(*event, "message");
  }
  if (!message.empty()) {
    struct Row {
      const char* part;
      const char* fix;
    };
    static constexpr Row kRows[] = {
        {"exceeded quota",
         "raise the ResourceQuota, or lower what the pods ask for; what is used: gantry describe "
         "resourcequota"},
        {"must specify",
         "the namespace's quota wants requests and limits on every container: add them"},
        {"violates PodSecurity",
         "change the pods' securityContext as the message says, or the namespace's pod-security "
         "label"},
        {"serviceaccount",
         "create it: gantry create serviceaccount NAME, or correct spec.serviceAccountName"},
        {"priority class", "create the PriorityClass, or correct spec.priorityClassName"},
        {"denied the request", "an admission webhook refuses the pods: change them as it asks"},
        {"is forbidden", "change the pod template as the message says"},
        {"is invalid", "correct the pod template as the message says"},
    };
    Finding finding;
    finding.rule = "its pods are refused: " + message;
    for (const Row& row : kRows) {
      if (message.find(row.part) == std::string::npos) continue;
      finding.fixes.push_back(row.fix);
      // The failure names the service account.
      const size_t quote = message.find("serviceaccount \"");
      const size_t name = finding.fixes.back().find("NAME");
      if (quote != std::string::npos && name != std::string::npos) {
        const size_t from = quote + std::string_view("serviceaccount \"").size();
        finding.fixes.back().replace(name, 4, message.substr(from, message.find('"', from) - from));
      }
      break;
    }
    out.push_back(std::move(finding));
  }
  if (const JsonValue* progress = Condition(workload, "Progressing");
      progress != nullptr && TextAt(*progress, "reason") == "ProgressDeadlineExceeded") {
    out.push_back(
        {"its rollout makes no progress: " + TextAt(*progress, "message"),
         {},
         {"go back to what ran before: gantry rollout undo deployment/" + PodName(workload)}});
  }
  if (BoolAt(workload, "spec.paused")) {
    out.push_back(
        {"it is paused",
         {},
         {"gantry rollout resume " + TextAt(workload, "kind") + "/" + PodName(workload)}});
  }
  if (BoolAt(workload, "spec.suspend"))
    out.push_back({"it is suspended", {}, {"set spec.suspend to false"}});
  if (At(workload, "spec.replicas") != nullptr && IntAt(workload, "spec.replicas") == 0) {
    out.push_back(
        {"no replicas are wanted (spec.replicas is 0)",
         {},
         {"gantry scale " + TextAt(workload, "kind") + "/" + PodName(workload) + " --replicas=1"}});
  }
  return out;
}

std::string PodHeadline(const PodFacts& facts) {
  const JsonValue& pod = facts.pod;
  std::string text = "pod " + TextAt(pod, "metadata.namespace") + "/" + PodName(pod) + " is ";
  if (!TextAt(pod, "metadata.deletionTimestamp").empty()) return text + "Terminating";
  text += TextAt(pod, "status.phase");
  const JsonValue* ready = Condition(pod, "Ready");
  if (ready != nullptr && TextAt(pod, "status.phase") == "Running")
    text += TextAt(*ready, "status") == "True" ? " and ready" : ", not ready";
  const std::string node = TextAt(pod, "spec.nodeName");
  return node.empty() ? text : text + ", on node " + node;
}

std::string FormatFindings(const std::string& headline, const std::vector<Finding>& findings,
                           const std::string& more) {
  std::string text = headline + "\n";
  for (const Finding& finding : findings) {
    text += "\nWhy: " + finding.rule + "\n";
    for (const std::string& detail : finding.details)
      text += "     " + detail + "\n";
    for (const std::string& fix : finding.fixes)
      text += "Fix: " + fix + "\n";
  }
  if (findings.empty()) text += "\nNothing is wrong with it.\n";
  if (!more.empty()) text += "More: " + more + "\n";
  return text;
}

std::string WithNamespace(std::string text, const std::string& ns) {
  if (ns.empty()) return text;
  static constexpr std::string_view kVerbs[] = {"logs",   "describe", "events", "delete",
                                                "exec",   "scale",    "patch",  "rollout",
                                                "create", "get",      "why"};
  constexpr std::string_view kProgram = "gantry ";
  for (size_t at = 0; (at = text.find(kProgram, at)) != std::string::npos;) {
    at += kProgram.size();
    for (const std::string_view verb : kVerbs) {
      if (std::string_view(text).substr(at).starts_with(verb) && text[at + verb.size()] == ' ')
        text.insert(at, "-n " + ns + " ");
    }
  }
  return text;
}

}  // namespace gantry::cli
