#include "node/pod/container_spec.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>
#include <sstream>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/security.pb.h"
#include "api/quantity.h"
#include "node/os/fs.h"
#include "node/pod/sandbox.h"
#include "node/pod/status.h"

namespace gantry::node {
namespace {

using api::core::v1::Container;
using api::core::v1::Pod;

// A file of the container's root, links resolved inside of it. Empty when absent.
std::string ReadInside(const std::string& root, const char* path) {
  UniqueFd dir(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return {};
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd file(static_cast<int>(syscall(SYS_openat2, dir.get(), path, &how, sizeof how)));
  if (!file) return {};
  return ReadFile("/proc/self/fd/" + std::to_string(file.get()), 1 << 20).value_or("");
}

std::vector<std::string> Fields(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, ':');)
    fields.push_back(field);
  return fields;
}

std::optional<uint32_t> ParseId(std::string_view text) {
  uint32_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return id;
}

struct Identity {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;
  std::string home = "/";
};

// The image's user ("name", "uid", "name:group", …) and the pod's wishes, looked up in the image's
// own files.
Result<Identity> ResolveUser(const ContainerSpecInputs& in) {
  const auto& pod_context = in.pod->spec().security_context();
  const auto& context = in.entry->spec->security_context();
  Identity identity;
  std::string user = in.image->user, group;
  if (size_t colon = user.find(':'); colon != std::string::npos) {
    group = user.substr(colon + 1);
    user.resize(colon);
  }
  bool set_by_pod = context.has_run_as_user() || pod_context.has_run_as_user();
  if (set_by_pod) {
    user = std::to_string(context.has_run_as_user() ? context.run_as_user()
                                                    : pod_context.run_as_user());
    group.clear();
  }
  std::string name;
  bool group_known = false;
  std::optional<uint32_t> id = user.empty() ? std::optional<uint32_t>(0) : ParseId(user);
  std::istringstream passwd(ReadInside(in.root, "etc/passwd"));
  bool found = false;
  for (std::string line; std::getline(passwd, line);) {
    std::vector<std::string> f = Fields(line);
    if (f.size() < 6) continue;
    if (id ? ParseId(f[2]) != id : f[0] != user) continue;
    name = f[0];
    identity.uid = ParseId(f[2]).value_or(0);
    identity.gid = ParseId(f[3]).value_or(0);
    identity.home = f[5];
    group_known = found = true;
    break;
  }
  if (!found) {
    if (!id)
      return Status(Code::kInvalid,
                    "unable to find user " + user + ": no matching entries in passwd file");
    identity.uid = *id;
  }
  std::string groups = ReadInside(in.root, "etc/group");
  if (!group.empty()) {
    std::optional<uint32_t> gid = ParseId(group);
    std::istringstream lines(groups);
    for (std::string line; !gid && std::getline(lines, line);) {
      std::vector<std::string> f = Fields(line);
      if (f.size() >= 3 && f[0] == group) gid = ParseId(f[2]);
    }
    if (!gid)
      return Status(Code::kInvalid,
                    "unable to find group " + group + ": no matching entries in group file");
    identity.gid = *gid;
    group_known = true;
  }
  if (context.has_run_as_group()) {
    identity.gid = static_cast<uint32_t>(context.run_as_group());
  } else if (pod_context.has_run_as_group()) {
    identity.gid = static_cast<uint32_t>(pod_context.run_as_group());
  } else if (!group_known) {
    identity.gid = 0;
  }
  std::set<uint32_t> extra = {identity.gid};
  if (pod_context.supplemental_groups_policy() != "Strict" && !name.empty()) {
    std::istringstream lines(groups);
    for (std::string line; std::getline(lines, line);) {
      std::vector<std::string> f = Fields(line);
      if (f.size() < 4) continue;
      std::istringstream members(f[3]);
      for (std::string member; std::getline(members, member, ',');) {
        if (member == name) extra.insert(ParseId(f[2]).value_or(0));
      }
    }
  }
  for (int64_t gid : pod_context.supplemental_groups())
    extra.insert(static_cast<uint32_t>(gid));
  if (pod_context.has_fs_group()) extra.insert(static_cast<uint32_t>(pod_context.fs_group()));
  identity.groups.assign(extra.begin(), extra.end());

  bool non_root =
      context.has_run_as_non_root() ? context.run_as_non_root() : pod_context.run_as_non_root();
  if (non_root) {
    std::string where =
        " (pod: \"" + PodDescription(*in.pod) + "\", container: " + in.entry->name() + ")";
    if (set_by_pod && identity.uid == 0)
      return Status(Code::kInvalid, "container's runAsUser breaks non-root policy" + where);
    if (!set_by_pod && !user.empty() && !id) {
      return Status(Code::kInvalid, "container has runAsNonRoot and image has non-numeric user (" +
                                        user + "), cannot verify user is non-root" + where);
    }
    if (!set_by_pod && identity.uid == 0)
      return Status(Code::kInvalid,
                    "container has runAsNonRoot and image will run as root" + where);
  }
  return identity;
}

std::vector<std::string> CapabilitiesFor(const api::core::v1::SecurityContext& context) {
  if (context.privileged()) return AllCapabilities();
  auto full = [](std::string name) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return name.starts_with("CAP_") ? name : "CAP_" + name;
  };
  std::set<std::string> held(DefaultCapabilities().begin(), DefaultCapabilities().end());
  for (const std::string& name : context.capabilities().add()) {
    if (full(name) == "CAP_ALL") held.insert(AllCapabilities().begin(), AllCapabilities().end());
  }
  for (const std::string& name : context.capabilities().drop()) {
    if (full(name) == "CAP_ALL") held.clear();
  }
  for (const std::string& name : context.capabilities().add()) {
    if (full(name) != "CAP_ALL") held.insert(full(name));
  }
  for (const std::string& name : context.capabilities().drop())
    held.erase(full(name));
  return {held.begin(), held.end()};
}

