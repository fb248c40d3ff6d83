#include "apiserver/registry/allocators.h"

#include <algorithm>

#include "api/duration.h"
#include "api/networking/v1/ip_address.pb.h"
#include "api/service_families.h"
#include "api/validation/check.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Service;
using api::core::v1::ServicePort;
using api::core::v1::ServiceSpec;
using api::networking::v1::IPAddress;
using api::networking::v1::ServiceCIDR;

// Where the claims of node ports stand; one key each, the value names the service.
constexpr std::string_view kNodePortPrefix = "/registry/ranges/servicenodeports/";
constexpr int kRandomTries = 64;
// Low addresses are left to those who ask for one: a sixteenth of the range within these bounds,
// none of a range that is no larger than the lower one.
constexpr uint64_t kLeastReserved = 16, kMostReserved = 256;

std::string FamilyOf(const IpAddress& ip) { return ip.is_v6() ? "IPv6" : "IPv4"; }

// The addresses of a range that may be given, by their place in it.
struct Places {
  uint64_t first = 1, dynamic = 1, last = 0;
};
Places PlacesOf(const Cidr& range) {
  const uint64_t size = range.Size();
  Places places;
  places.last = size - (range.address.is_v4() ? 2 : 1);
  if (size > kLeastReserved)
    places.dynamic = 1 + std::clamp(size / kLeastReserved, kLeastReserved, kMostReserved);
  return places;
}

bool MayGive(const Cidr& range, const IpAddress& ip) {
  const bool broadcast = ip.is_v4() && ip == range.At(range.Size() - 1);
  return range.Contains(ip) && ip != range.address && !broadcast;
}

std::string PortKey(int32_t port) { return std::string(kNodePortPrefix) + std::to_string(port); }

bool WantsAddress(const Service& service) {
  return service.spec().type() != "ExternalName" && service.spec().cluster_ip() != "None";
}

bool WantsNodePorts(const Service& service) {
  const ServiceSpec& spec = service.spec();
  return spec.type() == "NodePort" ||
         (spec.type() == "LoadBalancer" && (!spec.has_allocate_load_balancer_node_ports() ||
                                            spec.allocate_load_balancer_node_ports()));
}

bool WantsHealthCheckPort(const Service& service) {
  return service.spec().type() == "LoadBalancer" &&
         service.spec().external_traffic_policy() == "Local";
}

bool Has(const std::vector<int32_t>& ports, int32_t port) {
  return std::ranges::find(ports, port) != ports.end();
}

// In the form that names IPAddress objects.
std::vector<IpAddress> AddressesOf(const Service& service) {
  std::vector<IpAddress> addresses;
  if (!WantsAddress(service)) return addresses;
  const ServiceSpec& spec = service.spec();
  for (const std::string& text : spec.cluster_ips()) {
    if (std::optional<IpAddress> ip = IpAddress::Parse(text)) addresses.push_back(*ip);
  }
  return addresses;
}

void ReleaseKey(std::string key, std::vector<store::Write>* writes) {
  store::Write write;
  write.key = std::move(key);
  writes->push_back(std::move(write));
}

std::string AddressKey(const IpAddress& address) {
  return api::StorageKey(api::KindOf<IPAddress>(), "", address.ToString());
}

bool IsReady(const ServiceCIDR& range) {
  for (const auto& condition : range.status().conditions()) {
    if (condition.type() == "Ready") return condition.status() == "True";
  }
  return true;  // nobody has looked at it yet
}

// One number for all protocols of a port, where somebody asked for one.
void ShareNodePorts(ServiceSpec* spec) {
  for (ServicePort& port : *spec->mutable_ports()) {
    if (port.node_port() != 0) continue;
    for (const ServicePort& other : spec->ports()) {
      if (other.port() == port.port() && other.protocol() != port.protocol() &&
          other.node_port() != 0) {
        port.set_node_port(other.node_port());
        break;
      }
    }
  }
}

