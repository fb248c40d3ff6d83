#include <map>
#include <set>
#include <string>

#include "api/core/v1/component_status.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/duration.h"
#include "api/events/v1/event.pb.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver::tables {
namespace {

namespace core = api::core::v1;
namespace events = api::events::v1;

std::string_view NodeAddress(const core::Node& node, std::string_view type) {
  for (const core::NodeAddress& address : node.status().addresses())
    if (address.type() == type) return address.address();
  return kNone;
}

std::string NodeRoles(const core::Node& node) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (const auto& [key, value] : node.metadata().labels()) {
    if (key.starts_with(kPrefix) && key.size() > kPrefix.size())
      roles.insert(key.substr(kPrefix.size()));
    if (key == "kubernetes.io/role" && !value.empty()) roles.insert(value);
  }
  return roles.empty() ? std::string(kNone) : Join(roles, ",");
}

constexpr Column kNode[] = {
    kName,
    Text("Status", "Whether the node is ready, and takes new pods"),
    Text("Roles", "Roles of the node"),
    kAge,
    Text("Version", "Version of the node agent"),
    Wide("Internal-IP", "Address inside the cluster"),
    Wide("External-IP", "Address from outside of the cluster"),
    Wide("OS-Image", "Operating system"),
    Wide("Kernel-Version", "Kernel, and the architecture it runs on"),
    Wide("Container-Runtime", "Runtime of the containers and its version"),
};
void NodeRow(const core::Node& node, Cells& cells) {
  const core::NodeSystemInfo& info = node.status().node_info();
  const core::NodeCondition* ready = FindCondition(node.status().conditions(), "Ready");
  std::string status = !ready ? "Unknown" : ready->status() == "True" ? "Ready" : "NotReady";
  if (node.spec().unschedulable()) status += ",SchedulingDisabled";
  std::string kernel(OrElse(info.kernel_version(), kUnknown));
  if (!info.architecture().empty()) kernel += " (" + info.architecture() + ")";
  cells.Add(node.metadata().name());
  cells.Add(status);
  cells.Add(NodeRoles(node));
  cells.Age(node.metadata());
  cells.Add(info.kubelet_version());
  cells.Add(NodeAddress(node, "InternalIP"));
  cells.Add(NodeAddress(node, "ExternalIP"));
  cells.Add(OrElse(info.os_image(), kUnknown));
  cells.Add(kernel);
  cells.Add(OrElse(info.container_runtime_version(), kUnknown));
}

constexpr Column kNamespace[] = {
    kName,
    Text("Status", "Whether the namespace is in use or goes away"),
    kAge,
};
void NamespaceRow(const core::Namespace& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.status().phase());
  cells.Age(object.metadata());
}

constexpr Column kConfigMap[] = {kName, Text("Data", "How many entries it has"), kAge};
void ConfigMapRow(const core::ConfigMap& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(static_cast<int64_t>(object.data().size() + object.binary_data().size()));
  cells.Age(object.metadata());
}

constexpr Column kSecret[] = {
    kName,
    Text("Type", "What the secret is for"),
    Text("Data", "How many entries it has"),
    kAge,
};
void SecretRow(const core::Secret& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.type());
  cells.Add(static_cast<int64_t>(object.data().size()));
  cells.Age(object.metadata());
}

constexpr Column kServiceAccount[] = {kName, kAge};
void ServiceAccountRow(const core::ServiceAccount& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Age(object.metadata());
}

constexpr Column kResourceQuota[] = {
    kName,
    Text("Request", "Used and allowed, of all but limits"),
    Text("Limit", "Used and allowed, of limits"),
    kAge,
};
void ResourceQuotaRow(const core::ResourceQuota& object, Cells& cells) {
  std::map<std::string, std::string> hard;
  for (const auto& [name, quantity] : object.status().hard())
    hard.emplace(name, quantity.string());
  Strings requests, limits;
  for (const auto& [name, amount] : hard) {
    auto used = object.status().used().find(name);
    std::string text = used == object.status().used().end() ? "0" : used->second.string();
    (name.starts_with("limits.") ? limits : requests).push_back(name + ": " + text + "/" + amount);
  }
  cells.Add(object.metadata().name());
  cells.Add(Join(requests, ", "));
  cells.Add(Join(limits, ", "));
  cells.Age(object.metadata());
}

