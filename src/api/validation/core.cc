#include <set>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/limit_range.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/json_value.h"
#include "api/validation/meta.h"
#include "api/validation/pod.h"
#include "api/validation/resources.h"
#include "api/validation/rules.h"
#include "api/validation/scheduling.h"

namespace gantry::api::validation {
namespace {

using core::v1::ConfigMap;
using core::v1::LimitRange;
using core::v1::LimitRangeItem;
using core::v1::Namespace;
using core::v1::Node;
using core::v1::Pod;
using core::v1::PodTemplate;
using core::v1::ResourceQuota;
using core::v1::Secret;
using core::v1::ServiceAccount;

constexpr size_t kMaxDataSize = 1024 * 1024;
constexpr char kSetImmutable[] = "field is immutable when `immutable` is set";

// Keys of config maps and secrets. Returns the size of all values.
template <class Data>
size_t CheckDataKeys(const Path& path, const Data& data, Errors* errors) {
  size_t size = 0;
  size_t mark = errors->size();
  for (const auto& [key, value] : data) {
    Path item = path.Key(key);
    errors->Complain(item, key, IsConfigMapKey(key));
    size += value.size();
  }
  errors->SortFrom(mark);
  return size;
}

void CreateConfigMap(const ConfigMap& map, Errors* errors) {
  CheckMeta(map.metadata(), true, NameIsDns1123Subdomain, errors);
  Path data("data");
  size_t size = CheckDataKeys(data, map.data(), errors);
  size_t mark = errors->size();
  for (const auto& [key, value] : map.data()) {
    if (map.binary_data().contains(key)) {
      errors->Invalid(data.Key(key), key, "duplicate of key present in binaryData");
    }
  }
  errors->SortFrom(mark);
  size += CheckDataKeys(Path("binaryData"), map.binary_data(), errors);
  if (size > kMaxDataSize) errors->TooLong(Path(""), kMaxDataSize);
}

void UpdateConfigMap(const ConfigMap& map, const ConfigMap& old, Errors* errors) {
  CheckMetaUpdate(map.metadata(), old.metadata(), errors);
  if (old.immutable()) {
    if (!map.immutable()) errors->Forbidden(Path("immutable"), kSetImmutable);
    if (!Equal(map.data(), old.data())) errors->Forbidden(Path("data"), kSetImmutable);
    if (!Equal(map.binary_data(), old.binary_data()))
      errors->Forbidden(Path("binaryData"), kSetImmutable);
  }
  CreateConfigMap(map, errors);
}

void CheckJsonKey(const Secret& secret, const char* key, Errors* errors) {
  Path data("data");
  auto value = secret.data().find(key);
  if (value == secret.data().end()) {
    errors->Required(data.Key(key));
    return;
  }
  Result<JsonValue> parsed = JsonValue::Parse(value->second);
  if (!parsed.ok()) {
    errors->Invalid(data.Key(key), "<secret contents redacted>", parsed.status().message());
  } else if (!parsed->is_object() && !parsed->is_null()) {
    const char* kind = parsed->is_array()    ? "array"
                       : parsed->is_string() ? "string"
                       : parsed->is_bool()   ? "bool"
                                             : "number";
    errors->Invalid(data.Key(key), "<secret contents redacted>",
                    std::string("json: cannot unmarshal ") + kind +
                        " into Go value of type map[string]interface {}");
  }
}

void CreateSecret(const Secret& secret, Errors* errors) {
  CheckMeta(secret.metadata(), true, NameIsDns1123Subdomain, errors);
  Path data("data");
  if (CheckDataKeys(data, secret.data(), errors) > kMaxDataSize)
    errors->TooLong(data, kMaxDataSize);
  auto require = [&](const char* key) {
    if (!secret.data().contains(key)) errors->Required(data.Key(key));
  };
  const std::string& type = secret.type();
  if (type == "kubernetes.io/service-account-token") {
    constexpr char kAccountName[] = "kubernetes.io/service-account.name";
    auto name = secret.metadata().annotations().find(kAccountName);
    Path annotations("metadata.annotations");
    if (name == secret.metadata().annotations().end() || name->second.empty()) {
      errors->Required(annotations.Key(kAccountName));
    }
  } else if (type == "kubernetes.io/dockercfg") {
    CheckJsonKey(secret, ".dockercfg", errors);
  } else if (type == "kubernetes.io/dockerconfigjson") {
    CheckJsonKey(secret, ".dockerconfigjson", errors);
  } else if (type == "kubernetes.io/basic-auth") {
    if (!secret.data().contains("username") && !secret.data().contains("password")) {
      require("username");
      require("password");
    }
  } else if (type == "kubernetes.io/ssh-auth") {
    auto key = secret.data().find("ssh-privatekey");
    if (key == secret.data().end() || key->second.empty())
      errors->Required(data.Key("ssh-privatekey"));
  } else if (type == "kubernetes.io/tls") {
    require("tls.crt");
    require("tls.key");
  }
}

void UpdateSecret(const Secret& secret, const Secret& old, Errors* errors) {
  CheckMetaUpdate(secret.metadata(), old.metadata(), errors);
  if (secret.type() != old.type()) errors->Invalid(Path("type"), secret.type(), kImmutable);
  if (old.immutable()) {
    if (!secret.immutable()) errors->Forbidden(Path("immutable"), kSetImmutable);
    if (!Equal(secret.data(), old.data())) errors->Forbidden(Path("data"), kSetImmutable);
  }
  CreateSecret(secret, errors);
}

void CreateAccount(const ServiceAccount& account, Errors* errors) {
  CheckMeta(account.metadata(), true, NameIsDns1123Subdomain, errors);
}

void UpdateAccount(const ServiceAccount& account, const ServiceAccount& old, Errors* errors) {
  CheckMetaUpdate(account.metadata(), old.metadata(), errors);
}

void CreateNamespace(const Namespace& ns, Errors* errors) {
  CheckMeta(ns.metadata(), false, NameIsDns1123Label, errors);
  Path finalizers("spec.finalizers");
  for (const std::string& finalizer : ns.spec().finalizers()) {
    CheckQualifiedName(finalizers, finalizer, errors);
    if (finalizer.find('/') == std::string::npos &&
        !IsOneOf(finalizer, {"kubernetes", "orphan", "foregroundDeletion"})) {
      errors->Invalid(finalizers, finalizer,
                      "name is neither a standard finalizer name nor is it fully qualified");
    }
  }
}

void UpdateNamespace(const Namespace& ns, const Namespace& old, Errors* errors) {
  CheckMetaUpdate(ns.metadata(), old.metadata(), errors);
}

void UpdateNamespaceStatus(const Namespace& ns, const Namespace& old, Errors* errors) {
  CheckMetaUpdate(ns.metadata(), old.metadata(), errors);
  Path phase("status.Phase");
  if (!ns.metadata().has_deletion_timestamp()) {
    if (ns.status().phase() != "Active") {
      errors->Invalid(phase, ns.status().phase(),
                      "may only be 'Active' if `deletionTimestamp` is empty");
    }
  } else if (ns.status().phase() != "Terminating") {
    errors->Invalid(phase, ns.status().phase(),
                    "may only be 'Terminating' if `deletionTimestamp` is not empty");
  }
}

void CheckNodeAmounts(const Path& path, const QuantityMap& amounts, Errors* errors) {
  size_t mark = errors->size();
  for (const auto& [name, quantity] : amounts)
    CheckQuantity(path.Child(name), name, quantity, errors);
  errors->SortFrom(mark);
}

void CheckNodeResources(const Node& node, Errors* errors) {
  CheckNodeAmounts(Path("status.capacity"), node.status().capacity(), errors);
  CheckNodeAmounts(Path("status.allocatable"), node.status().allocatable(), errors);
}

void CreateNode(const Node& node, Errors* errors) {
  CheckMeta(node.metadata(), false, NameIsDns1123Subdomain, errors);
  CheckTaints(Path("metadata.taints"), node.spec().taints(), errors);
  CheckNodeResources(node, errors);
  Path cidrs("spec.podCIDRs");
  int v6 = 0;
  std::set<std::string_view> seen;
  for (int i = 0; i < node.spec().pod_cidrs_size(); ++i) {
    const std::string& cidr = node.spec().pod_cidrs(i);
    CheckCidr(cidrs.Index(i), cidr, errors);
    v6 += IsIpV6Cidr(cidr) ? 1 : 0;
  }
  int total = node.spec().pod_cidrs_size();
  if (v6 > 1 || total - v6 > 1) {
    errors->Invalid(cidrs, node.spec().pod_cidrs(),
                    "may specify no more than one CIDR for each IP family");
  }
  for (int i = 0; i < total; ++i) {
    if (!seen.insert(node.spec().pod_cidrs(i)).second)
      errors->Duplicate(cidrs.Index(i), node.spec().pod_cidrs(i));
  }
}

void CheckNodeUpdate(const Node& node, const Node& old, Errors* errors) {
  CheckMetaUpdate(node.metadata(), old.metadata(), errors);
  CheckNodeResources(node, errors);
  Path addresses("status.addresses");
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (int i = 0; i < node.status().addresses_size(); ++i) {
    const auto& address = node.status().addresses(i);
    if (!seen.emplace(address.type(), address.address()).second)
      errors->Duplicate(addresses.Index(i), address);
  }
  if (!old.spec().pod_cidrs().empty() && !Equal(node.spec().pod_cidrs(), old.spec().pod_cidrs())) {
    errors->Forbidden(Path("spec.podCIDRs"),
                      "node updates may not change podCIDR except from \"\" to valid");
  }
  if (!old.spec().provider_id().empty() && old.spec().provider_id() != node.spec().provider_id()) {
    errors->Forbidden(Path("spec.providerID"),
                      "node updates may not change providerID except from \"\" to valid");
  }
  CheckTaints(Path("metadata.taints"), node.spec().taints(), errors);
  if (node.spec().external_id() != old.spec().external_id()) {
    errors->Forbidden(Path("spec.externalID"), "may not be updated");
  }
}

void CreatePodTemplate(const PodTemplate& pod_template, Errors* errors) {
  CheckMeta(pod_template.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckPodTemplate(Path("template"), pod_template.template_(), errors);
}

void UpdatePodTemplate(const PodTemplate& pod_template, const PodTemplate& old, Errors* errors) {
  CheckMetaUpdate(pod_template.metadata(), old.metadata(), errors);
  CheckPodTemplate(Path("template"), pod_template.template_(), errors);
}

void CheckQuotaAmounts(const Path& path, const QuantityMap& amounts, Errors* errors) {
  size_t mark = errors->size();
  for (const auto& [name, quantity] : amounts) {
    Path item = path.Key(name);
    CheckQuotaResourceName(item, name, errors);
    CheckQuantity(item, name, quantity, errors);
  }
  errors->SortFrom(mark);
}

bool IsScope(std::string_view scope) {
  return IsOneOf(scope,
                 {"BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating",
                  "PriorityClass", "Terminating", "VolumeAttributesClass"});
}

bool ScopeFits(std::string_view scope, std::string_view resource) {
  if (scope == "BestEffort") return resource == "pods";
  if (scope == "VolumeAttributesClass")
    return resource == "persistentvolumeclaims" || resource == "requests.storage";
  return IsOneOf(resource, {"pods", "cpu", "memory", "requests.cpu", "requests.memory",
                            "limits.cpu", "limits.memory"});
}

void CheckQuotaSpec(const core::v1::ResourceQuotaSpec& spec, Errors* errors) {
  Path path("spec");
  CheckQuotaAmounts(path.Child("hard"), spec.hard(), errors);
  auto misfits = [&](std::string_view scope) {
    int count = 0;
    for (const auto& [name, quantity] : spec.hard())
      count += IsStandardQuotaResource(name) && !ScopeFits(scope, name);
    return count;
  };
  Path scopes = path.Child("scopes");
  std::set<std::string_view> all(spec.scopes().begin(), spec.scopes().end());
  for (const std::string& scope : spec.scopes()) {
    if (!IsScope(scope)) errors->Invalid(scopes, spec.scopes(), "unsupported scope");
    for (int n = misfits(scope); n > 0; --n) {
      errors->Invalid(scopes, spec.scopes(), "unsupported scope applied to resource");
    }
  }
  Path expressions = path.Child("scopeSelector.matchExpressions");
  for (const auto& requirement : spec.scope_selector().match_expressions()) {
    const std::string& scope = requirement.scope_name();
    all.insert(scope);
    if (!IsScope(scope))
      errors->Invalid(expressions.Child("scopeName"), scope, "unsupported scope");
    for (int n = misfits(scope); n > 0; --n) {
      errors->Invalid(expressions, spec.scope_selector(), "unsupported scope applied to resource");
    }
    const std::string& op = requirement.operator_();
    bool exists_only =
        IsScope(scope) && scope != "PriorityClass" && scope != "VolumeAttributesClass";
    if (exists_only && op != "Exists") {
      errors->Invalid(expressions.Child("operator"), op,
                      "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                      "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                      "ResourceQuotaScopeNotBestEffort "
                      "or ResourceQuotaScopeCrossNamespacePodAffinity");
    }
    if (IsOneOf(op, {"In", "NotIn"})) {
      if (requirement.values().empty()) {
        errors->Required(
            expressions.Child("values"),
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
      }
    } else if (IsOneOf(op, {"Exists", "DoesNotExist"})) {
      if (!requirement.values().empty()) {
        errors->Invalid(
            expressions.Child("values"), requirement.values(),
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
      }
    } else {
      errors->Invalid(expressions.Child("operator"), op, "not a valid selector operator");
    }
  }
  bool conflicting = (all.contains("BestEffort") && all.contains("NotBestEffort")) ||
                     (all.contains("Terminating") && all.contains("NotTerminating"));
  if (conflicting) errors->Invalid(scopes, spec.scopes(), "conflicting scopes");
}

void CreateQuota(const ResourceQuota& quota, Errors* errors) {
  CheckMeta(quota.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckQuotaSpec(quota.spec(), errors);
}

void UpdateQuota(const ResourceQuota& quota, const ResourceQuota& old, Errors* errors) {
  CheckMetaUpdate(quota.metadata(), old.metadata(), errors);
  CheckQuotaSpec(quota.spec(), errors);
  std::set<std::string_view> now(quota.spec().scopes().begin(), quota.spec().scopes().end());
  std::set<std::string_view> before(old.spec().scopes().begin(), old.spec().scopes().end());
  if (now != before) errors->Invalid(Path("spec.scopes"), quota.spec().scopes(), kImmutable);
}

void UpdateQuotaStatus(const ResourceQuota& quota, const ResourceQuota& old, Errors* errors) {
  CheckMetaUpdate(quota.metadata(), old.metadata(), errors);
  CheckQuotaAmounts(Path("status.hard"), quota.status().hard(), errors);
  CheckQuotaAmounts(Path("status.used"), quota.status().used(), errors);
}

// One resource of a limit range: its amounts must be in order.
void CheckLimitOrder(const Path& path, const LimitRangeItem& item, const std::string& name,
                     Errors* errors) {
  auto amount = [&](const QuantityMap& map, Quantity* value) {
    auto found = map.find(name);
    if (found == map.end()) return false;
    *value = ToQuantity(found->second);
    return true;
  };
  bool pod = item.type() == "Pod";
  Quantity min, max, limit, request, ratio;
  bool has_min = amount(item.min(), &min);
  bool has_max = amount(item.max(), &max);
  bool has_limit = !pod && amount(item.default_(), &limit);
  bool has_request = !pod && amount(item.default_request(), &request);
  bool has_ratio = amount(item.max_limit_request_ratio(), &ratio);
  auto check = [&](bool both, const Quantity& low, const char* low_name, const Quantity& high,
                   const char* high_name, std::string_view field, const Quantity& shown) {
    if (!both || low <= high) return;
    Path parent = path.Child(field);
    errors->Invalid(parent.Key(name), shown.ToString(),
                    std::string(low_name) + " value " + low.ToString() + " is greater than " +
                        high_name + " value " + high.ToString());
  };
  check(has_min && has_max, min, "min", max, "max", "min", min);
  check(has_request && has_min, min, "min", request, "default request", "defaultRequest", request);
  check(has_request && has_max, request, "default request", max, "max", "defaultRequest", request);
  check(has_request && has_limit, request, "default request", limit, "default limit",
        "defaultRequest", request);
  check(has_limit && has_min, min, "min", limit, "default", "default", min);
  check(has_limit && has_max, limit, "default", max, "max", "default", max);
  Path ratio_path = path.Child("maxLimitRequestRatio");
  if (has_ratio && ratio < Quantity::FromValue(1)) {
    errors->Invalid(ratio_path.Key(name), ratio.ToString(),
                    "ratio " + ratio.ToString() + " is less than 1");
  }
  Path request_path = path.Child("defaultRequest");
  if (!IsOvercommitAllowed(name) && has_limit && has_request && limit != request) {
    errors->Invalid(request_path.Key(name), request.ToString(),
                    "default value " + limit.ToString() + " must equal to defaultRequest value " +
                        request.ToString() + " in " + name);
  }
}

void CreateLimitRange(const LimitRange& range, Errors* errors) {
  CheckMeta(range.metadata(), true, NameIsDns1123Subdomain, errors);
  Path limits("spec.limits");
  std::set<std::string_view> types;
  for (int i = 0; i < range.spec().limits_size(); ++i) {
    const LimitRangeItem& item = range.spec().limits(i);
    Path path = limits.Index(i);
    size_t mark = errors->size();
    CheckQualifiedName(path.Child("type"), item.type(), errors);
    if (errors->size() == mark && item.type().find('/') == std::string::npos &&
        !IsOneOf(item.type(), {"Pod", "Container", "PersistentVolumeClaim"})) {
      errors->Invalid(path.Child("type"), item.type(),
                      "must be a standard limit type or fully qualified");
    }
    if (!types.insert(item.type()).second) errors->Duplicate(path.Child("type"), item.type());
    bool compute = item.type() == "Pod" || item.type() == "Container";
    std::set<std::string> names;
    auto check_names = [&](std::string_view field, const QuantityMap& map) {
      Path parent = path.Child(field);
      size_t before = errors->size();
      for (const auto& [name, quantity] : map) {
        (compute ? CheckContainerResourceName : CheckResourceName)(parent.Key(name), name, errors);
        names.insert(name);
      }
      errors->SortFrom(before);
    };
    check_names("max", item.max());
    check_names("min", item.min());
    if (item.type() == "Pod") {
      constexpr char kNotForPods[] = "may not be specified when `type` is 'Pod'";
      if (!item.default_().empty()) errors->Forbidden(path.Child("default"), kNotForPods);
      if (!item.default_request().empty())
        errors->Forbidden(path.Child("defaultRequest"), kNotForPods);
    } else {
      check_names("default", item.default_());
      check_names("defaultRequest", item.default_request());
    }
    if (item.type() == "PersistentVolumeClaim" && !item.min().contains("storage") &&
        !item.max().contains("storage")) {
      errors->Required(
          path.Child("limits"),
          "either minimum or maximum storage value is required, but neither was provided");
    }
    check_names("maxLimitRequestRatio", item.max_limit_request_ratio());
    for (const std::string& name : names)
      CheckLimitOrder(path, item, name, errors);
  }
}

void UpdateLimitRange(const LimitRange& range, const LimitRange& old, Errors* errors) {
  CheckMetaUpdate(range.metadata(), old.metadata(), errors);
  CreateLimitRange(range, errors);
}

void CreateEvent(const core::v1::Event& event, Errors* errors) {
  CheckMeta(event.metadata(), true, NameIsDns1123Subdomain, errors);
  const std::string& ns = event.involved_object().namespace_();
  // Events on objects of the whole cluster live in the default namespace.
  bool matches = ns.empty() ? event.metadata().namespace_() == "default" ||
                                  event.metadata().namespace_() == "kube-system"
                            : ns == event.metadata().namespace_();
  if (!matches)
    errors->Invalid(Path("involvedObject.namespace"), ns, "does not match event.namespace");
  if (!event.has_event_time()) return;
  if (event.reporting_component().empty()) {
    errors->Required(Path("reportingController"));
  } else {
    CheckQualifiedName(Path("reportingController"), event.reporting_component(), errors);
  }
  auto bounded = [&](const char* name, const std::string& value, size_t most) {
    if (value.empty()) errors->Required(Path(name));
    if (value.size() > most) {
      errors->Invalid(Path(name), "", "can have at most " + std::to_string(most) + " characters");
    }
  };
  bounded("reportingInstance", event.reporting_instance(), 128);
  bounded("action", event.action(), 128);
  bounded("reason", event.reason(), 128);
}

void UpdateEvent(const core::v1::Event& event, const core::v1::Event& old, Errors* errors) {
  CheckMetaUpdate(event.metadata(), old.metadata(), errors);
}

}  // namespace

std::vector<RuleRow> CoreRules() {
  return {
      Row<ConfigMap, CreateConfigMap, UpdateConfigMap>(),
      Row<core::v1::Event, CreateEvent, UpdateEvent>(),
      Row<LimitRange, CreateLimitRange, UpdateLimitRange>(),
      Row<Namespace, CreateNamespace, UpdateNamespace, UpdateNamespaceStatus>(),
      Row<Node, CreateNode, CheckNodeUpdate, CheckNodeUpdate>(),
      Row<Pod, CheckPodCreate, CheckPodUpdate, CheckPodStatusUpdate>(),
      Row<PodTemplate, CreatePodTemplate, UpdatePodTemplate>(),
      Row<ResourceQuota, CreateQuota, UpdateQuota, UpdateQuotaStatus>(),
      Row<Secret, CreateSecret, UpdateSecret>(),
      Row<ServiceAccount, CreateAccount, UpdateAccount>(),
  };
}

}  // namespace gantry::api::validation
