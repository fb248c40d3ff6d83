#include <algorithm>

#include "api/networking/v1/ip_address.pb.h"
#include "api/validation/meta.h"
#include "api/validation/rules.h"
#include "base/ip.h"

// Addresses of services and the ranges that they come from.
namespace gantry::api::validation {
namespace {

using networking::v1::IPAddress;
using networking::v1::ParentReference;
using networking::v1::ServiceCIDR;

Complaints NameIsCanonicalIp(std::string_view name, bool prefix) {
  std::optional<gantry::IpAddress> ip = gantry::IpAddress::Parse(name);
  if (!ip) return {"ParseAddr(\"" + std::string(name) + "\"): unable to parse IP"};
  if (ip->ToString() != name) return {"must be a canonical format IP address"};
  return {};
}

void CreateAddress(const IPAddress& address, Errors* errors) {
  CheckMeta(address.metadata(), false, NameIsCanonicalIp, errors);
  Path path("spec.parentRef");
  if (!address.spec().has_parent_ref()) {
    errors->Required(path);
    return;
  }
  const ParentReference& parent = address.spec().parent_ref();
  if (!parent.group().empty()) CheckDns1123Subdomain(path.Child("group"), parent.group(), errors);
  auto check = [&](const char* field, const std::string& value, bool required) {
    Path child = path.Child(field);
    if (!value.empty()) {
      errors->Complain(child, value, NameIsPathSegment(value, false));
    } else if (required) {
      errors->Required(child);
    }
  };
  check("resource", parent.resource(), true);
  check("name", parent.name(), true);
  check("namespace", parent.namespace_(), false);
}

void UpdateAddress(const IPAddress& address, const IPAddress& old, Errors* errors) {
  CheckMetaUpdate(address.metadata(), old.metadata(), errors);
  const ParentReference &now = address.spec().parent_ref(), &before = old.spec().parent_ref();
  if (now.SerializeAsString() != before.SerializeAsString())
    errors->Invalid(Path("spec.parentRef"), now, kImmutable);
}

void CreateRange(const ServiceCIDR& range, Errors* errors) {
  CheckMeta(range.metadata(), false, NameIsDns1123Subdomain, errors);
  const Path path("spec.cidrs");
  const Strings& cidrs = range.spec().cidrs();
  if (cidrs.empty()) {
    errors->Required(path, "at least one CIDR required");
    return;
  }
  if (cidrs.size() > 2) {
    errors->Invalid(path, range.spec(), "may only hold up to 2 values");
    return;
  }
  const auto v6 =
      std::ranges::count_if(cidrs, [](const std::string& cidr) { return IsIpV6Cidr(cidr); });
  const bool valid = std::ranges::all_of(cidrs, [](const auto& cidr) { return IsCidr(cidr); });
  if (cidrs.size() == 2 && (!valid || v6 != 1)) {
    errors->Invalid(path, range.spec(),
                    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and "
                    "2001:db8::/64");
    return;
  }
  for (int i = 0; i < cidrs.size(); ++i) {
    CheckCidr(path.Index(i), cidrs[i], errors);
    Result<Cidr> cidr = Cidr::Parse(cidrs[i]);
    if (!cidr.ok()) continue;
    const std::string_view text(cidrs[i]);
    if (gantry::IpAddress::Parse(text.substr(0, text.find('/'))) != cidr->address) {
      errors->Invalid(path.Index(i), cidrs[i], "must not have bits set beyond the prefix length");
    }
  }
}

// A second family may be added; all else stays.
void UpdateRange(const ServiceCIDR& range, const ServiceCIDR& old, Errors* errors) {
  CheckMetaUpdate(range.metadata(), old.metadata(), errors);
  const Path path("spec.cidrs");
  const Strings &now = range.spec().cidrs(), &before = old.spec().cidrs();
  const bool grows = before.size() == 1 && now.size() == 2;
  if (now.size() != before.size() && !grows) {
    errors->Invalid(path, now, kImmutable);
    return;
  }
  for (int i = 0; i < before.size(); ++i) {
    if (now[i] != before[i]) errors->Invalid(path.Index(i), now[i], kImmutable);
  }
  if (grows) CreateRange(range, errors);
}

}  // namespace

std::vector<RuleRow> AddressRules() {
  return {
      Row<IPAddress, CreateAddress, UpdateAddress>(),
      Row<ServiceCIDR, CreateRange, UpdateRange>(),
  };
}

}  // namespace gantry::api::validation
