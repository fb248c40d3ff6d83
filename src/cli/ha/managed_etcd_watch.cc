#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/env/notifier.h"
#include "base/log.h"
#include "cli/cluster_files.h"
#include "cli/ha/admission.h"
#include "cli/ha/backups.h"
#include "cli/ha/managed_etcd.h"

// What a member that votes is watched for.
namespace gantry::cli {
namespace {

constexpr Duration kBetweenLooks = std::chrono::seconds(30);
constexpr Duration kPing = std::chrono::seconds(2);
// A run that ends sooner is a failed start: the next one waits longer.
constexpr Duration kShortRun = std::chrono::seconds(10);
constexpr Duration kFirstPause = std::chrono::milliseconds(300);
constexpr Duration kLongestPause = std::chrono::seconds(10);
// Looks that a member may stay silent before it is started again, and a learner before it has to
// make room.
constexpr int kLooksInSilence = 3;

}  // namespace

Task<> ManagedEtcd::Watch() {
  const CancelToken stopped = stopped_.token();
  SteadyTime next_look = env_.Steady();
  Duration pause = kFirstPause;
  bool well = true;
  while (!stopped.cancelled()) {
    const Wake wake = co_await process_.AwaitEnd(stopped, next_look);
    if (wake == Wake::kCanceled) break;
    Status status;
    if (wake == Wake::kNotified) {
      const bool ran = well && process_.age() >= kShortRun;
      pause = ran ? kFirstPause : std::min(pause * 2, kLongestPause);
      co_await SleepFor(env_, pause, stopped);
      status = co_await Revive();
      well = status.ok();
    } else {
      status = co_await Look();
      next_look = env_.Steady() + kBetweenLooks;
    }
    if (stopped.cancelled()) break;
    if (status.code() == Code::kGone) {
      log::Error("etcd", "stopping", {{"error", status.message()}});
      std::_Exit(1);
    }
    if (!status.ok()) log::Error("etcd", "not well", {{"error", status.message()}});
  }
}

Task<Status> ManagedEtcd::Revive() {
  log::Warning("etcd", "etcd has ended; starting it again", {{"said", process_.LastWords()}});
  PointStoreAt(false);
  Status up = co_await BringUp(0, stopped_.token());
  if (!up.ok()) co_return up;
  PointStoreAt(true);
  log::Info("etcd", "etcd runs again");
  co_return up;
}

// At this machine's member, the others, and the backups.
Task<Status> ManagedEtcd::Look() {
  process_.TrimLog();
  store::EtcdOptions own = Own();
  Result<store::EtcdHealth> health = co_await store::PingEtcd(env_, std::move(own), kPing);
  silent_ = health.ok() ? 0 : silent_ + 1;
  if (silent_ >= kLooksInSilence) {
    log::Warning("etcd", "etcd does not answer; ending it");
    process_.Signal(SIGKILL);
    co_return Status::Ok();
  }
  store::EtcdOptions all = store_options();
  Result<std::vector<store::EtcdMember>> members =
      co_await store::ListEtcdMembers(env_, std::move(all));
  if (!members.ok()) co_return Status::Ok();  // there are others who say that
  Membership known = membership();
  const std::vector<Peer> peers = PeersOf(*members);
  const auto self = std::ranges::find(peers, known.self.id, &Peer::id);
  if (self == peers.end()) co_return NoMemberAnyMore();
  if (self->peer_url != known.self.peer_url) {
    all = store_options();
    Status moved =
        co_await store::MoveEtcdMember(env_, std::move(all), known.self.id, known.self.peer_url);
    if (!moved.ok()) co_return moved.WithContext("tell the others of the new address");
  }
  known.others = Without(peers, known.self.id);
  GANTRY_CO_TRY(SetMembership(std::move(known)));
  PointStoreAt(health.ok());
  co_await RemoveDeadLearners(*members);
  co_await BackUp();
  co_return Status::Ok();
}

// One that never came keeps the next one out.
Task<> ManagedEtcd::RemoveDeadLearners(std::vector<store::EtcdMember> members) {
  std::map<uint64_t, int> dead;
  for (const Peer& peer : PeersOf(members)) {
    const auto member = std::ranges::find(members, peer.id, &store::EtcdMember::id);
    if (!member->learner || co_await Answers(env_, access_, peer)) continue;
    dead[peer.id] = dead_learners_[peer.id] + 1;
    if (dead[peer.id] < kLooksInSilence) continue;
    log::Warning("etcd", "a member that never came is taken out", {{"peer", peer.peer_url}});
    store::EtcdOptions all = store_options();
    Status removed = co_await store::RemoveEtcdMember(env_, std::move(all), peer.id);
    if (!removed.ok()) log::Warning("etcd", "it stays", {{"error", removed.message()}});
  }
  dead_learners_.swap(dead);
}

Task<> ManagedEtcd::BackUp() {
  const std::string directory = directory_ + "/backups";
  if (!BackupIsDue(env_, directory)) co_return;
  Result<store::SnapshotFiles> files = ReadClusterFiles(dir_.path());
  Status saved = files.status();
  if (saved.ok()) {
    const std::string file = NextBackup(env_, directory);
    store::EtcdOptions all = store_options();
    saved = co_await store::SaveEtcdSnapshot(env_, std::move(all), file, std::move(*files));
  }
  if (saved.ok()) {
    RemoveOldBackups(directory);
  } else {
    log::Warning("etcd", "no backup was made", {{"error", saved.message()}});
  }
}

}  // namespace gantry::cli
