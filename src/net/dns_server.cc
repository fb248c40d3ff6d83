#include "net/dns_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "net/dns/cluster_records.h"
#include "net/dns/responder.h"
#include "net/dns/watchdog.h"
#include "net/dns/zone.h"
#include "net/netlink/socket.h"

namespace gantry::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr size_t kBatch = 32;
constexpr size_t kPacketSize = 4096;
// So many batches in a row before others on the strand get their turn.
constexpr int kBatchesPerTurn = 8;
// As CoreDNS' forward plugin: more are refused.
constexpr int kMaxSlowQueries = 1000;
constexpr int kMaxConnections = 256;
constexpr Duration kConnectionIdle = std::chrono::seconds(10);
constexpr Duration kAcceptPause = std::chrono::milliseconds(50);
constexpr int kReceiveBuffer = 4 << 20;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress MakeAddress(const IpAddress& ip, uint16_t port) {
  SocketAddress address;
  if (ip.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, ip.bytes.data(), 4);
    address.size = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, ip.bytes.data(), 16);
    address.size = sizeof(*v6);
  }
  return address;
}

IpAddress IpOf(const sockaddr_storage& storage) {
  IpAddress ip;
  if (storage.ss_family == AF_INET) {
    ip.size = 4;
    std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, 4);
  } else if (storage.ss_family == AF_INET6) {
    ip.size = 16;
    std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, 16);
  }
  return ip;
}

// Bound, and for streams listening. The address may come to an interface later.
Result<UniqueFd> OpenSocket(const IpAddress& ip, uint16_t port, int type) {
  const std::string what = std::string(type == SOCK_DGRAM ? "UDP" : "TCP") + " port " +
                           std::to_string(port) + " of " + ip.ToString() + " for DNS";
  UniqueFd fd(socket(ip.is_v4() ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return FromErrno(errno, "open a socket for " + what);
  int one = 1;
  if (ip.is_v4()) {
    setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
  } else {
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one));
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
  }
  if (type == SOCK_STREAM) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (type == SOCK_DGRAM)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
  SocketAddress address = MakeAddress(ip, port);
  if (bind(fd.get(), address.raw(), address.size) != 0) {
    if (errno == EADDRINUSE)
      return Status(Code::kAlreadyExists, what + " is in use by another program");
    return FromErrno(errno, "bind " + what);
  }
  if (type == SOCK_STREAM && listen(fd.get(), 128) != 0)
    return FromErrno(errno, "listen on " + what);
  return fd;
}

dns::ZoneOptions MakeZoneOptions(const DnsOptions& options) {
  dns::ZoneOptions made;
  made.domain = options.domain;
  made.ttl = options.ttl_seconds;
  made.servers = options.addresses;
  return made;
}

dns::ForwarderOptions MakeForwarderOptions(const DnsOptions& options) {
  dns::ForwarderOptions made;
  made.resolv_conf = options.resolv_conf;
  made.port = options.upstream_port;
  made.ourselves = options.addresses;
  return made;
}

// Room for a batch of datagrams on their way in and out.
struct Datagrams {
  std::array<std::array<uint8_t, kPacketSize>, kBatch> bytes;
  std::array<SocketAddress, kBatch> from;
  std::array<iovec, kBatch> in_parts, out_parts;
  std::array<mmsghdr, kBatch> in, out;
  std::array<std::string, kBatch> replies;
};

}  // namespace

struct DnsServer::State {
  State(Env& env, client::InformerSet& informers, DnsOptions given)
      : env(env),
        options(std::move(given)),
        strand(env.MakeStrand()),
        records(informers),
        zone(records, MakeZoneOptions(options)),
        responder(env, zone, MakeForwarderOptions(options), options.namespace_of, counts) {}

  using Datagram = asio::posix::stream_descriptor;

  Task<> ServeUdp(std::shared_ptr<Datagram> socket);
  size_t Answer(const std::shared_ptr<Datagram>& socket, Datagrams& datagrams, size_t count);
  Task<> AnswerUdpSlowly(std::shared_ptr<Datagram> socket, SocketAddress to, dns::Query query);
  Task<> ServeTcp(std::shared_ptr<tcp::acceptor> acceptor);
  Task<> ServeConnection(std::shared_ptr<tcp::socket> socket);
  std::optional<dns::Query> Parse(std::span<const uint8_t> packet, std::string* refusal);

