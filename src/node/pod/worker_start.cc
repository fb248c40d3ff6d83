#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "api/authentication/v1/review.pb.h"
#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/duration.h"
#include "base/env/blocking.h"
#include "base/log.h"
#include "client/typed.h"
#include "node/images/digest.h"
#include "node/images/reference.h"
#include "node/os/fs.h"
#include "node/pod/container_spec.h"
#include "node/pod/worker.h"
#include "node/probes/handler.h"

// How a pod and its containers start.
namespace gantry::node {

using api::core::v1::ConfigMap;
using api::core::v1::Container;
using api::core::v1::Pod;
using api::core::v1::Secret;
using std::chrono::seconds;

namespace {

// What failed for a reason that time may heal is tried again after this.
constexpr Duration kRetry = seconds(10);
constexpr int64_t kShmBytes = 64 << 20;

std::string PullPolicy(const Container& container) {
  if (!container.image_pull_policy().empty()) return container.image_pull_policy();
  Result<ImageReference> ref = ParseImageReference(container.image());
  return ref.ok() && ref->tag == "latest" && ref->digest.empty() ? "Always" : "IfNotPresent";
}

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

// As Go prints a duration of more than a millisecond: "1.234s", cut to milliseconds.
std::string Seconds(Duration duration) {
  return api::FormatGoDuration(std::chrono::duration_cast<std::chrono::milliseconds>(duration));
}

}  // namespace

Task<bool> PodWorker::EnsureSandbox() {
  if (node_.warmer != nullptr) warm_ = node_.warmer->Hold();
  const Pod& pod = *pod_;
  bool again = sandbox_ > 0;
  if (again)
    Event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
  SandboxOptions options = SandboxOptionsFor(pod, node_.paths.CgroupRoot(), node_.cluster_domain);
  bool host_network = options.host_network;
  int number = sandbox_ + 1;
  volumes_ready_ = false;
  auto create = [&node = node_, options, number, uid = uid_, pod = pod_]() -> Status {
    std::string dir = node.paths.Pod(uid);
    GANTRY_TRY(MakeDirs(dir, 0711));
    GANTRY_TRY(WriteFileAtomic(dir + "/pod.pb", pod->SerializeAsString(), 0600));
    GANTRY_TRY(WriteFile(dir + "/sandbox", std::to_string(number), 0600));
    GANTRY_TRY(node.sandboxes.Create(options));
    if (options.host_ipc) return Status::Ok();
    std::string shm = node.paths.PodShm(uid);
    GANTRY_TRY(MakeDirs(shm, 01777));
    return Mount("shm", shm, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                 "mode=1777,size=" + std::to_string(kShmBytes));
  };
  Status created = CheckHostname(options.hostname);
  if (pod.spec().has_host_users() && !pod.spec().host_users()) {
    created = Status(Code::kInvalid, "RuntimeClass handler \"" + pod.spec().runtime_class_name() +
                                         "\" does not support user namespaces");
  }
  if (created.ok()) created = co_await RunBlocking(node_.env, std::move(create));
  std::vector<std::string> ips;
  if (created.ok() && !host_network) {
    net::PodAttachment attachment;
    attachment.uid = uid_;
    attachment.ns = pod_->metadata().namespace_();
    attachment.name = pod_->metadata().name();
    attachment.netns_path = node_.paths.Namespaces(uid_) + "/net";
    for (const Container& container : pod_->spec().containers()) {
      for (const auto& port : container.ports()) {
        if (port.host_port() == 0) continue;
        net::HostPort host_port;
        host_port.protocol = port.protocol().empty() ? "TCP" : port.protocol();
        host_port.host_ip = port.host_ip();
        host_port.host_port = static_cast<uint16_t>(port.host_port());
        host_port.container_port = static_cast<uint16_t>(port.container_port());
        attachment.host_ports.push_back(std::move(host_port));
      }
    }
    if (node_.network == nullptr) {
      created = Unavailable("this node has no pod network");
    } else {
      Result<std::vector<std::string>> attached =
          co_await node_.network->Attach(std::move(attachment));
      created = attached.status();
      if (attached.ok()) ips = std::move(attached).value();
    }
  }
  if (host_network) ips = {node_.node_ip};
  if (created.ok()) {
    std::string list;
    for (const std::string& ip : ips)
      list += ip + "\n";
    created = WriteFile(node_.paths.Namespaces(uid_) + "/ips", list);
  }
  if (!created.ok()) {
    Event("Warning", "FailedCreatePodSandBox",
          "Failed to create pod sandbox: " + created.message());
    ips_.clear();
    RetryIn(kRetry);
    co_return false;
  }
  sandbox_ = number;
  ips_ = std::move(ips);

  std::string hostname = PodHostname(*pod_, node_.cluster_domain);
  Result<std::string> resolv = ResolvConf(*pod_, node_.cluster_dns, node_.cluster_domain,
                                          ReadFile("/etc/resolv.conf").value_or(""));
  std::string etc = node_.paths.PodEtc(uid_);
  Status written = MakeDirs(etc, 0755);
  if (written.ok())
    written = WriteFile(etc + "/hosts", HostsFile(*pod_, hostname, node_.cluster_domain, ips_));
  if (written.ok())
    written = WriteFile(etc + "/resolv.conf", resolv.ok() ? *resolv : std::string());
  if (written.ok()) written = WriteFile(etc + "/hostname", hostname + "\n");
  if (!written.ok()) {
    Event("Warning", "FailedCreatePodSandBox",
          "Failed to create pod sandbox: " + written.message());
    RetryIn(kRetry);
    co_return false;
  }
  co_return true;
}

Task<ReferencedObjects> PodWorker::Fetch(ObjectNames names, Status* error) {
  ReferencedObjects objects;
  std::string ns = pod_->metadata().namespace_();
  for (const std::string& name : names.config_maps) {
    if (objects.config_maps.contains(name)) continue;
    Result<api::ObjectPtr> got =
        co_await node_.objects.Get(api::KindOf<ConfigMap>(), ns, name, uid_);
    if (!got.ok()) {
      *error = got.status();
      co_return objects;
    }
    objects.config_maps.emplace(name, *got ? api::Ref<ConfigMap>(*got) : api::Ref<ConfigMap>());
  }
  for (const std::string& name : names.secrets) {
    if (objects.secrets.contains(name)) continue;
    Result<api::ObjectPtr> got = co_await node_.objects.Get(api::KindOf<Secret>(), ns, name, uid_);
    if (!got.ok()) {
      *error = got.status();
      co_return objects;
    }
    objects.secrets.emplace(name, *got ? api::Ref<Secret>(*got) : api::Ref<Secret>());
  }
  co_return objects;
}

Task<PayloadInputs> PodWorker::VolumeInputs(const ReferencedObjects* objects, Status* error) {
  PayloadInputs inputs;
  inputs.objects = objects;
  inputs.host_ip = node_.node_ip;
  inputs.pod_ips = ips_;
  inputs.allocatable = node_.allocatable;
  std::vector<TokenSource> wanted;
  for (const auto& volume : pod_->spec().volumes()) {
    for (TokenSource& token : TokensOf(volume.volume_source()))
      wanted.push_back(std::move(token));
  }
  for (const TokenSource& source : wanted) {
    std::pair<std::string, int64_t> key(source.audience, source.expiration_seconds);
    Token& token = tokens_[key];
    WallTime now = node_.env.Now();
    if (token.token.empty() || now >= token.renew_at) {
      auto request = std::make_unique<api::authentication::v1::TokenRequest>();
      if (!source.audience.empty()) request->mutable_spec()->add_audiences(source.audience);
      request->mutable_spec()->set_expiration_seconds(source.expiration_seconds);
      auto* bound = request->mutable_spec()->mutable_bound_object_ref();
      bound->set_kind("Pod");
      bound->set_api_version("v1");
      bound->set_name(pod_->metadata().name());
      bound->set_uid(uid_);
      std::string account = pod_->spec().service_account_name().empty()
                                ? "default"
                                : pod_->spec().service_account_name();
      std::string ns = pod_->metadata().namespace_();
      std::unique_ptr<google::protobuf::Message> body = std::move(request);
      client::WriteOptions options;
      std::string subresource = "token";
      Result<api::ObjectPtr> made = co_await node_.client.Create(
          api::KindOf<api::core::v1::ServiceAccount>(), std::move(ns), account,
          std::move(subresource), std::move(body), std::move(options));
      if (!made.ok()) {
        *error = made.status().WithContext("failed to fetch token");
        co_return inputs;
      }
      const auto& answer = (*made)->As<api::authentication::v1::TokenRequest>();
      token.token = answer.status().token();
      WallTime expires = api::ToWallTime(answer.status().expiration_timestamp());
      // At 80 % of its life, and at the latest after a day.
      token.renew_at = now + std::min<Duration>((expires - now) * 8 / 10, std::chrono::hours(24));
    }
    RetryIn(token.renew_at - now);
    inputs.tokens[key] = token.token;
  }
  inputs.pod = &*pod_;
  co_return inputs;
}

const api::core::v1::Volume* PodWorker::FindVolume(const std::string& name) const {
  for (const auto& volume : pod_->spec().volumes()) {
    if (volume.name() == name) return &volume;
  }
  return nullptr;
}

// Makes the volumes, or brings them up to date. What cannot be brought up to date keeps its old
// contents.
Task<bool> PodWorker::EnsureVolumes() {
  if (pod_->spec().volumes().empty()) {
    volumes_ready_ = true;
    co_return true;
  }
  ObjectNames names;
  for (const auto& volume : pod_->spec().volumes())
    AddVolumeReferences(volume.volume_source(), &names);
  Status error;
  ReferencedObjects objects = co_await Fetch(std::move(names), &error);
  PayloadInputs inputs;
  if (error.ok()) inputs = co_await VolumeInputs(&objects, &error);
  std::string failed_volume;
  if (error.ok()) {
    auto set_up = [pod = pod_, inputs, volumes = volumes(), &failed_volume]() mutable -> Status {
      inputs.pod = &*pod;
      for (const auto& volume : pod->spec().volumes()) {
        failed_volume = volume.name();
        GANTRY_TRY(volumes.SetUp(volume, inputs));
      }
      return Status::Ok();
    };
    error = co_await RunBlocking(node_.env, std::move(set_up));
  }
  if (error.ok()) {
    volumes_ready_ = true;
    last_volume_error_.clear();
    co_return true;
  }
  RetryIn(volumes_ready_ ? Duration(seconds(60)) : kRetry);
  if (failed_volume.empty()) {
    for (const auto& volume : pod_->spec().volumes()) {
      if (HasPayload(volume.volume_source())) failed_volume = volume.name();
    }
  }
  if (!volumes_ready_ || last_volume_error_ != error.message()) {
    Event("Warning", "FailedMount",
          "MountVolume.SetUp failed for volume \"" + failed_volume + "\" : " + error.message());
  }
  last_volume_error_ = error.message();
  co_return volumes_ready_;
}

Task<> PodWorker::StartContainers(std::vector<std::string> names) {
  for (const std::string& name : names) {
    if (stop_.token().cancelled() || gone_ || pod_->metadata().has_deletion_timestamp()) co_return;
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

Task<Result<ImagePtr>> PodWorker::EnsureImage(std::string name) {
  const ContainerEntry* entry = containers_->Find(name);
  if (entry == nullptr) co_return Canceled("container is gone");
  std::string image_name = entry->spec->image(), policy = PullPolicy(*entry->spec);
  Result<ImageReference> ref = ParseImageReference(image_name);
  if (!ref.ok()) {
    std::string message =
        "Failed to apply default image tag \"" + image_name + "\": " + ref.status().message();
    if (!waiting_.contains(name)) Event("Warning", "InspectFailed", message, name);
    if (!waiting_.contains(name)) Event("Warning", "Failed", "Error: InvalidImageName", name);
    waiting_[name] = {"InvalidImageName", message};
    RetryIn(seconds(60));
    co_return ref.status();
  }
  std::string full = ref->ToString();
  ImagePtr present = node_.images.Find(full);
  if (present && policy != "Always") {
    Event("Normal", "Pulled", "Container image \"" + image_name + "\" already present on machine",
          name);
    co_return present;
  }
  if (policy == "Never") {
    std::string message =
        "Container image \"" + image_name + "\" is not present with pull policy of Never";
    if (!waiting_.contains(name)) {
      Event("Warning", "ErrImageNeverPull", message, name);
      Event("Warning", "Failed", "Error: ErrImageNeverPull", name);
    }
    waiting_[name] = {"ErrImageNeverPull", message};
    RetryIn(kRetry);
    co_return Status(Code::kNotFound, message);
  }
  WallTime now = node_.env.Now();
  if (auto failed = pull_failed_.find(full); failed != pull_failed_.end()) {
    Duration wait = pulls_.Remaining(full, failed->second, now);
    if (wait > Duration::zero()) {
      std::string message = "Back-off pulling image \"" + image_name + "\"";
      bool told = waiting_.contains(name) && waiting_[name].reason == "ImagePullBackOff";
      std::string before = waiting_.contains(name) ? waiting_[name].message : std::string();
      if (!told) {
        Event("Normal", "BackOff", message, name);
        Event("Warning", "Failed", "Error: ImagePullBackOff", name);
        waiting_[name] = {"ImagePullBackOff",
                          before.empty() ? message : message + ": ErrImagePull: " + before};
      }
      RetryIn(wait);
      co_return Unavailable(message);
    }
  }
  ObjectNames names;
  for (const auto& secret : pod_->spec().image_pull_secrets())
    names.secrets.push_back(secret.name());
  Status error;
  ReferencedObjects objects = co_await Fetch(std::move(names), &error);
  PullSecrets secrets;
  for (const auto& [secret_name, secret] : objects.secrets) {
    if (!secret) continue;
    for (const char* key : {".dockerconfigjson", ".dockercfg"}) {
      auto it = secret->data().find(key);
      if (it != secret->data().end()) secrets.push_back(it->second);
    }
  }
  std::string absent;
  for (const auto& secret : pod_->spec().image_pull_secrets()) {
    auto it = objects.secrets.find(secret.name());
    if (it == objects.secrets.end() || !it->second)
      absent += (absent.empty() ? "" : ", ") + secret.name();
  }
  if (!absent.empty()) {
    Event("Warning", "FailedToRetrieveImagePullSecret",
          "Unable to retrieve some image pull secrets (" + absent +
              "); attempting to pull the image may not succeed.");
  }
  Event("Normal", "Pulling", "Pulling image \"" + image_name + "\"", name);
  // This may take long: show where the pod is.
  Status shown = co_await WriteStatus();
  pull_ = CancelSource();
  if (stop_.token().cancelled() || gone_ || pod_->metadata().has_deletion_timestamp())
    pull_.Cancel();
  Result<PulledImage> pulled = co_await node_.images.Pull(full, std::move(secrets), pull_.token());
  if (!pulled.ok() && pull_.token().cancelled()) co_return Canceled("the pull was given up");
  if (!pulled.ok()) {
    pulls_.Next(full, node_.env.Now());
    pull_failed_[full] = node_.env.Now();
    const std::string& why = pulled.status().message();
    Event("Warning", "Failed", "Failed to pull image \"" + image_name + "\": " + why, name);
    Event("Warning", "Failed", "Error: ErrImagePull", name);
    waiting_[name] = {"ErrImagePull", why};
    RetryIn(pulls_.Remaining(full, pull_failed_[full], node_.env.Now()));
    RetryIn(seconds(1));  // to show that it backs off now
    co_return pulled.status();
  }
  pulls_.Forget(full);
  pull_failed_.erase(full);
  Event("Normal", "Pulled",
        "Successfully pulled image \"" + image_name + "\" in " + Seconds(pulled->took) + " (" +
            Seconds(pulled->waited) +
            " including waiting). Image size: " + std::to_string(pulled->image->size) + " bytes.",
        name);
  co_return pulled->image;
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
  env.host_ip = node_.node_ip;
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
  if (!spec.ok() || entry == nullptr) {
    auto unmount = [&node = node_, home]() -> Status {
      GANTRY_TRY(node.images.UnmountRoot(home));
      return RemoveTree(home);
    };
    Status dropped = co_await RunBlocking(node_.env, std::move(unmount));
    if (entry == nullptr) co_return Canceled("container is gone");
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
    started = co_await node_.runtime.Start(id);
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
