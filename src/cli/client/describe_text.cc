#include "cli/client/describe_text.h"

#include <algorithm>
#include <map>

#include "api/duration.h"
#include "api/quantity.h"
#include "cli/client/event_list.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"
#include "cli/client/print_table.h"

namespace gantry::cli {
using api::JsonValue;
using api::Quantity;

namespace {

// Lines "Key:  value", aligned from one heading to the next.
class Page {
 public:
  void Field(const std::string& key, std::string value, size_t indent = 0) {
    block_.Row({std::string(indent, ' ') + (key.empty() ? "" : key + ":"), std::move(value)});
  }
  void Fields(const std::string& key, std::vector<std::string> values, size_t indent = 0) {
    if (values.empty()) values.emplace_back("<none>");
    for (size_t i = 0; i < values.size(); ++i)
      Field(i == 0 ? key : "", values[i], indent);
  }
  void Row(std::vector<std::string> cells) { block_.Row(std::move(cells)); }
  // Starts another block.
  void Head(const std::string& line) {
    Flush();
    out_ += line + "\n";
  }
  void Flush() {
    out_ += block_.Take();
    block_ = TableText(2, 0);
  }
  std::string Take() {
    Flush();
    return std::move(out_);
  }

 private:
  TableText block_{2, 0};
  std::string out_;
};

std::vector<std::string> Pairs(const JsonValue& object, std::string_view path,
                               const char* between) {
  std::map<std::string, std::string> sorted;
  if (const JsonValue* map = At(object, path); map != nullptr && map->is_object()) {
    for (const auto& [name, value] : map->as_object())
      sorted[name] = ScalarText(value);
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : sorted) {
    if (name != "kubectl.kubernetes.io/last-applied-configuration")
      out.push_back(name + between + value);
  }
  return out;
}

std::string OrNone(std::string text, const char* none = "<none>") {
  return text.empty() ? none : std::move(text);
}

// "Fri, 20 Nov 2026 20:03:20 +0000"
std::string LongTime(const std::string& text) {
  const Result<WallTime> time = api::ParseTime(text);
  if (!time.ok()) return text;
  const auto days = std::chrono::floor<std::chrono::days>(*time);
  const std::chrono::year_month_day date(days);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const unsigned day = static_cast<unsigned>(date.day());
  return std::string(kDays[std::chrono::weekday(days).c_encoding()]) + ", " +
         (day < 10 ? "0" : "") + std::to_string(day) + " " +
         kMonths[static_cast<unsigned>(date.month()) - 1] + " " +
         std::to_string(static_cast<int>(date.year())) + " " +
         api::FormatTime(*time).substr(11, 8) + " +0000";
}

void AddHead(const JsonValue& object, Page* page, bool with_namespace) {
  page->Field("Name", TextAt(object, "metadata.name"));
  if (with_namespace) page->Field("Namespace", TextAt(object, "metadata.namespace"));
}

void AddLabels(const JsonValue& object, Page* page) {
  page->Fields("Labels", Pairs(object, "metadata.labels", "="));
  page->Fields("Annotations", Pairs(object, "metadata.annotations", ": "));
}

void AddEvents(const std::vector<JsonValue>& events, WallTime now, Page* page) {
  if (events.empty()) {
    page->Field("Events", "<none>");
    return;
  }
  page->Head("Events:");
  page->Row({"  Type", "Reason", "Age", "From", "Message"});
  page->Row({"  ----", "------", "----", "----", "-------"});
  for (const JsonValue& event : events) {
    std::string from = TextAt(event, "source.component");
    if (from.empty()) from = TextAt(event, "reportingComponent");
    std::string message = TextAt(event, "message");
    while (message.ends_with('\n'))
      message.pop_back();
    page->Row({"  " + TextAt(event, "type"), TextAt(event, "reason"), EventAge(event, now), from,
               message});
  }
}

void AddState(const JsonValue& status, const char* field, const char* title, Page* page) {
  const JsonValue* state = status.Find(field);
  if (state == nullptr || !state->is_object() || state->as_object().empty()) {
    if (std::string_view(field) == "state") page->Field(title, "Waiting", 4);
    return;
  }
  const auto& [name, value] = state->as_object().front();
  page->Field(title,
              name == "running"   ? "Running"
              : name == "waiting" ? "Waiting"
                                  : "Terminated",
              4);
  if (name == "running") {
    page->Field("Started", LongTime(TextAt(value, "startedAt")), 6);
    return;
  }
  for (const auto& [key, shown] : {std::pair("reason", "Reason"), {"message", "Message"}}) {
    if (const std::string text = TextAt(value, key); !text.empty()) page->Field(shown, text, 6);
  }
  if (name != "terminated") return;
  page->Field("Exit Code", TextAt(value, "exitCode"), 6);
  if (const std::string signal = TextAt(value, "signal"); !signal.empty())
    page->Field("Signal", signal, 6);
  page->Field("Started", LongTime(TextAt(value, "startedAt")), 6);
  page->Field("Finished", LongTime(TextAt(value, "finishedAt")), 6);
}

void AddWords(const JsonValue& container, const char* field, const char* title, Page* page) {
  const auto& words = ItemsAt(container, field);
  if (words.empty()) return;
  page->Head(std::string("    ") + title + ":");
  for (const JsonValue& word : words)
    page->Head("      " + ScalarText(word));
}

std::string ProbeText(const JsonValue& probe) {
  std::string what = "unknown";
  if (const JsonValue* exec = probe.Find("exec")) {
    std::vector<std::string> words;
    for (const JsonValue& word : ItemsAt(*exec, "command"))
      words.push_back(ScalarText(word));
    what = "exec [" + JoinText(words, " ") + "]";
  } else if (const JsonValue* http = probe.Find("httpGet")) {
    std::string scheme = OrNone(TextAt(*http, "scheme"), "HTTP");
    for (char& c : scheme)
      c = static_cast<char>(c | 0x20);
    what = "http-get " + scheme + "://" + TextAt(*http, "host") + ":" + TextAt(*http, "port") +
           TextAt(*http, "path");
  } else if (const JsonValue* tcp = probe.Find("tcpSocket")) {
    what = "tcp-socket " + TextAt(*tcp, "host") + ":" + TextAt(*tcp, "port");
  } else if (const JsonValue* grpc = probe.Find("grpc")) {
    what = "grpc <pod>:" + TextAt(*grpc, "port") + " " + TextAt(*grpc, "service");
  }
  return what + " delay=" + std::to_string(IntAt(probe, "initialDelaySeconds")) +
         "s timeout=" + std::to_string(IntAt(probe, "timeoutSeconds", 1)) +
         "s period=" + std::to_string(IntAt(probe, "periodSeconds", 10)) +
         "s #success=" + std::to_string(IntAt(probe, "successThreshold", 1)) +
         " #failure=" + std::to_string(IntAt(probe, "failureThreshold", 3));
}

std::string SourceOf(const JsonValue& source) {
  struct Row {
    const char *field, *before, *after;
  };
  static constexpr Row kRows[] = {
      {"configMapKeyRef", "the key '", "' of config map '"},
      {"secretKeyRef", "the key '", "' in secret '"},
  };
  for (const Row& row : kRows) {
    const JsonValue* ref = source.Find(row.field);
    if (ref == nullptr) continue;
    return std::string("<set to ") + row.before + TextAt(*ref, "key") + row.after +
           TextAt(*ref, "name") + "'>  Optional: " + (BoolAt(*ref, "optional") ? "true" : "false");
  }
  if (const JsonValue* field = source.Find("fieldRef"))
    return " (" + TextAt(*field, "apiVersion") + ":" + TextAt(*field, "fieldPath") + ")";
  if (const JsonValue* field = source.Find("resourceFieldRef"))
    return " (" + TextAt(*field, "resource") + ")";
  return {};
}

void AddContainer(const JsonValue& container, const JsonValue* status, bool pod, Page* page) {
  page->Head("  " + TextAt(container, "name") + ":");
  if (pod) page->Field("Container ID", status == nullptr ? "" : TextAt(*status, "containerID"), 4);
  page->Field("Image", TextAt(container, "image"), 4);
  if (pod) page->Field("Image ID", status == nullptr ? "" : TextAt(*status, "imageID"), 4);
  std::vector<std::string> ports, host_ports;
  for (const JsonValue& port : ItemsAt(container, "ports")) {
    ports.push_back(TextAt(port, "containerPort") + "/" + OrNone(TextAt(port, "protocol"), "TCP"));
    host_ports.push_back(std::to_string(IntAt(port, "hostPort")) + "/" +
                         OrNone(TextAt(port, "protocol"), "TCP"));
  }
  page->Field(ports.size() > 1 ? "Ports" : "Port", OrNone(JoinText(ports, ", ")), 4);
  page->Field(ports.size() > 1 ? "Host Ports" : "Host Port", OrNone(JoinText(host_ports, ", ")), 4);
  AddWords(container, "command", "Command", page);
  AddWords(container, "args", "Args", page);
  if (status != nullptr) {
    AddState(*status, "state", "State", page);
    AddState(*status, "lastState", "Last State", page);
    page->Field("Ready", BoolAt(*status, "ready") ? "True" : "False", 4);
    page->Field("Restart Count", std::to_string(IntAt(*status, "restartCount")), 4);
  }
  for (const auto& [path, title] :
       {std::pair("resources.limits", "Limits"), {"resources.requests", "Requests"}}) {
    const auto amounts = Pairs(container, path, ":  ");
    if (amounts.empty()) continue;
    page->Head(std::string("    ") + title + ":");
    for (const std::string& amount : amounts)
      page->Row(
          {"      " + amount.substr(0, amount.find(':') + 1), amount.substr(amount.find(':') + 3)});
    page->Flush();
  }
  for (const auto& [field, title] : {std::pair("livenessProbe", "Liveness"),
                                     {"readinessProbe", "Readiness"},
                                     {"startupProbe", "Startup"}}) {
    if (const JsonValue* probe = container.Find(field)) page->Field(title, ProbeText(*probe), 4);
  }
  const auto& from = ItemsAt(container, "envFrom");
  if (!from.empty()) {
    page->Head("    Environment Variables from:");
    for (const JsonValue& source : from) {
      const bool map = source.Find("configMapRef") != nullptr;
      const JsonValue* ref = source.Find(map ? "configMapRef" : "secretRef");
      if (ref != nullptr)
        page->Row({"      " + TextAt(*ref, "name"),
                   std::string(map ? "ConfigMap" : "Secret") +
                       "  Optional: " + (BoolAt(*ref, "optional") ? "true" : "false")});
    }
  }
  const auto& env = ItemsAt(container, "env");
  if (env.empty())
    page->Field("Environment", "<none>", 4);
  else
    page->Head("    Environment:");
  for (const JsonValue& variable : env) {
    const JsonValue* source = variable.Find("valueFrom");
    page->Row({"      " + TextAt(variable, "name") + ":",
               source == nullptr ? TextAt(variable, "value") : SourceOf(*source)});
  }
  const auto& mounts = ItemsAt(container, "volumeMounts");
  if (mounts.empty())
    page->Field("Mounts", "<none>", 4);
  else
    page->Head("    Mounts:");
  for (const JsonValue& mount : mounts) {
    const std::string path =
        TextAt(mount, "subPath").empty() ? "" : ",path=\"" + TextAt(mount, "subPath") + "\"";
    page->Head("      " + TextAt(mount, "mountPath") + " from " + TextAt(mount, "name") + " (" +
               (BoolAt(mount, "readOnly") ? "ro" : "rw") + path + ")");
  }
}

void AddContainers(const JsonValue& spec, const JsonValue* status, bool pod, Page* page) {
  struct Row {
    const char *field, *statuses, *title;
  };
  static constexpr Row kRows[] = {
      {"initContainers", "initContainerStatuses", "Init Containers:"},
      {"containers", "containerStatuses", "Containers:"},
      {"ephemeralContainers", "ephemeralContainerStatuses", "Ephemeral Containers:"},
  };
  for (const Row& row : kRows) {
    const auto& containers = ItemsAt(spec, row.field);
    if (containers.empty()) continue;
    page->Head(row.title);
    for (const JsonValue& container : containers) {
      const JsonValue* found = nullptr;
      if (status != nullptr) {
        for (const JsonValue& one : ItemsAt(*status, row.statuses)) {
          if (TextAt(one, "name") == TextAt(container, "name")) found = &one;
        }
      }
      AddContainer(container, found, pod, page);
    }
  }
}

// A value that is no list or map on the line of its name, the others below it.
void AddTree(const std::string& name, const JsonValue& value, size_t indent, Page* page) {
  const std::string left(indent, ' ');
  std::string title = name;
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z')
    title[0] = static_cast<char>(title[0] & ~0x20);
  if (value.is_object() && !value.as_object().empty()) {
    page->Head(left + title + ":");
    for (const auto& [key, member] : value.as_object())
      AddTree(key, member, indent + 2, page);
  } else if (value.is_array() && !value.as_array().empty()) {
    page->Head(left + title + ":");
    for (const JsonValue& item : value.as_array()) {
      if (!item.is_object()) {
        page->Head(left + "  " + ScalarText(item));
        continue;
      }
      for (const auto& [key, member] : item.as_object())
        AddTree(key, member, indent + 2, page);
      page->Flush();
    }
    page->Flush();
  } else {
    page->Field(title, value.is_array() || value.is_object() ? "<none>" : ScalarText(value),
                indent);
  }
}

void AddVolumes(const JsonValue& spec, Page* page) {
  const auto& volumes = ItemsAt(spec, "volumes");
  if (volumes.empty()) {
    page->Field("Volumes", "<none>");
    return;
  }
  page->Head("Volumes:");
  struct Row {
    const char *field, *type;
  };
  static constexpr Row kTypes[] = {
      {"configMap", "ConfigMap (a volume populated by a ConfigMap)"},
      {"secret", "Secret (a volume populated by a Secret)"},
      {"emptyDir", "EmptyDir (a temporary directory that shares a pod's lifetime)"},
      {"hostPath", "HostPath (bare host directory volume)"},
      {"projected", "Projected (a volume that contains injected data from multiple sources)"},
      {"persistentVolumeClaim",
       "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)"},
      {"downwardAPI", "DownwardAPI (a volume populated by information about the pod)"},
  };
  for (const JsonValue& volume : volumes) {
    page->Head("  " + TextAt(volume, "name") + ":");
    for (const auto& [field, source] : volume.as_object()) {
      if (field == "name") continue;
      std::string type = field;
      for (const Row& row : kTypes) {
        if (field == row.field) type = row.type;
      }
      page->Field("Type", type, 4);
      if (!source.is_object()) continue;
      for (const auto& [key, value] : source.as_object()) {
        if (!value.is_object() && !value.is_array()) AddTree(key, value, 4, page);
      }
    }
  }
}

std::string TolerationText(const JsonValue& toleration) {
  std::string text = TextAt(toleration, "key");
  if (const std::string value = TextAt(toleration, "value"); !value.empty()) text += "=" + value;
  if (const std::string effect = TextAt(toleration, "effect"); !effect.empty())
    text += ":" + effect;
  if (TextAt(toleration, "operator") == "Exists")
    text += TextAt(toleration, "value").empty() ? " op=Exists" : "";
  if (const JsonValue* seconds = toleration.Find("tolerationSeconds"))
    text += " for " + ScalarText(*seconds) + "s";
  return text;
}

void AddController(const JsonValue& object, Page* page) {
  for (const JsonValue& owner : ItemsAt(object, "metadata.ownerReferences")) {
    if (BoolAt(owner, "controller"))
      page->Field("Controlled By", TextAt(owner, "kind") + "/" + TextAt(owner, "name"));
  }
}

void DescribePod(const JsonValue& pod, WallTime now, Page* page) {
  AddHead(pod, page, true);
  page->Field("Priority", std::to_string(IntAt(pod, "spec.priority")));
  if (const std::string name = TextAt(pod, "spec.priorityClassName"); !name.empty())
    page->Field("Priority Class Name", name);
  page->Field("Service Account", TextAt(pod, "spec.serviceAccountName"));
  const std::string node = TextAt(pod, "spec.nodeName");
  page->Field("Node", node.empty() ? "<none>" : node + "/" + TextAt(pod, "status.hostIP"));
  if (const std::string start = TextAt(pod, "status.startTime"); !start.empty())
    page->Field("Start Time", LongTime(start));
  AddLabels(pod, page);
  const std::string deleted = TextAt(pod, "metadata.deletionTimestamp");
  page->Field("Status", deleted.empty() ? TextAt(pod, "status.phase")
                                        : "Terminating (lasts " + AgeOf(deleted, now) + ")");
  if (const JsonValue* grace = At(pod, "metadata.deletionGracePeriodSeconds"))
    page->Field("Termination Grace Period", ScalarText(*grace) + "s");
  if (const std::string reason = TextAt(pod, "status.reason"); !reason.empty())
    page->Field("Reason", reason);
  if (const std::string message = TextAt(pod, "status.message"); !message.empty())
    page->Field("Message", message);
  page->Field("IP", TextAt(pod, "status.podIP"));
  const auto& addresses = ItemsAt(pod, "status.podIPs");
  if (addresses.empty())
    page->Field("IPs", "<none>");
  else
    page->Head("IPs:");
  for (const JsonValue& address : addresses)
    page->Field("IP", TextAt(address, "ip"), 2);
  AddController(pod, page);
  const JsonValue* spec = pod.Find("spec");
  if (spec == nullptr) return;
  AddContainers(*spec, pod.Find("status"), true, page);
  page->Head("Conditions:");
  page->Row({"  Type", "Status"});
  for (const JsonValue& condition : ItemsAt(pod, "status.conditions"))
    page->Row({"  " + TextAt(condition, "type") + " ", TextAt(condition, "status") + " "});
  page->Flush();
  AddVolumes(*spec, page);
  page->Field("QoS Class", TextAt(pod, "status.qosClass"));
  page->Fields("Node-Selectors", Pairs(*spec, "nodeSelector", "="));
  std::vector<std::string> tolerations;
  for (const JsonValue& toleration : ItemsAt(*spec, "tolerations"))
    tolerations.push_back(TolerationText(toleration));
  page->Fields("Tolerations", tolerations);
}

void DescribeService(const JsonValue& service, WallTime, Page* page) {
  AddHead(service, page, true);
  AddLabels(service, page);
  page->Field("Selector", OrNone(JoinText(Pairs(service, "spec.selector", "="), ",")));
  page->Field("Type", TextAt(service, "spec.type"));
  page->Field("IP Family Policy", TextAt(service, "spec.ipFamilyPolicy"));
  for (const auto& [path, title] :
       {std::pair("spec.ipFamilies", "IP Families"), {"spec.clusterIPs", "IPs"}}) {
    std::vector<std::string> texts;
    for (const JsonValue& item : ItemsAt(service, path))
      texts.push_back(ScalarText(item));
    if (std::string_view(title) == "IPs") page->Field("IP", TextAt(service, "spec.clusterIP"));
    page->Field(title, OrNone(JoinText(texts, ",")));
  }
  if (const std::string name = TextAt(service, "spec.externalName"); !name.empty())
    page->Field("External Name", name);
  for (const JsonValue& port : ItemsAt(service, "spec.ports")) {
    const std::string name = OrNone(TextAt(port, "name"), "<unset>");
    const std::string protocol = TextAt(port, "protocol");
    page->Field("Port", name + "  " + TextAt(port, "port") + "/" + protocol);
    page->Field("TargetPort", TextAt(port, "targetPort") + "/" + protocol);
    if (IntAt(port, "nodePort") > 0)
      page->Field("NodePort", name + "  " + TextAt(port, "nodePort") + "/" + protocol);
  }
  page->Field("Session Affinity", TextAt(service, "spec.sessionAffinity"));
  if (const std::string policy = TextAt(service, "spec.externalTrafficPolicy"); !policy.empty())
    page->Field("External Traffic Policy", policy);
  if (const std::string policy = TextAt(service, "spec.internalTrafficPolicy"); !policy.empty())
    page->Field("Internal Traffic Policy", policy);
}

void DescribeDeployment(const JsonValue& object, WallTime, Page* page) {
  AddHead(object, page, true);
  page->Field("CreationTimestamp", LongTime(TextAt(object, "metadata.creationTimestamp")));
  AddLabels(object, page);
  const JsonValue* selector = At(object, "spec.selector");
  page->Field("Selector", selector == nullptr ? "<none>" : SelectorQuery(*selector));
  auto count = [&](const char* field) {
    return std::to_string(IntAt(object, std::string("status.") + field));
  };
  page->Field("Replicas", std::to_string(IntAt(object, "spec.replicas", 1)) + " desired | " +
                              count("updatedReplicas") + " updated | " + count("replicas") +
                              " total | " + count("availableReplicas") + " available | " +
                              count("unavailableReplicas") + " unavailable");
  page->Field("StrategyType", TextAt(object, "spec.strategy.type"));
  page->Field("MinReadySeconds", std::to_string(IntAt(object, "spec.minReadySeconds")));
  if (const JsonValue* rolling = At(object, "spec.strategy.rollingUpdate")) {
    page->Field("RollingUpdateStrategy", TextAt(*rolling, "maxUnavailable") + " max unavailable, " +
                                             TextAt(*rolling, "maxSurge") + " max surge");
  }
  page->Head("Pod Template:");
  page->Fields("Labels", Pairs(object, "spec.template.metadata.labels", "="), 2);
  if (const JsonValue* spec = At(object, "spec.template.spec")) {
    AddContainers(*spec, nullptr, false, page);
    AddVolumes(*spec, page);
  }
  page->Head("Conditions:");
  page->Row({"  Type", "Status", "Reason"});
  page->Row({"  ----", "------", "------"});
  for (const JsonValue& condition : ItemsAt(object, "status.conditions"))
    page->Row({"  " + TextAt(condition, "type") + " ", TextAt(condition, "status"),
               TextAt(condition, "reason")});
  page->Flush();
}

void AddNodePods(const std::vector<JsonValue>& pods, WallTime now, Page* page) {
  page->Head("Non-terminated Pods:          (" + std::to_string(pods.size()) + " in total)");
  page->Row({"  Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests",
             "Memory Limits", "Age"});
  page->Row({"  ---------", "----", "------------", "----------", "---------------",
             "-------------", "---"});
  for (const JsonValue& pod : pods) {
    std::vector<std::string> row = {"  " + TextAt(pod, "metadata.namespace"),
                                    TextAt(pod, "metadata.name")};
    for (const char* path : {"resources.requests.cpu", "resources.limits.cpu",
                             "resources.requests.memory", "resources.limits.memory"}) {
      Quantity sum;
      for (const JsonValue& container : ItemsAt(pod, "spec.containers"))
        sum += Quantity::ParseOrZero(TextAt(container, path));
      row.push_back(sum.ToString());
    }
    row.push_back(AgeOf(TextAt(pod, "metadata.creationTimestamp"), now));
    page->Row(std::move(row));
  }
}

void DescribeNode(const JsonValue& node, const std::vector<JsonValue>& pods, WallTime now,
                  Page* page) {
  AddHead(node, page, false);
  constexpr std::string_view kRole = "node-role.kubernetes.io/";
  std::vector<std::string> roles;
  for (const std::string& label : Pairs(node, "metadata.labels", "=")) {
    if (label.starts_with(kRole))
      roles.push_back(label.substr(kRole.size(), label.find('=') - kRole.size()));
  }
  page->Field("Roles", OrNone(JoinText(roles, ",")));
  AddLabels(node, page);
  page->Field("CreationTimestamp", LongTime(TextAt(node, "metadata.creationTimestamp")));
  std::vector<std::string> taints;
  for (const JsonValue& taint : ItemsAt(node, "spec.taints")) {
    const std::string value = TextAt(taint, "value");
    taints.push_back(TextAt(taint, "key") + (value.empty() ? "" : "=" + value) + ":" +
                     TextAt(taint, "effect"));
  }
  page->Fields("Taints", taints);
  page->Field("Unschedulable", BoolAt(node, "spec.unschedulable") ? "true" : "false");
  page->Head("Conditions:");
  page->Row({"  Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"});
  page->Row({"  ----", "------", "-----------------", "------------------", "------", "-------"});
  for (const JsonValue& condition : ItemsAt(node, "status.conditions")) {
    page->Row({"  " + TextAt(condition, "type") + " ", TextAt(condition, "status") + " ",
               LongTime(TextAt(condition, "lastHeartbeatTime")) + " ",
               LongTime(TextAt(condition, "lastTransitionTime")) + " ",
               TextAt(condition, "reason") + " ", TextAt(condition, "message")});
  }
  page->Head("Addresses:");
  for (const JsonValue& address : ItemsAt(node, "status.addresses"))
    page->Field(TextAt(address, "type"), TextAt(address, "address"), 2);
  for (const auto& [path, title] :
       {std::pair("status.capacity", "Capacity:"), {"status.allocatable", "Allocatable:"}}) {
    page->Head(title);
    for (const std::string& pair : Pairs(node, path, "\t"))
      page->Field(pair.substr(0, pair.find('\t')), pair.substr(pair.find('\t') + 1), 2);
  }
  page->Head("System Info:");
  struct Row {
    const char *field, *title;
  };
  static constexpr Row kInfo[] = {{"machineID", "Machine ID"},
                                  {"systemUUID", "System UUID"},
                                  {"bootID", "Boot ID"},
                                  {"kernelVersion", "Kernel Version"},
                                  {"osImage", "OS Image"},
                                  {"operatingSystem", "Operating System"},
                                  {"architecture", "Architecture"},
                                  {"containerRuntimeVersion", "Container Runtime Version"},
                                  {"kubeletVersion", "Kubelet Version"}};
  for (const Row& row : kInfo)
    page->Field(row.title, TextAt(node, std::string("status.nodeInfo.") + row.field), 2);
  page->Flush();
  if (const std::string cidr = TextAt(node, "spec.podCIDR"); !cidr.empty())
    page->Field("PodCIDR", cidr);
  AddNodePods(pods, now, page);
  page->Flush();
}

void DescribeOther(const JsonValue& object, Page* page) {
  AddHead(object, page, !TextAt(object, "metadata.namespace").empty());
  AddLabels(object, page);
  page->Field("API Version", TextAt(object, "apiVersion"));
  page->Field("Kind", TextAt(object, "kind"));
  page->Field("Created", LongTime(TextAt(object, "metadata.creationTimestamp")));
  AddController(object, page);
  const bool secret = TextAt(object, "kind") == "Secret";
  for (const auto& [name, value] : object.as_object()) {
    if (name == "apiVersion" || name == "kind" || name == "metadata") continue;
    if (secret && name == "data" && value.is_object()) {
      // Only the size, as kubectl does.
      page->Head("Data:");
      for (const auto& [key, text] : value.as_object())
        page->Field(key, std::to_string(ScalarText(text).size() * 3 / 4) + " bytes", 2);
      continue;
    }
    AddTree(name, value, 0, page);
  }
}

}  // namespace

std::string DescribeObject(const JsonValue& object, const std::vector<JsonValue>& events,
                           const std::vector<JsonValue>& pods, WallTime now) {
  Page page;
  const std::string kind = TextAt(object, "kind");
  if (kind == "Pod")
    DescribePod(object, now, &page);
  else if (kind == "Node")
    DescribeNode(object, pods, now, &page);
  else if (kind == "Deployment")
    DescribeDeployment(object, now, &page);
  else if (kind == "Service")
    DescribeService(object, now, &page);
  else
    DescribeOther(object, &page);
  AddEvents(events, now, &page);
  return page.Take();
}

}  // namespace gantry::cli
