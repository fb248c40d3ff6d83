#include "cli/ha/managed_etcd.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "api/duration.h"
#include "base/env/blocking.h"
#include "base/env/notifier.h"
#include "base/ip.h"
#include "base/log.h"
#include "cli/cluster_files.h"
#include "cli/ha/admission.h"
#include "cli/ha/backups.h"
#include "cli/ha/etcd_keys.h"
#include "cli/version.h"

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kMembersFile[] = "etcd/members";
constexpr Duration kBetweenLooks = std::chrono::seconds(30);
constexpr Duration kBetweenPings = std::chrono::milliseconds(100);
constexpr Duration kPing = std::chrono::seconds(2);
constexpr Duration kBetweenTries = std::chrono::milliseconds(300);
constexpr Duration kPatience = std::chrono::seconds(10);     // of who asks to take one out
constexpr Duration kBetweenLines = std::chrono::seconds(5);  // of the log
// So long it is waited before the others are asked whether this member is one still.
constexpr Duration kBeforeDoubt = std::chrono::seconds(3);
// A run that ends sooner is a failed start.
constexpr Duration kShortRun = std::chrono::seconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(10);
constexpr int kStartsBeforeRejoin = 3;
// Looks that a member may stay silent before it is started again, and a learner before it has to
// make room.
constexpr int kLooksInSilence = 3;
// Later it is seen by the next look.
constexpr int kTriesForNewcomer = 30;

std::string Url(const std::string& host, uint16_t port) {
  return "https://" + UrlHost(host) + ":" + std::to_string(port);
}

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

bool CanBeAsked(const Peer& peer) { return !peer.learner && !peer.client_url.empty(); }

// The members that a server remembers, itself first.
std::string EtcdUrlOf(const Membership& membership) {
  std::string url = "etcd://" + AddressOf(membership.self.client_url);
  for (const Peer& peer : membership.others) {
    if (CanBeAsked(peer)) url += "," + AddressOf(peer.client_url);
  }
  return url;
}

Status NoMemberAnyMore(const std::string& directory) {
  return Status(
      Code::kGone,
      "this server was taken out of the cluster; to let it in again as a new one, remove " +
          directory + " and start it with --join");
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
  return access((data_dir + "/" + kMembersFile).c_str(), F_OK) == 0;
}

