#include "node/pod/environment.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "api/core/v1/source.pb.h"
#include "api/quantity.h"
#include "api/quote.h"

namespace gantry::node {
namespace {

using api::core::v1::Container;
using api::core::v1::EnvVar;
using api::core::v1::Pod;
using api::core::v1::Service;

void Set(EnvironmentList* list, std::string name, std::string value) {
  for (auto& [key, old] : *list) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  list->emplace_back(std::move(name), std::move(value));
}

std::string UpperName(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// "'key'" out of "metadata.labels['key']".
std::optional<std::string> Subscript(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (path.size() < 4 || !path.starts_with("['") || !path.ends_with("']")) return std::nullopt;
  return std::string(path.substr(2, path.size() - 4));
}

std::string FormatMap(const google::protobuf::Map<std::string, std::string>& map) {
  std::map<std::string, std::string> sorted(map.begin(), map.end());
  std::string out;
  for (const auto& [key, value] : sorted) {
    if (!out.empty()) out += "\n";
    out += key + "=" + api::GoQuote(value);
  }
  return out;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts)
    out += (out.empty() ? "" : ",") + part;
  return out;
}

Result<std::string> ValueFrom(const EnvironmentInputs& in, const EnvVar& variable, bool* absent) {
  const auto& from = variable.value_from();
  const std::string& ns = in.pod->metadata().namespace_();
  if (from.has_field_ref())
    return FieldValue(*in.pod, from.field_ref().field_path(), in.host_ips, in.pod_ips);
  if (from.has_resource_field_ref()) {
    const Container* container = in.container;
    const std::string& name = from.resource_field_ref().container_name();
    for (const Container& other : in.pod->spec().containers()) {
      if (!name.empty() && other.name() == name) container = &other;
    }
    return ResourceValue(*in.pod, container, from.resource_field_ref(), in.allocatable);
  }
  if (from.has_config_map_key_ref()) {
    const auto& ref = from.config_map_key_ref();
    const std::string& name = ref.local_object_reference().name();
    auto found = in.objects->config_maps.find(name);
    if (found == in.objects->config_maps.end() || !found->second) {
      *absent = ref.optional();
      if (*absent) return std::string();
      return Status(Code::kNotFound, "configmap \"" + name + "\" not found");
    }
    if (auto it = found->second->data().find(ref.key()); it != found->second->data().end())
      return it->second;
    *absent = ref.optional();
    if (*absent) return std::string();
    return Status(Code::kNotFound,
                  "couldn't find key " + ref.key() + " in ConfigMap " + ns + "/" + name);
  }
  if (from.has_secret_key_ref()) {
    const auto& ref = from.secret_key_ref();
    const std::string& name = ref.local_object_reference().name();
    auto found = in.objects->secrets.find(name);
    if (found == in.objects->secrets.end() || !found->second) {
      *absent = ref.optional();
      if (*absent) return std::string();
      return Status(Code::kNotFound, "secret \"" + name + "\" not found");
    }
    if (auto it = found->second->data().find(ref.key()); it != found->second->data().end())
      return it->second;
    *absent = ref.optional();
    if (*absent) return std::string();
    return Status(Code::kNotFound,
                  "couldn't find key " + ref.key() + " in Secret " + ns + "/" + name);
  }
  return std::string();
}

}  // namespace

std::string ExpandVariables(std::string_view text, const EnvironmentList& variables) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out.push_back(text[i]);
      continue;
    }
    if (text[i + 1] == '$') {
      out.push_back('$');
      ++i;
      continue;
    }
    if (text[i + 1] != '(') {
      out += text.substr(i, 2);
      ++i;
      continue;
    }
    size_t end = text.find(')', i + 2);
    if (end == std::string_view::npos) {
      out += "$(";
      ++i;
      continue;
    }
    std::string_view name = text.substr(i + 2, end - i - 2);
    auto found = std::find_if(variables.begin(), variables.end(),
                              [&](const auto& v) { return v.first == name; });
    if (found != variables.end()) {
      out += found->second;
    } else {
      out += text.substr(i, end - i + 1);
    }
    i = end;
  }
  return out;
}

