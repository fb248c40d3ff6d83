#include "apiserver/registry/allocators.h"

#include <charconv>
#include <set>

#include "api/duration.h"
#include "api/networking/v1/ip_address.pb.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Service;
using api::core::v1::ServicePort;
using api::networking::v1::IPAddress;

// Where the claims of node ports stand; one key each, the value names the service.
constexpr std::string_view kNodePortPrefix = "/registry/ranges/servicenodeports/";
constexpr int kRandomTries = 64;

std::optional<uint32_t> ParseIpv4(std::string_view text) {
  uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) {
      if (text.empty() || text.front() != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    uint32_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number > 255) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    address = address << 8 | number;
  }
  if (!text.empty()) return std::nullopt;
  return address;
}

std::string FormatIpv4(uint32_t address) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." +
         std::to_string(address >> 8 & 255) + "." + std::to_string(address & 255);
}

std::string PortKey(int32_t port) { return std::string(kNodePortPrefix) + std::to_string(port); }

bool WantsAddress(const Service& service) {
  return service.spec().type() != "ExternalName" && service.spec().cluster_ip() != "None";
}

bool WantsNodePorts(const Service& service) {
  const auto& spec = service.spec();
  return spec.type() == "NodePort" ||
         (spec.type() == "LoadBalancer" && (!spec.has_allocate_load_balancer_node_ports() ||
                                            spec.allocate_load_balancer_node_ports()));
}

std::set<int32_t> NodePortsOf(const Service& service) {
  std::set<int32_t> ports;
  for (const ServicePort& port : service.spec().ports()) {
    if (port.node_port() != 0) ports.insert(port.node_port());
  }
  return ports;
}

void Add(store::Write write, std::vector<store::Write>* writes) {
  writes->push_back(std::move(write));
}

}  // namespace

Status Allocators::Configure(std::string_view service_cidr, int32_t first_node_port,
                             int32_t last_node_port) {
  size_t slash = service_cidr.find('/');
  std::optional<uint32_t> network = ParseIpv4(service_cidr.substr(0, slash));
  int bits = 0;
  if (slash != std::string_view::npos) {
    std::string_view text = service_cidr.substr(slash + 1);
    std::from_chars(text.data(), text.data() + text.size(), bits);
  }
  if (!network || bits < 8 || bits > 29) {
    return BadRequest("service address range \"" + std::string(service_cidr) +
                      "\" is not an IPv4 range between /8 and /29");
  }
  cidr_ = std::string(service_cidr);
  size_ = uint32_t{1} << (32 - bits);
  network_ = *network & ~(size_ - 1);
  first_port_ = first_node_port;
  last_port_ = last_node_port;
  return {};
}

std::string Allocators::first_address() const { return FormatIpv4(network_ + 1); }

bool Allocators::AddressTaken(const std::string& address) const {
  const api::KindInfo& kind = api::KindOf<IPAddress>();
  return caches_.For(kind).Get(api::StorageKey(kind, "", address)) != nullptr;
}

bool Allocators::PortTaken(int32_t port) const {
  const api::KindInfo& kind = api::KindOf<Service>();
  store::Selection selection;
  selection.index = "spec.nodePort";
  selection.index_value = std::to_string(port);
  return !caches_.For(kind).List(selection, {}, 1).objects.empty();
}

void Allocators::ClaimAddress(const Service& service, const std::string& address,
                              std::vector<store::Write>* writes) {
  auto claim = std::make_unique<IPAddress>();
  auto* meta = claim->mutable_metadata();
  meta->set_name(address);
  meta->set_uid(RandomUuid(env_));
  meta->set_generation(1);
  api::SetTime(env_.Now(), meta->mutable_creation_timestamp());
  (*meta->mutable_labels())["ipaddress.kubernetes.io/ip-family"] = "IPv4";
  (*meta->mutable_labels())["ipaddress.kubernetes.io/managed-by"] = "ipallocator.k8s.io";
  auto* parent = claim->mutable_spec()->mutable_parent_ref();
  parent->set_resource("services");
  parent->set_namespace_(service.metadata().namespace_());
  parent->set_name(service.metadata().name());

  const api::KindInfo& kind = api::KindOf<IPAddress>();
  std::shared_ptr<api::Object> object = api::Object::FromMessage(kind, std::move(claim));
  store::Write write;
  write.key = api::StorageKey(kind, "", address);
  write.value = object->stored();
  write.expected_revision = store::kAbsent;
  write.object = std::move(object);
  Add(std::move(write), writes);
}

