#include <sys/stat.h>

#include <algorithm>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/duration.h"
#include "base/env/blocking.h"
#include "base/log.h"
#include "node/images/digest.h"
#include "node/images/reference.h"
#include "node/os/fs.h"
#include "node/pod/container_spec.h"
#include "node/pod/worker.h"
#include "node/probes/handler.h"

// How containers start.
namespace gantry::node {

using std::chrono::seconds;

namespace {

constexpr char kFenced[] = "the node reaches no server, and the pod may be replaced elsewhere";

// How a container's status names its image: in full, and by what the registry calls it.
void NameImage(const std::string& wanted, const Image& image, std::string* name, std::string* id) {
  *name = wanted;
  *id = image.repo_digests.empty() ? image.id : image.repo_digests.front();
  Result<ImageReference> ref = ParseImageReference(wanted);
  if (!ref.ok()) return;
  *name = ref->ToString();
  for (const std::string& digest : image.repo_digests) {
    if (digest.starts_with(ref->Name() + "@")) *id = digest;
  }
}

}  // namespace

Task<> PodWorker::StartContainers(std::vector<std::string> names) {
  for (const std::string& name : names) {
    if (stop_.token().cancelled() || gone_ || pod_->metadata().has_deletion_timestamp() ||
        node_.fenced(pod_))
      co_return;
    co_await StartContainer(name);
  }
}

Task<> PodWorker::StartContainer(std::string name) {
  const ContainerRun* latest = runs_.Latest(name);
  WallTime now = node_.env.Now();
  // Its first start in a new sandbox is nothing to punish.
  if (latest != nullptr && latest->state == ContainerRun::State::kExited &&
      latest->sandbox == sandbox_) {
    std::string key = name;
    Duration wait = restarts_.Remaining(key, latest->finished_at, now);
    if (wait > Duration::zero()) {
      WaitingReason reason{"CrashLoopBackOff", "back-off " +
                                                   api::FormatGoDuration(restarts_.Step(key)) +
                                                   " restarting failed container=" + name +
                                                   " pod=" + PodDescription(*pod_)};
      bool told = waiting_.contains(name) && waiting_[name].message == reason.message;
      waiting_[name] = reason;
      RetryIn(wait);
      if (!told)
        Event("Warning", "BackOff",
              "Back-off restarting failed container " + name + " in pod " + PodDescription(*pod_),
              name);
      co_return;
    }
    restarts_.Next(key, now);
  }
  Result<ImagePtr> image = co_await EnsureImage(name);
  if (!image.ok()) co_return;
  if (containers_->Find(name) == nullptr) co_return;
  Status launched = co_await Launch(name, *image);
  if (launched.ok()) waiting_.erase(name);
}

Result<std::vector<ResolvedMount>> PodWorker::ResolveMounts(const ContainerEntry& entry,
                                                            const EnvironmentList& environment) {
  std::vector<ResolvedMount> mounts;
  PodVolumes all = volumes();
  int index = 0;
  for (const auto& mount : entry.spec->volume_mounts()) {
    const api::core::v1::Volume* volume = FindVolume(mount.name());
    if (volume == nullptr)
      return Status(Code::kInvalid, "cannot find volume \"" + mount.name() +
                                        "\" to mount into container \"" + entry.name() + "\"");
    ResolvedMount resolved;
    resolved.source = all.PathOf(*volume);
    resolved.destination = mount.mount_path();
    if (!resolved.destination.starts_with("/")) resolved.destination = "/" + resolved.destination;
    while (resolved.destination.size() > 1 && resolved.destination.back() == '/')
      resolved.destination.pop_back();
    resolved.propagation = mount.mount_propagation();
    // What the node keeps up to date is not the containers' to write.
    resolved.read_only = mount.read_only() || HasPayload(volume->volume_source());
    std::string sub_path = mount.sub_path();
    if (!mount.sub_path_expr().empty())
      sub_path = ExpandVariables(mount.sub_path_expr(), environment);
    if (!sub_path.empty()) {
      if (sub_path.starts_with("/")) {
        return Status(Code::kInvalid,
                      "error SubPath `" + sub_path + "` must not be an absolute path");
      }
      Result<std::string> part = all.SubPath(*volume, entry.name(), index, sub_path);
      if (!part.ok()) {
        // What exactly is wrong would tell about the host's files.
        log::Warning("node", "subPath was not prepared",
                     {{"pod", uid_}, {"error", part.status().ToString()}});
        return Status(Code::kInvalid, "failed to prepare subPath for volumeMount \"" +
                                          mount.name() + "\" of container \"" + entry.name() +
                                          "\"");
      }
      resolved.source = std::move(part).value();
    }
    mounts.push_back(std::move(resolved));
    ++index;
  }
  return mounts;
}

// The pid namespace of the container at which an ephemeral one is to look; empty: it has its own.
Result<std::string> PodWorker::TargetNamespace(const std::string& name) const {
  for (const auto& ephemeral : pod_->spec().ephemeral_containers()) {
    const std::string& target = ephemeral.target_container_name();
    if (ephemeral.ephemeral_container_common().name() != name || target.empty()) continue;
    const ContainerRun* run = runs_.Latest(target);
    if (run == nullptr || run->state != ContainerRun::State::kRunning)
      return Status(Code::kInvalid, "unable to find target container " + target);
    return "/proc/" + std::to_string(run->pid) + "/ns/pid";
  }
  return std::string();
}

Task<Result<ContainerSpec>> PodWorker::Describe(std::string name, ImagePtr image, std::string home,
                                                std::string bundle) {
  ObjectNames names;
  AddEnvironmentReferences(*containers_->Find(name)->spec, &names);
  Status error;
  ReferencedObjects objects = co_await Fetch(std::move(names), &error);
  GANTRY_CO_TRY(error);
  const ContainerEntry* entry = containers_->Find(name);
  if (entry == nullptr) co_return Canceled("container is gone");
  GANTRY_CO_ASSIGN(ImageConfig config, node_.images.Config(*image));

  EnvironmentInputs env;
  env.pod = &*pod_;
  env.container = entry->spec;
  env.objects = &objects;
  bool links = !pod_->spec().has_enable_service_links() || pod_->spec().enable_service_links();
  env.services = ServiceEnvironment(node_.services(), pod_->metadata().namespace_(), links);
  env.host_ips = node_.node_ips;
  env.pod_ips = ips_;
  env.allocatable = node_.allocatable;
  ContainerSpecInputs inputs;
  GANTRY_CO_ASSIGN(inputs.environment, BuildEnvironment(env));
  GANTRY_CO_ASSIGN(inputs.mounts, ResolveMounts(*entry, inputs.environment));
  // Volumes that the image declares and the pod does not mount are directories of this run.
  for (const std::string& path : config.volumes) {
    bool mounted = std::any_of(inputs.mounts.begin(), inputs.mounts.end(),
                               [&](const ResolvedMount& m) { return m.destination == path; });
    if (mounted) continue;
    std::string source = home + "/image-volumes/" + std::to_string(inputs.mounts.size());
    GANTRY_CO_TRY(MakeDirs(source, 0755));
    ResolvedMount mount;
    mount.source = source;
    mount.destination = path;
    inputs.mounts.push_back(std::move(mount));
  }
  inputs.pod = &*pod_;
  inputs.entry = entry;
  inputs.image = &config;
  inputs.root = home + "/rootfs";
  inputs.pod_etc = node_.paths.PodEtc(uid_);
  inputs.termination_log = home + "/termination-log";
  inputs.shm = pod_->spec().host_ipc() ? std::string() : node_.paths.PodShm(uid_);
  inputs.cgroup = PodCgroup(*pod_, node_.paths.CgroupRoot()) + "/";
  inputs.network_namespace = node_.sandboxes.NamespacePath(uid_, "net");
  inputs.ipc_namespace = node_.sandboxes.NamespacePath(uid_, "ipc");
  inputs.uts_namespace = node_.sandboxes.NamespacePath(uid_, "uts");
  inputs.pid_namespace = node_.sandboxes.NamespacePath(uid_, "pid");
  if (entry->role == ContainerRole::kEphemeral) {
    GANTRY_CO_ASSIGN(std::string joined, TargetNamespace(name));
    if (!joined.empty()) inputs.pid_namespace = std::move(joined);
  }
  inputs.seccomp_dir = node_.paths.data_dir() + "/seccomp";
  inputs.hostname = PodHostname(*pod_, node_.cluster_domain);
  inputs.memory_capacity = node_.memory_capacity;
  GANTRY_CO_TRY(WriteFile(inputs.termination_log, "", 0666));
  chmod(inputs.termination_log.c_str(), 0666);
  if (!config.stop_signal.empty())
    GANTRY_CO_TRY(WriteFile(bundle + "/stop-signal", config.stop_signal));
  co_return BuildContainerSpec(inputs);
}

Task<Status> PodWorker::Launch(std::string name, ImagePtr image) {
  const ContainerEntry* entry = containers_->Find(name);
  // The configuration is worked out in a place of its own first: a mistake in it is no run of the
  // container.
  const ContainerRun* before = runs_.Latest(name);
  int attempt = before != nullptr ? before->attempt + 1 : 0;
  std::string home = node_.paths.Home(uid_, name, attempt);
  std::string bundle = node_.paths.Bundle(uid_, name, attempt);
  const auto& wanted = entry->spec->volume_mounts();
  bool service_account = std::any_of(wanted.begin(), wanted.end(), [](const auto& mount) {
    return mount.mount_path() == kServiceAccountDirectory;
  });
  auto mount = [&node = node_, image, home, bundle, service_account]() -> Status {
    GANTRY_TRY(RemoveTree(bundle));
    GANTRY_TRY(MakeDirs(bundle, 0700));
    GANTRY_TRY(MakeDirs(home, 0700));
    return node.images.MountRoot(*image, home, service_account);
  };
  Status mounted = co_await RunBlocking(node_.env, std::move(mount));
  Result<ContainerSpec> spec = Status(mounted);
  if (mounted.ok()) spec = co_await Describe(name, image, home, bundle);
  entry = containers_->Find(name);
  // The way here may have been long: an image was fetched.
  const bool fenced = node_.fenced(pod_);
  if (!spec.ok() || entry == nullptr || fenced) {
    auto unmount = [&node = node_, home]() -> Status {
      GANTRY_TRY(node.images.UnmountRoot(home));
      return RemoveTree(home);
    };
    Status dropped = co_await RunBlocking(node_.env, std::move(unmount));
    if (entry == nullptr) co_return Canceled("container is gone");
    if (fenced) co_return Unavailable(kFenced);
    std::string reason = mounted.ok() ? "CreateContainerConfigError" : "CreateContainerError";
    bool told = waiting_.contains(name) && waiting_[name].message == spec.status().message();
    waiting_[name] = {reason, spec.status().message()};
    if (!told) Event("Warning", "Failed", "Error: " + spec.status().message(), name);
    RetryIn(kRetry);
    co_return spec.status();
  }

  std::string id =
      Sha256Hex(uid_ + "/" + name + "/" + std::to_string(attempt) + "/" + RandomUuid(node_.env));
  spec->cgroups_path += id;
  std::string log_dir = LogDirectory(name);
  std::string image_name, image_id;
  NameImage(entry->spec->image(), *image, &image_name, &image_id);
  Status made = MakeDirs(log_dir, 0755);
  Result<ContainerRun*> begun = made;
  if (made.ok())
    begun = runs_.Begin(*entry->spec, sandbox_, id, std::move(image_name), std::move(image_id),
                        std::move(log_dir), node_.env.Now());
  if (begun.ok()) made = WriteFile(bundle + "/config.json", BuildOciConfig(*spec), 0600);
  if (!begun.ok() || !made.ok()) {
    Status failed = begun.ok() ? made : begun.status();
    waiting_[name] = {"CreateContainerError", failed.message()};
    RetryIn(kRetry);
    co_return failed;
  }
  CreateRequest request;
  request.id = id;
  request.bundle = bundle;
  request.log_path = (*begun)->log_path;
  request.terminal = entry->spec->tty();
  request.stdin_open = entry->spec->stdin();
  request.stdin_once = entry->spec->stdin_once();
  if (node_.warmer != nullptr) warm_ = node_.warmer->Hold();
  Result<pid_t> pid = co_await node_.runtime.Create(std::move(request));
  warm_.reset();
  Status started = pid.status();
  if (started.ok()) {
    Event("Normal", "Created", "Created container: " + name, name);
    // What the fence found while it was being made could not be told to end.
    started = node_.fenced(pod_) ? Unavailable(kFenced) : Status::Ok();
    if (started.ok()) started = co_await node_.runtime.Start(id);
  }
  ContainerRun* run = runs_.FindId(id);
  if (!started.ok()) {
    runs_.MarkFailed(*run, "StartError", started.message(), node_.env.Now());
    ContainerRun copy = *run;
    co_await DropContainer(std::move(copy));
    waiting_[name] = {"RunContainerError", started.message()};
    Event("Warning", "Failed", "Error: " + started.message(), name);
    RetryIn(seconds(1));
    co_return started;
  }
  Status marked = runs_.MarkStarted(*run, *pid, node_.env.Now());
  if (!marked.ok())
    log::Warning("node", "container record was not written",
                 {{"container", id}, {"error", marked.ToString()}});
  Event("Normal", "Started", "Started container " + name, name);
  entry = containers_->Find(name);
  if (entry != nullptr && entry->spec->lifecycle().has_post_start()) {
    Status hook = co_await PostStart(name, id);
    if (!hook.ok()) co_return hook;
  }
  waiting_.erase(name);
  co_return Status::Ok();
}

Task<Status> PodWorker::PostStart(std::string name, std::string id) {
  const ContainerEntry* entry = containers_->Find(name);
  const ContainerRun* run = runs_.FindId(id);
  HandlerTarget target;
  target.id = id;
  target.bundle = run->bundle;
  target.pod_ip = ips_.empty() ? std::string() : ips_.front();
  target.pod = PodDescription(*pod_);
  target.container = *entry->spec;
  api::core::v1::LifecycleHandler handler = entry->spec->lifecycle().post_start();
  Status done =
      co_await RunLifecycleHandler(node_.env, node_.runtime, std::move(handler), std::move(target),
                                   std::chrono::hours(24), pull_.token());
  if (done.ok()) co_return done;
  if (pull_.token().cancelled()) co_return done;  // the pod ends, and the container with it
  Event("Warning", "FailedPostStartHook", "PostStartHook failed", name);
  co_await KillContainer(id, "FailedPostStartHook", false);
  waiting_[name] = {"PostStartHookError", done.message()};
  co_return done;
}

}  // namespace gantry::node
