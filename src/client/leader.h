#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/env/spawn.h"
#include "client/client.h"

namespace gantry::client {

struct LeaderOptions {
  LeaderOptions() = default;

  std::string ns = "kube-system";
  std::string name;                                    // of the Lease
  std::string identity;                                // of this candidate, unlike any other's
  Duration lease_duration = std::chrono::seconds(15);  // that others wait before they take over
  Duration renew_deadline =
      std::chrono::seconds(10);  // after which a leader who cannot renew gives up
  Duration retry_period = std::chrono::seconds(2);
  bool release_on_stop = true;  // lets the next one in at once
};

// At most one of several candidates leads at a time, by a Lease of coordination.k8s.io/v1, as
// client-go's leader election has it: whether the lease ran out is judged by this candidate's own
// clock, from when it saw the last renewal. A candidate asks for nothing while another leads: it
// follows the lease by a watch and comes when it has run out. Leases shorter than the API's whole
// seconds are written in full into an annotation. Life cycle: Start, Stop. Threading: any thread;
// the callbacks run one at a time on a strand.
class LeaderElector {
 public:
  struct Callbacks {
    std::function<void()> on_started_leading;
    // Also on Stop when it led. Whoever cannot stop its work at once must end the process.
    std::function<void()> on_stopped_leading;
    std::function<void(const std::string& identity)> on_new_leader;  // may be null
  };

  // References outlive it.
  LeaderElector(Env& env, Client& client, LeaderOptions options, Callbacks callbacks);
  ~LeaderElector();

  void Start();
  Task<> Stop();

  bool leads() const;
  // Empty while unknown.
  std::string leader() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::client