Status Allocators::AllocateAddress(Service* service, std::vector<store::Write>* writes,
                                   api::FieldErrors* errors) {
  auto* spec = service->mutable_spec();
  if (spec->cluster_ip().empty() && spec->cluster_ips_size() > 0)
    spec->set_cluster_ip(spec->cluster_ips(0));
  if (!spec->cluster_ip().empty()) {
    std::optional<uint32_t> address = ParseIpv4(spec->cluster_ip());
    std::string why;
    if (!address || *address - network_ >= size_) {
      why = "failed to allocate IP " + spec->cluster_ip() + ": the provided IP (" +
            spec->cluster_ip() + ") is not in the valid range. The range of valid IPs is " + cidr_;
    } else if (AddressTaken(spec->cluster_ip())) {
      why = "failed to allocate IP " + spec->cluster_ip() + ": provided IP is already allocated";
    }
    if (!why.empty()) {
      errors->push_back({api::FieldError::Type::kInvalid, "spec.clusterIPs",
                         "Invalid value: [\"" + spec->cluster_ip() + "\"]: " + why});
      return {};
    }
  } else {
    // Low addresses are left to those who ask for one, as in Kubernetes.
    uint32_t reserved = std::min<uint32_t>(std::max<uint32_t>(16, size_ / 16), 256);
    if (size_ < 64) reserved = 0;
    const uint32_t first = 1 + reserved, count = size_ - 2 - reserved;
    std::string chosen;
    for (int i = 0; i < kRandomTries && chosen.empty(); ++i) {
      std::string address =
          FormatIpv4(network_ + first + static_cast<uint32_t>(RandomBelow(env_, count)));
      if (!AddressTaken(address)) chosen = std::move(address);
    }
    for (uint32_t i = size_ - 2; i >= 1 && chosen.empty(); --i) {
      std::string address = FormatIpv4(network_ + i);
      if (!AddressTaken(address)) chosen = std::move(address);
    }
    if (chosen.empty()) return InternalError("failed to allocate a serviceIP: range is full");
    spec->set_cluster_ip(chosen);
  }
  spec->clear_cluster_ips();
  spec->add_cluster_ips(spec->cluster_ip());
  ClaimAddress(*service, spec->cluster_ip(), writes);
  return {};
}

