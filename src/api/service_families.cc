#include "api/service_families.h"

#include <algorithm>

#include "api/core/v1/service.pb.h"
#include "api/validation/check.h"
#include "api/validation/service.h"

namespace gantry::api {
namespace {

using core::v1::Service;
using core::v1::ServiceSpec;
using validation::Errors;
using validation::Path;
using validation::Strings;

constexpr char kSingle[] = "SingleStack";
constexpr char kPrefer[] = "PreferDualStack";
constexpr char kRequire[] = "RequireDualStack";

bool Same(const Strings& a, const Strings& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

bool IsHeadless(const ServiceSpec& spec) { return spec.cluster_ip() == "None"; }
bool IsSingle(const ServiceSpec& spec) { return spec.ip_family_policy() == kSingle; }

// A service that prefers both families keeps what it has until it says something else, whatever
// became of the cluster.
bool KeepsWhatItPrefers(const ServiceSpec& spec, const ServiceSpec& old) {
  return spec.ip_family_policy() == kPrefer && spec.type() == old.type() &&
         spec.type() != "ExternalName" &&
         (!old.has_ip_family_policy() || old.ip_family_policy() == kPrefer) &&
         Same(spec.cluster_ips(), old.cluster_ips()) && Same(spec.ip_families(), old.ip_families());
}

void DefaultPolicy(ServiceSpec* spec, const ServiceSpec* old) {
  if (spec->has_ip_family_policy()) return;
  if (old != nullptr && old->has_ip_family_policy()) {
    spec->set_ip_family_policy(old->ip_family_policy());
  } else {
    // Whoever writes the endpoints of a headless service without a selector may do so for both.
    spec->set_ip_family_policy(IsHeadless(*spec) && spec->selector().empty() ? kRequire : kSingle);
  }
}

// Gives up the second of what nobody changed, where one family is wanted; what got shorter without
// that is a mistake.
void ReleaseSecond(ServiceSpec* spec, const ServiceSpec& old, Errors* errors) {
  const Path policy("spec.ipFamilyPolicy");
  auto release = [&](Strings* now, const Strings& before, const char* what) {
    if (IsSingle(*spec)) {
      if (Same(*now, before) && now->size() > 1) now->RemoveLast();
    } else if (!now->empty() && now->size() < before.size()) {
      errors->Invalid(policy, spec->ip_family_policy(),
                      std::string("must be 'SingleStack' to release the secondary ") + what);
    }
  };
  release(spec->mutable_cluster_ips(), old.cluster_ips(), "cluster IP");
  release(spec->mutable_ip_families(), old.ip_families(), "IP family");
}

void CheckPolicy(const ServiceSpec& spec, Errors* errors) {
  if (!IsSingle(spec)) return;
  const Path policy("spec.ipFamilyPolicy");
  auto check = [&](int count, const char* what) {
    if (count != 2) return;
    errors->Invalid(policy, spec.ip_family_policy(),
                    std::string("must be 'RequireDualStack' or 'PreferDualStack' when multiple ") +
                        what + " are specified");
  };
  check(spec.cluster_ips_size(), "cluster IPs");
  check(spec.ip_families_size(), "IP families");
}

void InferFromAddresses(ServiceSpec* spec, std::span<const std::string> configured,
                        Errors* errors) {
  const Path ips("spec.clusterIPs");
  for (int i = spec->ip_families_size(); i < spec->cluster_ips_size(); ++i) {
    if (spec->cluster_ips(i) == "None") return;
    std::string family(IpFamilyOf(spec->cluster_ips(i)));
    if (std::ranges::find(configured, family) == configured.end()) {
      errors->Invalid(ips.Index(i), spec->cluster_ips(),
                      family + " is not configured on this cluster");
    } else {
      spec->add_ip_families(std::move(family));
    }
  }
}

void AddOtherFamily(ServiceSpec* spec) {
  spec->add_ip_families(spec->ip_families(0) == "IPv4" ? "IPv6" : "IPv4");
}

void CheckConfigured(const ServiceSpec& spec, std::span<const std::string> configured,
                     Errors* errors) {
  if (spec.ip_family_policy() == kRequire && configured.size() < 2) {
    errors->Invalid(Path("spec.ipFamilyPolicy"), spec.ip_family_policy(),
                    "this cluster is not configured for dual-stack services");
  }
  const Path families("spec.ipFamilies");
  for (int i = 0; i < spec.ip_families_size(); ++i) {
    if (std::ranges::find(configured, spec.ip_families(i)) == configured.end())
      errors->Invalid(families.Index(i), spec.ip_families(i), "not configured on this cluster");
  }
}

void Default(ServiceSpec* spec, const ServiceSpec* old, std::span<const std::string> configured,
             Errors* errors) {
  if (spec->type() == "ExternalName") return;
  if (old != nullptr && KeepsWhatItPrefers(*spec, *old)) return;
  DefaultPolicy(spec, old);
  validation::CheckServiceAddresses(Path("spec"), *spec, errors);
  if (errors->size() > 0) return;
  if (old != nullptr) ReleaseSecond(spec, *old, errors);
  CheckPolicy(*spec, errors);
  InferFromAddresses(spec, configured, errors);
  if (errors->size() > 0) return;
  if (IsHeadless(*spec) && spec->selector().empty()) {
    // It may have families that the cluster has not.
    if (spec->ip_families().empty()) spec->add_ip_families(configured.front());
    if (!IsSingle(*spec) && spec->ip_families_size() == 1) AddOtherFamily(spec);
    return;
  }
  CheckConfigured(*spec, configured, errors);
  if (errors->size() > 0) return;
  if (spec->ip_families().empty()) spec->add_ip_families(configured.front());
  if (!IsSingle(*spec) && spec->ip_families_size() == 1 && configured.size() == 2)
    AddOtherFamily(spec);
}

}  // namespace

void DefaultServiceFamilies(Service* service, const Service* old,
                            std::span<const std::string> configured, FieldErrors* errors) {
  Errors found;
  Default(service->mutable_spec(), old == nullptr ? nullptr : &old->spec(), configured, &found);
  for (FieldError& error : std::move(found).Take())
    errors->push_back(std::move(error));
}

std::string_view IpFamilyOf(std::string_view address) {
  return address.find(':') == std::string_view::npos ? "IPv4" : "IPv6";
}

}  // namespace gantry::api