Status AddSeccomp(const ContainerSpecInputs& in, ContainerSpec* spec) {
  const auto& pod_context = in.pod->spec().security_context();
  const auto& context = in.entry->spec->security_context();
  if (!context.has_seccomp_profile() && !pod_context.has_seccomp_profile()) return Status::Ok();
  const auto& profile =
      context.has_seccomp_profile() ? context.seccomp_profile() : pod_context.seccomp_profile();
  if (profile.type() == "RuntimeDefault") spec->seccomp = Seccomp::kRuntimeDefault;
  if (profile.type() == "Localhost") {
    std::string path = in.seccomp_dir + "/" + profile.localhost_profile();
    Result<std::string> text = ReadFile(path);
    if (!text.ok())
      return Status(Code::kInvalid,
                    "cannot load seccomp profile \"" + path + "\": " + text.status().message());
    spec->seccomp = Seccomp::kLocalhost;
    spec->seccomp_profile = std::move(text).value();
  }
  return Status::Ok();
}

void AddMounts(const ContainerSpecInputs& in, ContainerSpec* spec) {
  spec->mounts = StandardMounts(spec->privileged, in.pod->spec().host_network());
  // A mount of the pod's own replaces what stands there by default.
  auto mount = [spec](OciMount m) {
    std::erase_if(spec->mounts,
                  [&](const OciMount& other) { return other.destination == m.destination; });
    spec->mounts.push_back(std::move(m));
  };
  if (in.pod->spec().host_pid())
    mount({"/proc", "bind", "/proc", {"rbind", "nosuid", "noexec", "nodev"}});
  mount({"/dev/shm",
         "bind",
         in.shm.empty() ? "/dev/shm" : in.shm,
         {"rbind", "nosuid", "noexec", "nodev", "rw"}});
  std::set<std::string> taken;
  for (const ResolvedMount& m : in.mounts)
    taken.insert(m.destination);
  for (const char* name : {"hosts", "resolv.conf", "hostname"}) {
    std::string destination = std::string("/etc/") + name;
    // The pod's containers may always add to their common hosts file.
    bool read_only = spec->read_only_root && std::string_view(name) != "hosts";
    if (!taken.contains(destination)) {
      mount({destination,
             "bind",
             in.pod_etc + "/" + name,
             {"rbind", "rprivate", read_only ? "ro" : "rw"}});
    }
  }
  if (!in.termination_log.empty()) {
    const std::string& path = in.entry->spec->termination_message_path();
    mount({path.empty() ? "/dev/termination-log" : path,
           "bind",
           in.termination_log,
           {"rbind", "rprivate", "rw"}});
  }
  bool bidirectional = false, follows = false;
  std::vector<ResolvedMount> sorted = in.mounts;
  auto depth = [](const ResolvedMount& m) {
    return std::count(m.destination.begin(), m.destination.end(), '/');
  };
  std::sort(sorted.begin(), sorted.end(), [&](const ResolvedMount& a, const ResolvedMount& b) {
    return std::pair(depth(a), a.destination) < std::pair(depth(b), b.destination);
  });
  for (const ResolvedMount& m : sorted) {
    const char* propagation = m.propagation == "Bidirectional"     ? "rshared"
                              : m.propagation == "HostToContainer" ? "rslave"
                                                                   : "rprivate";
    bidirectional |= m.propagation == "Bidirectional";
    follows |= m.propagation == "HostToContainer";
    mount({m.destination, "bind", m.source, {"rbind", propagation, m.read_only ? "ro" : "rw"}});
  }
  if (bidirectional) {
    spec->root_propagation = "rshared";
  } else if (follows) {
    spec->root_propagation = "rslave";
  }
}

}  // namespace

int OomScoreAdjustment(const Pod& pod, const Container& container, int64_t memory_capacity) {
  if (pod.spec().priority() >= 2000000000) return -997;
  std::string qos = QosClass(pod.spec());
  if (qos == "Guaranteed") return -997;
  if (qos == "BestEffort") return 1000;
  auto it = container.resources().requests().find("memory");
  int64_t request = it == container.resources().requests().end()
                        ? 0
                        : api::Quantity::ParseOrZero(it->second.string()).Value();
  int64_t adjustment = 1000 - (memory_capacity > 0 ? 1000 * request / memory_capacity : 0);
  if (adjustment < 3) return 3;
  return adjustment == 1000 ? 999 : static_cast<int>(adjustment);
}

