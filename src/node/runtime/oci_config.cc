#include "node/runtime/oci_config.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdlib>

#include "api/json_value.h"
#include "node/os/fs.h"
#include "node/runtime/seccomp.h"

namespace gantry::node {
namespace {

using api::JsonValue;

constexpr const char* kMaskedPaths[] = {"/proc/asound",
                                        "/proc/acpi",
                                        "/proc/kcore",
                                        "/proc/keys",
                                        "/proc/latency_stats",
                                        "/proc/timer_list",
                                        "/proc/timer_stats",
                                        "/proc/sched_debug",
                                        "/proc/scsi",
                                        "/sys/firmware",
                                        "/sys/devices/virtual/powercap"};
constexpr const char* kReadonlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                          "/proc/sysrq-trigger"};

template <class Strings>
JsonValue StringArray(const Strings& strings) {
  JsonValue::Array array;
  for (const auto& s : strings)
    array.emplace_back(std::string(s));
  return JsonValue(std::move(array));
}

JsonValue DeviceRule(bool allow, const char* type, int major, int minor, const char* access) {
  JsonValue rule = JsonValue::MakeObject();
  rule["allow"] = allow;
  if (type != nullptr) rule["type"] = type;
  if (major >= 0) rule["major"] = major;
  if (minor >= 0) rule["minor"] = minor;
  rule["access"] = access;
  return rule;
}

JsonValue DeviceRules(bool privileged) {
  JsonValue::Array rules;
  if (privileged) {
    rules.push_back(DeviceRule(true, nullptr, -1, -1, "rwm"));
    return JsonValue(std::move(rules));
  }
  // Nothing but the devices without which programs do not run; making nodes is harmless.
  rules.push_back(DeviceRule(false, nullptr, -1, -1, "rwm"));
  rules.push_back(DeviceRule(true, "c", -1, -1, "m"));
  rules.push_back(DeviceRule(true, "b", -1, -1, "m"));
  constexpr std::pair<int, int> kDevices[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8},
                                              {1, 9}, {5, 0}, {5, 2}, {136, -1}};
  for (auto [major, minor] : kDevices)
    rules.push_back(DeviceRule(true, "c", major, minor, "rwm"));
  return JsonValue(std::move(rules));
}

void AddHostDevices(const std::string& dir, JsonValue::Array* devices) {
  for (const std::string& name : ListDir(dir)) {
    std::string path = dir + "/" + name;
    struct stat st{};
    if (lstat(path.c_str(), &st) != 0) continue;
    if (S_ISDIR(st.st_mode)) {
      if (name != "pts" && name != "shm" && name != "fd" && name != "mqueue")
        AddHostDevices(path, devices);
      continue;
    }
    if ((!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) || path == "/dev/console" ||
        path == "/dev/ptmx")
      continue;
    JsonValue device = JsonValue::MakeObject();
    device["path"] = path;
    device["type"] = S_ISCHR(st.st_mode) ? "c" : "b";
    device["major"] = static_cast<int>(major(st.st_rdev));
    device["minor"] = static_cast<int>(minor(st.st_rdev));
    device["fileMode"] = static_cast<int>(st.st_mode & 07777);
    device["uid"] = static_cast<int64_t>(st.st_uid);
    device["gid"] = static_cast<int64_t>(st.st_gid);
    devices->push_back(std::move(device));
  }
}

JsonValue Resources(const ContainerSpec& spec) {
  JsonValue resources = JsonValue::MakeObject();
  resources["devices"] = DeviceRules(spec.privileged);
  if (spec.limits.memory_bytes) {
    resources["memory"]["limit"] = *spec.limits.memory_bytes;
    resources["memory"]["swap"] = *spec.limits.memory_bytes;
  }
  if (spec.limits.cpu_shares) resources["cpu"]["shares"] = *spec.limits.cpu_shares;
  if (spec.limits.cpu_quota_us) {
    resources["cpu"]["quota"] = *spec.limits.cpu_quota_us;
    resources["cpu"]["period"] = spec.limits.cpu_period_us;
  }
  if (spec.limits.pids) resources["pids"]["limit"] = *spec.limits.pids;
  return resources;
}

