#include "net/cni/cni_network.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/env/blocking.h"
#include "base/log.h"
#include "net/netlink/route.h"

namespace gantry::net {
namespace {

using cni::Attachment;
using cni::NetworkConfig;

std::string Directory(const std::string& data_dir) { return data_dir + "/net/cni"; }

// Those that were being written when the process died are removed: no plug-in was called yet.
Result<std::map<std::string, Attachment>> ReadRecords(const std::string& directory) {
  std::map<std::string, Attachment> records;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return FromErrno(error.value(), "create " + directory);
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string uid = entry.path().filename().string();
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    Result<Attachment> record = Attachment::Decode(uid, text.str());
    if (record.ok()) {
      records[uid] = std::move(*record);
    } else {
      std::filesystem::remove(entry.path(), error);
    }
  }
  return records;
}

// Whether a pod is attached as it was: by the plug-ins' own judgement, or because it has its
// interface. Some plug-ins find fault with what they made themselves; no running pod is to lose its
// addresses for that.
bool StillThere(const Attachment& record) {
  Status checked = record.Check();
  if (checked.ok()) return true;
  Result<RouteSocket> inside = RouteSocket::OpenIn(record.pod.netns_path);
  if (!inside.ok() || !inside->FindLink("eth0").ok()) return false;
  log::Warning("net", "a CNI plug-in is not content with a pod",
               {{"pod", record.pod.ns + "/" + record.pod.name}, {"reason", checked.message()}});
  return true;
}

Status RemoveRecord(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return FromErrno(errno, "remove " + path);
  return Status::Ok();
}

}  // namespace

CniNetwork::CniNetwork(Env& env, CniOptions options) : env_(env), options_(std::move(options)) {}

std::string CniNetwork::PathOf(const std::string& uid) const {
  return Directory(options_.data_dir) + "/" + uid;
}

Task<Status> CniNetwork::Start() {
  auto call = [this] { return StartNow(); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status CniNetwork::StartNow() {
  GANTRY_ASSIGN(auto records, ReadRecords(Directory(options_.data_dir)));
  absl::MutexLock lock(&mutex_);
  records_ = std::move(records);
  return Status::Ok();
}

Status CniNetwork::Write(const Attachment& record) const {
  const std::string path = PathOf(record.pod.uid), next = path + ".new";
  std::ofstream file(next, std::ios::trunc);
  file << record.Encode();
  file.close();
  if (!file || std::rename(next.c_str(), path.c_str()) != 0)
    return FromErrno(errno, "write " + path);
  return Status::Ok();
}

void CniNetwork::SetPodCidrs(std::vector<std::string> cidrs) {
  absl::MutexLock lock(&mutex_);
  pod_cidrs_ = std::move(cidrs);
}

Task<Result<std::vector<std::string>>> CniNetwork::Attach(PodAttachment pod) {
  auto call = [this, pod = std::move(pod)] { return AttachNow(pod); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Result<std::vector<std::string>> CniNetwork::AttachNow(const PodAttachment& pod) {
  const std::string context = "failed to setup network for sandbox \"" + pod.uid + "\"";
  std::optional<Attachment> known;
  {
    absl::MutexLock lock(&mutex_);
    auto found = records_.find(pod.uid);
    if (found != records_.end()) known = found->second;
  }
  if (known) {
    if (!known->result.is_null() && known->pod.netns_path == pod.netns_path && StillThere(*known))
      return known->ips;
    // Half done, or in a namespace that the pod no longer has.
    GANTRY_TRY(DetachNow(pod.uid).WithContext(context));
  }
  Attachment record;
  record.pod = pod;
  record.plugin_dirs = options_.plugin_dirs;
  Result<NetworkConfig> config = cni::LoadConfig(options_.config_dir);
  if (!config.ok()) return Unavailable(context + ": cni plugin not initialized");
  record.config = std::move(config).value();
  {
    absl::MutexLock lock(&mutex_);
    record.pod_cidrs = pod_cidrs_;
  }
  GANTRY_TRY(Write(record));
  {
    absl::MutexLock lock(&mutex_);
    records_[pod.uid] = record;
  }
  Status added = record.Add();
  if (added.ok()) added = Write(record);
  if (added.ok()) {
    Result<RouteSocket> inside = RouteSocket::OpenIn(pod.netns_path);
    added = inside.status();
    if (inside.ok()) {
      Result<Link> loopback = inside->FindLink("lo");
      added = loopback.ok() ? inside->SetUp(loopback->index) : loopback.status();
    }
  }
  if (!added.ok()) {
    Status undone = DetachNow(pod.uid);
    if (!undone.ok())
      log::Warning("net", "cannot undo a failed attach", {{"error", undone.message()}});
    return added.WithContext(context);
  }
  absl::MutexLock lock(&mutex_);
  records_[pod.uid] = record;
  return record.ips;
}

Task<Status> CniNetwork::Detach(std::string uid) {
  auto call = [this, uid = std::move(uid)] { return DetachNow(uid); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status CniNetwork::DetachNow(const std::string& uid) {
  Attachment record;
  {
    absl::MutexLock lock(&mutex_);
    auto found = records_.find(uid);
    if (found == records_.end()) return Status::Ok();
    record = found->second;
  }
  GANTRY_TRY(record.Delete().WithContext("failed to destroy network for sandbox \"" + uid + "\""));
  GANTRY_TRY(RemoveRecord(PathOf(uid)));
  absl::MutexLock lock(&mutex_);
  records_.erase(uid);
  return Status::Ok();
}

Status CniNetwork::CleanUp(const std::string& data_dir) {
  const std::string directory = Directory(data_dir);
  if (access(directory.c_str(), F_OK) != 0) return Status::Ok();
  GANTRY_ASSIGN(const auto records, ReadRecords(directory));
  Status first;
  for (const auto& [uid, record] : records) {
    Status status = record.Delete();
    if (status.ok()) status = RemoveRecord(directory + "/" + uid);
    if (first.ok()) first = status;
  }
  return first;
}

Task<Status> CniNetwork::ReleaseAllBut(std::vector<std::string> live_uids) {
  const std::set<std::string> live(live_uids.begin(), live_uids.end());
  std::vector<std::string> stale;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [uid, record] : records_)
      if (!live.contains(uid)) stale.push_back(uid);
  }
  Status first;
  for (std::string& uid : stale) {
    Status released = co_await Detach(std::move(uid));
    if (first.ok()) first = released;
  }
  co_return first;
}

std::string CniNetwork::NotReadyReason() const {
  if (cni::LoadConfig(options_.config_dir).ok()) return "";
  return "Network plugin returns error: cni plugin not initialized";
}

std::vector<PodRecord> CniNetwork::Attached() const {
  std::vector<PodRecord> pods;
  absl::MutexLock lock(&mutex_);
  for (const auto& [uid, record] : records_) {
    PodRecord pod;
    pod.uid = uid;
    pod.ns = record.pod.ns;
    pod.name = record.pod.name;
    for (const std::string& text : record.ips)
      if (std::optional<IpAddress> ip = IpAddress::Parse(text)) pod.ips.push_back(*ip);
    pods.push_back(std::move(pod));
  }
  return pods;
}

std::string CniNetwork::NamespaceOf(const IpAddress& ip) const {
  const std::string text = ip.ToString();
  absl::MutexLock lock(&mutex_);
  for (const auto& [uid, record] : records_) {
    if (std::find(record.ips.begin(), record.ips.end(), text) != record.ips.end())
      return record.pod.ns;
  }
  return "";
}

}  // namespace gantry::net
