#include "net/dns/cluster_records.h"

#include <algorithm>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"

namespace gantry::net::dns {
namespace {

namespace core = api::core::v1;
namespace discovery = api::discovery::v1;

constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";
constexpr char kServiceIndex[] = "dns-service";

std::string ServiceOf(const api::Object& slice) {
  const auto& labels = slice.meta().labels();
  auto found = labels.find(kServiceNameLabel);
  return found == labels.end() ? std::string() : found->second;
}

std::string Lowered(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

std::string Bytes(const IpAddress& ip) {
  return std::string(reinterpret_cast<const char*>(ip.bytes.data()), ip.size);
}

std::string NameKey(std::string_view ns, std::string_view name) {
  std::string key;
  key.reserve(name.size() + 1 + ns.size());
  return key.append(name).append(".").append(ns);
}

ServiceRecord::Port MakePort(const std::string& name, const std::string& protocol, int number) {
  ServiceRecord::Port port;
  port.name = Lowered(name);
  port.protocol = Lowered(protocol.empty() ? "TCP" : protocol);
  port.number = static_cast<uint16_t>(number);
  return port;
}

ServiceRecord::Group MakeGroup(const discovery::EndpointSlice& slice) {
  ServiceRecord::Group group;
  for (const discovery::EndpointPort& port : slice.ports()) {
    group.ports.push_back(MakePort(port.name(), port.protocol(), port.port()));
  }
  for (const discovery::Endpoint& endpoint : slice.endpoints()) {
    if (endpoint.conditions().has_ready() && !endpoint.conditions().ready()) continue;
    for (const std::string& address : endpoint.addresses()) {
      std::optional<IpAddress> ip = IpAddress::Parse(address);
      if (!ip) continue;
      ServiceRecord::Endpoint added;
      added.ip = *ip;
      added.hostname = endpoint.hostname().empty() ? DashedIp(*ip) : Lowered(endpoint.hostname());
      group.endpoints.push_back(std::move(added));
    }
  }
  return group;
}

}  // namespace

std::string DashedIp(const IpAddress& ip) {
  std::string text = ip.ToString();
  std::replace(text.begin(), text.end(), '.', '-');
  std::replace(text.begin(), text.end(), ':', '-');
  return text;
}

ClusterRecords::ClusterRecords(client::InformerSet& informers)
    : services_(informers.For<core::Service>()),
      slices_(informers.For<discovery::EndpointSlice>()),
      namespaces_(informers.For<core::Namespace>()) {
  slices_.AddIndex(kServiceIndex, [](const api::Object& slice) {
    return std::vector<std::string>{slice.ns() + "/" + ServiceOf(slice)};
  });
  services_.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    const api::ObjectPtr& service = after ? after : before;
    Rebuild({service->ns(), service->name()});
  });
  slices_.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    Key was, is;
    if (before) was = {before->ns(), ServiceOf(*before)};
    if (after) is = {after->ns(), ServiceOf(*after)};
    if (before) Rebuild(was);
    if (after && is != was) Rebuild(is);
  });
}

bool ClusterRecords::synced() const {
  return services_.synced() && slices_.synced() && namespaces_.synced();
}

bool ClusterRecords::HasNamespace(std::string_view ns) const {
  return namespaces_.Get({}, ns) != nullptr;
}

ServiceRecordPtr ClusterRecords::Build(const Key& key) const {
  auto service = client::GetFrom<core::Service>(services_, key.first, key.second);
  if (!service) return nullptr;
  auto record = std::make_shared<ServiceRecord>();
  record->ns = key.first;
  record->name = key.second;
  const core::ServiceSpec& spec = service->spec();
  if (spec.type() == "ExternalName") {
    record->kind = ServiceRecord::Kind::kExternalName;
    record->external_name = spec.external_name();
    return record;
  }
  record->kind = spec.cluster_ip() == "None" ? ServiceRecord::Kind::kHeadless
                                             : ServiceRecord::Kind::kClusterIp;
  std::vector<std::string> ips(spec.cluster_ips().begin(), spec.cluster_ips().end());
  if (ips.empty()) ips.push_back(spec.cluster_ip());
  for (const std::string& text : ips) {
    if (std::optional<IpAddress> ip = IpAddress::Parse(text)) record->cluster_ips.push_back(*ip);
  }
  for (const core::ServicePort& port : spec.ports()) {
    record->ports.push_back(MakePort(port.name(), port.protocol(), port.port()));
  }
  for (const auto& slice : client::Typed<discovery::EndpointSlice>(
           slices_.ByIndex(kServiceIndex, key.first + "/" + key.second))) {
    record->groups.push_back(MakeGroup(*slice));
  }
  return record;
}

void ClusterRecords::Index(const ServiceRecordPtr& record, bool add) {
  for (const IpAddress& ip : record->cluster_ips) {
    if (add) {
      by_cluster_ip_[Bytes(ip)] = record;
    } else if (auto found = by_cluster_ip_.find(Bytes(ip));
               found != by_cluster_ip_.end() && found->second == record) {
      by_cluster_ip_.erase(found);
    }
  }
  for (const ServiceRecord::Group& group : record->groups) {
    for (const ServiceRecord::Endpoint& endpoint : group.endpoints) {
      std::vector<ServiceRecordPtr>& records = by_endpoint_[Bytes(endpoint.ip)];
      std::erase(records, record);
      if (add) records.push_back(record);
      if (records.empty()) by_endpoint_.erase(Bytes(endpoint.ip));
    }
  }
}

void ClusterRecords::Rebuild(const Key& key) {
  absl::MutexLock rebuild(&rebuild_mutex_);
  ServiceRecordPtr record = Build(key);
  absl::MutexLock lock(&mutex_);
  ++serial_;
  auto found = by_name_.find(NameKey(key.first, key.second));
  if (found != by_name_.end()) {
    Index(found->second, false);
    by_name_.erase(found);
  }
  if (!record) return;
  Index(record, true);
  by_name_[NameKey(key.first, key.second)] = std::move(record);
}

ServiceRecordPtr ClusterRecords::Find(std::string_view ns, std::string_view name) const {
  std::string key = NameKey(ns, name);
  absl::ReaderMutexLock lock(&mutex_);
  auto found = by_name_.find(key);
  return found == by_name_.end() ? nullptr : found->second;
}

ServiceRecordPtr ClusterRecords::FindByClusterIp(const IpAddress& ip) const {
  absl::ReaderMutexLock lock(&mutex_);
  auto found = by_cluster_ip_.find(Bytes(ip));
  return found == by_cluster_ip_.end() ? nullptr : found->second;
}

std::vector<ServiceRecordPtr> ClusterRecords::FindByEndpoint(const IpAddress& ip) const {
  absl::ReaderMutexLock lock(&mutex_);
  auto found = by_endpoint_.find(Bytes(ip));
  return found == by_endpoint_.end() ? std::vector<ServiceRecordPtr>() : found->second;
}

uint32_t ClusterRecords::serial() const {
  absl::ReaderMutexLock lock(&mutex_);
  return serial_;
}

}  // namespace gantry::net::dns
