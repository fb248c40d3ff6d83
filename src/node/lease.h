#pragma once

#include <optional>
#include <string>

#include "api/coordination/v1/lease.pb.h"
#include "api/object.h"
#include "base/env/env.h"
#include "base/status.h"
#include "client/client.h"

namespace gantry::node {

// How often a node says that it lives, and for how long it is believed.
struct LeaseTimes {
  Duration renew = std::chrono::seconds(10);
  Duration duration = std::chrono::seconds(40);  // whole seconds
  bool operator==(const LeaseTimes&) const = default;
};

// The node's Lease in kube-node-lease. When it was last renewed is also written to a file that
// survives the process, but no reboot. Threading: one strand.
class NodeLease {
 public:
  // `env` and `client` outlive it.
  NodeLease(Env& env, client::Client& client, std::string node_name, std::string record);

  // Writes the lease anew, as owned by the node with this uid.
  Task<Status> Renew(std::string node_uid);

  // When the last renewal that was granted had been asked for, by this process or the one before.
  std::optional<SteadyTime> renewed() const { return renewed_; }

  const LeaseTimes& times() const { return times_; }
  // What the lease said when it was last renewed.
  const LeaseTimes& granted() const { return granted_; }
  void SetTimes(LeaseTimes times) { times_ = times; }

 private:
  Env& env_;
  client::Client& client_;
  const std::string node_name_;
  const std::string record_;
  LeaseTimes times_, granted_;
  std::optional<SteadyTime> renewed_;
  api::Ref<api::coordination::v1::Lease> lease_;  // as it was last seen
};

}  // namespace gantry::node
