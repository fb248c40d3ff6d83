#include "net/testing/dns_upstream.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/dns/wire.h"

namespace gantry::net::testing {

DnsUpstream::DnsUpstream(const std::string& ip, uint16_t port)
    : udp_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
      tcp_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  for (const UniqueFd* fd : {&udp_, &tcp_}) {
    GANTRY_CHECK(bind(fd->get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0,
                 "bind");
  }
  GANTRY_CHECK(listen(tcp_.get(), 16) == 0, "listen");
  thread_ = std::thread([this] { Serve(); });
}

DnsUpstream::~DnsUpstream() {
  uint64_t one = 1;
  GANTRY_CHECK(write(stop_.get(), &one, sizeof(one)) == sizeof(one), "stop an upstream");
  thread_.join();
}

std::string DnsUpstream::Answer(const std::string& packet, bool tcp) {
  if (!tcp) ++queries_;
  dns::Rcode rcode;
  auto query =
      dns::ParseQuery({reinterpret_cast<const uint8_t*>(packet.data()), packet.size()}, &rcode);
  GANTRY_CHECK(query.has_value() && rcode == dns::kNoError, "a well-formed query");
  dns::Answer answer;
  const std::string name = dns::ToText(query->name);
  if (name == "www.example.com") {
    if (query->type == dns::kA)
      answer.answers.push_back(dns::AddressRecord(*IpAddress::Parse("192.0.2.80"), 3600));
  } else if (name == "big.example.com") {
    for (uint32_t i = 0; i < 100; ++i)
      answer.answers.push_back(dns::AddressRecord(IpAddress::V4(0xc0000200 + i), 60));
  } else {
    answer.rcode = dns::kNxDomain;
    std::string data =
        dns::ToWire("a.test") + dns::ToWire("b.test") + std::string(19, '\0') + "\x40";
    answer.authority.emplace_back(dns::kSoa, 60, data, dns::ToWire("."));
  }
  return dns::Write(*query, answer, tcp ? dns::kMaxMessage : query->udp_size);
}

void DnsUpstream::Serve() {
  while (true) {
    pollfd polled[3] = {{udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(polled, 3, -1);
    if (polled[2].revents != 0) return;
    std::string buffer(4096, '\0');
    if (polled[0].revents != 0) {
      sockaddr_in peer{};
      socklen_t size = sizeof(peer);
      ssize_t got = recvfrom(udp_.get(), buffer.data(), buffer.size(), 0,
                             reinterpret_cast<sockaddr*>(&peer), &size);
      if (got < 0) continue;
      std::string reply = Answer(buffer.substr(0, static_cast<size_t>(got)), false);
      sendto(udp_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
    }
    if (polled[1].revents != 0) {
      UniqueFd connection(accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      ssize_t got = recv(connection.get(), buffer.data(), buffer.size(), 0);
      if (got < 3) continue;
      std::string reply = Answer(buffer.substr(2, static_cast<size_t>(got) - 2), true);
      reply.insert(0, {static_cast<char>(reply.size() >> 8), static_cast<char>(reply.size())});
      send(connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    }
  }
}

}  // namespace gantry::net::testing
