#include "api/validation/security.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace gantry::api::validation {
namespace {

constexpr int64_t kMaxId = 0xffffffff;
constexpr size_t kMaxProfileLength = 4095;
constexpr size_t kMaxSysctlLength = 253;
constexpr char kSysctlPattern[] =
    "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

void CheckId(const Path& path, int64_t id, Errors* errors) {
  errors->Complain(path, id, IsInRange(id, 0, kMaxId));
}

void CheckSeccomp(const Path& path, const core::v1::SeccompProfile& profile, Errors* errors) {
  if (profile.type().empty()) {
    errors->Required(path.Child("type"), "type is required when seccompProfile is set");
  } else if (!IsOneOf(profile.type(), {"Localhost", "RuntimeDefault", "Unconfined"})) {
    errors->NotSupported(path.Child("type"), profile.type(),
                         {"Localhost", "RuntimeDefault", "Unconfined"});
  }
  Path localhost = path.Child("localhostProfile");
  if (profile.type() != "Localhost") {
    if (profile.has_localhost_profile()) {
      errors->Invalid(localhost, profile, "can only be set when seccomp type is Localhost");
    }
  } else if (!profile.has_localhost_profile()) {
    errors->Required(localhost, "must be set when seccomp type is Localhost");
  } else {
    CheckLocalPath(localhost, profile.localhost_profile(), errors);
  }
}

void CheckAppArmor(const Path& path, const core::v1::AppArmorProfile& profile, Errors* errors) {
  Path localhost = path.Child("localhostProfile");
  const std::string& name = profile.localhost_profile();
  if (profile.type() == "Localhost") {
    bool padded = !name.empty() && (std::isspace(static_cast<unsigned char>(name.front())) != 0 ||
                                    std::isspace(static_cast<unsigned char>(name.back())) != 0);
    if (padded) {
      errors->Invalid(localhost, name, "must not be padded with whitespace");
    } else if (name.empty()) {
      errors->Required(localhost, "must be set when AppArmor type is Localhost");
    }
    if (name.size() > kMaxProfileLength) errors->TooLong(localhost, kMaxProfileLength);
  } else if (IsOneOf(profile.type(), {"RuntimeDefault", "Unconfined"})) {
    if (profile.has_localhost_profile()) {
      errors->Invalid(localhost, name, "can only be set when AppArmor type is Localhost");
    }
  } else if (profile.type().empty()) {
    errors->Required(path.Child("type"), "type is required when appArmorProfile is set");
  } else {
    errors->NotSupported(path.Child("type"), profile.type(),
                         {"Localhost", "RuntimeDefault", "Unconfined"});
  }
}

bool IsSysctlName(std::string_view name) {
  if (name.empty() || name.size() > kMaxSysctlLength) return false;
  auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  for (size_t start = 0; start <= name.size();) {
    size_t end = std::min(name.find_first_of("./", start), name.size());
    std::string_view segment = name.substr(start, end - start);
    bool fine = !segment.empty() && alnum(segment.front()) && alnum(segment.back()) &&
                std::all_of(segment.begin(), segment.end(),
                            [&](char c) { return alnum(c) || c == '-' || c == '_'; });
    if (!fine) return false;
    start = end + 1;
  }
  return true;
}

bool IsNetworkSysctl(std::string_view name) {
  return name.starts_with("net.") || name.starts_with("net/");
}
bool IsIpcSysctl(std::string_view name) {
  return name.starts_with("kernel.shm") || name.starts_with("kernel.msg") ||
         name.starts_with("fs.mqueue.") || name == "kernel.sem" || name.starts_with("kernel/shm") ||
         name.starts_with("kernel/msg") || name.starts_with("fs/mqueue/") || name == "kernel/sem";
}

void CheckSysctls(const Path& path, const core::v1::PodSpec& spec, Errors* errors) {
  std::set<std::string_view> seen;
  for (int i = 0; i < spec.security_context().sysctls_size(); ++i) {
    const std::string& name = spec.security_context().sysctls(i).name();
    Path item = path.Index(i);
    Path name_path = item.Child("name");
    bool added = seen.insert(name).second;
    if (name.empty()) {
      errors->Required(name_path);
    } else if (!IsSysctlName(name)) {
      errors->Invalid(
          name_path, name,
          std::string("must have at most 253 characters and match regex ") + kSysctlPattern);
    } else if (!added) {
      errors->Duplicate(name_path, name);
    }
    if (spec.host_network() && IsNetworkSysctl(name)) {
      errors->Invalid(name_path, name, "may not be specified when 'hostNetwork' is true");
    }
    if (spec.host_ipc() && IsIpcSysctl(name)) {
      errors->Invalid(name_path, name, "may not be specified when 'hostIPC' is true");
    }
  }
}

void CheckWindowsOptions(const Path& path, const core::v1::WindowsSecurityContextOptions& options,
                         Errors* errors) {
  if (options.has_gmsa_credential_spec_name()) {
    CheckDns1123Subdomain(path.Child("gmsaCredentialSpecName"), options.gmsa_credential_spec_name(),
                          errors);
  }
  if (options.has_gmsa_credential_spec() && options.gmsa_credential_spec().empty()) {
    errors->Invalid(path.Child("gmsaCredentialSpec"), "",
                    "gmsaCredentialSpec cannot be an empty string");
  }
  if (options.has_run_as_user_name() && options.run_as_user_name().empty()) {
    errors->Invalid(path.Child("runAsUserName"), "", "runAsUserName cannot be an empty string");
  }
}

}  // namespace

