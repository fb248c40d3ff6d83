#include "net/cni/attachment.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "net/cni/plugin.h"

namespace gantry::net::cni {
namespace {

using api::JsonValue;

constexpr char kInterface[] = "eth0";
constexpr int kPluginTimeoutMs = 120'000;

std::string TextAt(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

int64_t NumberAt(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.Find(key);
  return value != nullptr && value->is_int() ? value->as_int() : 0;
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool HasCapability(const JsonValue& plugin, std::string_view name) {
  const JsonValue* capabilities = plugin.Find("capabilities");
  const JsonValue* value = capabilities != nullptr ? capabilities->Find(name) : nullptr;
  return value != nullptr && value->is_bool() && value->as_bool();
}

JsonValue PortMappings(const std::vector<HostPort>& ports) {
  JsonValue::Array mappings;
  for (const HostPort& port : ports) {
    JsonValue mapping = JsonValue::MakeObject();
    mapping["hostPort"] = int64_t{port.host_port};
    mapping["containerPort"] = int64_t{port.container_port};
    mapping["protocol"] = LowerCase(port.protocol);
    mapping["hostIP"] = port.host_ip;
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

// One list of alternatives for each range.
JsonValue IpRanges(const std::vector<std::string>& cidrs) {
  JsonValue::Array ranges;
  for (const std::string& cidr : cidrs) {
    JsonValue range = JsonValue::MakeObject();
    range["subnet"] = cidr;
    JsonValue::Array alternatives;
    alternatives.push_back(std::move(range));
    ranges.emplace_back(std::move(alternatives));
  }
  return ranges;
}

// libcni: plugin type="bridge" failed (add). A plug-in that is alone has the network's name too.
std::string FailureOf(const JsonValue& plugin, const std::string& command) {
  std::string text = "plugin type=\"" + TextAt(plugin, "type") + "\"";
  if (std::string name = TextAt(plugin, "name"); !name.empty()) text += " name=\"" + name + "\"";
  return text + " failed (" + LowerCase(command) + ")";
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

JsonValue TextsOf(const std::vector<std::string>& texts) {
  JsonValue::Array array;
  for (const std::string& text : texts)
    array.emplace_back(text);
  return array;
}

std::vector<std::string> TextsAt(const JsonValue& object, std::string_view key) {
  std::vector<std::string> texts;
  const JsonValue* value = object.Find(key);
  if (value == nullptr || !value->is_array()) return texts;
  for (const JsonValue& text : value->as_array()) {
    if (text.is_string()) texts.push_back(text.as_string());
  }
  return texts;
}

}  // namespace

std::string Attachment::Encode() const {
  JsonValue document = JsonValue::MakeObject();
  document["namespace"] = pod.ns;
  document["name"] = pod.name;
  document["netns"] = pod.netns_path;
  document["portMappings"] = PortMappings(pod.host_ports);
  document["config"] = config.ToString();
  document["pluginDirs"] = TextsOf(plugin_dirs);
  document["podCIDRs"] = TextsOf(pod_cidrs);
  document["result"] = result;
  return document.ToString();
}

Result<Attachment> Attachment::Decode(const std::string& uid, const std::string& text) {
  GANTRY_ASSIGN(JsonValue document, JsonValue::Parse(text));
  Attachment made;
  made.pod.uid = uid;
  made.pod.ns = TextAt(document, "namespace");
  made.pod.name = TextAt(document, "name");
  made.pod.netns_path = TextAt(document, "netns");
  GANTRY_ASSIGN(made.config, NetworkConfig::Parse(TextAt(document, "config")));
  made.plugin_dirs = TextsAt(document, "pluginDirs");
  made.pod_cidrs = TextsAt(document, "podCIDRs");
  if (const JsonValue* mappings = document.Find("portMappings");
      mappings != nullptr && mappings->is_array()) {
    for (const JsonValue& mapping : mappings->as_array()) {
      HostPort port;
      port.host_port = static_cast<uint16_t>(NumberAt(mapping, "hostPort"));
      port.container_port = static_cast<uint16_t>(NumberAt(mapping, "containerPort"));
      port.protocol = TextAt(mapping, "protocol");
      port.host_ip = TextAt(mapping, "hostIP");
      made.pod.host_ports.push_back(std::move(port));
    }
  }
  if (const JsonValue* result = document.Find("result"); result != nullptr && !result->is_null()) {
    made.result = *result;
    GANTRY_ASSIGN(made.ips, AddressesOf(made.result));
  }
  return made;
}

JsonValue Attachment::RuntimeConfig(const JsonValue& plugin) const {
  JsonValue made = JsonValue::MakeObject();
  if (HasCapability(plugin, "portMappings") && !pod.host_ports.empty())
    made["portMappings"] = PortMappings(pod.host_ports);
  if (HasCapability(plugin, "ipRanges") && !pod_cidrs.empty())
    made["ipRanges"] = IpRanges(pod_cidrs);
  return made;
}

Result<JsonValue> Attachment::Call(const std::string& command, const JsonValue& plugin,
                                   const JsonValue& previous) const {
  JsonValue input = plugin;
  JsonValue runtime_config = RuntimeConfig(plugin);
  input.Erase("capabilities");
  input["name"] = config.name;
  input["cniVersion"] = config.cni_version;
  if (!runtime_config.as_object().empty()) input["runtimeConfig"] = std::move(runtime_config);
  if (!previous.is_null()) input["prevResult"] = previous;

  std::string search;
  for (const std::string& directory : plugin_dirs)
    search += (search.empty() ? "" : ":") + directory;
  const Variables variables = {
      {"CNI_COMMAND", command},
      {"CNI_CONTAINERID", pod.uid},
      // A namespace that is gone takes its interfaces with it; the rest is to be released.
      {"CNI_NETNS", Exists(pod.netns_path) ? pod.netns_path : std::string()},
      {"CNI_IFNAME", kInterface},
      {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + pod.ns + ";K8S_POD_NAME=" + pod.name +
                       ";K8S_POD_INFRA_CONTAINER_ID=" + pod.uid + ";K8S_POD_UID=" + pod.uid},
      {"CNI_PATH", search}};
  Result<std::string> path = FindPlugin(TextAt(plugin, "type"), plugin_dirs);
  if (!path.ok()) return path.status().WithContext(FailureOf(plugin, command));
  Result<std::string> output = RunPlugin(*path, variables, input.ToString(), kPluginTimeoutMs);
  if (!output.ok()) return output.status().WithContext(FailureOf(plugin, command));
  if (output->find_first_not_of(" \t\r\n") == std::string::npos) return JsonValue();
  Result<JsonValue> answer = JsonValue::Parse(*output);
  if (!answer.ok()) return answer.status().WithContext(FailureOf(plugin, command));
  return answer;
}

Status Attachment::Add() {
  JsonValue previous;
  for (const JsonValue& plugin : config.plugins) {
    GANTRY_ASSIGN(previous, Call("ADD", plugin, previous));
  }
  GANTRY_ASSIGN(ips, AddressesOf(previous));
  result = std::move(previous);
  return Status::Ok();
}

Status Attachment::Check() const {
  if (!config.KnowsPreviousResult() || config.disable_check) return Status::Ok();
  for (const JsonValue& plugin : config.plugins)
    GANTRY_TRY(Call("CHECK", plugin, result));
  return Status::Ok();
}

Status Attachment::Delete() const {
  const JsonValue previous = config.KnowsPreviousResult() ? result : JsonValue();
  for (auto plugin = config.plugins.rbegin(); plugin != config.plugins.rend(); ++plugin) {
    // One that was never there has done nothing, and would be waited for without end.
    if (result.is_null() && !FindPlugin(TextAt(*plugin, "type"), plugin_dirs).ok()) continue;
    GANTRY_TRY(Call("DEL", *plugin, previous));
  }
  return Status::Ok();
}

}  // namespace gantry::net::cni
