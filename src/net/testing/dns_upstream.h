#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "net/netlink/socket.h"

namespace gantry::net::testing {

// A resolver that knows www.example.com (192.0.2.80) and big.example.com (100 addresses; over UDP
// only that it is too long). Everything else is NXDOMAIN. UDP and TCP, in the namespace of the
// calling thread, until destroyed.
class DnsUpstream {
 public:
  DnsUpstream(const std::string& ip, uint16_t port);
  ~DnsUpstream();
  int queries() const { return queries_; }

 private:
  void Serve();
  std::string Answer(const std::string& packet, bool tcp);

  UniqueFd udp_, tcp_, stop_;
  std::atomic<int> queries_{0};
  std::thread thread_;
};

}  // namespace gantry::net::testing
