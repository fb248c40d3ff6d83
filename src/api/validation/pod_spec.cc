#include <limits>
#include <set>

#include "api/validation/container.h"
#include "api/validation/meta.h"
#include "api/validation/pod.h"
#include "api/validation/resources.h"
#include "api/validation/scheduling.h"
#include "api/validation/security.h"
#include "api/validation/volume.h"

namespace gantry::api::validation {
namespace {

using core::v1::Container;
using core::v1::PodSpec;

constexpr int kMaxNameservers = 3;
constexpr int kMaxSearches = 32;
constexpr size_t kMaxSearchLength = 2048;
constexpr size_t kMaxHostname = 64;

void CheckDnsConfig(const Path& path, const PodSpec& spec, Errors* errors) {
  if (spec.dns_policy() == "None") {
    if (!spec.has_dns_config()) {
      errors->Required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
      return;
    }
    if (spec.dns_config().nameservers().empty()) {
      errors->Required(path.Child("nameservers"),
                       "must provide at least one DNS nameserver when `dnsPolicy` is None");
      return;
    }
  }
  if (!spec.has_dns_config()) return;
  const core::v1::PodDNSConfig& config = spec.dns_config();
  Path nameservers = path.Child("nameservers");
  if (config.nameservers_size() > kMaxNameservers) {
    errors->Invalid(nameservers, config.nameservers(), "must not have more than 3 nameservers");
  }
  for (int i = 0; i < config.nameservers_size(); ++i)
    CheckIp(nameservers.Index(i), config.nameservers(i), errors);
  Path searches = path.Child("searches");
  if (config.searches_size() > kMaxSearches) {
    errors->Invalid(searches, config.searches(), "must not have more than 32 search paths");
  }
  size_t length = config.searches().empty() ? 0 : static_cast<size_t>(config.searches_size()) - 1;
  for (const std::string& search : config.searches())
    length += search.size();
  if (length > kMaxSearchLength) {
    errors->Invalid(
        searches, config.searches(),
        "must not have more than 2048 characters (including spaces) in the search list");
  }
  for (int i = 0; i < config.searches_size(); ++i) {
    std::string_view search = config.searches(i);
    if (search == ".") continue;
    if (search.ends_with('.')) search.remove_suffix(1);
    errors->Complain(searches.Index(i), search, IsDns1123SubdomainWithUnderscore(search));
  }
  Path options = path.Child("options");
  for (int i = 0; i < config.options_size(); ++i) {
    if (config.options(i).name().empty()) errors->Required(options.Index(i), "must not be empty");
  }
}

void CheckHostNetworkPorts(const Path& path, const PodSpec& spec, bool is_pod, Errors* errors) {
  if (!spec.host_network()) return;
  for (int i = 0; i < spec.containers_size(); ++i) {
    Path container = path.Index(i);
    Path ports = container.Child("ports");
    for (int p = 0; p < spec.containers(i).ports_size(); ++p) {
      const auto& port = spec.containers(i).ports(p);
      // A template may leave it open; the pod gets it then.
      if (port.host_port() == port.container_port() || (!is_pod && port.host_port() == 0)) continue;
      Path item = ports.Index(p);
      errors->Invalid(item.Child("hostPort"), port.host_port(),
                      "must match `containerPort` when `hostNetwork` is true");
    }
  }
}

void CheckHostUsers(const Path& path, const PodSpec& spec, Errors* errors) {
  if (!spec.has_host_users() || spec.host_users()) return;
  constexpr char kNoHost[] = "when `pod.Spec.HostUsers` is false";
  if (spec.host_network()) errors->Forbidden(path.Child("hostNetwork"), kNoHost);
  if (spec.host_pid()) errors->Forbidden(path.Child("HostPID"), kNoHost);
  if (spec.host_ipc()) errors->Forbidden(path.Child("HostIPC"), kNoHost);
}

std::set<std::string> CheckResourceClaims(const Path& path, const PodSpec& spec, Errors* errors) {
  std::set<std::string> names;
  for (int i = 0; i < spec.resource_claims_size(); ++i) {
    const auto& claim = spec.resource_claims(i);
    Path item = path.Index(i);
    if (claim.name().empty()) {
      errors->Required(item.Child("name"));
    } else if (!names.insert(claim.name()).second) {
      errors->Duplicate(item.Child("name"), claim.name());
    } else {
      CheckDns1123Label(item.Child("name"), claim.name(), errors);
    }
    if (claim.has_resource_claim_name() && claim.has_resource_claim_template_name()) {
      errors->Invalid(
          item, claim,
          "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    }
    if (!claim.has_resource_claim_name() && !claim.has_resource_claim_template_name()) {
      errors->Invalid(item, claim,
                      "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
    if (claim.has_resource_claim_name()) {
      CheckDns1123Subdomain(item.Child("resourceClaimName"), claim.resource_claim_name(), errors);
    }
    if (claim.has_resource_claim_template_name()) {
      CheckDns1123Subdomain(item.Child("resourceClaimTemplateName"),
                            claim.resource_claim_template_name(), errors);
    }
  }
  return names;
}

void CheckPodResources(const Path& path, const PodSpec& spec, const std::set<std::string>& claims,
                       Errors* errors) {
  if (!spec.has_resources()) return;
  if (!spec.resources().claims().empty()) {
    errors->Forbidden(path.Child("claims"), "claims cannot be set for Resources at pod-level");
  }
  CheckResourceRequirements(path, spec.resources(), CheckPodResourceName, claims, errors);
  std::set<std::string> names;
  for (const Container& container : spec.containers()) {
    for (const auto& [name, quantity] : container.resources().requests())
      names.insert(name);
  }
  Path requests = path.Child("requests");
  for (const std::string& name : names) {
    if (name != "cpu" && name != "memory" && !IsHugePages(name)) continue;
    Quantity sum;
    for (const Container& container : spec.containers())
      sum += Amount(container.resources().requests(), name);
    Quantity pod = Amount(spec.resources().requests(), name);
    if (sum > pod) {
      errors->Invalid(
          requests.Key(name), pod.ToString(),
          "must be greater than or equal to aggregate container requests of " + sum.ToString());
    }
  }
  Path containers = path.Child("containers");
  for (int i = 0; i < spec.containers_size(); ++i) {
    Path container = containers.Index(i);
    size_t mark = errors->size();
    for (const auto& [name, quantity] : spec.containers(i).resources().limits()) {
      if (!spec.resources().limits().contains(name)) continue;
      Quantity limit = ToQuantity(quantity);
      Quantity pod = Amount(spec.resources().limits(), name);
      if (limit <= pod) continue;
      Path key = container.Key(name);
      errors->Invalid(key.Child("limits"), limit.ToString(),
                      "must be less than or equal to pod limits of " + pod.ToString());
    }
    errors->SortFrom(mark);
  }
}

void CheckOs(const Path& path, const PodSpec& spec, Errors* errors) {
  if (!spec.has_os()) return;
  const std::string& name = spec.os().name();
  if (name.empty()) {
    errors->Required(path.Child("os.name"), "cannot be empty");
  } else if (name == "linux") {
    if (spec.security_context().has_windows_options()) {
      errors->Forbidden(path.Child("securityContext.windowsOptions"),
                        "windows options cannot be set for a linux pod");
    }
  } else if (name == "windows") {
    constexpr char kNotWindows[] = "cannot be set for a windows pod";
    const auto& context = spec.security_context();
    std::pair<bool, const char*> forbidden[] = {
        {context.has_app_armor_profile(), "securityContext.appArmorProfile"},
        {context.has_se_linux_options(), "securityContext.seLinuxOptions"},
        {spec.has_host_users(), "hostUsers"},
        {spec.host_pid(), "hostPID"},
        {spec.host_ipc(), "hostIPC"},
        {context.has_seccomp_profile(), "securityContext.seccompProfile"},
        {context.has_fs_group(), "securityContext.fsGroup"},
        {context.has_fs_group_change_policy(), "securityContext.fsGroupChangePolicy"},
        {!context.sysctls().empty(), "securityContext.sysctls"},
        {spec.has_share_process_namespace(), "shareProcessNamespace"},
        {context.has_run_as_user(), "securityContext.runAsUser"},
        {context.has_run_as_group(), "securityContext.runAsGroup"},
        {!context.supplemental_groups().empty(), "securityContext.supplementalGroups"},
    };
    for (const auto& [set, field] : forbidden) {
      if (set) errors->Forbidden(path.Child(field), kNotWindows);
    }
  } else {
    errors->NotSupported(path.Child("os"), name, {"linux", "windows"});
  }
}

void CheckNames(const Path& path, const PodSpec& spec, Errors* errors) {
  if (!spec.service_account_name().empty()) {
    CheckDns1123Subdomain(path.Child("serviceAccountName"), spec.service_account_name(), errors);
  }
  if (!spec.node_name().empty())
    CheckDns1123Subdomain(path.Child("nodeName"), spec.node_name(), errors);
  if (spec.has_active_deadline_seconds()) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    errors->Complain(path.Child("activeDeadlineSeconds"), spec.active_deadline_seconds(),
                     IsInRange(spec.active_deadline_seconds(), 1, kMax));
  }
  if (!spec.hostname().empty()) CheckDns1123Label(path.Child("hostname"), spec.hostname(), errors);
  if (!spec.subdomain().empty())
    CheckDns1123Label(path.Child("subdomain"), spec.subdomain(), errors);
  if (spec.has_hostname_override()) {
    Path override_path = path.Child("hostnameOverride");
    CheckDns1123Subdomain(override_path, spec.hostname_override(), errors);
    if (spec.hostname_override().size() > kMaxHostname)
      errors->TooLong(override_path, kMaxHostname);
    if (spec.set_hostname_as_fqdn()) {
      errors->Forbidden(path.Child("setHostnameAsFQDN"),
                        "may not be specified when `hostnameOverride` is set");
    }
    if (spec.host_network()) {
      errors->Forbidden(path.Child("hostNetwork"),
                        "may not be specified when `hostnameOverride` is set");
    }
  }
}

void CheckHostAliases(const Path& path, const PodSpec& spec, Errors* errors) {
  for (int i = 0; i < spec.host_aliases_size(); ++i) {
    Path item = path.Index(i);
    CheckIp(item.Child("ip"), spec.host_aliases(i).ip(), errors);
    Path hostnames = item.Child("hostnames");
    for (int h = 0; h < spec.host_aliases(i).hostnames_size(); ++h) {
      CheckDns1123Subdomain(hostnames.Index(h), spec.host_aliases(i).hostnames(h), errors);
    }
  }
}

void CheckGates(const Path& path, const PodSpec& spec, Errors* errors) {
  Path readiness = path.Child("readinessGates");
  for (int i = 0; i < spec.readiness_gates_size(); ++i) {
    Path item = readiness.Index(i);
    CheckQualifiedName(item.Child("conditionType"), spec.readiness_gates(i).condition_type(),
                       errors);
  }
  Path scheduling = path.Child("schedulingGates");
  std::set<std::string_view> seen;
  for (int i = 0; i < spec.scheduling_gates_size(); ++i) {
    const std::string& name = spec.scheduling_gates(i).name();
    CheckQualifiedName(scheduling.Index(i), name, errors);
    if (!seen.insert(name).second) errors->Duplicate(scheduling.Index(i), name);
  }
}

}  // namespace

void CheckPodSpec(const Path& path, const PodSpec& spec, std::string_view pod_name, bool is_pod,
                  Errors* errors) {
  if (!spec.has_termination_grace_period_seconds())
    errors->Required(path.Child("terminationGracePeriodSeconds"));
  VolumeMap volumes = CheckVolumes(path.Child("volumes"), spec.volumes(), pod_name, is_pod, errors);
  std::set<std::string> claims = CheckResourceClaims(path.Child("resourceClaims"), spec, errors);
  PodContext context{.spec = spec,
                     .volumes = std::move(volumes),
                     .claims = std::move(claims),
                     .host_users = !spec.has_host_users() || spec.host_users(),
                     .is_pod = is_pod};
  CheckContainers(path.Child("containers"), context, errors);
  CheckInitContainers(path.Child("initContainers"), context, errors);
  CheckEphemeralContainers(path.Child("ephemeralContainers"), context, errors);
  CheckPodResources(path.Child("resources"), spec, context.claims, errors);
  CheckHostNetworkPorts(path.Child("containers"), spec, is_pod, errors);
  CheckEnum(path.Child("restartPolicy"), spec.restart_policy(), {"Always", "OnFailure", "Never"},
            errors);
  CheckEnum(path.Child("dnsPolicy"), spec.dns_policy(),
            {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"}, errors);
  CheckLabels(path.Child("nodeSelector"), spec.node_selector(), errors);
  CheckPodSecurityContext(path.Child("securityContext"), spec, errors);
  if (spec.has_affinity()) CheckAffinity(path.Child("affinity"), spec.affinity(), errors);
  CheckDnsConfig(path.Child("dnsConfig"), spec, errors);
  CheckGates(path, spec, errors);
  CheckTopologySpread(path.Child("topologySpreadConstraints"), spec.topology_spread_constraints(),
                      errors);
  CheckHostUsers(path, spec, errors);
  CheckNames(path, spec, errors);
  CheckTolerations(path.Child("tolerations"), spec.tolerations(), errors);
  CheckHostAliases(path.Child("hostAliases"), spec, errors);
  if (!spec.priority_class_name().empty()) {
    CheckDns1123Subdomain(path.Child("priorityClassName"), spec.priority_class_name(), errors);
  }
  if (spec.has_runtime_class_name()) {
    CheckDns1123Subdomain(path.Child("runtimeClassName"), spec.runtime_class_name(), errors);
  }
  if (spec.has_preemption_policy()) {
    CheckEnum(path.Child("preemptionPolicy"), spec.preemption_policy(),
              {"PreemptLowerPriority", "Never"}, errors);
  }
  if (!spec.overhead().empty()) {
    core::v1::ResourceRequirements overhead;
    *overhead.mutable_limits() = spec.overhead();
    CheckResourceRequirements(path.Child("overhead"), overhead, CheckContainerResourceName, {},
                              errors);
  }
  CheckOs(path, spec, errors);
}

void CheckPodTemplate(const Path& path, const core::v1::PodTemplateSpec& pod_template,
                      Errors* errors) {
  CheckLabels(path.Child("labels"), pod_template.metadata().labels(), errors);
  CheckAnnotations(path.Child("annotations"), pod_template.metadata().annotations(), errors);
  Path spec = path.Child("spec");
  CheckPodSpec(spec, pod_template.spec(), "", false, errors);
  if (!pod_template.spec().ephemeral_containers().empty()) {
    errors->Forbidden(spec.Child("ephemeralContainers"),
                      "ephemeral containers not allowed in pod template");
  }
}

void CheckWorkloadTemplate(const Path& path, const core::v1::PodTemplateSpec& pod_template,
                           std::string_view what, Errors* errors) {
  CheckPodTemplate(path, pod_template, errors);
  if (pod_template.spec().restart_policy() != "Always") {
    errors->NotSupported(path.Child("spec.restartPolicy"), pod_template.spec().restart_policy(),
                         {"Always"});
  }
  if (pod_template.spec().has_active_deadline_seconds()) {
    errors->Forbidden(path.Child("spec.activeDeadlineSeconds"),
                      "activeDeadlineSeconds in " + std::string(what) + " is not Supported");
  }
}

}  // namespace gantry::api::validation