void CheckSecurityContext(const Path& path, const core::v1::SecurityContext& context,
                          bool host_users, Errors* errors) {
  if (context.has_run_as_user()) CheckId(path.Child("runAsUser"), context.run_as_user(), errors);
  if (context.has_run_as_group()) CheckId(path.Child("runAsGroup"), context.run_as_group(), errors);
  if (context.has_proc_mount()) {
    Path proc_mount = path.Child("procMount");
    if (!IsOneOf(context.proc_mount(), {"Default", "Unmasked"})) {
      errors->NotSupported(proc_mount, context.proc_mount(), {"Default", "Unmasked"});
    }
    if (host_users && context.proc_mount() == "Unmasked") {
      errors->Invalid(proc_mount, context.proc_mount(),
                      "`hostUsers` must be false to use `Unmasked`");
    }
  }
  if (context.has_seccomp_profile())
    CheckSeccomp(path.Child("seccompProfile"), context.seccomp_profile(), errors);
  if (context.has_allow_privilege_escalation() && !context.allow_privilege_escalation()) {
    if (context.privileged()) {
      errors->Invalid(path, context,
                      "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
    const Strings& added = context.capabilities().add();
    if (std::find(added.begin(), added.end(), "CAP_SYS_ADMIN") != added.end()) {
      errors->Invalid(
          path, context,
          "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
  }
  if (context.has_windows_options())
    CheckWindowsOptions(path.Child("windowsOptions"), context.windows_options(), errors);
  if (context.has_app_armor_profile())
    CheckAppArmor(path.Child("appArmorProfile"), context.app_armor_profile(), errors);
}

void CheckPodSecurityContext(const Path& path, const core::v1::PodSpec& spec, Errors* errors) {
  const core::v1::PodSecurityContext& context = spec.security_context();
  if (context.has_fs_group()) CheckId(path.Child("fsGroup"), context.fs_group(), errors);
  if (context.has_run_as_user()) CheckId(path.Child("runAsUser"), context.run_as_user(), errors);
  if (context.has_run_as_group()) CheckId(path.Child("runAsGroup"), context.run_as_group(), errors);
  Path groups = path.Child("supplementalGroups");
  for (int i = 0; i < context.supplemental_groups_size(); ++i) {
    CheckId(groups.Index(i), context.supplemental_groups(i), errors);
  }
  if (spec.share_process_namespace() && spec.host_pid()) {
    errors->Invalid(path.Child("shareProcessNamespace"), true,
                    "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  CheckSysctls(path.Child("sysctls"), spec, errors);
  if (context.has_fs_group_change_policy() &&
      !IsOneOf(context.fs_group_change_policy(), {"Always", "OnRootMismatch"})) {
    errors->NotSupported(path.Child("fsGroupChangePolicy"), context.fs_group_change_policy(),
                         {"Always", "OnRootMismatch"});
  }
  if (context.has_seccomp_profile())
    CheckSeccomp(path.Child("seccompProfile"), context.seccomp_profile(), errors);
  if (context.has_windows_options())
    CheckWindowsOptions(path.Child("windowsOptions"), context.windows_options(), errors);
  if (context.has_app_armor_profile())
    CheckAppArmor(path.Child("appArmorProfile"), context.app_armor_profile(), errors);
  if (context.has_supplemental_groups_policy() &&
      !IsOneOf(context.supplemental_groups_policy(), {"Merge", "Strict"})) {
    errors->NotSupported(path.Child("supplementalGroupsPolicy"),
                         context.supplemental_groups_policy(), {"Merge", "Strict"});
  }
  if (context.has_se_linux_change_policy() &&
      !IsOneOf(context.se_linux_change_policy(), {"MountOption", "Recursive"})) {
    errors->NotSupported(path.Child("seLinuxChangePolicy"), context.se_linux_change_policy(),
                         {"MountOption", "Recursive"});
  }
}

}  // namespace gantry::api::validation
