#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/status.h"
#include "store/etcd/etcd_store.h"

namespace gantry::store {

// Who makes up an etcd. Each question and change goes over a connection of its own. kUnavailable
// where nobody answers who has a majority behind him, also while one is being found (worth another
// try); kConflict where etcd will not have the change as things stand; kNotFound: there is no such
// member.

struct EtcdMember {
  EtcdMember() = default;
  uint64_t id = 0;
  std::string name;  // empty: has been added, and has not started yet
  std::vector<std::string> peer_urls, client_urls;
  bool learner = false;  // follows, and does not vote
};

Task<Result<std::vector<EtcdMember>>> ListEtcdMembers(Env& env, EtcdOptions options);

// One that follows until it is promoted; all members with it. At most one learner at a time.
struct AddedEtcdMember {
  AddedEtcdMember() = default;
  uint64_t id = 0;
  std::vector<EtcdMember> members;
};
Task<Result<AddedEtcdMember>> AddEtcdLearner(Env& env, EtcdOptions options, std::string peer_url);

// kConflict while it has not caught up, or when it votes already.
Task<Status> PromoteEtcdMember(Env& env, EtcdOptions options, uint64_t id);
// Its etcd ends by itself when it hears of it.
Task<Status> RemoveEtcdMember(Env& env, EtcdOptions options, uint64_t id);
Task<Status> MoveEtcdMember(Env& env, EtcdOptions options, uint64_t id, std::string peer_url);

// The etcd at the other end, by itself.
struct EtcdHealth {
  EtcdHealth() = default;
  uint64_t id = 0;          // 0: it has no leader and says no more
  bool has_leader = false;  // it belongs to a majority
  bool learner = false;
};
// kUnavailable: it does not run.
Task<Result<EtcdHealth>> PingEtcd(Env& env, EtcdOptions options, Duration timeout);

}  // namespace gantry::store