Result<ContainerSpec> BuildContainerSpec(const ContainerSpecInputs& in) {
  const Container& container = *in.entry->spec;
  const auto& context = container.security_context();
  ContainerSpec spec;
  spec.root = in.root;
  std::vector<std::string> command, args;
  for (const std::string& part : container.command())
    command.push_back(ExpandVariables(part, in.environment));
  for (const std::string& part : container.args())
    args.push_back(ExpandVariables(part, in.environment));
  // command replaces both of the image's; args alone replaces its Cmd.
  spec.args = !command.empty() ? command : in.image->entrypoint;
  if (!args.empty()) {
    spec.args.insert(spec.args.end(), args.begin(), args.end());
  } else if (command.empty()) {
    spec.args.insert(spec.args.end(), in.image->cmd.begin(), in.image->cmd.end());
  }
  if (spec.args.empty()) return Status(Code::kInvalid, "no command specified");

  GANTRY_ASSIGN(Identity identity, ResolveUser(in));
  spec.uid = identity.uid;
  spec.gid = identity.gid;
  spec.additional_gids = identity.groups;

  EnvironmentList env;
  auto set = [&env](const std::string& name, const std::string& value) {
    for (auto& [key, old] : env) {
      if (key == name) {
        old = value;
        return;
      }
    }
    env.emplace_back(name, value);
  };
  set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  if (container.tty()) set("TERM", "xterm");
  set("HOSTNAME", in.hostname);
  for (const std::string& entry : in.image->env) {
    size_t equals = entry.find('=');
    set(entry.substr(0, equals), equals == std::string::npos ? "" : entry.substr(equals + 1));
  }
  for (const auto& [name, value] : in.environment)
    set(name, value);
  bool has_home =
      std::any_of(env.begin(), env.end(), [](const auto& v) { return v.first == "HOME"; });
  if (!has_home) env.emplace_back("HOME", identity.home);
  for (const auto& [name, value] : env)
    spec.env.push_back(name + "=" + value);

  spec.cwd = !container.working_dir().empty() ? container.working_dir()
             : !in.image->working_dir.empty() ? in.image->working_dir
                                              : "/";
  spec.terminal = container.tty();
  spec.privileged = context.privileged();
  spec.capabilities = CapabilitiesFor(context);
  spec.read_only_root = context.read_only_root_filesystem();
  spec.no_new_privileges = context.has_allow_privilege_escalation() &&
                           !context.allow_privilege_escalation() && !spec.privileged;
  spec.unmasked_proc = context.proc_mount() == "Unmasked";
  spec.oom_score_adj = OomScoreAdjustment(*in.pod, container, in.memory_capacity);
  spec.cgroups_path = in.cgroup;
  spec.limits = ContainerLimits(container);
  GANTRY_TRY(AddSeccomp(in, &spec));

  spec.namespaces.emplace_back("mount", "");
  if (!in.pod->spec().host_pid()) spec.namespaces.emplace_back("pid", in.pid_namespace);
  if (!in.network_namespace.empty()) spec.namespaces.emplace_back("network", in.network_namespace);
  if (!in.ipc_namespace.empty()) spec.namespaces.emplace_back("ipc", in.ipc_namespace);
  if (!in.uts_namespace.empty()) spec.namespaces.emplace_back("uts", in.uts_namespace);
  AddMounts(in, &spec);
  return spec;
}

std::string HostsFile(const Pod& pod, const std::string& hostname,
                      const std::string& cluster_domain, const std::vector<std::string>& pod_ips) {
  std::string out;
  if (pod.spec().host_network()) {
    out = "# Kubernetes-managed hosts file (host network).\n" +
          ReadFile("/etc/hosts").value_or("127.0.0.1\tlocalhost\n");
  } else {
    out =
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
        "ip6-loopback\n"
        "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-"
        "allrouters\n";
    std::string fqdn;
    if (!pod.spec().subdomain().empty()) {
      fqdn = (pod.spec().hostname().empty() ? pod.metadata().name() : pod.spec().hostname()) + "." +
             pod.spec().subdomain() + "." + pod.metadata().namespace_() + ".svc." + cluster_domain;
    }
    for (const std::string& ip : pod_ips) {
      out += ip + "\t" +
             (fqdn.empty() ? hostname : fqdn + "\t" + hostname.substr(0, hostname.find('.'))) +
             "\n";
    }
  }
  if (!pod.spec().host_aliases().empty()) {
    out += "\n# Entries added by HostAliases.\n";
    for (const auto& alias : pod.spec().host_aliases()) {
      out += alias.ip();
      for (const std::string& name : alias.hostnames())
        out += "\t" + name;
      out += "\n";
    }
  }
  return out;
}

}  // namespace gantry::node