constexpr Column kComponentStatus[] = {
    kName,
    Text("Status", "Whether the component is well"),
    Text("Message", "What the component says"),
    Text("Error", "What is wrong with it"),
};
void ComponentStatusRow(const core::ComponentStatus& object, Cells& cells) {
  const core::ComponentCondition* healthy = FindCondition(object.conditions(), "Healthy");
  cells.Add(object.metadata().name());
  cells.Add(!healthy ? "Unknown" : healthy->status() == "True" ? "Healthy" : "Unhealthy");
  cells.Add(healthy ? healthy->message() : std::string());
  cells.Add(healthy ? healthy->error() : std::string());
}

constexpr Column kEvent[] = {
    Text("Last Seen", "Time since it last happened"),
    Text("Type", "Normal or Warning"),
    Text("Reason", "Why it happened, in one word"),
    Text("Object", "What it happened to"),
    Wide("Subobject", "Which part of it"),
    Wide("Source", "Who reported it"),
    Text("Message", "What happened"),
    Wide("First Seen", "Time since it first happened"),
    Wide("Count", "How often it happened"),
    {kName.name, kName.type, kName.format, kName.description, 1},
};

std::string Trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\n\v\f\r";
  size_t from = text.find_first_not_of(kSpace);
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

// The parts of an event that its two versions name differently.
struct EventParts {
  const core::ObjectReference& object;
  const core::EventSource& source;
  const std::string& component;
  const std::string& message;
  const api::meta::v1::Time& first;
  const api::meta::v1::Time& last;
  int64_t count;
};

template <class Event>
void EventCells(const Event& event, const EventParts& parts, Cells& cells) {
  bool timed = api::ToWallTime(parts.first) != WallTime{};
  std::string first =
      timed ? AgeOf(parts.first, cells.now()) : AgeOf(event.event_time(), cells.now());
  std::string last = AgeOf(parts.last, cells.now());
  if (api::ToWallTime(parts.last) == WallTime{}) last = first;
  int64_t count = parts.count == 0 ? 1 : parts.count;
  if (event.has_series()) {
    last = AgeOf(event.series().last_observed_time(), cells.now());
    count = event.series().count();
  }
  std::string object = LowerCase(parts.object.kind());
  if (!parts.object.name().empty()) object += "/" + parts.object.name();
  std::string source(OrElse(parts.source.component(), parts.component));
  std::string_view host = OrElse(parts.source.host(), event.reporting_instance());
  if (!host.empty()) source.append(", ").append(host);
  cells.Add(last);
  cells.Add(event.type());
  cells.Add(event.reason());
  cells.Add(object);
  cells.Add(parts.object.field_path());
  cells.Add(source);
  cells.Add(Trimmed(parts.message));
  cells.Add(first);
  cells.Add(count);
  cells.Add(event.metadata().name());
}
void EventRow(const core::Event& event, Cells& cells) {
  EventCells(event,
             {event.involved_object(), event.source(), event.reporting_component(), event.message(),
              event.first_timestamp(), event.last_timestamp(), event.count()},
             cells);
}
void NewEventRow(const events::Event& event, Cells& cells) {
  EventCells(event,
             {event.regarding(), event.deprecated_source(), event.reporting_controller(),
              event.note(), event.deprecated_first_timestamp(), event.deprecated_last_timestamp(),
              event.deprecated_count()},
             cells);
}

}  // namespace

std::span<const Printer> CorePrinters() {
  static const Printer printers[] = {
      PrinterOf<core::ComponentStatus, ComponentStatusRow>(kComponentStatus),
      PrinterOf<core::ConfigMap, ConfigMapRow>(kConfigMap),
      PrinterOf<core::Event, EventRow>(kEvent),
      PrinterOf<core::Namespace, NamespaceRow>(kNamespace),
      PrinterOf<core::Node, NodeRow>(kNode),
      PrinterOf<core::ResourceQuota, ResourceQuotaRow>(kResourceQuota),
      PrinterOf<core::Secret, SecretRow>(kSecret),
      PrinterOf<core::ServiceAccount, ServiceAccountRow>(kServiceAccount),
      PrinterOf<events::Event, NewEventRow>(kEvent),
  };
  return printers;
}

}  // namespace gantry::apiserver::tables
