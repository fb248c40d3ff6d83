#include <sys/mount.h>

#include <algorithm>

#include "api/authentication/v1/review.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/duration.h"
#include "api/host_ports.h"
#include "base/env/blocking.h"
#include "client/typed.h"
#include "node/os/fs.h"
#include "node/pod/container_spec.h"
#include "node/pod/dns_config.h"
#include "node/pod/worker.h"

// What a pod has before its containers start: namespaces, addresses, files, volumes.
namespace gantry::node {

using api::core::v1::ConfigMap;
using api::core::v1::Pod;
using api::core::v1::Secret;
using std::chrono::seconds;

namespace {

constexpr int64_t kShmBytes = 64 << 20;

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
    attachment.revision = pod_.revision();
    attachment.netns_path = node_.paths.Namespaces(uid_) + "/net";
    for (const api::HostPort& port : api::HostPortsOf(*pod_)) {
      net::HostPort host_port;
      host_port.protocol = port.protocol;
      host_port.host_ip = port.ip;
      host_port.host_port = static_cast<uint16_t>(port.port);
      host_port.container_port = static_cast<uint16_t>(port.container_port);
      attachment.host_ports.push_back(std::move(host_port));
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
  if (host_network) ips = node_.node_ips;
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
  const DnsConfig dns = BuildDnsConfig(*pod_, node_.cluster_dns, node_.cluster_domain,
                                       ReadFile("/etc/resolv.conf").value_or(""));
  for (const std::string& warning : dns.warnings)
    Event("Warning", "DNSConfigForming", warning);
  std::string etc = node_.paths.PodEtc(uid_);
  Status written = MakeDirs(etc, 0755);
  if (written.ok())
    written = WriteFile(etc + "/hosts", HostsFile(*pod_, hostname, node_.cluster_domain, ips_));
  if (written.ok()) written = WriteFile(etc + "/resolv.conf", dns.resolv_conf);
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
  inputs.host_ips = node_.node_ips;
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

}  // namespace gantry::node