uint64_t HeldCapabilities() {
  std::string status = ReadFile("/proc/self/status").value_or("");
  size_t at = status.find("CapEff:");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 7, nullptr, 16);
}

// Without CAP_SYS_RESOURCE no process can be made less of a victim than we are ourselves.
int AllowedOomScore(int wanted) {
  constexpr int kSysResource = 24;
  if ((HeldCapabilities() >> kSysResource) & 1) return wanted;
  return std::max(wanted, std::atoi(ReadFile("/proc/self/oom_score_adj").value_or("0").c_str()));
}

JsonValue ProcessOf(const ContainerSpec& spec) {
  JsonValue process = JsonValue::MakeObject();
  process["terminal"] = spec.terminal;
  process["user"]["uid"] = static_cast<int64_t>(spec.uid);
  process["user"]["gid"] = static_cast<int64_t>(spec.gid);
  JsonValue::Array groups;
  for (uint32_t gid : spec.additional_gids)
    groups.emplace_back(static_cast<int64_t>(gid));
  if (!groups.empty()) process["user"]["additionalGids"] = JsonValue(std::move(groups));
  process["args"] = StringArray(spec.args);
  process["env"] = StringArray(spec.env);
  process["cwd"] = spec.cwd;
  std::vector<std::string> given;
  for (const std::string& name : spec.capabilities) {
    const std::vector<std::string>& all = AllCapabilities();
    if (std::find(all.begin(), all.end(), name) != all.end()) given.push_back(name);
  }
  JsonValue capabilities = StringArray(given);
  process["capabilities"]["bounding"] = capabilities;
  // A user other than root keeps only what its files grant, as with other runtimes.
  JsonValue held = spec.uid == 0 || spec.privileged ? capabilities : JsonValue::MakeArray();
  process["capabilities"]["effective"] = held;
  process["capabilities"]["permitted"] = held;
  process["noNewPrivileges"] = spec.no_new_privileges;
  process["oomScoreAdj"] = AllowedOomScore(spec.oom_score_adj);
  JsonValue::Array limits;
  for (const OciRlimit& limit : spec.rlimits) {
    JsonValue entry = JsonValue::MakeObject();
    entry["type"] = limit.type;
    entry["soft"] = static_cast<int64_t>(limit.soft);
    entry["hard"] = static_cast<int64_t>(limit.hard);
    limits.push_back(std::move(entry));
  }
  if (!limits.empty()) process["rlimits"] = JsonValue(std::move(limits));
  return process;
}

}  // namespace

const std::vector<std::string>& DefaultCapabilities() {
  static const std::vector<std::string> capabilities = {
      "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
      "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
      "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
      "CAP_KILL",    "CAP_AUDIT_WRITE"};
  return capabilities;
}

const std::vector<std::string>& AllCapabilities() {
  static const std::vector<std::string> all = [] {
    constexpr const char* kNames[] = {"CHOWN",
                                      "DAC_OVERRIDE",
                                      "DAC_READ_SEARCH",
                                      "FOWNER",
                                      "FSETID",
                                      "KILL",
                                      "SETGID",
                                      "SETUID",
                                      "SETPCAP",
                                      "LINUX_IMMUTABLE",
                                      "NET_BIND_SERVICE",
                                      "NET_BROADCAST",
                                      "NET_ADMIN",
                                      "NET_RAW",
                                      "IPC_LOCK",
                                      "IPC_OWNER",
                                      "SYS_MODULE",
                                      "SYS_RAWIO",
                                      "SYS_CHROOT",
                                      "SYS_PTRACE",
                                      "SYS_PACCT",
                                      "SYS_ADMIN",
                                      "SYS_BOOT",
                                      "SYS_NICE",
                                      "SYS_RESOURCE",
                                      "SYS_TIME",
                                      "SYS_TTY_CONFIG",
                                      "MKNOD",
                                      "LEASE",
                                      "AUDIT_WRITE",
                                      "AUDIT_CONTROL",
                                      "SETFCAP",
                                      "MAC_OVERRIDE",
                                      "MAC_ADMIN",
                                      "SYSLOG",
                                      "WAKE_ALARM",
                                      "BLOCK_SUSPEND",
                                      "AUDIT_READ",
                                      "PERFMON",
                                      "BPF",
                                      "CHECKPOINT_RESTORE"};
    // Nobody can give what he does not have: the kernel may be older than this table, or we may run
    // confined.
    uint64_t held = HeldCapabilities();
    std::vector<std::string> names;
    for (size_t i = 0; i < std::size(kNames); ++i) {
      if ((held >> i) & 1) names.push_back(std::string("CAP_") + kNames[i]);
    }
    return names;
  }();
  return all;
}

