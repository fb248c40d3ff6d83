#include "cli/elected_control_plane.h"

#include <cstdlib>
#include <utility>

#include "base/log.h"

namespace gantry::cli {
namespace {

// Longer than a write to a store that does not answer takes to fail. What is under way by then has
// preconditions that keep it from undoing what another server does.
constexpr Duration kPatience = std::chrono::seconds(30);

client::LeaderOptions Named(client::LeaderOptions options, std::string identity) {
  options.name = "gantry-control-plane";
  options.identity = std::move(identity);
  return options;
}

}  // namespace

ElectedControlPlane::ElectedControlPlane(Env& env, client::Client& client, std::string identity,
                                         client::LeaderOptions options, Maker make)
    : env_(env),
      client_(client),
      make_(std::move(make)),
      elector_(env, client, Named(options, std::move(identity)),
               client::LeaderElector::Callbacks{[this] { changed_.Notify(); },
                                                [this] { changed_.Notify(); }, nullptr}) {}

void ElectedControlPlane::Start() {
  Spawn(env_.MakeStrand(), gate_, "control plane", Run());
  elector_.Start();
}

// What runs is stopped before the lease is let go.
Task<> ElectedControlPlane::Stop() {
  stopped_.Cancel();
  co_await gate_.Close(env_);
  co_await elector_.Stop();
}

Task<> ElectedControlPlane::Run() {
  const CancelToken stopped = stopped_.token();
  while (!stopped.cancelled()) {
    if (Leads()) {
      co_await RunWhileLeading();
    } else {
      co_await changed_.Wait(env_, stopped);
    }
  }
}

Task<> ElectedControlPlane::RunWhileLeading() {
  const CancelToken stopped = stopped_.token();
  client::InformerSet informers(env_, client_);
  Result<std::unique_ptr<ControlPlane>> plane = make_(informers);
  if (!plane.ok()) {
    log::Error("server", "the control plane cannot be started; stopping",
               {{"error", plane.status().message()}});
    std::_Exit(1);
  }
  (*plane)->Start();
  informers.Start();
  while (Leads() && !stopped.cancelled())
    co_await changed_.Wait(env_, stopped);
  // Another begins soon: who cannot stop ends as a whole.
  const auto too_late = env_.CallAt(env_.Steady() + kPatience, [this] {
    if (Leads()) return;
    log::Error("server", "lost the lease and cannot stop in time; stopping at once", {});
    std::_Exit(1);
  });
  co_await (*plane)->Stop();
  co_await informers.Stop();
}

Result<client::LeaderOptions> LeaseOf(const std::string& profile) {
  using std::chrono::milliseconds;
  struct Row {
    const char* profile;
    milliseconds lease, renew, retry;
  };
  constexpr Row kRows[] = {
      {"default", milliseconds(2000), milliseconds(1500), milliseconds(500)},
      {"fast", milliseconds(800), milliseconds(600), milliseconds(200)},
  };
  for (const Row& row : kRows) {
    if (profile != row.profile) continue;
    client::LeaderOptions options;
    options.lease_duration = row.lease;
    options.renew_deadline = row.renew;
    options.retry_period = row.retry;
    return options;
  }
  return BadRequest("--failover " + profile + " is not known; it is default or fast");
}

}  // namespace gantry::cli
