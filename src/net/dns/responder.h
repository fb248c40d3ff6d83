#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "net/dns/forwarder.h"
#include "net/dns/wire.h"
#include "net/dns/zone.h"
#include "net/ip.h"

namespace gantry::net::dns {

struct ResponderCounts {
  std::atomic<uint64_t> queries{0}, forwarded{0}, cache_hits{0}, dropped{0};
};

// Turns a query into its answer: the cluster's zone, the cache, or upstream. Threading: one strand.
class Responder {
 public:
  using NamespaceOf = std::function<std::string(const IpAddress& pod_ip)>;

  // `zone` and `counts` outlive the responder.
  Responder(Env& env, const Zone& zone, ForwarderOptions forwarder, NamespaceOf namespace_of,
            ResponderCounts& counts);

  // The whole response when nobody needs to be asked. `limit`: the most bytes it may have.
  std::optional<std::string> TryAnswer(const Query& query, const IpAddress& client, size_t limit);
  // The response, after asking.
  Task<std::string> AnswerSlowly(Query query, IpAddress client, size_t limit, CancelToken cancel);

 private:
  // A name on the first search domain of the pod that asks, and not the cluster's: what is left of
  // it without that domain. Else empty.
  WireName BareName(const Query& query, const IpAddress& client) const;
  // Appends what `name` stands for, following aliases.
  Task<Rcode> Append(WireName name, uint16_t type, Answer* answer, CancelToken cancel);
  // Walks the rest of the pod's search domains for it. nullopt: nothing found.
  Task<std::optional<Answer>> Search(WireName bare, uint16_t type, CancelToken cancel);

  const Zone& zone_;
  Forwarder forwarder_;
  const NamespaceOf namespace_of_;
  ResponderCounts& counts_;
  uint32_t rotation_ = 0;
};

}  // namespace gantry::net::dns
