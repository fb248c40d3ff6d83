#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/env/spawn.h"
#include "cli/control_plane.h"
#include "client/leader.h"

namespace gantry::cli {

// The control plane of one of several servers: it runs while this server holds the lease
// "gantry-control-plane", with informers of its own, so that the others spend nothing on it. When
// the lease is lost everything is stopped at once, before another server's wait is over; only what
// is being written at that moment is waited for, and where that does not end, the process does.
// Life cycle: Start, Stop (which lets the next one in at once).
class ElectedControlPlane {
 public:
  using Maker = std::function<Result<std::unique_ptr<ControlPlane>>(client::InformerSet&)>;

  // `client` reads for the informers and keeps the lease; all outlive it. `options`: how long a
  // lease is; name and identity are filled in.
  ElectedControlPlane(Env& env, client::Client& client, std::string identity,
                      client::LeaderOptions options, Maker make);

  void Start();
  Task<> Stop();

 private:
  Task<> Run();
  Task<> RunWhileLeading();
  bool Leads() const { return elector_.leads(); }

  Env& env_;
  client::Client& client_;
  const Maker make_;
  CancelSource stopped_;
  Gate gate_;
  Notifier changed_;
  client::LeaderElector elector_;
};

// The lease of a profile (--failover): another server takes over within 3 s, or within about 1 s
// at the price of more writes. kBadRequest for others.
Result<client::LeaderOptions> LeaseOf(const std::string& profile);

}  // namespace gantry::cli
