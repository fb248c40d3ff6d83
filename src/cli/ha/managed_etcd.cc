#include "cli/ha/managed_etcd.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/ip.h"
#include "cli/ha/admission.h"
#include "cli/ha/etcd_keys.h"

namespace gantry::cli {
namespace {

std::string Url(const std::string& host, uint16_t port) {
  return "https://" + UrlHost(host) + ":" + std::to_string(port);
}

bool CanBeAsked(const Peer& peer) { return !peer.learner && !peer.client_url.empty(); }

// The members that a server remembers, itself first.
std::string EtcdUrlOf(const Membership& membership) {
  std::string url = "etcd://" + AddressOf(membership.self.client_url);
  for (const Peer& peer : membership.others) {
    if (CanBeAsked(peer)) url += "," + AddressOf(peer.client_url);
  }
  return url;
}

}  // namespace

ManagedEtcd::ManagedEtcd(Env& env, const DataDir& dir, ManagedEtcdOptions options)
    : env_(env),
      dir_(dir),
      options_(std::move(options)),
      directory_(dir.File("etcd")),
      process_(env, directory_) {}

ManagedEtcd::~ManagedEtcd() {
  if (!started_) process_.Signal(SIGTERM);
}

bool ManagedEtcd::IsIn(const std::string& data_dir) {
  return access((data_dir + "/" + kEtcdMembersFile).c_str(), F_OK) == 0;
}

Result<store::EtcdOptions> ManagedEtcd::AccessFrom(const std::string& data_dir) {
  GANTRY_ASSIGN(const std::string text, ReadWholeFile(data_dir + "/" + kEtcdMembersFile));
  GANTRY_ASSIGN(const Membership membership, ReadMembership(text));
  GANTRY_ASSIGN(store::EtcdOptions options, EtcdAccess(data_dir));
  options.url = EtcdUrlOf(membership);
  return options;
}

Task<Result<std::unique_ptr<ManagedEtcd>>> ManagedEtcd::Open(Env& env, const DataDir& dir,
                                                             ManagedEtcdOptions options) {
  std::unique_ptr<ManagedEtcd> etcd(new ManagedEtcd(env, dir, std::move(options)));
  GANTRY_CO_TRY(co_await etcd->Begin());
  co_return etcd;
}

bool ManagedEtcd::HasData() const {
  std::error_code error;
  return std::filesystem::exists(directory_ + "/data/member", error);
}

Membership ManagedEtcd::membership() const {
  absl::MutexLock lock(&mutex_);
  return membership_;
}

Status ManagedEtcd::SetMembership(Membership membership) {
  absl::MutexLock writing(&file_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    if (membership == membership_) return Status::Ok();
    membership_ = membership;
  }
  return dir_.Write(kEtcdMembersFile, WriteMembership(membership));
}

store::EtcdOptions ManagedEtcd::Own() const {
  store::EtcdOptions own = access_;
  own.url = "etcd://127.0.0.1:" + std::to_string(options_.client_port);
  return own;
}

store::EtcdOptions ManagedEtcd::Others() const {
  store::EtcdOptions others = access_;
  others.url = "etcd://";
  for (const Peer& peer : membership().others) {
    if (!CanBeAsked(peer)) continue;
    others.url += (others.url.ends_with('/') ? "" : ",") + AddressOf(peer.client_url);
  }
  return others;
}

store::EtcdOptions ManagedEtcd::store_options() const {
  store::EtcdOptions options = Own();
  options.endpoints = endpoints_;
  return options;
}

// A member that is away, or on its way in, is not asked. With no other there is no choice.
void ManagedEtcd::PointStoreAt(bool own) {
  own_votes_ = own;
  std::vector<Peer> peers = membership().others;
  Peer here;
  here.client_url = Url("127.0.0.1", options_.client_port);
  std::erase_if(peers, [](const Peer& peer) { return !CanBeAsked(peer); });
  if (own || peers.empty()) peers.insert(peers.begin(), here);
  std::shared_ptr<store::etcd::EndpointList> list = EndpointsOf(peers);
  if (endpoints_) {
    endpoints_->Set(list->All());
  } else {
    endpoints_ = list;
  }
}

std::vector<std::string> ManagedEtcd::Arguments(const std::vector<Peer>& initial_cluster) const {
  const std::string client = Url(options_.address, options_.client_port);
  const std::string peer = Url(options_.address, options_.peer_port);
  const std::string here = Url("127.0.0.1", options_.client_port);
  const std::string ca = directory_ + "/ca.crt";
  const std::string certificate = directory_ + "/member.crt", key = directory_ + "/member.key";
  std::vector<std::string> arguments = {
      "etcd",
      "--name=" + options_.name,
      "--data-dir=" + directory_ + "/data",
      "--listen-client-urls=" + (here == client ? here : here + "," + client),
      "--advertise-client-urls=" + client,
      "--listen-peer-urls=" + peer,
      "--initial-advertise-peer-urls=" + peer,
      "--client-cert-auth",
      "--trusted-ca-file=" + ca,
      "--cert-file=" + certificate,
      "--key-file=" + key,
      "--peer-client-cert-auth",
      "--peer-trusted-ca-file=" + ca,
      "--peer-cert-file=" + certificate,
      "--peer-key-file=" + key,
      "--heartbeat-interval=" + std::string(options_.fast ? "50" : "100"),
      "--election-timeout=" + std::string(options_.fast ? "250" : "500"),
      "--snapshot-count=10000",
      "--quota-backend-bytes=8589934592",
      "--logger=zap",
      "--log-level=warn"};
  if (initial_cluster.empty()) return arguments;
  std::string all;
  for (const Peer& one : initial_cluster)
    all += (all.empty() ? "" : ",") + one.name + "=" + one.peer_url;
  arguments.push_back("--initial-cluster=" + all);
  arguments.push_back("--initial-cluster-state=" +
                      std::string(initial_cluster.size() == 1 ? "new" : "existing"));
  arguments.push_back("--initial-cluster-token=gantry");
  return arguments;
}

Peer ManagedEtcd::Self() const {
  Peer self;
  self.name = options_.name;
  self.peer_url = Url(options_.address, options_.peer_port);
  self.client_url = Url(options_.address, options_.client_port);
  return self;
}

// `initial_cluster`: where there is no data yet.
Status ManagedEtcd::StartProcess(const std::vector<Peer>& initial_cluster) {
  Status started = process_.Start(Arguments(initial_cluster));
  if (started.code() != Code::kNotFound) return started;
  return Status(Code::kNotFound,
                "etcd not found; install it on each server: apt-get install etcd-server");
}

Status ManagedEtcd::NoMemberAnyMore() const {
  return Status(
      Code::kGone,
      "this server was taken out of the cluster; to let it in again as a new one, remove " +
          directory_ + " and start it with --join");
}

void ManagedEtcd::Start() {
  started_ = true;
  Spawn(env_.MakeStrand(), gate_, "etcd", Watch());
}

Task<> ManagedEtcd::Stop() {
  stopped_.Cancel();
  co_await gate_.Close(env_);
  co_await process_.End();
}

}  // namespace gantry::cli