  Env& env;
  const DnsOptions options;
  Executor strand;
  dns::ClusterRecords records;
  const dns::Zone zone;
  dns::ResponderCounts counts;
  dns::Responder responder;
  CancelSource cancel;
  Gate gate;
  int slow_queries = 0;
  int connections = 0;
};

DnsServer::DnsServer(Env& env, client::InformerSet& informers, DnsOptions options)
    : state_(std::make_unique<State>(env, informers, std::move(options))) {}

DnsServer::~DnsServer() = default;

Task<Status> DnsServer::Start() {
  std::vector<std::shared_ptr<State::Datagram>> datagrams;
  std::vector<std::shared_ptr<tcp::acceptor>> acceptors;
  for (const IpAddress& ip : state_->options.addresses) {
    GANTRY_CO_ASSIGN(UniqueFd udp, OpenSocket(ip, state_->options.port, SOCK_DGRAM));
    GANTRY_CO_ASSIGN(UniqueFd stream, OpenSocket(ip, state_->options.port, SOCK_STREAM));
    datagrams.push_back(std::make_shared<State::Datagram>(state_->strand, udp.release()));
    acceptors.push_back(std::make_shared<tcp::acceptor>(
        state_->strand, ip.is_v4() ? tcp::v4() : tcp::v6(), stream.release()));
  }
  for (auto& socket : datagrams) {
    Spawn(state_->strand, state_->gate, "dns udp", state_->ServeUdp(std::move(socket)));
  }
  for (auto& acceptor : acceptors) {
    Spawn(state_->strand, state_->gate, "dns tcp", state_->ServeTcp(std::move(acceptor)));
  }
  co_return Status::Ok();
}

Task<> DnsServer::Stop() {
  state_->cancel.Cancel();
  co_await state_->gate.Close(state_->env);
}

DnsServer::Counts DnsServer::counts() const {
  Counts counts;
  counts.queries = state_->counts.queries;
  counts.forwarded = state_->counts.forwarded;
  counts.cache_hits = state_->counts.cache_hits;
  counts.dropped = state_->counts.dropped;
  return counts;
}

std::optional<dns::Query> DnsServer::State::Parse(std::span<const uint8_t> packet,
                                                  std::string* refusal) {
  dns::Rcode rcode;
  std::optional<dns::Query> query = dns::ParseQuery(packet, &rcode);
  if (!query) {
    ++counts.dropped;
    return std::nullopt;
  }
  if (rcode != dns::kNoError) {
    dns::Answer answer;
    answer.rcode = rcode;
    *refusal = dns::Write(*query, answer, dns::kPlainUdpSize);
  }
  return query;
}

// Fills in the replies that are ready; the others follow by themselves. How many are ready.
size_t DnsServer::State::Answer(const std::shared_ptr<Datagram>& socket, Datagrams& datagrams,
                                size_t count) {
  size_t ready = 0;
  for (size_t i = 0; i < count; ++i) {
    std::string reply;
    std::optional<dns::Query> query =
        Parse({datagrams.bytes[i].data(), datagrams.in[i].msg_len}, &reply);
    if (!query) continue;
    SocketAddress& from = datagrams.from[i];
    from.size = datagrams.in[i].msg_hdr.msg_namelen;
    if (reply.empty()) {
      std::optional<std::string> answer =
          responder.TryAnswer(*query, IpOf(from.storage), query->udp_size);
      if (answer) {
        reply = std::move(*answer);
      } else if (slow_queries >= kMaxSlowQueries) {
        dns::Answer refused;
        refused.rcode = dns::kRefused;
        reply = dns::Write(*query, refused, dns::kPlainUdpSize);
      } else {
        ++slow_queries;
        Spawn(strand, gate, "dns query", AnswerUdpSlowly(socket, from, std::move(*query)));
        continue;
      }
    }
    datagrams.replies[ready] = std::move(reply);
    datagrams.out_parts[ready] = {datagrams.replies[ready].data(), datagrams.replies[ready].size()};
    msghdr& header = datagrams.out[ready].msg_hdr;
    header = {};
    header.msg_name = &from.storage;
    header.msg_namelen = from.size;
    header.msg_iov = &datagrams.out_parts[ready];
    header.msg_iovlen = 1;
    ++ready;
  }
  return ready;
}

