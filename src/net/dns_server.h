#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/status.h"
#include "client/informer.h"
#include "net/ip.h"

namespace gantry::net {

struct DnsOptions {
  DnsOptions() = default;
  std::vector<IpAddress> addresses;  // to listen on: the cluster DNS address
  uint16_t port = 53;
  std::string domain = "cluster.local";
  uint32_t ttl_seconds = 30;
  std::string resolv_conf = "/etc/resolv.conf";  // who is asked for other names
  uint16_t upstream_port = 53;
  // The namespace of the pod with an address, "" where that is nobody's here. With it, a name that
  // is not the cluster's is answered on the first of the pod's search domains. Called on the
  // server's strand: it must not wait. May be empty.
  std::function<std::string(const IpAddress& pod_ip)> namespace_of;
};

// Cluster DNS: Services and endpoints from the informers, all other names from the machine's
// resolvers, with a cache. UDP and TCP. Addresses need not be on an interface yet when it starts.
// Life cycle: made before informers.Start(); Start, then Stop. Threading: any thread.
class DnsServer {
 public:
  // `env` and `informers` outlive the server.
  DnsServer(Env& env, client::InformerSet& informers, DnsOptions options);
  ~DnsServer();

  // kAlreadyExists when another program has the port.
  Task<Status> Start();
  Task<> Stop();

  struct Counts {
    uint64_t queries = 0, forwarded = 0, cache_hits = 0, dropped = 0;
  };
  Counts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::net
