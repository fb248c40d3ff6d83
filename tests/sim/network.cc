#include "sim/network.h"

#include <algorithm>

namespace gantry::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

HostId Network::AddHost(std::string name, std::function<std::shared_ptr<Process>()> listening) {
  Host& host = hosts_.emplace_back();
  host.name = std::move(name);
  host.listening = std::move(listening);
  return static_cast<HostId>(hosts_.size()) - 1;
}

void Network::Cut(HostId a, HostId b) {
  if (!cuts_.insert(Between(a, b)).second) return;
  std::vector<Followed> followed;
  followed.swap(followed_);
  for (Followed& entry : followed) {
    if (entry.connection.expired()) continue;
    if (entry.between == Between(a, b)) {
      auto break_it = [connection = entry.connection] {
        if (auto live = connection.lock())
          live->Break(Unavailable("http2: client connection lost"));
      };
      world_.After(NoticeSilence(), std::move(break_it));
    } else {
      followed_.push_back(std::move(entry));
    }
  }
}

std::optional<Duration> Network::Transit(HostId from, HostId to) {
  if (from == to) return milliseconds(0);
  if (IsCut(from, to)) return std::nullopt;
  if (lost_permille > 0 && world_.dice().Permille(lost_permille)) return std::nullopt;
  const int slowness = std::max(hosts_[from].slowness, hosts_[to].slowness);
  return world_.dice().Between(least_delay, most_delay) * slowness;
}

Duration Network::NoticeSilence() { return world_.dice().Between(milliseconds(200), seconds(20)); }

void Network::Follow(HostId a, HostId b, std::weak_ptr<Connection> connection) {
  constexpr size_t kSweepAt = 256;
  if (followed_.size() >= kSweepAt)
    std::erase_if(followed_, [](const Followed& entry) { return entry.connection.expired(); });
  followed_.push_back(Followed{Between(a, b), std::move(connection)});
}

}  // namespace gantry::sim
