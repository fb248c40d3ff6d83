#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/env/notifier.h"
#include "base/log.h"
#include "cli/cluster_files.h"
#include "cli/ha/admission.h"
#include "cli/ha/etcd_keys.h"
#include "cli/ha/managed_etcd.h"
#include "cli/version.h"

// How a member comes to vote: as the first one, by invitation, from what is on disk, or anew.
namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

constexpr Duration kBetweenPings = std::chrono::milliseconds(100);
constexpr Duration kPing = std::chrono::seconds(2);
constexpr Duration kBetweenTries = std::chrono::milliseconds(300);
constexpr Duration kBetweenLines = std::chrono::seconds(5);  // of the log
// So long it is waited before the others are asked whether this member is one still.
constexpr Duration kBeforeDoubt = std::chrono::seconds(3);
constexpr int kStartsBeforeRejoin = 3;

// What another start, or fresh data, would not help.
bool IsOfTheMachine(const std::string& failure) {
  for (const char* part :
       {"address already in use", "cannot assign requested address", "no space left on device",
        "permission denied", "too many open files", "read-only file system",
        "cannot allocate memory", "input/output error"}) {
    if (failure.find(part) != std::string::npos) return true;
  }
  return false;
}

Status DoesNotStart(const std::string& failure, const std::string& directory) {
  if (failure.find("address already in use") != std::string::npos) {
    return InternalError("etcd does not start: " + failure +
                         "; stop the other etcd (systemctl disable --now etcd), or choose other "
                         "ports with --etcd-client-port and --etcd-peer-port");
  }
  return InternalError("etcd does not start: " + (failure.empty() ? "it says nothing" : failure) +
                       " (its log is " + directory + "/log)");
}

}  // namespace

Task<Status> ManagedEtcd::Begin() {
  Result<std::string> kept = dir_.Read(kEtcdMembersFile);
  if (!kept.ok() && kept.code() != Code::kNotFound) co_return kept.status();
  if (kept.ok()) {
    Result<Membership> read = ReadMembership(*kept);
    if (!read.ok()) co_return read.status().WithContext(dir_.File(kEtcdMembersFile));
    GANTRY_CO_TRY(TakeKeys());
    GANTRY_CO_TRY(SetMembership(*read));
  }
  const Membership known = membership();
  // Where nothing has ever voted there is nothing to take up.
  const bool begins = !kept.ok() || (known.self.id == 0 && known.others.empty() && !HasData());
  const bool joins = begins && !options_.join.empty();
  int starts = 1;
  if (joins) {
    GANTRY_CO_TRY(co_await Join());
  } else if (begins) {
    GANTRY_CO_TRY(BeginAlone());
  } else if (options_.force_new_cluster && !known.others.empty()) {
    GANTRY_CO_TRY(co_await ForceNewCluster());
  } else {
    starts = 0;
    if (process_.Adopt()) log::Info("etcd", "took up the etcd that runs");
  }
  Status up = co_await BringUp(starts, CancelToken());
  if (!up.ok() && joins) co_await Withdraw();
  if (!up.ok()) co_return up;
  PointStoreAt(true);
  std::error_code error;
  if (fs::exists(dir_.File("state.db"), error)) GANTRY_CO_TRY(co_await MoveFromSqlite());
  co_return Status::Ok();
}

Status ManagedEtcd::TakeKeys() {
  GANTRY_TRY(IssueEtcdCertificates(env_, dir_, options_.names));
  GANTRY_ASSIGN(access_, EtcdAccess(dir_.path()));
  return Status::Ok();
}

Status ManagedEtcd::BeginAlone() {
  GANTRY_TRY(MakeEtcdAuthority(env_, dir_));
  GANTRY_TRY(TakeKeys());
  Membership alone;
  alone.self = Self();
  GANTRY_TRY(SetMembership(alone));
  return StartProcess({alone.self});
}