std::vector<OciMount> StandardMounts(bool privileged, bool host_network) {
  const char* access = privileged ? "rw" : "ro";
  std::vector<OciMount> mounts;
  mounts.push_back({"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}});
  mounts.push_back(
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}});
  mounts.push_back({"/dev/pts",
                    "devpts",
                    "devpts",
                    {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}});
  mounts.push_back({"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}});
  if (host_network) {
    mounts.push_back({"/sys", "bind", "/sys", {"nosuid", "noexec", "nodev", access, "rbind"}});
  } else {
    mounts.push_back({"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}});
  }
  mounts.push_back(
      {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access}});
  return mounts;
}

std::string BuildOciConfig(const ContainerSpec& spec) {
  JsonValue config = JsonValue::MakeObject();
  config["ociVersion"] = "1.0.2";
  config["process"] = ProcessOf(spec);
  config["root"]["path"] = spec.root;
  config["root"]["readonly"] = spec.read_only_root;
  JsonValue::Array mounts;
  for (const OciMount& mount : spec.mounts) {
    JsonValue entry = JsonValue::MakeObject();
    entry["destination"] = mount.destination;
    if (!mount.type.empty()) entry["type"] = mount.type;
    entry["source"] = mount.source;
    entry["options"] = StringArray(mount.options);
    mounts.push_back(std::move(entry));
  }
  config["mounts"] = JsonValue(std::move(mounts));
  JsonValue& linux_part = config["linux"];
  linux_part["cgroupsPath"] = spec.cgroups_path;
  JsonValue::Array namespaces;
  for (const auto& [type, path] : spec.namespaces) {
    JsonValue entry = JsonValue::MakeObject();
    entry["type"] = type;
    if (!path.empty()) entry["path"] = path;
    namespaces.push_back(std::move(entry));
  }
  linux_part["namespaces"] = JsonValue(std::move(namespaces));
  linux_part["resources"] = Resources(spec);
  if (!spec.root_propagation.empty()) linux_part["rootfsPropagation"] = spec.root_propagation;
  if (spec.privileged) {
    JsonValue::Array devices;
    AddHostDevices("/dev", &devices);
    linux_part["devices"] = JsonValue(std::move(devices));
  } else if (!spec.unmasked_proc) {
    linux_part["maskedPaths"] = StringArray(kMaskedPaths);
    linux_part["readonlyPaths"] = StringArray(kReadonlyPaths);
  }
  if (!spec.privileged && spec.seccomp == Seccomp::kRuntimeDefault) {
    linux_part["seccomp"] = DefaultSeccompProfile(spec.capabilities);
  } else if (!spec.privileged && spec.seccomp == Seccomp::kLocalhost) {
    Result<JsonValue> profile = JsonValue::Parse(spec.seccomp_profile);
    if (profile.ok()) linux_part["seccomp"] = std::move(profile).value();
  }
  return config.ToString();
}

Result<std::string> BuildExecProcess(const std::string& config,
                                     const std::vector<std::string>& command, bool terminal) {
  Result<JsonValue> parsed = JsonValue::Parse(config);
  if (!parsed.ok()) return DataLoss("container configuration: " + parsed.status().message());
  JsonValue* process = parsed->Find("process");
  if (process == nullptr) return DataLoss("container configuration lacks its process");
  (*process)["args"] = StringArray(command);
  (*process)["terminal"] = terminal;
  return process->ToString();
}

}  // namespace gantry::node