Result<std::string> FieldValue(const Pod& pod, std::string_view path,
                               const std::vector<std::string>& host_ips,
                               const std::vector<std::string>& pod_ips) {
  const auto& meta = pod.metadata();
  if (path == "metadata.name") return meta.name();
  if (path == "metadata.namespace") return meta.namespace_();
  if (path == "metadata.uid") return meta.uid();
  if (path == "metadata.labels") return FormatMap(meta.labels());
  if (path == "metadata.annotations") return FormatMap(meta.annotations());
  if (auto key = Subscript(path, "metadata.labels")) {
    auto it = meta.labels().find(*key);
    return it == meta.labels().end() ? std::string() : it->second;
  }
  if (auto key = Subscript(path, "metadata.annotations")) {
    auto it = meta.annotations().find(*key);
    return it == meta.annotations().end() ? std::string() : it->second;
  }
  if (path == "spec.nodeName") return pod.spec().node_name();
  if (path == "spec.serviceAccountName") return pod.spec().service_account_name();
  if (path == "status.hostIP") return host_ips.empty() ? std::string() : host_ips.front();
  if (path == "status.hostIPs") return Join(host_ips);
  if (path == "status.podIP") return pod_ips.empty() ? std::string() : pod_ips.front();
  if (path == "status.podIPs") return Join(pod_ips);
  return Status(Code::kInvalid, "unsupported fieldPath: " + std::string(path));
}

Result<std::string> ResourceValue(const Pod& pod, const Container* container,
                                  const api::core::v1::ResourceFieldSelector& selector,
                                  const NodeAllocatable& allocatable) {
  const std::string& resource = selector.resource();
  size_t dot = resource.find('.');
  if (dot == std::string::npos)
    return Status(Code::kInvalid, "unsupported container resource : " + resource);
  std::string kind = resource.substr(0, dot), name = resource.substr(dot + 1);
  if (kind != "limits" && kind != "requests")
    return Status(Code::kInvalid, "unsupported container resource : " + resource);
  const auto& list =
      kind == "limits" ? container->resources().limits() : container->resources().requests();
  api::Quantity value;
  if (auto it = list.find(name); it != list.end()) {
    value = api::Quantity::ParseOrZero(it->second.string());
  } else if (kind == "limits") {
    if (name == "cpu") value = api::Quantity::FromMilli(allocatable.cpu_milli);
    if (name == "memory") value = api::Quantity::FromValue(allocatable.memory_bytes);
    if (name == "ephemeral-storage") value = api::Quantity::FromValue(allocatable.ephemeral_bytes);
  }
  api::Quantity divisor = api::Quantity::ParseOrZero(selector.divisor().string());
  if (divisor.IsZero()) divisor = api::Quantity::FromValue(1);
  __int128 numerator = value.MilliValue(), denominator = divisor.MilliValue();
  if (denominator == 0) denominator = 1;
  return std::to_string(static_cast<int64_t>((numerator + denominator - 1) / denominator));
}