Result<store::EtcdOptions> ManagedEtcd::AccessFrom(const std::string& data_dir) {
  GANTRY_ASSIGN(const std::string text, ReadWholeFile(data_dir + "/" + kMembersFile));
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
  return fs::exists(directory_ + "/data/member", error);
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
  return dir_.Write(kMembersFile, WriteMembership(membership));
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

Task<Status> ManagedEtcd::Begin() {
  Result<std::string> kept = dir_.Read(kMembersFile);
  if (!kept.ok() && kept.code() != Code::kNotFound) co_return kept.status();
  if (kept.ok()) {
    Result<Membership> read = ReadMembership(*kept);
    if (!read.ok()) co_return read.status().WithContext(dir_.File(kMembersFile));
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
  fs::remove(dir_.File(kMembersFile), error);
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
      if ((starts > 0 || !HasData()) && co_await WasRemoved())
        co_return NoMemberAnyMore(directory_);
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
      if (co_await WasRemoved()) co_return NoMemberAnyMore(directory_);
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
    if (promoted.code() == Code::kNotFound) co_return NoMemberAnyMore(directory_);
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

void ManagedEtcd::Start() {
  started_ = true;
  Spawn(env_.MakeStrand(), gate_, "etcd", Watch());
}

Task<> ManagedEtcd::Stop() {
  stopped_.Cancel();
  co_await gate_.Close(env_);
  co_await process_.End();
}

Task<> ManagedEtcd::Watch() {
  const CancelToken stopped = stopped_.token();
  SteadyTime next_look = env_.Steady();
  Duration pause = kBetweenTries;
  bool well = true;
  while (!stopped.cancelled()) {
    const Wake wake = co_await process_.AwaitEnd(stopped, next_look);
    if (wake == Wake::kCanceled) break;
    Status status;
    if (wake == Wake::kNotified) {
      const bool ran = well && process_.age() >= kShortRun;
      pause = ran ? kBetweenTries : std::min(pause * 2, kLongestPause);
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
  if (self == peers.end()) co_return NoMemberAnyMore(directory_);
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

Task<Result<Invitation>> ManagedEtcd::Admit(InvitationRequest request) {
  GANTRY_CO_TRY(CheckSettings(request.settings, options_.settings));
  GANTRY_CO_TRY(CheckVersions(ProgramVersion(), request.version));
  store::EtcdOptions all = store_options();
  Peer newcomer;
  newcomer.name = request.name;
  newcomer.peer_url = request.peer_url;
  newcomer.client_url = request.client_url;
  Result<Admission> admission = co_await AdmitEtcdMember(env_, std::move(all), std::move(newcomer));
  if (admission.code() == Code::kUnavailable)
    co_return Status(Code::kServiceUnavailable, admission.status().message());
  if (!admission.ok()) co_return admission.status();
  Invitation invitation;
  invitation.id = admission->id;
  invitation.peers = std::move(admission->peers);
  GANTRY_CO_ASSIGN(invitation.authority, ReadEtcdAuthority(dir_));
  Membership known = membership();
  known.others = Without(invitation.peers, known.self.id);
  GANTRY_CO_TRY(SetMembership(std::move(known)));
  Spawn(env_.MakeStrand(), gate_, "etcd newcomer", Await(invitation.id));
  co_return invitation;
}

// The store comes to know a new member when it votes.
Task<> ManagedEtcd::Await(uint64_t newcomer) {
  const CancelToken stopped = stopped_.token();
  for (int tries = 0; tries < kTriesForNewcomer && !stopped.cancelled(); ++tries) {
    co_await SleepFor(env_, std::chrono::seconds(1), stopped);
    store::EtcdOptions all = store_options();
    Result<std::vector<store::EtcdMember>> members =
        co_await store::ListEtcdMembers(env_, std::move(all));
    if (!members.ok()) continue;
    const auto member = std::ranges::find(*members, newcomer, &store::EtcdMember::id);
    if (member == members->end()) co_return;
    if (member->learner) continue;
    Membership known = membership();
    known.others = Without(PeersOf(*members), known.self.id);
    Status kept = SetMembership(std::move(known));
    if (!kept.ok()) log::Warning("etcd", "a new member was not noted", {{"error", kept.message()}});
    PointStoreAt(own_votes_);
    co_return;
  }
}

Task<Result<std::vector<ManagedEtcd::State>>> ManagedEtcd::List() {
  store::EtcdOptions all = store_options();
  GANTRY_CO_ASSIGN(const std::vector<store::EtcdMember> members,
                   co_await store::ListEtcdMembers(env_, std::move(all)));
  std::vector<State> states;
  const std::vector<Peer> peers = PeersOf(members);
  for (size_t i = 0; i < peers.size(); ++i) {
    State& state = states.emplace_back();
    state.peer = peers[i];
    state.learner = members[i].learner;
    state.answers = co_await Answers(env_, access_, peers[i]);
  }
  std::ranges::sort(states, {}, [](const State& state) { return state.peer.name; });
  co_return states;
}

Task<Status> ManagedEtcd::Remove(std::string name) {
  store::EtcdOptions all = store_options();
  GANTRY_CO_ASSIGN(const std::vector<store::EtcdMember> members,
                   co_await store::ListEtcdMembers(env_, all));
  const auto member = std::ranges::find(members, name, &store::EtcdMember::name);
  if (member == members.end())
    co_return Status(Code::kNotFound, "there is no server \"" + name + "\"");
  if (members.size() == 1) {
    co_return Status(Code::kConflict,
                     "\"" + name + "\" is the only server, and cannot be taken out");
  }
  const SteadyTime end = env_.Steady() + kPatience;
  Status removed = co_await store::RemoveEtcdMember(env_, all, member->id);
  // For some seconds after members have come or gone etcd does not move on.
  while (removed.code() == Code::kUnavailable && env_.Steady() < end) {
    co_await SleepFor(env_, kBetweenTries, stopped_.token());
    removed = co_await store::RemoveEtcdMember(env_, all, member->id);
  }
  if (removed.ok()) log::Info("etcd", "a member was taken out", {{"name", name}});
  co_return removed;
}

}  // namespace gantry::cli
