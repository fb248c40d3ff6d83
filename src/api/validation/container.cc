#include "api/validation/container.h"

#include <algorithm>
#include <cctype>

#include "api/validation/probe.h"
#include "api/validation/resources.h"
#include "api/validation/security.h"

namespace gantry::api::validation {
namespace {

using core::v1::Container;
using core::v1::EnvVar;
using core::v1::PodSpec;

constexpr int kMaxRestartRules = 20;
constexpr int kMaxExitCodes = 255;

template <class Items>
void CheckPorts(const Path& path, const Items& ports, Errors* errors) {
  std::set<std::string_view> names;
  for (int i = 0; i < ports.size(); ++i) {
    const auto& port = ports[i];
    Path item = path.Index(i);
    if (!port.name().empty()) {
      Complaints complaints = IsPortName(port.name());
      errors->Complain(item.Child("name"), port.name(), complaints);
      if (complaints.empty() && !names.insert(port.name()).second)
        errors->Duplicate(item.Child("name"), port.name());
    }
    if (port.container_port() == 0) {
      errors->Required(item.Child("containerPort"));
    } else {
      errors->Complain(item.Child("containerPort"), port.container_port(),
                       IsPortNumber(port.container_port()));
    }
    if (port.host_port() != 0) {
      errors->Complain(item.Child("hostPort"), port.host_port(), IsPortNumber(port.host_port()));
    }
    CheckEnum(item.Child("protocol"), port.protocol(), {"SCTP", "TCP", "UDP"}, errors);
  }
}

// Of a config map or a secret.
template <class T>
void CheckKeySelector(const Path& path, const T& selector, Errors* errors) {
  CheckDns1123Subdomain(path.Child("name"), selector.local_object_reference().name(), errors);
  if (selector.key().empty()) {
    errors->Required(path.Child("key"));
  } else {
    errors->Complain(path.Child("key"), selector.key(), IsConfigMapKey(selector.key()));
  }
}

void CheckFileKey(const Path& path, const core::v1::FileKeySelector& selector,
                  const PodContext& pod, Errors* errors) {
  if (selector.key().empty()) errors->Required(path.Child("key"));
  if (selector.volume_name().empty()) {
    errors->Required(path.Child("volumeName"));
  } else if (!pod.volumes.contains(selector.volume_name())) {
    errors->NotFound(path.Child("volumeName"), selector.volume_name());
  }
  if (selector.path().empty()) {
    errors->Required(path.Child("path"));
  } else {
    CheckLocalNonReservedPath(path.Child("path"), selector.path(), errors);
  }
}

void CheckValueFrom(const Path& path, const EnvVar& env, const PodContext& pod, Errors* errors) {
  const auto& from = env.value_from();
  int sources = from.has_field_ref() + from.has_resource_field_ref() +
                from.has_config_map_key_ref() + from.has_secret_key_ref() + from.has_file_key_ref();
  if (from.has_field_ref()) CheckFieldRef(path.Child("fieldRef"), from.field_ref(), false, errors);
  if (from.has_resource_field_ref()) {
    CheckResourceFieldRef(path.Child("resourceFieldRef"), from.resource_field_ref(), false, errors);
  }
  if (from.has_config_map_key_ref()) {
    CheckKeySelector(path.Child("configMapKeyRef"), from.config_map_key_ref(), errors);
  }
  if (from.has_secret_key_ref())
    CheckKeySelector(path.Child("secretKeyRef"), from.secret_key_ref(), errors);
  if (from.has_file_key_ref())
    CheckFileKey(path.Child("fileKeyRef"), from.file_key_ref(), pod, errors);
  if (sources == 0) {
    errors->Invalid(
        path, "",
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
  } else if (!env.value().empty()) {
    errors->Invalid(path, "", "may not be specified when `value` is not empty");
  } else if (sources > 1) {
    errors->Invalid(path, "", "may not have more than one field specified at a time");
  }
}

template <class T>
void CheckEnv(const Path& path, const T& container, const PodContext& pod, Errors* errors) {
  for (int i = 0; i < container.env_size(); ++i) {
    const EnvVar& env = container.env(i);
    Path item = path.Index(i);
    if (env.name().empty()) {
      errors->Required(item.Child("name"));
    } else {
      errors->Complain(item.Child("name"), env.name(), IsRelaxedEnvVarName(env.name()));
    }
    if (env.has_value_from()) CheckValueFrom(item.Child("valueFrom"), env, pod, errors);
  }
}

void CheckReferenceName(const Path& path, const std::string& name, Errors* errors) {
  if (name.empty()) {
    errors->Required(path);
  } else {
    errors->Complain(path, name, IsDns1123Subdomain(MaskTrailingDash(name)));
  }
}

template <class T>
void CheckEnvFrom(const Path& path, const T& container, Errors* errors) {
  for (int i = 0; i < container.env_from_size(); ++i) {
    const auto& source = container.env_from(i);
    Path item = path.Index(i);
    if (!source.prefix().empty()) {
      errors->Complain(item.Child("prefix"), source.prefix(), IsRelaxedEnvVarName(source.prefix()));
    }
    if (source.has_config_map_ref()) {
      CheckReferenceName(item.Child("configMapRef.name"),
                         source.config_map_ref().local_object_reference().name(), errors);
    }
    if (source.has_secret_ref()) {
      CheckReferenceName(item.Child("secretRef.name"),
                         source.secret_ref().local_object_reference().name(), errors);
    }
    if (!source.has_config_map_ref() && !source.has_secret_ref()) {
      errors->Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (source.has_config_map_ref() && source.has_secret_ref()) {
      errors->Invalid(path, "", "may not have more than one field specified at a time");
    }
  }
}

template <class T>
void CheckPropagation(const Path& path, const core::v1::VolumeMount& mount, const T& container,
                      Errors* errors) {
  const std::string& mode = mount.mount_propagation();
  if (!IsOneOf(mode, {"Bidirectional", "HostToContainer", "None"})) {
    errors->NotSupported(path, mode, {"Bidirectional", "HostToContainer", "None"});
  }
  if (mode == "Bidirectional" && !container.security_context().privileged()) {
    errors->Forbidden(path,
                      "Bidirectional mount propagation is available only to privileged containers");
  }
}

void CheckRecursiveReadOnly(const Path& path, const core::v1::VolumeMount& mount, Errors* errors) {
  const std::string& mode = mount.recursive_read_only();
  if (IsOneOf(mode, {"Enabled", "IfPossible"})) {
    if (!mount.read_only()) errors->Forbidden(path, "may only be specified when readOnly is true");
    if (mount.has_mount_propagation() && mount.mount_propagation() != "None") {
      errors->Forbidden(path,
                        "may only be specified when mountPropagation is None or not specified");
    }
  } else if (mode != "Disabled") {
    errors->NotSupported(path, mode, {"Disabled", "Enabled", "IfPossible"});
  }
}

template <class T>
void CheckMounts(const Path& path, const T& container, const PodContext& pod, Errors* errors) {
  const auto& devices = container.volume_devices();
  std::set<std::string_view> paths;
  for (int i = 0; i < container.volume_mounts_size(); ++i) {
    const core::v1::VolumeMount& mount = container.volume_mounts(i);
    Path item = path.Index(i);
    if (mount.name().empty()) errors->Required(item.Child("name"));
    auto volume = pod.volumes.find(mount.name());
    if (volume == pod.volumes.end()) errors->NotFound(item.Child("name"), mount.name());
    if (mount.mount_path().empty()) errors->Required(item.Child("mountPath"));
    if (!paths.insert(mount.mount_path()).second) {
      errors->Invalid(item.Child("mountPath"), mount.mount_path(), "must be unique");
    }
    for (const auto& device : devices) {
      if (device.name() == mount.name()) {
        errors->Invalid(item.Child("name"), mount.name(),
                        "must not already exist in volumeDevices");
      }
      if (device.device_path() == mount.mount_path()) {
        errors->Invalid(item.Child("mountPath"), mount.mount_path(),
                        "must not already exist as a path in volumeDevices");
      }
    }
    if (!mount.sub_path().empty()) CheckLocalPath(path.Child("subPath"), mount.sub_path(), errors);
    if (!mount.sub_path_expr().empty()) {
      if (!mount.sub_path().empty()) {
        errors->Invalid(item.Child("subPathExpr"), mount.sub_path_expr(),
                        "subPathExpr and subPath are mutually exclusive");
      }
      CheckLocalPath(path.Child("subPathExpr"), mount.sub_path_expr(), errors);
    }
    if (mount.has_mount_propagation())
      CheckPropagation(path.Child("mountPropagation"), mount, container, errors);
    if (mount.has_recursive_read_only())
      CheckRecursiveReadOnly(path.Child("recursiveReadOnly"), mount, errors);
  }
}

template <class T>
void CheckDevices(const Path& path, const T& container, const PodContext& pod, Errors* errors) {
  std::set<std::string_view> names;
  std::set<std::string_view> paths;
  for (int i = 0; i < container.volume_devices_size(); ++i) {
    const core::v1::VolumeDevice& device = container.volume_devices(i);
    Path item = path.Index(i);
    auto volume = pod.volumes.find(device.name());
    if (device.name().empty()) errors->Required(item.Child("name"));
    if (!device.name().empty() && !names.insert(device.name()).second) {
      errors->Invalid(item.Child("name"), device.name(), "must be unique");
    }
    if (volume == pod.volumes.end()) {
      errors->NotFound(item.Child("name"), device.name());
    } else if (!volume->second->has_persistent_volume_claim() && !volume->second->has_ephemeral()) {
      errors->Invalid(
          item.Child("name"), device.name(),
          "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    }
    if (device.device_path().empty()) errors->Required(item.Child("devicePath"));
    if (!paths.insert(device.device_path()).second) {
      errors->Invalid(item.Child("devicePath"), device.device_path(), "must be unique");
    }
    Errors backsteps;
    CheckNoBacksteps(item, device.device_path(), &backsteps);
    if (backsteps.size() > 0) {
      errors->Invalid(item.Child("devicePath"), device.device_path(),
                      "can not contain backsteps ('..')");
    }
    for (const auto& mount : container.volume_mounts()) {
      if (mount.name() == device.name()) {
        errors->Invalid(item.Child("name"), device.name(),
                        "must not already exist in volumeMounts");
      }
      if (mount.mount_path() == device.device_path()) {
        errors->Invalid(item.Child("devicePath"), device.device_path(),
                        "must not already exist as a path in volumeMounts");
      }
    }
  }
}

template <class T>
void CheckResizePolicy(const Path& path, const T& container, const PodSpec& spec, Errors* errors) {
  std::set<std::string_view> seen;
  for (int i = 0; i < container.resize_policy_size(); ++i) {
    const auto& policy = container.resize_policy(i);
    if (!seen.insert(policy.resource_name()).second)
      errors->Duplicate(path.Index(i), policy.resource_name());
    CheckEnum(path, policy.resource_name(), {"cpu", "memory"}, errors);
    CheckEnum(path, policy.restart_policy(), {"NotRequired", "RestartContainer"}, errors);
    if (spec.restart_policy() == "Never" && policy.restart_policy() != "NotRequired") {
      errors->Invalid(path, policy.restart_policy(),
                      "must be 'NotRequired' when `restartPolicy` is 'Never'");
    }
  }
}

void CheckRestartRules(const Path& path, const Container& container, Errors* errors) {
  Path rules = path.Child("restartPolicyRules");
  if (container.has_restart_policy() &&
      !IsOneOf(container.restart_policy(), {"Always", "Never", "OnFailure"})) {
    errors->NotSupported(path.Child("restartPolicy"), container.restart_policy(),
                         {"Always", "Never", "OnFailure"});
  }
  if (container.restart_policy_rules().empty()) return;
  if (!container.has_restart_policy()) {
    errors->Required(path.Child("restartPolicy"),
                     "must specify restartPolicy when restart rules are used");
  }
  if (container.restart_policy_rules_size() > kMaxRestartRules) {
    errors->TooMany(rules, container.restart_policy_rules_size(), kMaxRestartRules);
  }
  for (int i = 0; i < container.restart_policy_rules_size(); ++i) {
    const auto& rule = container.restart_policy_rules(i);
    Path item = rules.Index(i);
    if (!IsOneOf(rule.action(), {"Restart", "RestartAllContainers"})) {
      errors->NotSupported(item.Child("action"), rule.action(),
                           {"Restart", "RestartAllContainers"});
    }
    if (!rule.has_exit_codes()) {
      errors->Required(item.Child("exitCodes"), "must be specified");
      continue;
    }
    Path codes = item.Child("exitCodes");
    if (!IsOneOf(rule.exit_codes().operator_(), {"In", "NotIn"})) {
      errors->NotSupported(codes.Child("operator"), rule.exit_codes().operator_(), {"In", "NotIn"});
    }
    if (rule.exit_codes().values().empty()) {
      errors->Required(codes.Child("values"), "must be specified");
    } else if (rule.exit_codes().values_size() > kMaxExitCodes) {
      errors->TooMany(codes.Child("values"), rule.exit_codes().values_size(), kMaxExitCodes);
    }
  }
}

// What holds for containers of all sorts.
template <class T>
void CheckCommon(const Path& path, const T& container, const PodContext& pod, Errors* errors) {
  if (container.name().empty()) {
    errors->Required(path.Child("name"));
  } else {
    CheckDns1123Label(path.Child("name"), container.name(), errors);
  }
  const std::string& image = container.image();
  if (image.empty()) errors->Required(path.Child("image"));
  CheckEnum(path.Child("terminationMessagePolicy"), container.termination_message_policy(),
            {"File", "FallbackToLogsOnError"}, errors);
  CheckPorts(path.Child("ports"), container.ports(), errors);
  CheckEnv(path.Child("env"), container, pod, errors);
  CheckEnvFrom(path.Child("envFrom"), container, errors);
  CheckMounts(path.Child("volumeMounts"), container, pod, errors);
  CheckDevices(path.Child("volumeDevices"), container, pod, errors);
  CheckEnum(path.Child("imagePullPolicy"), container.image_pull_policy(),
            {"Always", "IfNotPresent", "Never"}, errors);
  CheckResourceRequirements(path.Child("resources"), container.resources(),
                            CheckContainerResourceName, pod.claims, errors);
  CheckResizePolicy(path.Child("resizePolicy"), container, pod.spec, errors);
  if (container.has_security_context()) {
    CheckSecurityContext(path.Child("securityContext"), container.security_context(),
                         pod.host_users, errors);
  }
  if (!pod.is_pod || image.empty()) return;
  if (std::isspace(static_cast<unsigned char>(image.front())) != 0 ||
      std::isspace(static_cast<unsigned char>(image.back())) != 0) {
    errors->Invalid(path.Child("image"), image, "must not have leading or trailing whitespace");
  }
}

void CheckHostPorts(const Path& path, const Container& container, std::set<std::string>* taken,
                    Errors* errors) {
  Path ports = path.Child("ports");
  for (int i = 0; i < container.ports_size(); ++i) {
    const auto& port = container.ports(i);
    if (port.host_port() == 0) continue;
    std::string key =
        port.protocol() + "/" + port.host_ip() + "/" + std::to_string(port.host_port());
    if (taken->insert(key).second) continue;
    Path item = ports.Index(i);
    errors->Duplicate(item.Child("hostPort"), key);
  }
}

}  // namespace

bool IsRestartable(const Container& init_container) {
  return init_container.restart_policy() == "Always";
}

void CheckContainers(const Path& path, const PodContext& pod, Errors* errors) {
  if (pod.spec.containers().empty()) {
    errors->Required(path);
    return;
  }
  std::set<std::string_view> names;
  for (int i = 0; i < pod.spec.containers_size(); ++i) {
    const Container& container = pod.spec.containers(i);
    Path item = path.Index(i);
    CheckCommon(item, container, pod, errors);
    if (!names.insert(container.name()).second)
      errors->Duplicate(item.Child("name"), container.name());
    CheckProbesAndHooks(item, container, pod, errors);
    CheckRestartRules(item, container, errors);
  }
  std::set<std::string> taken;
  for (int i = 0; i < pod.spec.containers_size(); ++i) {
    CheckHostPorts(path.Index(i), pod.spec.containers(i), &taken, errors);
  }
}

void CheckInitContainers(const Path& path, const PodContext& pod, Errors* errors) {
  std::set<std::string_view> names;
  for (const Container& container : pod.spec.containers())
    names.insert(container.name());
  for (int i = 0; i < pod.spec.init_containers_size(); ++i) {
    const Container& container = pod.spec.init_containers(i);
    Path item = path.Index(i);
    CheckCommon(item, container, pod, errors);
    CheckRestartRules(item, container, errors);
    if (!container.name().empty() && !names.insert(container.name()).second) {
      errors->Duplicate(item.Child("name"), container.name());
    }
    // They run one after another, so each has the ports for itself.
    std::set<std::string> taken;
    CheckHostPorts(path.Index(0), container, &taken, errors);
    if (IsRestartable(container)) {
      CheckProbesAndHooks(item, container, pod, errors);
      continue;
    }
    constexpr char kOnlySidecars[] =
        "may not be set for init containers without restartPolicy=Always";
    if (container.has_lifecycle()) errors->Forbidden(item.Child("lifecycle"), kOnlySidecars);
    if (container.has_liveness_probe())
      errors->Forbidden(item.Child("livenessProbe"), kOnlySidecars);
    if (container.has_readiness_probe())
      errors->Forbidden(item.Child("readinessProbe"), kOnlySidecars);
    if (container.has_startup_probe()) errors->Forbidden(item.Child("startupProbe"), kOnlySidecars);
  }
}

void CheckEphemeralContainers(const Path& path, const PodContext& pod, Errors* errors) {
  constexpr char kNotEphemeral[] = "cannot be set for an Ephemeral Container";
  std::set<std::string_view> others;
  for (const Container& container : pod.spec.containers())
    others.insert(container.name());
  for (const Container& container : pod.spec.init_containers())
    others.insert(container.name());
  std::set<std::string_view> names = others;
  for (int i = 0; i < pod.spec.ephemeral_containers_size(); ++i) {
    const auto& ephemeral = pod.spec.ephemeral_containers(i);
    const auto& container = ephemeral.ephemeral_container_common();
    Path item = path.Index(i);
    CheckCommon(item, container, pod, errors);
    if (!names.insert(container.name()).second)
      errors->Duplicate(item.Child("name"), container.name());
    if (!ephemeral.target_container_name().empty() &&
        !others.contains(ephemeral.target_container_name())) {
      errors->NotFound(item.Child("targetContainerName"), ephemeral.target_container_name());
    }
    std::pair<bool, const char*> forbidden[] = {
        {!container.ports().empty(), "ports"},
        {container.resources().ByteSizeLong() != 0, "resources"},
        {!container.resize_policy().empty(), "resizePolicy"},
        {container.has_restart_policy(), "restartPolicy"},
        {!container.restart_policy_rules().empty(), "restartPolicyRules"},
        {container.has_liveness_probe(), "livenessProbe"},
        {container.has_readiness_probe(), "readinessProbe"},
        {container.has_startup_probe(), "startupProbe"},
        {container.has_lifecycle(), "lifecycle"},
    };
    for (const auto& [set, name] : forbidden) {
      if (set) errors->Forbidden(item.Child(name), kNotEphemeral);
    }
    Path mounts = item.Child("volumeMounts");
    for (int m = 0; m < container.volume_mounts_size(); ++m) {
      Path mount = mounts.Index(m);
      if (!container.volume_mounts(m).sub_path().empty())
        errors->Forbidden(mount.Child("subPath"), kNotEphemeral);
      if (!container.volume_mounts(m).sub_path_expr().empty()) {
        errors->Forbidden(mount.Child("subPathExpr"), kNotEphemeral);
      }
    }
  }
}

}  // namespace gantry::api::validation
