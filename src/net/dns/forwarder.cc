#include "net/dns/forwarder.h"

#include <sys/stat.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "net/dns/watchdog.h"

namespace gantry::net::dns {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;

constexpr Duration kLookInterval = std::chrono::seconds(5);
constexpr int kRounds = 2;
constexpr uint16_t kUdpSize = 1232;
constexpr auto kUse = asio::as_tuple(asio::use_awaitable);

asio::ip::address AddressOf(const IpAddress& ip) {
  if (ip.is_v4()) return asio::ip::address_v4(ip.v4());
  asio::ip::address_v6::bytes_type bytes;
  std::copy(ip.bytes.begin(), ip.bytes.end(), bytes.begin());
  return asio::ip::address_v6(bytes);
}

Status NoAnswer(const IpAddress& server, const std::string& why) {
  return Unavailable("resolver " + server.ToString() + " does not answer: " + why);
}

}  // namespace

struct Forwarder::Flight {
  std::optional<Result<Packet>> result;
  Notifier done;
};

Forwarder::Forwarder(Env& env, ForwarderOptions options)
    : env_(env), options_(std::move(options)), cache_(options_.cache_entries) {}

void Forwarder::Reload() {
  SteadyTime now = env_.Steady();
  if (now < next_look_) return;
  next_look_ = now + kLookInterval;
  struct stat info{};
  if (stat(options_.resolv_conf.c_str(), &info) != 0) {
    conf_ = ResolvConf();
    conf_time_ns_ = -1;
    return;
  }
  int64_t changed = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (changed == conf_time_ns_) return;
  conf_time_ns_ = changed;
  std::stringstream text;
  text << std::ifstream(options_.resolv_conf).rdbuf();
  conf_ = ResolvConf::Parse(text.str());
  std::erase_if(conf_.servers, [this](const IpAddress& ip) {
    return std::find(options_.ourselves.begin(), options_.ourselves.end(), ip) !=
           options_.ourselves.end();
  });
  preferred_ = 0;
}

std::vector<std::string> Forwarder::Searches() {
  Reload();
  return conf_.searches;
}

std::optional<Packet> Forwarder::Cached(const WireName& name, uint16_t type, bool dnssec_ok) {
  return cache_.Find(name, type, dnssec_ok, env_.Steady());
}

Task<Result<Packet>> Forwarder::Ask(WireName name, uint16_t type, bool dnssec_ok,
                                    CancelToken cancel) {
  if (std::optional<Packet> known = Cached(name, type, dnssec_ok)) co_return std::move(*known);
  const std::string key = Cache::KeyOf(name, type, dnssec_ok);
  if (auto found = flights_.find(key); found != flights_.end()) {
    std::shared_ptr<Flight> flight = found->second;
    while (!flight->result) {
      Wake wake = co_await flight->done.Wait(env_, cancel);
      if (wake == Wake::kCanceled) co_return Canceled("the DNS server stops");
    }
    co_return *flight->result;
  }
  auto flight = std::make_shared<Flight>();
  flights_[key] = flight;
  Result<Packet> result = co_await AskServers(name, type, dnssec_ok, cancel);
  flight->result.emplace(result);
  flights_.erase(key);
  flight->done.Notify();
  if (result.ok()) cache_.Insert(name, type, dnssec_ok, *result, env_.Steady());
  co_return result;
}

Task<Result<Packet>> Forwarder::AskServers(WireName name, uint16_t type, bool dnssec_ok,
                                           CancelToken cancel) {
  Reload();
  const std::vector<IpAddress> servers = conf_.servers;
  Status failure = Unavailable("no resolver in " + options_.resolv_conf);
  std::optional<Packet> refusal;
  for (size_t attempt = 0; attempt < kRounds * servers.size() && !cancel.cancelled(); ++attempt) {
    const size_t index = (preferred_ + attempt) % servers.size();
    Result<Packet> answer = co_await AskUdp(servers[index], name, type, dnssec_ok, cancel);
    if (answer.ok() && answer->truncated()) {
      answer = co_await AskTcp(servers[index], name, type, dnssec_ok, cancel);
    }
    if (!answer.ok()) {
      failure = answer.status();
      continue;
    }
    if (answer->rcode == kServFail || answer->rcode == kRefused) {
      refusal = std::move(*answer);
      continue;
    }
    preferred_ = index;
    co_return answer;
  }
  if (refusal) co_return std::move(*refusal);
  co_return failure;
}