EnvironmentList ServiceEnvironment(const std::vector<api::Ref<Service>>& services,
                                   std::string_view ns, bool all) {
  EnvironmentList list;
  std::map<std::string, const Service*> chosen;
  for (const api::Ref<Service>& service : services) {
    const std::string& ip = service->spec().cluster_ip();
    if (ip.empty() || ip == "None") continue;
    const auto& meta = service->metadata();
    bool master = meta.namespace_() == "default" && meta.name() == "kubernetes";
    if (master) {
      chosen.try_emplace(meta.name(), &*service);
    } else if (all && meta.namespace_() == ns) {
      chosen[meta.name()] = &*service;
    }
  }
  for (const auto& [name, service] : chosen) {
    if (service->spec().ports().empty()) continue;
    std::string prefix = UpperName(name);
    const std::string& ip = service->spec().cluster_ip();
    const auto& first = service->spec().ports(0);
    list.emplace_back(prefix + "_SERVICE_HOST", ip);
    list.emplace_back(prefix + "_SERVICE_PORT", std::to_string(first.port()));
    for (const auto& port : service->spec().ports()) {
      if (!port.name().empty())
        list.emplace_back(prefix + "_SERVICE_PORT_" + UpperName(port.name()),
                          std::to_string(port.port()));
    }
    for (int i = 0; i < service->spec().ports_size(); ++i) {
      const auto& port = service->spec().ports(i);
      std::string protocol = port.protocol().empty() ? "TCP" : port.protocol();
      std::string lower = protocol;
      for (char& c : lower)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      std::string number = std::to_string(port.port());
      std::string url =
          lower + "://" + (ip.find(':') != std::string::npos ? "[" + ip + "]" : ip) + ":" + number;
      if (i == 0) list.emplace_back(prefix + "_PORT", url);
      std::string base = prefix + "_PORT_" + number + "_" + protocol;
      list.emplace_back(base, url);
      list.emplace_back(base + "_PROTO", lower);
      list.emplace_back(base + "_PORT", number);
      list.emplace_back(base + "_ADDR", ip);
    }
  }
  return list;
}

Result<EnvironmentList> BuildEnvironment(const EnvironmentInputs& in) {
  EnvironmentList result;
  for (const auto& source : in.container->env_from()) {
    std::map<std::string, std::string> values;
    if (source.has_config_map_ref()) {
      const std::string& name = source.config_map_ref().local_object_reference().name();
      auto found = in.objects->config_maps.find(name);
      if (found != in.objects->config_maps.end() && found->second) {
        values.insert(found->second->data().begin(), found->second->data().end());
      } else if (!source.config_map_ref().optional()) {
        return Status(Code::kNotFound, "configmap \"" + name + "\" not found");
      }
    } else if (source.has_secret_ref()) {
      const std::string& name = source.secret_ref().local_object_reference().name();
      auto found = in.objects->secrets.find(name);
      if (found != in.objects->secrets.end() && found->second) {
        values.insert(found->second->data().begin(), found->second->data().end());
      } else if (!source.secret_ref().optional()) {
        return Status(Code::kNotFound, "secret \"" + name + "\" not found");
      }
    }
    for (auto& [key, value] : values) {
      // Whatever can be a key can be a name.
      Set(&result, source.prefix() + key, value);
    }
  }
  // References see the service variables, and those of envFrom and env that stand before.
  EnvironmentList known = in.services;
  for (const auto& [name, value] : result)
    Set(&known, name, value);
  for (const EnvVar& variable : in.container->env()) {
    std::string value;
    if (variable.has_value_from()) {
      bool absent = false;
      GANTRY_ASSIGN(value, ValueFrom(in, variable, &absent));
      if (absent) continue;
    } else {
      value = ExpandVariables(variable.value(), known);
    }
    Set(&known, variable.name(), value);
    Set(&result, variable.name(), std::move(value));
  }
  for (const auto& [name, value] : in.services) {
    bool present =
        std::any_of(result.begin(), result.end(), [&](const auto& v) { return v.first == name; });
    if (!present) result.emplace_back(name, value);
  }
  return result;
}

void AddEnvironmentReferences(const Container& container, ObjectNames* names) {
  for (const auto& source : container.env_from()) {
    if (source.has_config_map_ref())
      names->config_maps.push_back(source.config_map_ref().local_object_reference().name());
    if (source.has_secret_ref())
      names->secrets.push_back(source.secret_ref().local_object_reference().name());
  }
  for (const EnvVar& variable : container.env()) {
    const auto& from = variable.value_from();
    if (from.has_config_map_key_ref())
      names->config_maps.push_back(from.config_map_key_ref().local_object_reference().name());
    if (from.has_secret_key_ref())
      names->secrets.push_back(from.secret_key_ref().local_object_reference().name());
  }
}

}  // namespace gantry::node