Status Allocators::AllocatePorts(Service* service, const Service* old,
                                 std::vector<store::Write>* writes, api::FieldErrors* errors) {
  std::set<int32_t> held = old != nullptr ? NodePortsOf(*old) : std::set<int32_t>();
  std::set<int32_t> claimed;
  auto claim = [&](int32_t number) {
    if (held.count(number) != 0 || !claimed.insert(number).second) return;
    store::Write write;
    write.key = PortKey(number);
    write.value = std::make_shared<const std::string>(service->metadata().namespace_() + "/" +
                                                      service->metadata().name());
    write.expected_revision = store::kAbsent;
    Add(std::move(write), writes);
  };
  auto* ports = service->mutable_spec()->mutable_ports();
  for (int i = 0; i < ports->size(); ++i) {
    ServicePort& port = ports->at(i);
    if (port.node_port() == 0 || held.count(port.node_port()) != 0) continue;
    std::string why;
    if (port.node_port() < first_port_ || port.node_port() > last_port_) {
      why = "provided port is not in the valid range. The range of valid ports is " +
            std::to_string(first_port_) + "-" + std::to_string(last_port_);
    } else if (PortTaken(port.node_port())) {
      why = "provided port is already allocated";
    }
    if (!why.empty()) {
      errors->push_back({api::FieldError::Type::kInvalid,
                         "spec.ports[" + std::to_string(i) + "].nodePort",
                         "Invalid value: " + std::to_string(port.node_port()) + ": " + why});
      continue;
    }
    claim(port.node_port());
  }
  if (!WantsNodePorts(*service) || !errors->empty()) return {};
  std::set<int32_t> used = NodePortsOf(*service);
  const int32_t count = last_port_ - first_port_ + 1;
  for (ServicePort& port : *ports) {
    if (port.node_port() != 0) continue;
    // One number for both protocols of a port, where it is free.
    for (const ServicePort& other : *ports) {
      if (other.port() == port.port() && other.protocol() != port.protocol() &&
          other.node_port() != 0) {
        port.set_node_port(other.node_port());
      }
    }
    int32_t start = static_cast<int32_t>(RandomBelow(env_, static_cast<uint64_t>(count)));
    for (int32_t i = 0; i < count && port.node_port() == 0; ++i) {
      int32_t number = first_port_ + (start + i) % count;
      if (used.count(number) == 0 && held.count(number) == 0 && !PortTaken(number))
        port.set_node_port(number);
    }
    if (port.node_port() == 0) return InternalError("failed to allocate a nodePort: range is full");
    used.insert(port.node_port());
    claim(port.node_port());
  }
  return {};
}

Status Allocators::Allocate(Service* service, const Service* old, std::vector<store::Write>* writes,
                            api::FieldErrors* errors) {
  auto* spec = service->mutable_spec();
  const bool had_address =
      old != nullptr && WantsAddress(*old) && !old->spec().cluster_ip().empty();
  if (spec->type() != "ExternalName") {
    if (spec->ip_families().empty()) spec->add_ip_families("IPv4");
    if (!spec->has_ip_family_policy()) spec->set_ip_family_policy("SingleStack");
    if (spec->ip_families(0) != "IPv4") {
      errors->push_back(
          {api::FieldError::Type::kInvalid, "spec.ipFamilies[0]",
           "Invalid value: \"" + spec->ip_families(0) + "\": not configured on this cluster"});
      return {};
    }
    if (spec->ip_family_policy() == "RequireDualStack") {
      errors->push_back({api::FieldError::Type::kInvalid, "spec.ipFamilyPolicy",
                         "Invalid value: \"RequireDualStack\": this cluster is not configured for "
                         "dual-stack services"});
      return {};
    }
    if (spec->cluster_ip() == "None" && spec->cluster_ips().empty()) spec->add_cluster_ips("None");
  }
  if (WantsAddress(*service) && !(had_address && spec->cluster_ip() == old->spec().cluster_ip())) {
    GANTRY_TRY(AllocateAddress(service, writes, errors));
  }
  if (!errors->empty()) return {};
  GANTRY_TRY(AllocatePorts(service, old, writes, errors));
  if (!errors->empty() || old == nullptr) return {};

  if (had_address && old->spec().cluster_ip() != spec->cluster_ip()) {
    store::Write write;
    write.key = api::StorageKey(api::KindOf<IPAddress>(), "", old->spec().cluster_ip());
    Add(std::move(write), writes);
  }
  std::set<int32_t> kept = NodePortsOf(*service);
  for (int32_t port : NodePortsOf(*old)) {
    if (kept.count(port) != 0) continue;
    store::Write write;
    write.key = PortKey(port);
    Add(std::move(write), writes);
  }
  return {};
}

void Allocators::Release(const Service& service, std::vector<store::Write>* writes) {
  if (WantsAddress(service) && !service.spec().cluster_ip().empty()) {
    store::Write write;
    write.key = api::StorageKey(api::KindOf<IPAddress>(), "", service.spec().cluster_ip());
    Add(std::move(write), writes);
  }
  for (int32_t port : NodePortsOf(service)) {
    store::Write write;
    write.key = PortKey(port);
    Add(std::move(write), writes);
  }
}

}  // namespace gantry::apiserver