void AddInvalid(std::string field, const std::string& value, const std::string& why,
                api::FieldErrors* errors) {
  errors->push_back(
      {api::FieldError::Type::kInvalid, std::move(field), "Invalid value: " + value + ": " + why});
}

}  // namespace

std::vector<int32_t> NodePortsOf(const Service& service) {
  std::vector<int32_t> ports;
  auto add = [&ports](int32_t port) {
    if (port != 0 && !Has(ports, port)) ports.push_back(port);
  };
  for (const ServicePort& port : service.spec().ports())
    add(port.node_port());
  if (WantsHealthCheckPort(service)) add(service.spec().health_check_node_port());
  return ports;
}

Status Allocators::Configure(std::string_view service_cidrs, int32_t first_node_port,
                             int32_t last_node_port) {
  auto refuse = [&](const std::string& why) {
    return BadRequest("service address ranges \"" + std::string(service_cidrs) + "\": " + why);
  };
  Result<std::vector<Cidr>> cidrs = ParseCidrs(service_cidrs);
  if (!cidrs.ok()) return refuse(cidrs.status().message());
  if (cidrs->empty() || cidrs->size() > 2 ||
      (cidrs->size() == 2 && (*cidrs)[0].address.size == (*cidrs)[1].address.size)) {
    return refuse("there must be one range, or one of each family");
  }
  for (const Cidr& cidr : *cidrs) {
    const bool v4 = cidr.address.is_v4();
    const int shortest = v4 ? 8 : 64, longest = v4 ? 29 : 125;
    if (cidr.prefix < shortest || cidr.prefix > longest) {
      return refuse(cidr.ToString() + " is not an " + FamilyOf(cidr.address) + " range between /" +
                    std::to_string(shortest) + " and /" + std::to_string(longest));
    }
  }
  cidrs_ = std::move(*cidrs);
  families_.clear();
  for (const Cidr& cidr : cidrs_)
    families_.push_back(FamilyOf(cidr.address));
  first_port_ = first_node_port;
  last_port_ = last_node_port;
  return {};
}

bool Allocators::AddressTaken(const IpAddress& address) const {
  return caches_.For(api::KindOf<IPAddress>()).Get(AddressKey(address)) != nullptr;
}

bool Allocators::PortTaken(int32_t port) const {
  store::Selection selection;
  selection.index = "spec.nodePort";
  selection.index_value = std::to_string(port);
  return !caches_.For(api::KindOf<Service>()).List(selection, {}, 1).objects.empty();
}

std::string Allocators::WhyNotPort(int32_t port) const {
  if (port < first_port_ || port > last_port_) {
    return "provided port is not in the valid range. The range of valid ports is " +
           std::to_string(first_port_) + "-" + std::to_string(last_port_);
  }
  return PortTaken(port) ? "provided port is already allocated" : "";
}

std::vector<Cidr> Allocators::RangesOf(std::string_view family) const {
  std::vector<Cidr> ranges;
  auto add = [&](const Cidr& cidr) {
    if (FamilyOf(cidr.address) == family && std::ranges::find(ranges, cidr) == ranges.end())
      ranges.push_back(cidr);
  };
  for (const Cidr& cidr : cidrs_)
    add(cidr);
  for (const api::ObjectPtr& object :
       caches_.For(api::KindOf<ServiceCIDR>()).List({}, {}, 0).objects) {
    const ServiceCIDR& range = object->As<ServiceCIDR>();
    if (range.metadata().has_deletion_timestamp() || !IsReady(range)) continue;
    for (const std::string& text : range.spec().cidrs()) {
      Result<Cidr> cidr = Cidr::Parse(text);
      if (cidr.ok()) add(*cidr);
    }
  }
  return ranges;
}