Task<Result<Packet>> Forwarder::AskUdp(IpAddress server, WireName name, uint16_t type,
                                       bool dnssec_ok, CancelToken cancel) {
  asio::any_io_executor strand = co_await asio::this_coro::executor;
  auto socket = std::make_shared<udp::socket>(strand);
  boost::system::error_code error;
  udp::endpoint to(AddressOf(server), options_.port);
  socket->open(to.protocol(), error);
  if (!error) socket->connect(to, error);
  if (error) co_return NoAnswer(server, error.message());
  Watchdog<udp::socket> watchdog(env_, strand, socket, env_.Steady() + options_.timeout, cancel);
  const uint16_t id = static_cast<uint16_t>(RandomUint64(env_));
  const std::string question = WriteQuery(id, name, type, dnssec_ok, kUdpSize);
  auto buffer = asio::buffer(question);
  auto [send_error, sent] = co_await socket->async_send(buffer, kUse);
  if (send_error) co_return NoAnswer(server, send_error.message());
  std::string reply(4096, '\0');
  while (true) {
    auto into = asio::buffer(reply);
    auto [receive_error, got] = co_await socket->async_receive(into, kUse);
    if (receive_error) {
      co_return NoAnswer(server, receive_error == asio::error::operation_aborted
                                     ? "timed out"
                                     : receive_error.message());
    }
    std::optional<Packet> packet = Packet::FromUpstream(reply.substr(0, got), id, name, type);
    // Something else that came to this port: the answer may still be under way.
    if (packet) co_return std::move(*packet);
  }
}

Task<Result<Packet>> Forwarder::AskTcp(IpAddress server, WireName name, uint16_t type,
                                       bool dnssec_ok, CancelToken cancel) {
  asio::any_io_executor strand = co_await asio::this_coro::executor;
  auto socket = std::make_shared<tcp::socket>(strand);
  Watchdog<tcp::socket> watchdog(env_, strand, socket, env_.Steady() + options_.timeout, cancel);
  tcp::endpoint to(AddressOf(server), options_.port);
  auto [connect_error] = co_await socket->async_connect(to, kUse);
  if (connect_error) co_return NoAnswer(server, connect_error.message());
  const uint16_t id = static_cast<uint16_t>(RandomUint64(env_));
  std::string question = WriteQuery(id, name, type, dnssec_ok, kUdpSize);
  question.insert(0, {static_cast<char>(question.size() >> 8), static_cast<char>(question.size())});
  auto out = asio::buffer(question);
  auto [write_error, written] = co_await asio::async_write(*socket, out, kUse);
  if (write_error) co_return NoAnswer(server, write_error.message());
  uint8_t length[2];
  auto length_buffer = asio::buffer(length);
  auto [length_error, got_length] = co_await asio::async_read(*socket, length_buffer, kUse);
  if (length_error) co_return NoAnswer(server, length_error.message());
  std::string reply(static_cast<size_t>(length[0]) << 8 | length[1], '\0');
  auto into = asio::buffer(reply);
  auto [read_error, got] = co_await asio::async_read(*socket, into, kUse);
  if (read_error) co_return NoAnswer(server, read_error.message());
  std::optional<Packet> packet = Packet::FromUpstream(std::move(reply), id, name, type);
  if (!packet) co_return NoAnswer(server, "malformed response");
  co_return std::move(*packet);
}

}  // namespace gantry::net::dns
