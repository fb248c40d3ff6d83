#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/status.h"
#include "cli/ha/membership.h"

namespace gantry::cli {

struct Admission {
  Admission() = default;
  uint64_t id = 0;          // of the new member
  std::vector<Peer> peers;  // all members, the new one with them
};

// Makes room for a member and adds it: one with the same name or place that does not
// answer any more (its machine lost its disk) is taken out first.
// kConflict: there is such a server, and it runs. kUnavailable: not just now (no majority, or
// another member is on its way in); worth another try.
Task<Result<Admission>> AdmitEtcdMember(Env& env, store::EtcdOptions etcd, Peer newcomer);

// Whether its etcd answers. `etcd`: how to come to members.
Task<bool> Answers(Env& env, store::EtcdOptions etcd, Peer peer);

// Where to find these members.
std::shared_ptr<store::etcd::EndpointList> EndpointsOf(const std::vector<Peer>& peers);

}  // namespace gantry::cli