Task<Status> ManagedEtcd::Join() {
  std::error_code error;
  if (fs::exists(dir_.File("state.db"), error)) {
    co_return Status(Code::kConflict, "data directory " + dir_.path() +
                                          " holds a cluster of its own (state.db), which cannot "
                                          "join another; choose another with --data-dir");
  }
  const std::string text =
      options_.token.empty() ? dir_.Read("token").value_or("") : options_.token;
  if (text.empty()) {
    co_return BadRequest(
        "--join needs the cluster's token (--token), which stands in DIR/token of its servers");
  }
  GANTRY_CO_ASSIGN(const JoinToken token, JoinToken::Parse(text));
  InvitationRequest request;
  request.name = options_.name;
  request.peer_url = Self().peer_url;
  request.client_url = Self().client_url;
  request.version = ProgramVersion();
  request.settings = options_.settings;
  Result<Invitation> invited =
      co_await AskForInvitation(env_, options_.join, token, std::move(request));
  if (!invited.ok()) co_return invited.status().WithContext("cannot join the cluster");
  GANTRY_CO_TRY(KeepEtcdAuthority(dir_, invited->authority));
  GANTRY_CO_TRY(TakeKeys());
  Membership joined;
  joined.self = Self();
  joined.self.id = invited->id;
  joined.others = Without(invited->peers, invited->id);
  GANTRY_CO_TRY(SetMembership(std::move(joined)));
  // Whatever is there belonged to nothing.
  fs::remove_all(directory_ + "/data", error);
  co_return StartProcess(invited->peers);
}

// What could not come up here leaves nothing there.
Task<> ManagedEtcd::Withdraw() {
  store::EtcdOptions others = Others();
  Status removed = co_await store::RemoveEtcdMember(env_, std::move(others), membership().self.id);
  if (!removed.ok()) {
    log::Warning("etcd", "this server's member stays; take it out with: gantry members remove",
                 {{"error", removed.message()}});
    co_return;
  }
  co_await process_.End();
  std::error_code error;
  fs::remove_all(directory_ + "/data", error);
  fs::remove(dir_.File(kEtcdMembersFile), error);
}

// Alone, with what is there.
Task<Status> ManagedEtcd::ForceNewCluster() {
  Membership known = membership();
  if (process_.Adopt()) {
    store::EtcdOptions own = Own();
    Result<store::EtcdHealth> health = co_await store::PingEtcd(env_, std::move(own), kPing);
    if (health.ok() && health->has_leader) {
      started_ = true;  // it goes on as it was
      co_return Status(Code::kConflict,
                       "this server's etcd has a majority; --force-new-cluster is for one whose "
                       "others are gone for good: leave the flag out");
    }
  }
  for (const Peer& peer : known.others) {
    if (!co_await Answers(env_, access_, peer)) continue;
    co_return Status(Code::kConflict,
                     "the etcd of " + peer.name +
                         " answers; --force-new-cluster is for a server whose others are gone for "
                         "good: stop " +
                         peer.name + " first, or leave the flag out");
  }
  if (!HasData()) co_return DataLoss("there is nothing to go on with in " + directory_ + "/data");
  co_await process_.End();
  log::Warning("etcd", "goes on without the other members, whoever they were");
  std::vector<std::string> arguments = Arguments({});
  arguments.emplace_back("--force-new-cluster");
  GANTRY_CO_TRY(process_.Start(std::move(arguments)));
  GANTRY_CO_TRY(co_await BringUp(1, CancelToken()));
  known = membership();
  known.others.clear();
  co_return SetMembership(std::move(known));
}

// By way of the other members, with the keys that are still there.
Task<Status> ManagedEtcd::Rejoin() {
  Membership known = membership();
  store::EtcdOptions others = Others();
  // From here on it is no sign of anything that the others do not know this one.
  known.self = Self();
  GANTRY_CO_TRY(SetMembership(known));
  GANTRY_CO_ASSIGN(Admission admission,
                   co_await AdmitEtcdMember(env_, std::move(others), known.self));
  const std::string data = directory_ + "/data", old = directory_ + "/data.old";
  std::error_code error;
  if (fs::exists(data, error)) {
    fs::remove_all(old, error);
    fs::rename(data, old, error);
    if (error) co_return InternalError("move " + data + " away: " + error.message());
  }
  known.self.id = admission.id;
  known.others = Without(admission.peers, admission.id);
  GANTRY_CO_TRY(SetMembership(std::move(known)));
  log::Warning("etcd", "this server's member comes in anew: what it had on disk is lost");
  co_return StartProcess(admission.peers);
}

// Asked of the others, who may not answer.
Task<bool> ManagedEtcd::WasRemoved() {
  const Membership known = membership();
  if (known.others.empty() || known.self.id == 0) co_return false;
  store::EtcdOptions others = Others();
  Result<std::vector<store::EtcdMember>> members =
      co_await store::ListEtcdMembers(env_, std::move(others));
  co_return members.ok() && std::ranges::none_of(*members, [&](const store::EtcdMember& member) {
    return member.id == known.self.id;
  });
}

