#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/status.h"
#include "net/dns/cache.h"
#include "net/dns/resolv_conf.h"
#include "net/dns/wire.h"
#include "net/ip.h"

namespace gantry::net::dns {

struct ForwarderOptions {
  ForwarderOptions() = default;
  std::string resolv_conf = "/etc/resolv.conf";
  uint16_t port = 53;
  std::vector<IpAddress> ourselves;  // never asked: a resolv.conf that leads back to us would loop
  size_t cache_entries = 10'000;
  Duration timeout = std::chrono::seconds(2);  // for one attempt
};

// Asks the resolvers of the machine on behalf of pods, and remembers what they said. Equal
// questions at the same time are asked once. A resolver that does not answer is passed over for the
// next one. Replies must come from the asked address to the port of the question (a new one each
// time) with its random id. Threading: one strand, that of the server.
class Forwarder {
 public:
  Forwarder(Env& env, ForwarderOptions options);

  // Without waiting; nullopt when it would have to ask.
  std::optional<Packet> Cached(const WireName& name, uint16_t type, bool dnssec_ok);
  // kUnavailable when no resolver answers, or there is none.
  Task<Result<Packet>> Ask(WireName name, uint16_t type, bool dnssec_ok, CancelToken cancel);

  // The machine's search domains.
  std::vector<std::string> Searches();

 private:
  struct Flight;

  void Reload();
  Task<Result<Packet>> AskServers(WireName name, uint16_t type, bool dnssec_ok, CancelToken cancel);
  Task<Result<Packet>> AskUdp(IpAddress server, WireName name, uint16_t type, bool dnssec_ok,
                              CancelToken cancel);
  Task<Result<Packet>> AskTcp(IpAddress server, WireName name, uint16_t type, bool dnssec_ok,
                              CancelToken cancel);

  Env& env_;
  const ForwarderOptions options_;
  Cache cache_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;
  ResolvConf conf_;
  SteadyTime next_look_{};
  int64_t conf_time_ns_ = -1;
  size_t preferred_ = 0;  // the server that answered last
};

}  // namespace gantry::net::dns
