#include <algorithm>

#include "api/quantity.h"
#include "cli/client/describe_page.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"

namespace gantry::cli {
using api::JsonValue;
using api::Quantity;

namespace {

void AddState(const JsonValue& status, const char* field, const char* title, Page* page) {
  const JsonValue* state = status.Find(field);
  const bool known = state != nullptr && state->is_object() && !state->as_object().empty();
  const std::string name = known ? state->as_object().front().first : "waiting";
  if (name == "running") {
    page->Line(2, {title, "Running"});
    page->Line(3, {"Started:", LongTime(TextAt(*state, "running.startedAt"))});
    return;
  }
  page->Line(2, {title, name == "waiting" ? "Waiting" : "Terminated"});
  if (!known) return;
  const JsonValue& value = state->as_object().front().second;
  if (const std::string text = TextAt(value, "reason"); !text.empty())
    page->Line(3, {"Reason:", text});
  if (name == "waiting") return;
  if (const std::string text = TextAt(value, "message"); !text.empty())
    page->Line(3, {"Message:", text});
  page->Line(3, {"Exit Code:", std::to_string(IntAt(value, "exitCode"))});
  if (IntAt(value, "signal") > 0) page->Line(3, {"Signal:", TextAt(value, "signal")});
  page->Line(3, {"Started:", LongTime(TextAt(value, "startedAt"))});
  page->Line(3, {"Finished:", LongTime(TextAt(value, "finishedAt"))});
}

void AddWords(const JsonValue& container, const char* field, const char* title, Page* page) {
  const std::vector<std::string> words = Texts(container, field);
  if (words.empty()) return;
  page->Line(2, {title});
  for (const std::string& word : words) {
    for (const std::string& line : SplitText(word, '\n'))
      page->Line(3, {line});
  }
}

// What a field of the pod's metadata says; status is not looked at, as with kubectl.
std::string FieldOfPod(const JsonValue& pod, const std::string& path) {
  const size_t quote = path.find("['");
  if (quote != std::string::npos && path.ends_with("']"))
    return MemberAt(pod, path.substr(0, quote), path.substr(quote + 2, path.size() - quote - 4));
  return path.starts_with("metadata.") ? TextAt(pod, path) : std::string();
}

// The amount in units of the divisor, rounded up.
std::string ResourceText(const JsonValue& container, const JsonValue& ref) {
  const std::string resource = TextAt(ref, "resource");  // "limits.cpu"
  const size_t dot = resource.find('.');
  if (dot == std::string::npos) return {};
  const std::string amount =
      MemberAt(container, "resources." + resource.substr(0, dot), resource.substr(dot + 1));
  const bool limit = resource == "limits.cpu" || resource == "limits.memory";
  if (amount.empty()) return limit ? "node allocatable" : "0";
  const int64_t milli = Quantity::ParseOrZero(amount).MilliValue();
  int64_t divisor = Quantity::ParseOrZero(OrNone(TextAt(ref, "divisor"), "1")).MilliValue();
  if (divisor <= 0) divisor = 1000;
  return std::to_string((milli + divisor - 1) / divisor);
}

std::vector<std::string> VariableCells(const JsonValue& pod, const JsonValue& container,
                                       const JsonValue& source) {
  struct Row {
    const char *field, *before, *after;
  };
  static constexpr Row kRows[] = {
      {"secretKeyRef", "<set to the key '", "' in secret '"},
      {"configMapKeyRef", "<set to the key '", "' of config map '"},
  };
  for (const Row& row : kRows) {
    const JsonValue* ref = source.Find(row.field);
    if (ref == nullptr) continue;
    return {row.before + TextAt(*ref, "key") + row.after + TextAt(*ref, "name") + "'>",
            std::string("Optional: ") + Truth(BoolAt(*ref, "optional"))};
  }
  if (const JsonValue* field = source.Find("fieldRef"))
    return {FieldOfPod(pod, TextAt(*field, "fieldPath")) + " (" + TextAt(*field, "apiVersion") +
            ":" + TextAt(*field, "fieldPath") + ")"};
  if (const JsonValue* ref = source.Find("resourceFieldRef"))
    return {ResourceText(container, *ref) + " (" + TextAt(*ref, "resource") + ")"};
  return {""};
}

void AddEnvironment(const JsonValue& pod, const JsonValue& container, Page* page) {
  const auto& from = ItemsAt(container, "envFrom");
  if (!from.empty()) page->Line(2, {"Environment Variables from:"});
  for (const JsonValue& source : from) {
    const bool map = source.Find("configMapRef") != nullptr;
    const JsonValue* ref = source.Find(map ? "configMapRef" : "secretRef");
    if (ref == nullptr) continue;
    const std::string prefix = TextAt(source, "prefix");
    page->Line(3, {TextAt(*ref, "name"),
                   std::string(map ? "ConfigMap" : "Secret") +
                       (prefix.empty() ? "" : " with prefix '" + prefix + "'"),
                   std::string("Optional: ") + Truth(BoolAt(*ref, "optional"))});
  }
  const auto& env = ItemsAt(container, "env");
  if (env.empty()) {
    page->Line(2, {"Environment:", "<none>"});
    return;
  }
  page->Line(2, {"Environment:"});
  for (const JsonValue& variable : env) {
    const std::string name = TextAt(variable, "name") + ":";
    if (const JsonValue* source = variable.Find("valueFrom")) {
      std::vector<std::string> cells = VariableCells(pod, container, *source);
      cells.insert(cells.begin(), name);
      page->Line(3, cells);
      continue;
    }
    const std::vector<std::string> lines = SplitText(TextAt(variable, "value"), '\n');
    for (size_t i = 0; i < lines.size(); ++i)
      page->Line(3, {i == 0 ? name : "", lines[i]});
  }
}

void AddMounts(const JsonValue& container, Page* page) {
  std::vector<JsonValue> mounts = ItemsAt(container, "volumeMounts");
  if (mounts.empty())
    page->Line(2, {"Mounts:", "<none>"});
  else
    page->Line(2, {"Mounts:"});
  std::stable_sort(mounts.begin(), mounts.end(), [](const JsonValue& a, const JsonValue& b) {
    return TextAt(a, "mountPath") < TextAt(b, "mountPath");
  });
  for (const JsonValue& mount : mounts) {
    const std::string sub = TextAt(mount, "subPath");
    page->Line(3, {TextAt(mount, "mountPath") + " from " + TextAt(mount, "name") + " (" +
                   (BoolAt(mount, "readOnly") ? "ro" : "rw") +
                   (sub.empty() ? "" : ",path=\"" + sub + "\"") + ")"});
  }
}

void AddAmounts(const JsonValue& container, const char* path, const char* title, Page* page) {
  const auto amounts = Pairs(container, path, ":\t");
  if (amounts.empty()) return;
  page->Line(2, {title});
  for (const std::string& amount : amounts)
    page->Line(3, {amount});
}

void AddContainer(const JsonValue& pod, const JsonValue& container, const JsonValue* status,
                  bool in_template, Page* page) {
  page->Line(1, {(in_template ? " " : "") + TextAt(container, "name") + ":"});
  if (status != nullptr) page->Line(2, {"Container ID:", TextAt(*status, "containerID")});
  page->Line(2, {"Image:", TextAt(container, "image")});
  if (status != nullptr) page->Line(2, {"Image ID:", TextAt(*status, "imageID")});
  std::vector<std::string> ports, host_ports;
  for (const JsonValue& port : ItemsAt(container, "ports")) {
    const std::string protocol = "/" + OrNone(TextAt(port, "protocol"), "TCP");
    ports.push_back(TextAt(port, "containerPort") + protocol);
    host_ports.push_back(std::to_string(IntAt(port, "hostPort")) + protocol);
  }
  const bool several = ports.size() > 1;
  page->Line(2, {several ? "Ports:" : "Port:", OrNone(JoinText(ports, ", "))});
  page->Line(2, {several ? "Host Ports:" : "Host Port:", OrNone(JoinText(host_ports, ", "))});
  AddWords(container, "command", "Command:", page);
  AddWords(container, "args", "Args:", page);
  if (status != nullptr) {
    AddState(*status, "state", "State:", page);
    if (At(*status, "lastState.terminated") != nullptr)
      AddState(*status, "lastState", "Last State:", page);
    page->Line(2, {"Ready:", Truth(BoolAt(*status, "ready"), "True", "False")});
    page->Line(2, {"Restart Count:", std::to_string(IntAt(*status, "restartCount"))});
  }
  AddAmounts(container, "resources.limits", "Limits:", page);
  AddAmounts(container, "resources.requests", "Requests:", page);
  for (const auto& [field, title] : {std::pair("livenessProbe", "Liveness:"),
                                     {"readinessProbe", "Readiness:"},
                                     {"startupProbe", "Startup:"}}) {
    if (const JsonValue* probe = container.Find(field)) page->Line(2, {title, ProbeText(*probe)});
  }
  AddEnvironment(pod, container, page);
  AddMounts(container, page);
}

// How volumes of one kind are shown: its type, then fields of it.
struct VolumeField {
  const char *path, *title, *missing;
};
struct VolumeType {
  const char *field, *type;
  std::vector<VolumeField> fields;
};

const std::vector<VolumeType>& VolumeTypes() {
  static const std::vector<VolumeType> kTypes = {
      {"configMap",
       "ConfigMap (a volume populated by a ConfigMap)",
       {{"name", "Name:", ""}, {"optional", "Optional:", "false"}}},
      {"secret",
       "Secret (a volume populated by a Secret)",
       {{"secretName", "SecretName:", ""}, {"optional", "Optional:", "false"}}},
      {"emptyDir",
       "EmptyDir (a temporary directory that shares a pod's lifetime)",
       {{"medium", "Medium:", ""}, {"sizeLimit", "SizeLimit:", "<unset>"}}},
      {"hostPath",
       "HostPath (bare host directory volume)",
       {{"path", "Path:", ""}, {"type", "HostPathType:", ""}}},
      {"persistentVolumeClaim",
       "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
       {{"claimName", "ClaimName:", ""}, {"readOnly", "ReadOnly:", "false"}}},
      {"nfs",
       "NFS (an NFS mount that lasts the lifetime of a pod)",
       {{"server", "Server:", ""}, {"path", "Path:", ""}, {"readOnly", "ReadOnly:", "false"}}},
      {"ephemeral",
       "EphemeralVolume (an inline specification for a volume that gets created and deleted with "
       "the pod)",
       {}},
  };
  return kTypes;
}

void AddFields(const JsonValue& source, const std::vector<VolumeField>& fields, Page* page) {
  for (const VolumeField& field : fields)
    page->Line(2, {field.title, OrNone(TextAt(source, field.path), field.missing)});
}

void AddProjected(const JsonValue& projected, Page* page) {
  page->Line(2,
             {"Type:", "Projected (a volume that contains injected data from multiple sources)"});
  for (const JsonValue& source : ItemsAt(projected, "sources")) {
    if (const JsonValue* secret = source.Find("secret")) {
      AddFields(*secret,
                {{"name", "SecretName:", ""}, {"optional", "SecretOptionalName:", "<nil>"}}, page);
    } else if (source.Find("downwardAPI") != nullptr) {
      page->Line(2, {"DownwardAPI:", "true"});
    } else if (const JsonValue* map = source.Find("configMap")) {
      AddFields(*map, {{"name", "ConfigMapName:", ""}, {"optional", "ConfigMapOptional:", "<nil>"}},
                page);
    } else if (const JsonValue* token = source.Find("serviceAccountToken")) {
      AddFields(*token, {{"expirationSeconds", "TokenExpirationSeconds:", ""}}, page);
    }
  }
}

void AddVolume(const JsonValue& volume, Page* page) {
  if (const JsonValue* projected = volume.Find("projected")) return AddProjected(*projected, page);
  if (const JsonValue* downward = volume.Find("downwardAPI")) {
    page->Line(2, {"Type:", "DownwardAPI (a volume populated by information about the pod)"});
    page->Line(2, {"Items:"});
    for (const JsonValue& item : ItemsAt(*downward, "items")) {
      std::string from = TextAt(item, "fieldRef.fieldPath");
      if (from.empty()) from = TextAt(item, "resourceFieldRef.resource");
      page->Line(3, {from + " -> " + TextAt(item, "path")});
    }
    return;
  }
  for (const VolumeType& type : VolumeTypes()) {
    const JsonValue* source = volume.Find(type.field);
    if (source == nullptr) continue;
    page->Line(2, {"Type:", type.type});
    AddFields(*source, type.fields, page);
    return;
  }
  for (const auto& [field, source] : volume.as_object()) {
    if (field != "name") page->Line(2, {"Type:", field});
  }
}

std::string TolerationText(const JsonValue& toleration) {
  const std::string key = TextAt(toleration, "key");
  const std::string value = TextAt(toleration, "value");
  const std::string effect = TextAt(toleration, "effect");
  std::string text = key;
  if (!value.empty()) text += "=" + value;
  if (!effect.empty()) text += ":" + effect;
  if (TextAt(toleration, "operator") == "Exists" && value.empty())
    text += text.empty() ? "op=Exists" : " op=Exists";
  if (const JsonValue* seconds = toleration.Find("tolerationSeconds"))
    text += " for " + ScalarText(*seconds) + "s";
  return text;
}

}  // namespace

std::string ProbeText(const JsonValue& probe) {
  std::string what = "unknown";
  if (const JsonValue* exec = probe.Find("exec")) {
    what = "exec [" + JoinText(Texts(*exec, "command"), " ") + "]";
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

void AddContainers(const JsonValue& pod, const JsonValue& spec, const JsonValue* status,
                   Page* page) {
  struct Row {
    const char *field, *statuses, *title;
  };
  static constexpr Row kRows[] = {
      {"initContainers", "initContainerStatuses", "Init Containers:"},
      {"containers", "containerStatuses", "Containers:"},
      {"ephemeralContainers", "ephemeralContainerStatuses", "Ephemeral Containers:"},
  };
  const bool in_template = status == nullptr;
  for (const Row& row : kRows) {
    const auto& containers = ItemsAt(spec, row.field);
    if (containers.empty()) continue;
    page->Line(in_template ? 1 : 0, {row.title});
    for (const JsonValue& container : containers) {
      const JsonValue* found = nullptr;
      if (status != nullptr) {
        for (const JsonValue& one : ItemsAt(*status, row.statuses)) {
          if (TextAt(one, "name") == TextAt(container, "name")) found = &one;
        }
      }
      AddContainer(pod, container, found, in_template, page);
    }
  }
}

void AddVolumes(const JsonValue& spec, bool in_template, Page* page) {
  const size_t level = in_template ? 1 : 0;
  const auto& volumes = ItemsAt(spec, "volumes");
  if (volumes.empty()) {
    page->Line(level, {"Volumes:", "<none>"});
    return;
  }
  page->Line(level, {"Volumes:"});
  for (const JsonValue& volume : volumes) {
    page->Line(1, {(in_template ? " " : "") + TextAt(volume, "name") + ":"});
    AddVolume(volume, page);
  }
}

void AddPlacement(const JsonValue& spec, size_t level, Page* page) {
  page->Lines(level, "Node-Selectors:", Pairs(spec, "nodeSelector", "="));
  std::vector<std::string> tolerations;
  for (const JsonValue& toleration : ItemsAt(spec, "tolerations"))
    tolerations.push_back(TolerationText(toleration));
  std::stable_sort(tolerations.begin(), tolerations.end());
  page->Lines(level, "Tolerations:", tolerations);
  std::vector<std::string> spread;
  for (const JsonValue& constraint : ItemsAt(spec, "topologySpreadConstraints")) {
    std::string text = TextAt(constraint, "topologyKey") + ":" +
                       TextAt(constraint, "whenUnsatisfiable") + " when max skew " +
                       TextAt(constraint, "maxSkew") + " is exceeded";
    if (const JsonValue* selector = constraint.Find("labelSelector"))
      text += " for selector " + SelectorQuery(*selector);
    spread.push_back(std::move(text));
  }
  if (!spread.empty()) page->Lines(level, "Topology Spread Constraints:", spread);
}

void AddPodTemplate(const JsonValue& pod_template, Page* page) {
  page->Head("Pod Template:");
  page->Lines(1, "Labels:", Pairs(pod_template, "metadata.labels", "="));
  if (const JsonValue* annotations = At(pod_template, "metadata.annotations");
      annotations != nullptr && annotations->is_object() && !annotations->as_object().empty())
    AddAnnotations(pod_template, page, 1);
  const JsonValue* spec = pod_template.Find("spec");
  if (spec == nullptr) return;
  if (const std::string account = TextAt(*spec, "serviceAccountName"); !account.empty())
    page->Line(1, {"Service Account:", account});
  AddContainers(pod_template, *spec, nullptr, page);
  AddVolumes(*spec, true, page);
  if (const std::string name = TextAt(*spec, "priorityClassName"); !name.empty())
    page->Line(1, {"Priority Class Name:", name});
  AddPlacement(*spec, 1, page);
}

}  // namespace gantry::cli