Task<> DnsServer::State::ServeUdp(std::shared_ptr<Datagram> socket) {
  dns::Watchdog<Datagram> watchdog(env, strand, socket, std::nullopt, cancel.token());
  auto datagrams = std::make_unique<Datagrams>();
  while (!cancel.token().cancelled()) {
    auto [error] = co_await socket->async_wait(Datagram::wait_read, kUse);
    if (error) co_return;
    for (int turn = 0; turn < kBatchesPerTurn; ++turn) {
      for (size_t i = 0; i < kBatch; ++i) {
        datagrams->in_parts[i] = {datagrams->bytes[i].data(), kPacketSize};
        msghdr& header = datagrams->in[i].msg_hdr;
        header = {};
        header.msg_name = &datagrams->from[i].storage;
        header.msg_namelen = sizeof(sockaddr_storage);
        header.msg_iov = &datagrams->in_parts[i];
        header.msg_iovlen = 1;
      }
      int got =
          recvmmsg(socket->native_handle(), datagrams->in.data(), kBatch, MSG_DONTWAIT, nullptr);
      if (got <= 0) break;
      size_t ready = Answer(socket, *datagrams, static_cast<size_t>(got));
      for (size_t sent = 0; sent < ready;) {
        int done = sendmmsg(socket->native_handle(), datagrams->out.data() + sent,
                            static_cast<unsigned>(ready - sent), MSG_DONTWAIT);
        // What cannot be sent is lost, as datagrams may be; the asker asks again.
        sent += done > 0 ? static_cast<size_t>(done) : 1;
      }
      if (static_cast<size_t>(got) < kBatch) break;
    }
  }
}

Task<> DnsServer::State::AnswerUdpSlowly(std::shared_ptr<Datagram> socket, SocketAddress to,
                                         dns::Query query) {
  const size_t limit = query.udp_size;
  IpAddress client = IpOf(to.storage);
  std::string reply =
      co_await responder.AnswerSlowly(std::move(query), client, limit, cancel.token());
  --slow_queries;
  if (!socket->is_open()) co_return;
  if (sendto(socket->native_handle(), reply.data(), reply.size(), MSG_DONTWAIT, to.raw(), to.size) <
      0) {
    ++counts.dropped;
  }
}

Task<> DnsServer::State::ServeTcp(std::shared_ptr<tcp::acceptor> acceptor) {
  dns::Watchdog<tcp::acceptor> watchdog(env, strand, acceptor, std::nullopt, cancel.token());
  while (!cancel.token().cancelled()) {
    auto socket = std::make_shared<tcp::socket>(strand);
    auto [error] = co_await acceptor->async_accept(*socket, kUse);
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {  // out of descriptors, most likely
      if (co_await SleepFor(env, kAcceptPause, cancel.token()) == Wake::kCanceled) co_return;
      continue;
    }
    if (connections >= kMaxConnections) continue;
    Spawn(strand, gate, "dns connection", ServeConnection(std::move(socket)));
  }
}

Task<> DnsServer::State::ServeConnection(std::shared_ptr<tcp::socket> socket) {
  ++connections;
  dns::Watchdog<tcp::socket> watchdog(env, strand, socket, env.Steady() + kConnectionIdle,
                                      cancel.token());
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof(peer);
  getpeername(socket->native_handle(), reinterpret_cast<sockaddr*>(&peer), &peer_size);
  const IpAddress client = IpOf(peer);
  std::vector<uint8_t> packet;
  while (true) {
    uint8_t length[2];
    auto length_buffer = asio::buffer(length);
    auto [length_error, length_got] = co_await asio::async_read(*socket, length_buffer, kUse);
    if (length_error) break;
    packet.resize(static_cast<size_t>(length[0]) << 8 | length[1]);
    auto packet_buffer = asio::buffer(packet);
    auto [read_error, got] = co_await asio::async_read(*socket, packet_buffer, kUse);
    if (read_error) break;
    std::string reply;
    std::optional<dns::Query> query = Parse(packet, &reply);
    if (!query) break;
    if (reply.empty()) {
      std::optional<std::string> answer = responder.TryAnswer(*query, client, dns::kMaxMessage);
      if (answer) {
        reply = std::move(*answer);
      } else {
        reply = co_await responder.AnswerSlowly(std::move(*query), client, dns::kMaxMessage,
                                                cancel.token());
      }
    }
    reply.insert(0, {static_cast<char>(reply.size() >> 8), static_cast<char>(reply.size())});
    watchdog.Extend(env.Steady() + kConnectionIdle);
    auto reply_buffer = asio::buffer(reply);
    auto [write_error, written] = co_await asio::async_write(*socket, reply_buffer, kUse);
    if (write_error) break;
  }
  --connections;
}

}  // namespace gantry::net
