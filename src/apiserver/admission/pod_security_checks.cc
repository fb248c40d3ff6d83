#include "apiserver/admission/pod_security_checks.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace gantry::apiserver {
namespace {

using api::core::v1::PodSpec;
using api::core::v1::SecurityContext;
using Names = std::vector<std::string>;

constexpr std::string_view kDefaultCapabilities[] = {
    "AUDIT_WRITE",      "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",      "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT"};
constexpr std::string_view kSafeSysctls[] = {"kernel.shm_rmid_forced",
                                             "net.ipv4.ip_local_port_range",
                                             "net.ipv4.ip_unprivileged_port_start",
                                             "net.ipv4.tcp_syncookies",
                                             "net.ipv4.ping_group_range",
                                             "net.ipv4.ip_local_reserved_ports",
                                             "net.ipv4.tcp_keepalive_time",
                                             "net.ipv4.tcp_fin_timeout",
                                             "net.ipv4.tcp_keepalive_intvl",
                                             "net.ipv4.tcp_keepalive_probes",
                                             "net.ipv4.tcp_rmem",
                                             "net.ipv4.tcp_wmem"};
constexpr std::string_view kSeLinuxTypes[] = {"", "container_t", "container_init_t",
                                              "container_kvm_t", "container_engine_t"};

template <class List>
bool Contains(const List& list, std::string_view value) {
  return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

template <class List>
std::string Quoted(const List& list) {
  std::string text;
  for (const auto& item : list)
    text += (text.empty() ? "\"" : ", \"") + std::string(item) + "\"";
  return text;
}

std::string Containers(const Names& names) {
  return (names.size() == 1 ? "container " : "containers ") + Quoted(names);
}

// A container of any sort, as far as the checks look at it.
struct View {
  const std::string* name;
  const SecurityContext* security;
  std::vector<int32_t> host_ports;
};

template <class Container>
View ViewOf(const Container& container) {
  View view{&container.name(), &container.security_context(), {}};
  for (const auto& port : container.ports()) {
    if (port.host_port() != 0) view.host_ports.push_back(port.host_port());
  }
  return view;
}

std::vector<View> AllContainers(const PodSpec& spec) {
  std::vector<View> all;
  for (const auto& container : spec.init_containers())
    all.push_back(ViewOf(container));
  for (const auto& container : spec.containers())
    all.push_back(ViewOf(container));
  for (const auto& container : spec.ephemeral_containers())
    all.push_back(ViewOf(container.ephemeral_container_common()));
  return all;
}

// Details of one check; empty: it passes.
using Check = std::string (*)(const PodSpec& spec, const std::vector<View>& containers);

template <class Predicate>
Names Where(const std::vector<View>& containers, Predicate predicate) {
  Names names;
  for (const View& view : containers) {
    if (predicate(*view.security)) names.push_back(*view.name);
  }
  return names;
}

std::string Said(const Names& names, std::string_view what) {
  return names.empty() ? std::string() : Containers(names) + " " + std::string(what);
}

std::string AppArmor(const PodSpec& spec, const std::vector<View>& containers) {
  std::string who = spec.security_context().app_armor_profile().type() == "Unconfined" ? "pod" : "";
  Names names = Where(containers, [](const SecurityContext& s) {
    return s.app_armor_profile().type() == "Unconfined";
  });
  if (!names.empty()) who += (who.empty() ? "" : " and ") + Containers(names);
  return who.empty() ? who : who + " must not set AppArmor profile type to \"Unconfined\"";
}

std::string ExtraCapabilities(const std::vector<View>& containers,
                              bool (*allowed)(std::string_view)) {
  Names names;
  std::set<std::string> extra;
  for (const View& view : containers) {
    bool found = false;
    for (const std::string& capability : view.security->capabilities().add()) {
      if (allowed(capability)) continue;
      extra.insert(capability);
      found = true;
    }
    if (found) names.push_back(*view.name);
  }
  if (names.empty()) return "";
  return Containers(names) + " must not include " + Quoted(extra) +
         " in securityContext.capabilities.add";
}

std::string BaselineCapabilities(const PodSpec&, const std::vector<View>& containers) {
  return ExtraCapabilities(
      containers, [](std::string_view name) { return Contains(kDefaultCapabilities, name); });
}

std::string HostNamespaces(const PodSpec& spec, const std::vector<View>&) {
  std::string text;
  auto add = [&text](bool set, const char* name) {
    if (set) text += (text.empty() ? "" : ", ") + std::string(name) + "=true";
  };
  add(spec.host_network(), "hostNetwork");
  add(spec.host_pid(), "hostPID");
  add(spec.host_ipc(), "hostIPC");
  return text;
}

std::string HostPathVolumes(const PodSpec& spec, const std::vector<View>&) {
  Names names;
  for (const auto& volume : spec.volumes()) {
    if (volume.volume_source().has_host_path()) names.push_back(volume.name());
  }
  if (names.empty()) return "";
  return (names.size() == 1 ? "volume " : "volumes ") + Quoted(names);
}

std::string HostPorts(const PodSpec&, const std::vector<View>& containers) {
  Names names;
  std::set<int32_t> ports;
  for (const View& view : containers) {
    if (view.host_ports.empty()) continue;
    names.push_back(*view.name);
    ports.insert(view.host_ports.begin(), view.host_ports.end());
  }
  if (names.empty()) return "";
  std::string numbers;
  for (int32_t port : ports)
    numbers += (numbers.empty() ? "" : ", ") + std::to_string(port);
  return Containers(names) + (names.size() == 1 ? " uses " : " use ") +
         (ports.size() == 1 ? "hostPort " : "hostPorts ") + numbers;
}

std::string Privileged(const PodSpec&, const std::vector<View>& containers) {
  return Said(Where(containers, [](const SecurityContext& s) { return s.privileged(); }),
              "must not set securityContext.privileged=true");
}

std::string ProcMount(const PodSpec&, const std::vector<View>& containers) {
  return Said(Where(containers,
                    [](const SecurityContext& s) {
                      return s.has_proc_mount() && s.proc_mount() != "Default";
                    }),
              "must not set securityContext.procMount to \"Unmasked\"");
}

std::string SeLinux(const PodSpec& spec, const std::vector<View>& containers) {
  std::set<std::string> types;
  bool user = false, role = false;
  auto bad = [&](const api::core::v1::SELinuxOptions& options) {
    bool found = false;
    if (!Contains(kSeLinuxTypes, options.type()))
      found = types.insert(options.type()).second || true;
    if (!options.user().empty()) found = user = true;
    if (!options.role().empty()) found = role = true;
    return found;
  };
  std::string who = bad(spec.security_context().se_linux_options()) ? "pod" : "";
  Names names =
      Where(containers, [&](const SecurityContext& s) { return bad(s.se_linux_options()); });
  if (!names.empty()) who += (who.empty() ? "" : " and ") + Containers(names);
  if (who.empty()) return who;
  std::string what;
  if (!types.empty()) what = (types.size() == 1 ? "type " : "types ") + Quoted(types);
  if (user) what += std::string(what.empty() ? "" : "; ") + "user may not be set";
  if (role) what += std::string(what.empty() ? "" : "; ") + "role may not be set";
  return who + " set forbidden securityContext.seLinuxOptions: " + what;
}

std::string BaselineSeccomp(const PodSpec& spec, const std::vector<View>& containers) {
  std::string who = spec.security_context().seccomp_profile().type() == "Unconfined" ? "pod" : "";
  Names names = Where(containers, [](const SecurityContext& s) {
    return s.seccomp_profile().type() == "Unconfined";
  });
  if (!names.empty()) who += (who.empty() ? "" : " and ") + Containers(names);
  return who.empty() ? who
                     : who + " must not set securityContext.seccompProfile.type to \"Unconfined\"";
}

std::string Sysctls(const PodSpec& spec, const std::vector<View>&) {
  std::string names;
  for (const auto& sysctl : spec.security_context().sysctls()) {
    if (!Contains(kSafeSysctls, sysctl.name()))
      names += (names.empty() ? "" : ", ") + sysctl.name();
  }
  return names;
}

std::string HostProcess(const PodSpec& spec, const std::vector<View>& containers) {
  std::string who = spec.security_context().windows_options().host_process() ? "pod" : "";
  Names names = Where(containers,
                      [](const SecurityContext& s) { return s.windows_options().host_process(); });
  if (!names.empty()) who += (who.empty() ? "" : " and ") + Containers(names);
  return who.empty() ? who : who + " must not set securityContext.windowsOptions.hostProcess=true";
}

std::string PrivilegeEscalation(const PodSpec&, const std::vector<View>& containers) {
  return Said(Where(containers,
                    [](const SecurityContext& s) {
                      return !s.has_allow_privilege_escalation() || s.allow_privilege_escalation();
                    }),
              "must set securityContext.allowPrivilegeEscalation=false");
}

std::string RestrictedCapabilities(const PodSpec&, const std::vector<View>& containers) {
  std::string text = Said(
      Where(containers,
            [](const SecurityContext& s) { return !Contains(s.capabilities().drop(), "ALL"); }),
      "must set securityContext.capabilities.drop=[\"ALL\"]");
  std::string extra = ExtraCapabilities(
      containers, [](std::string_view name) { return name == "NET_BIND_SERVICE"; });
  if (!extra.empty()) text += (text.empty() ? "" : "; ") + extra;
  return text;
}

std::string RestrictedVolumes(const PodSpec& spec, const std::vector<View>&) {
  static constexpr std::string_view kAllowed[] = {
      "config_map", "csi",    "downward_api", "empty_dir", "ephemeral", "persistent_volume_claim",
      "projected",  "secret", "image"};
  Names names;
  std::set<std::string> types;
  for (const auto& volume : spec.volumes()) {
    const auto& source = volume.volume_source();
    std::vector<const google::protobuf::FieldDescriptor*> set;
    source.GetReflection()->ListFields(source, &set);
    for (const auto* field : set) {
      if (Contains(kAllowed, field->name())) continue;
      names.push_back(volume.name());
      types.insert(field->json_name());
    }
  }
  if (names.empty()) return "";
  return (names.size() == 1 ? "volume " : "volumes ") + Quoted(names) +
         (names.size() == 1 ? " uses " : " use ") +
         (types.size() == 1 ? "restricted volume type " : "restricted volume types ") +
         Quoted(types);
}

std::string RunAsNonRoot(const PodSpec& spec, const std::vector<View>& containers) {
  const auto& pod = spec.security_context();
  const bool pod_says = pod.has_run_as_non_root(), pod_true = pod.run_as_non_root();
  Names wrong = Where(containers, [](const SecurityContext& s) {
    return s.has_run_as_non_root() && !s.run_as_non_root();
  });
  Names silent =
      Where(containers, [](const SecurityContext& s) { return !s.has_run_as_non_root(); });
  std::string who;
  if (pod_says && !pod_true) who = "pod";
  if (!wrong.empty()) who += (who.empty() ? "" : " and ") + Containers(wrong);
  if (!who.empty()) return who + " must not set securityContext.runAsNonRoot=false";
  if (pod_true || silent.empty()) return "";
  return "pod or " + Containers(silent) + " must set securityContext.runAsNonRoot=true";
}

std::string RunAsUser(const PodSpec& spec, const std::vector<View>& containers) {
  const auto& pod = spec.security_context();
  std::string who = pod.has_run_as_user() && pod.run_as_user() == 0 ? "pod" : "";
  Names names = Where(containers, [](const SecurityContext& s) {
    return s.has_run_as_user() && s.run_as_user() == 0;
  });
  if (!names.empty()) who += (who.empty() ? "" : " and ") + Containers(names);
  return who.empty() ? who : who + " must not set runAsUser=0";
}

std::string RestrictedSeccomp(const PodSpec& spec, const std::vector<View>& containers) {
  auto good = [](const api::core::v1::SeccompProfile& profile) {
    return profile.type() == "RuntimeDefault" || profile.type() == "Localhost";
  };
  const auto& pod = spec.security_context();
  Names wrong = Where(containers, [&](const SecurityContext& s) {
    return s.has_seccomp_profile() && !good(s.seccomp_profile());
  });
  std::string who = pod.has_seccomp_profile() && !good(pod.seccomp_profile()) ? "pod" : "";
  if (!wrong.empty()) who += (who.empty() ? "" : " and ") + Containers(wrong);
  if (!who.empty())
    return who + " must not set securityContext.seccompProfile.type to \"Unconfined\"";
  Names silent =
      Where(containers, [](const SecurityContext& s) { return !s.has_seccomp_profile(); });
  if (good(pod.seccomp_profile()) || silent.empty()) return "";
  return "pod or " + Containers(silent) +
         " must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
}

constexpr int kNever = kLatestRules + 1;

struct Row {
  std::string_view reason;
  Check check;
  // Of a baseline check: the version since which the restricted level has a stricter one for it. Of
  // a restricted one: the version that brought it.
  int minor = kNever;
};

// In the order in which Kubernetes names them.
constexpr Row kBaseline[] = {
    {"forbidden AppArmor profile", AppArmor},
    {"non-default capabilities", BaselineCapabilities, 22},
    {"host namespaces", HostNamespaces},
    {"hostPath volumes", HostPathVolumes, 0},
    {"hostPort", HostPorts},
    {"privileged", Privileged},
    {"procMount", ProcMount},
    {"seLinuxOptions", SeLinux},
    {"seccompProfile", BaselineSeccomp, 19},
    {"forbidden sysctls", Sysctls},
    {"hostProcess", HostProcess},
};
constexpr Row kRestricted[] = {
    {"allowPrivilegeEscalation != false", PrivilegeEscalation, 8},
    {"unrestricted capabilities", RestrictedCapabilities, 22},
    {"restricted volume types", RestrictedVolumes, 0},
    {"runAsNonRoot != true", RunAsNonRoot, 0},
    {"runAsUser=0", RunAsUser, 23},
    {"seccompProfile", RestrictedSeccomp, 19},
};

}  // namespace

std::string SecurityViolations(const PodSpec& spec, SecurityLevel level, int minor, bool details) {
  if (level == SecurityLevel::kPrivileged) return "";
  const std::vector<View> containers = AllContainers(spec);
  const bool restricted = level == SecurityLevel::kRestricted;
  std::string all;
  auto run = [&](const Row& row) {
    const std::string found = row.check(spec, containers);
    if (found.empty()) return;
    all += (all.empty() ? "" : ", ") + std::string(row.reason);
    if (details) all += " (" + found + ")";
  };
  for (const Row& row : kBaseline) {
    if (!restricted || minor < row.minor) run(row);
  }
  if (restricted) {
    for (const Row& row : kRestricted)
      if (minor >= row.minor) run(row);
  }
  return all;
}

}  // namespace gantry::apiserver
