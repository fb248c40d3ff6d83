#include "api/validation/resources.h"

namespace gantry::api::validation {
namespace {

constexpr char kHugePagesPrefix[] = "hugepages-";
constexpr char kQuotaHugePagesPrefix[] = "requests.hugepages-";

bool IsObjectCount(std::string_view name) {
  return IsOneOf(name, {"pods", "resourcequotas", "services", "replicationcontrollers", "secrets",
                        "configmaps", "persistentvolumeclaims", "services.nodeports",
                        "services.loadbalancers"});
}

bool IsCompute(std::string_view name) {
  return IsOneOf(name, {"cpu", "memory", "ephemeral-storage"});
}

bool IsStandardResource(std::string_view name) {
  return IsStandardQuotaResource(name) || name == "storage";
}

void CheckHugePages(const Path& path, std::string_view name, const Quantity& amount,
                    Errors* errors) {
  Quantity size = Quantity::ParseOrZero(name.substr(sizeof kHugePagesPrefix - 1));
  bool divisible = size.Sign() > 0 && !size.HasFraction() && amount.Value() % size.Value() == 0;
  if (!divisible) {
    errors->Invalid(
        path, amount.ToString(),
        amount.ToString() + " is not positive integer multiple of " + std::string(name));
  }
}

void CheckClaims(const Path& path, const core::v1::ResourceRequirements& resources,
                 const std::set<std::string>& pod_claims, Errors* errors) {
  std::set<std::string> seen;
  for (int i = 0; i < resources.claims_size(); ++i) {
    const auto& claim = resources.claims(i);
    Path item = path.Index(i);
    if (claim.name().empty()) {
      errors->Required(item);
      continue;
    }
    std::string key = claim.name();
    if (!claim.request().empty()) {
      CheckDns1123Label(item.Child("request"), claim.request(), errors);
      key += "/" + claim.request();
    }
    auto overlapping = seen.lower_bound(claim.name() + "/");
    bool overlaps = claim.request().empty() && overlapping != seen.end() &&
                    overlapping->starts_with(claim.name() + "/");
    if (seen.contains(claim.name()) || overlaps) {
      errors->Duplicate(item, claim.name());
    } else if (!seen.insert(key).second) {
      errors->Duplicate(item, key);
    }
    if (pod_claims.contains(claim.name())) continue;
    std::string names;
    for (const std::string& name : pod_claims)
      names += (names.empty() ? ": " : ", ") + name;
    errors->NotFound(item, claim.name(),
                     "must be one of the names in pod.spec.resourceClaims" +
                         (names.empty() ? std::string(" which is empty") : names));
  }
}

}  // namespace

bool IsHugePages(std::string_view name) { return name.starts_with(kHugePagesPrefix); }

bool IsNativeResource(std::string_view name) {
  return name.find('/') == std::string_view::npos ||
         name.find("kubernetes.io/") != std::string_view::npos;
}

bool IsExtendedResource(std::string_view name) {
  if (IsNativeResource(name) || name.starts_with("requests.")) return false;
  return IsQualifiedName("requests." + std::string(name)).empty();
}

bool IsIntegerResource(std::string_view name) {
  return IsObjectCount(name) || IsExtendedResource(name);
}

bool IsOvercommitAllowed(std::string_view name) {
  return IsNativeResource(name) && !IsHugePages(name);
}

bool IsStandardQuotaResource(std::string_view name) {
  if (IsCompute(name) || IsObjectCount(name) || IsHugePages(name) ||
      name.starts_with(kQuotaHugePagesPrefix)) {
    return true;
  }
  return IsOneOf(
      name, {"requests.cpu", "requests.memory", "requests.ephemeral-storage", "requests.storage",
             "limits.cpu", "limits.memory", "limits.ephemeral-storage"});
}

void CheckResourceName(const Path& path, std::string_view name, Errors* errors) {
  size_t mark = errors->size();
  CheckQualifiedName(path, name, errors);
  if (errors->size() == mark && name.find('/') == std::string_view::npos &&
      !IsStandardResource(name)) {
    errors->Invalid(path, name, "must be a standard resource type or fully qualified");
  }
}

void CheckContainerResourceName(const Path& path, std::string_view name, Errors* errors) {
  if (IsCompute(name)) return;
  CheckResourceName(path, name, errors);
  if (name.find('/') == std::string_view::npos) {
    if (!IsHugePages(name))
      errors->Invalid(path, name, "must be a standard resource for containers");
  } else if (!IsNativeResource(name) && !IsExtendedResource(name)) {
    errors->Invalid(path, name, "doesn't follow extended resource name standard");
  }
}

void CheckPodResourceName(const Path& path, std::string_view name, Errors* errors) {
  size_t mark = errors->size();
  CheckResourceName(path, name, errors);
  if (errors->size() == mark && !IsOneOf(name, {"cpu", "memory"}) && !IsHugePages(name)) {
    errors->NotSupported(path, name, {"cpu", "hugepages-", "memory"});
  }
}

void CheckQuotaResourceName(const Path& path, std::string_view name, Errors* errors) {
  CheckResourceName(path, name, errors);
  if (name.find('/') == std::string_view::npos && !IsStandardQuotaResource(name)) {
    errors->Invalid(path, name, "must be a standard resource for quota");
  }
}

void CheckQuantity(const Path& path, std::string_view name, const resource::Quantity& quantity,
                   Errors* errors) {
  Quantity amount = ToQuantity(quantity);
  if (amount.Sign() < 0) errors->Invalid(path, amount.ToString(), kNegative);
  if (!IsCompute(name) && IsIntegerResource(name) && amount.MilliValue() % 1000 != 0) {
    errors->Invalid(path, amount.ToString(), "must be an integer");
  }
}

void CheckPositive(const Path& path, const resource::Quantity& quantity, Errors* errors) {
  Quantity amount = ToQuantity(quantity);
  if (amount.Sign() <= 0) errors->Invalid(path, amount.ToString(), kNotPositive);
}

void CheckBasicQuantity(const Path& path, const resource::Quantity& quantity, Errors* errors) {
  Quantity amount = ToQuantity(quantity);
  if (amount.Value() < 0)
    errors->Invalid(path, amount.Value(), "must be a valid resource quantity");
}

void CheckResourceRequirements(const Path& path, const core::v1::ResourceRequirements& resources,
                               ResourceNameCheck check_name, const std::set<std::string>& claims,
                               Errors* errors) {
  Path limits = path.Child("limits");
  Path requests = path.Child("requests");
  bool computes = false;
  bool huge_pages = false;
  auto check_one = [&](const Path& place, const std::string& name,
                       const resource::Quantity& quantity) {
    check_name(place, name, errors);
    CheckQuantity(place, name, quantity, errors);
    computes |= name == "cpu" || name == "memory";
  };
  size_t mark = errors->size();
  for (const auto& [name, quantity] : resources.limits()) {
    Path place = limits.Key(name);
    check_one(place, name, quantity);
    if (!IsHugePages(name)) continue;
    huge_pages = true;
    CheckHugePages(place, name, ToQuantity(quantity), errors);
  }
  errors->SortFrom(mark);
  mark = errors->size();
  for (const auto& [name, quantity] : resources.requests()) {
    Path place = requests.Key(name);
    check_one(place, name, quantity);
    auto limit = resources.limits().find(name);
    Quantity amount = ToQuantity(quantity);
    if (limit != resources.limits().end()) {
      Quantity most = ToQuantity(limit->second);
      if (amount != most && !IsOvercommitAllowed(name)) {
        errors->Invalid(requests, amount.ToString(),
                        "must be equal to " + name + " limit of " + most.ToString());
      } else if (amount > most) {
        errors->Invalid(requests, amount.ToString(),
                        "must be less than or equal to " + name + " limit of " + most.ToString());
      }
    } else if (!IsOvercommitAllowed(name)) {
      errors->Required(limits, "Limit must be set for non overcommitable resources");
    }
    if (!IsHugePages(name)) continue;
    huge_pages = true;
    CheckHugePages(place, name, amount, errors);
  }
  errors->SortFrom(mark);
  if (huge_pages && !computes) errors->Forbidden(path, "HugePages require cpu or memory");
  CheckClaims(path.Child("claims"), resources, claims, errors);
}

}  // namespace gantry::api::validation
