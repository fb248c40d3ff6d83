#pragma once

#include <absl/synchronization/mutex.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/spawn.h"
#include "base/status.h"
#include "cli/cluster_keys.h"
#include "cli/data_dir.h"
#include "cli/ha/etcd_invitation.h"
#include "cli/ha/etcd_process.h"
#include "cli/ha/membership.h"
#include "store/etcd/etcd_store.h"
#include "store/snapshot.h"

namespace gantry::cli {

inline constexpr char kEtcdMembersFile[] = "etcd/members";

struct ManagedEtcdOptions {
  ManagedEtcdOptions() = default;
  std::string name;                // of the member: the server's
  std::string address;             // at which the others reach it
  std::vector<std::string> names;  // all addresses and names of this machine, for the certificate
  uint16_t client_port = 2379;
  uint16_t peer_port = 2380;
  std::vector<std::string> join;  // servers to ask; empty: the first server of a cluster
  std::string token;              // to join with; empty: the one under the data directory
  ClusterSettings settings;
  bool force_new_cluster = false;  // the others are gone for good
  bool fast = false;               // --failover fast
};

// The machine's own member of the etcd that all servers of a cluster share: makes it or lets it
// join, watches over it, starts it again when it ends, and lets it come in anew, by way of the
// other members, when what it had on disk is lost or damaged. Keeps backups. All of it is below
// DIR/etcd:
//   members    who is a member, as this server knew it last
//   data/      etcd's own
//   data.old/  what could not be used any more, for a look
//   backups/   snapshots, the five latest, one every twelve hours
//   process, log, log.1    of the process (etcd_process.h)
//   *.crt, *.key           etcd_keys.h
//
// etcd outlives a server that is killed, and is taken up by the next one; Stop ends it.
// Life cycle: Open, Start, Stop. Threading: any thread.
class ManagedEtcd {
 public:
  // Whether there is one under a data directory, running or not; and how to come to it and the
  // others.
  static bool IsIn(const std::string& data_dir);
  static Result<store::EtcdOptions> AccessFrom(const std::string& data_dir);
  // Returns when this machine's member votes, or what keeps it from that in one line. A data
  // directory with objects in SQLite is moved to etcd.
  static Task<Result<std::unique_ptr<ManagedEtcd>>> Open(Env& env, const DataDir& dir,
                                                         ManagedEtcdOptions options);
  ~ManagedEtcd();  // ends it if Start was not called

  void Start();
  Task<> Stop();

  // Of the store: this machine's member first, then the others; follows them as they change.
  store::EtcdOptions store_options() const;

  // Lets another server in. kServiceUnavailable: not just now.
  Task<Result<Invitation>> Admit(InvitationRequest request);
  Task<Status> Remove(std::string name);
  struct State {
    State() = default;
    Peer peer;
    bool learner = false, answers = false;
  };
  Task<Result<std::vector<State>>> List();

 private:
  ManagedEtcd(Env& env, const DataDir& dir, ManagedEtcdOptions options);

  // managed_etcd_start.cc
  Task<Status> Begin();
  Status TakeKeys();
  Status BeginAlone();
  Task<Status> Join();
  Task<> Withdraw();
  Task<Status> Rejoin();
  Task<Status> ForceNewCluster();
  Task<Status> BringUp(int starts, CancelToken cancel);
  Task<Status> BecomeVoter(CancelToken cancel);
  Task<bool> WasRemoved();
  Task<Status> MoveFromSqlite();

  // managed_etcd_watch.cc
  Task<> Watch();
  Task<Status> Revive();
  Task<Status> Look();
  Task<> RemoveDeadLearners(std::vector<store::EtcdMember> members);
  Task<> BackUp();

  // managed_etcd_members.cc
  Task<> Await(uint64_t newcomer);

  // `initial_cluster`: where there is no data yet.
  Status StartProcess(const std::vector<Peer>& initial_cluster);
  std::vector<std::string> Arguments(const std::vector<Peer>& initial_cluster) const;
  bool HasData() const;
  Status NoMemberAnyMore() const;
  Peer Self() const;  // as it is to be; without its id
  Status SetMembership(Membership membership);
  Membership membership() const;
  void PointStoreAt(bool own);
  // How to come to this machine's member; to all others that are known.
  store::EtcdOptions Own() const;
  store::EtcdOptions Others() const;

  Env& env_;
  const DataDir& dir_;
  const ManagedEtcdOptions options_;
  const std::string directory_;
  store::EtcdOptions access_;
  std::shared_ptr<store::etcd::EndpointList> endpoints_;  // of the store
  EtcdProcess process_;
  std::atomic<bool> own_votes_ = false;
  bool started_ = false;
  int silent_ = 0;                         // looks at a member that does not answer
  std::map<uint64_t, int> dead_learners_;  // by id: looks
  CancelSource stopped_;
  Gate gate_;

  absl::Mutex file_mutex_;  // of DIR/etcd/members
  mutable absl::Mutex mutex_;
  Membership membership_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::cli