// Until the member votes. `starts`: how often its process has been started for that so far. Ends
// with kGone when it is no member any more, with other failures when it cannot be helped.
Task<Status> ManagedEtcd::BringUp(int starts, CancelToken cancel) {
  const SteadyTime begun = env_.Steady();
  SteadyTime next_line = begun + kBeforeDoubt;
  bool doubted = false;
  while (!cancel.cancelled()) {
    if (!process_.running()) {
      const std::string failure = process_.LastWords();
      const Membership known = membership();
      const bool others = !known.others.empty(), comes_anew = others && known.self.id == 0;
      if (starts > 0 && IsOfTheMachine(failure)) co_return DoesNotStart(failure, directory_);
      if ((starts > 0 || !HasData()) && co_await WasRemoved()) co_return NoMemberAnyMore();
      Status started;
      if (HasData() && !comes_anew && starts < kStartsBeforeRejoin) {
        if (starts > 0) co_await SleepFor(env_, kBetweenTries, cancel);
        started = StartProcess({});
      } else if (others) {
        started = co_await Rejoin();
        starts = 0;
      } else if (HasData() || known.self.id == 0) {
        co_return DoesNotStart(failure, directory_);
      } else {
        co_return DataLoss("the data of this server's etcd (" + directory_ +
                           "/data) is gone, and there is no other member; start anew and restore "
                           "a backup (docs/operating.md)");
      }
      ++starts;
      if (started.code() == Code::kUnavailable) {
        log::Warning("etcd", "waiting for the other members", {{"error", started.message()}});
        co_await SleepFor(env_, std::chrono::seconds(1), cancel);
        continue;
      }
      if (!started.ok()) co_return started;
    }
    store::EtcdOptions own = Own();
    Result<store::EtcdHealth> health = co_await store::PingEtcd(env_, std::move(own), kPing);
    if (health.ok() && health->has_leader && health->learner) {
      GANTRY_CO_TRY(co_await BecomeVoter(cancel));
      continue;
    }
    if (health.ok() && health->has_leader) {
      Membership voting = membership();
      voting.self = Self();
      voting.self.id = health->id;
      co_return SetMembership(std::move(voting));
    }
    if (!doubted && env_.Steady() > begun + kBeforeDoubt) {
      doubted = true;
      if (co_await WasRemoved()) co_return NoMemberAnyMore();
    }
    if (env_.Steady() > next_line) {
      next_line = env_.Steady() + kBetweenLines;
      log::Warning("etcd",
                   health.ok() ? "waiting for a majority of the members of etcd"
                               : "waiting for this server's etcd",
                   {{"store", Others().url}});
    }
    co_await process_.AwaitEnd(cancel, env_.Steady() + kBetweenPings);
  }
  co_return Canceled("stopped");
}

// Until it has caught up with the others.
Task<Status> ManagedEtcd::BecomeVoter(CancelToken cancel) {
  const uint64_t id = membership().self.id;
  while (!cancel.cancelled() && process_.running()) {
    store::EtcdOptions others = Others();
    Status promoted = co_await store::PromoteEtcdMember(env_, std::move(others), id);
    if (promoted.ok()) {
      log::Info("etcd", "this server's member votes");
      co_return promoted;
    }
    if (promoted.code() == Code::kNotFound) co_return NoMemberAnyMore();
    store::EtcdOptions own = Own();
    Result<store::EtcdHealth> health = co_await store::PingEtcd(env_, std::move(own), kPing);
    if (health.ok() && health->has_leader && !health->learner) co_return Status::Ok();
    co_await process_.AwaitEnd(cancel, env_.Steady() + kBetweenPings);
  }
  co_return Status::Ok();
}

// What a server without others had becomes the contents of the etcd. Done again when interrupted:
// the file goes away last.
Task<Status> ManagedEtcd::MoveFromSqlite() {
  const std::string database = dir_.File("state.db");
  const std::string snapshot = directory_ + "/from-sqlite";
  unlink(snapshot.c_str());
  GANTRY_CO_ASSIGN(const store::SnapshotFiles files, ReadClusterFiles(dir_.path()));
  GANTRY_CO_TRY(store::SaveSqliteSnapshot(database, snapshot, files));
  store::EtcdOptions own = Own();
  Result<store::SnapshotFiles> restored =
      co_await store::RestoreEtcdSnapshot(env_, std::move(own), snapshot);
  if (!restored.ok()) co_return restored.status();
  for (const char* suffix : {"-wal", "-shm"})
    unlink((database + suffix).c_str());
  const std::string aside = database + ".moved-to-etcd";
  if (rename(database.c_str(), aside.c_str()) != 0)
    co_return FromErrno(errno, "rename " + database);
  unlink(snapshot.c_str());
  log::Info("etcd", "moved the cluster from SQLite to etcd", {{"kept", aside}});
  co_return Status::Ok();
}

}  // namespace gantry::cli