std::optional<IpAddress> Allocators::FreeAddress(const std::vector<Cidr>& ranges) const {
  for (const Cidr& range : ranges) {
    const Places places = PlacesOf(range);
    if (places.dynamic <= places.last) {
      const uint64_t count = places.last - places.dynamic + 1;
      for (int i = 0; i < kRandomTries; ++i) {
        const IpAddress address = range.At(places.dynamic + RandomBelow(env_, count));
        if (!AddressTaken(address)) return address;
      }
    }
    for (uint64_t place = places.last; place >= places.first; --place) {
      const IpAddress address = range.At(place);
      if (!AddressTaken(address)) return address;
    }
  }
  return std::nullopt;
}

std::optional<int32_t> Allocators::FreePort(const std::vector<int32_t>& used) const {
  const int32_t count = last_port_ - first_port_ + 1;
  const int32_t start = static_cast<int32_t>(RandomBelow(env_, static_cast<uint64_t>(count)));
  for (int32_t i = 0; i < count; ++i) {
    const int32_t port = first_port_ + (start + i) % count;
    if (!Has(used, port) && !PortTaken(port)) return port;
  }
  return std::nullopt;
}

void Allocators::ClaimAddress(const Service& service, const IpAddress& address,
                              std::vector<store::Write>* writes) const {
  auto claim = std::make_unique<IPAddress>();
  auto* meta = claim->mutable_metadata();
  meta->set_name(address.ToString());
  meta->set_uid(RandomUuid(env_));
  meta->set_generation(1);
  api::SetTime(env_.Now(), meta->mutable_creation_timestamp());
  (*meta->mutable_labels())["ipaddress.kubernetes.io/ip-family"] = FamilyOf(address);
  (*meta->mutable_labels())["ipaddress.kubernetes.io/managed-by"] = "ipallocator.k8s.io";
  auto* parent = claim->mutable_spec()->mutable_parent_ref();
  parent->set_resource("services");
  parent->set_namespace_(service.metadata().namespace_());
  parent->set_name(service.metadata().name());

  std::shared_ptr<api::Object> object =
      api::Object::FromMessage(api::KindOf<IPAddress>(), std::move(claim));
  store::Write write;
  write.key = AddressKey(address);
  write.value = object->stored();
  write.expected_revision = store::kAbsent;
  write.object = std::move(object);
  writes->push_back(std::move(write));
}

Status Allocators::AllocateAddresses(Service* service, const Service* old,
                                     std::vector<store::Write>* writes,
                                     api::FieldErrors* errors) const {
  ServiceSpec* spec = service->mutable_spec();
  // The addresses that a service has are not given anew; that they do not change is for validation
  // to see.
  const int kept = old != nullptr && WantsAddress(*old) ? old->spec().cluster_ips_size() : 0;
  for (int i = kept; i < spec->ip_families_size(); ++i) {
    if (i == spec->cluster_ips_size()) spec->add_cluster_ips("");
    const std::string& wanted = spec->cluster_ips(i);
    const std::vector<Cidr> ranges = RangesOf(spec->ip_families(i));
    std::optional<IpAddress> address = IpAddress::Parse(wanted);
    std::string why;
    if (wanted.empty()) {
      address = FreeAddress(ranges);
      if (!address) return InternalError("failed to allocate a serviceIP: range is full");
      spec->set_cluster_ips(i, address->ToString());
    } else if (!address || std::ranges::none_of(ranges, [&](const Cidr& range) {
                 return MayGive(range, *address);
               })) {
      std::string valid;
      for (const Cidr& range : ranges)
        valid += (valid.empty() ? "" : ",") + range.ToString();
      why = "the provided IP (" + wanted +
            ") is not in the valid range. The range of valid IPs is " + valid;
    } else if (AddressTaken(*address)) {
      why = "provided IP is already allocated";
    }
    if (!why.empty()) {
      AddInvalid("spec.clusterIPs", api::validation::Bad(spec->cluster_ips()).text(),
                 "failed to allocate IP " + wanted + ": " + why, errors);
      return {};
    }
    ClaimAddress(*service, *address, writes);
  }
  if (!spec->cluster_ips().empty()) spec->set_cluster_ip(spec->cluster_ips(0));
  return {};
}

Status Allocators::AllocatePorts(Service* service, const Service* old,
                                 std::vector<store::Write>* writes,
                                 api::FieldErrors* errors) const {
  const std::vector<int32_t> held = old != nullptr ? NodePortsOf(*old) : std::vector<int32_t>();
  std::vector<int32_t> claimed = held;
  auto claim = [&](int32_t port) {
    if (Has(claimed, port)) return;
    claimed.push_back(port);
    store::Write write;
    write.key = PortKey(port);
    write.value = std::make_shared<const std::string>(service->metadata().namespace_() + "/" +
                                                      service->metadata().name());
    write.expected_revision = store::kAbsent;
    writes->push_back(std::move(write));
  };
  ServiceSpec* spec = service->mutable_spec();
  if (spec->type() == "NodePort" || spec->type() == "LoadBalancer") {
    for (int i = 0; i < spec->ports_size(); ++i) {
      const int32_t port = spec->ports(i).node_port();
      if (port == 0 || Has(claimed, port)) continue;
      if (std::string why = WhyNotPort(port); !why.empty()) {
        AddInvalid("spec.ports[" + std::to_string(i) + "].nodePort", std::to_string(port), why,
                   errors);
        return {};
      }
      claim(port);
    }
  }
  if (WantsNodePorts(*service)) {
    for (ServicePort& port : *spec->mutable_ports()) {
      if (port.node_port() == 0) ShareNodePorts(spec);
      if (port.node_port() != 0) continue;
      std::optional<int32_t> free = FreePort(claimed);
      if (!free) return InternalError("failed to allocate a nodePort: range is full");
      port.set_node_port(*free);
      claim(*free);
    }
  }
  if (!WantsHealthCheckPort(*service)) return {};
  if (const int32_t port = spec->health_check_node_port(); port != 0) {
    const bool had = old != nullptr && WantsHealthCheckPort(*old);
    if (had) return {};  // that it does not change is for validation to see
    std::string why = Has(claimed, port) ? "provided port is already allocated" : WhyNotPort(port);
    if (!why.empty()) {
      return InternalError("failed to allocate requested HealthCheck NodePort " +
                           std::to_string(port) + ": " + why);
    }
    claim(port);
    return {};
  }
  std::optional<int32_t> free = FreePort(claimed);
  if (!free) return InternalError("failed to allocate a HealthCheck NodePort 0: range is full");
  spec->set_health_check_node_port(*free);
  claim(*free);
  return {};
}

Status Allocators::Allocate(Service* service, const Service* old, std::vector<store::Write>* writes,
                            api::FieldErrors* errors) {
  api::DefaultServiceFamilies(service, old, families_, errors);
  if (!errors->empty()) return {};
  if (WantsAddress(*service)) GANTRY_TRY(AllocateAddresses(service, old, writes, errors));
  if (!errors->empty()) return {};
  GANTRY_TRY(AllocatePorts(service, old, writes, errors));
  if (!errors->empty() || old == nullptr) return {};
  const std::vector<IpAddress> addresses = AddressesOf(*service);
  for (const IpAddress& address : AddressesOf(*old)) {
    if (std::ranges::find(addresses, address) == addresses.end())
      ReleaseKey(AddressKey(address), writes);
  }
  const std::vector<int32_t> ports = NodePortsOf(*service);
  for (int32_t port : NodePortsOf(*old)) {
    if (!Has(ports, port)) ReleaseKey(PortKey(port), writes);
  }
  return {};
}

void Allocators::Release(const Service& service, std::vector<store::Write>* writes) {
  for (const IpAddress& address : AddressesOf(service))
    ReleaseKey(AddressKey(address), writes);
  for (int32_t port : NodePortsOf(service))
    ReleaseKey(PortKey(port), writes);
}

}  // namespace gantry::apiserver
