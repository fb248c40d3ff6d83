#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "apiserver/streams/negotiate.h"
#include "apiserver/streams/serve.h"
#include "apiserver/streams/spdy_connection.h"
#include "base/env/spawn.h"
#include "base/wire/websocket.h"

namespace gantry::apiserver::streams {
namespace {

constexpr std::string_view kForward = "portforward.k8s.io";
constexpr std::string_view kForwardTunnel = "SPDY/3.1+portforward.k8s.io";
constexpr std::array<std::string_view, 4> kWebSocketProtocols = {
    kForwardTunnel, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""};
constexpr std::array<std::string_view, 2> kSpdyProtocols = {kForward, ""};

constexpr size_t kReadBytes = 32 * 1024;
// Bytes of one connection that may wait for a slow pod before the client has to wait too.
constexpr size_t kInboxBytes = 1024 * 1024;
constexpr size_t kMaxConnections = 1024;
constexpr size_t kMaxPorts = 64;

// One forwarded connection. Threading: the strand of the client's connection.
struct Pair {
  uint32_t data_id = 0;
  uint32_t error_id = 0;
  uint16_t port = 0;

  // From the client.
  std::deque<std::string> inbox;
  size_t inbox_bytes = 0;
  bool inbox_ended = false;
  bool aborted = false;
  Notifier arrived;
  Notifier taken;

  std::shared_ptr<Stream> pod;
};
using PairPtr = std::shared_ptr<Pair>;

// How one protocol answers for its pairs.
class ForwardWire {
 public:
  virtual ~ForwardWire() = default;
  virtual Task<Status> SendData(PairPtr pair, std::string bytes) = 0;
  // The pod will send no more.
  virtual Task<Status> EndData(PairPtr pair) = 0;
  virtual Task<Status> SendError(PairPtr pair, std::string text) = 0;
  // The pair is done; nothing is sent for it any more.
  virtual Task<Status> End(PairPtr pair) = 0;
};

// What all pairs of one client share. Outlives their coroutines.
struct Forwarder {
  Forwarder(Env& env, ForwardTarget target, ForwardWire& wire)
      : env(env), target(std::move(target)), wire(wire) {}
  Env& env;
  ForwardTarget target;
  ForwardWire& wire;
  std::set<PairPtr> running;
  Notifier ended;  // a pair has
  Gate gate;
};

void Abort(Pair& pair) {
  pair.aborted = true;
  pair.inbox_ended = true;
  if (pair.pod) pair.pod->Close();
  pair.arrived.Notify();
  pair.taken.Notify();
}

Task<> PodToClient(Forwarder& forwarder, PairPtr pair) {
  std::array<char, kReadBytes> buffer;
  Status outcome;
  while (outcome.ok()) {
    Result<size_t> got = co_await pair->pod->Read(buffer);
    if (!got.ok()) outcome = got.status();
    if (!got.ok() || *got == 0) break;
    outcome = co_await forwarder.wire.SendData(pair, std::string(buffer.data(), *got));
  }
  if (outcome.ok()) outcome = co_await forwarder.wire.EndData(pair);
  // A client cannot tell a half-closed connection from one that stays open, so the pod's end ends
  // it, as in kubelet.
  pair->inbox_ended = true;
  pair->arrived.Notify();
}

Task<> ClientToPod(Forwarder& forwarder, PairPtr pair) {
  while (!pair->aborted) {
    if (pair->inbox.empty()) {
      if (pair->inbox_ended) break;
      co_await pair->arrived.Wait(forwarder.env);
      continue;
    }
    const std::string bytes = std::move(pair->inbox.front());
    pair->inbox.pop_front();
    Status sent = co_await pair->pod->Write(bytes);
    pair->inbox_bytes -= bytes.size();
    pair->taken.Notify();
    if (!sent.ok()) {
      Abort(*pair);
      co_return;
    }
  }
  if (!pair->aborted) Status ended = co_await pair->pod->CloseWrite();
}

Task<> RunPair(Forwarder& forwarder, PairPtr pair) {
  const ForwardTarget& target = forwarder.target;
  Result<std::unique_ptr<Stream>> pod =
      co_await target.node->PortForward(target.ns, target.pod, target.uid, pair->port);
  if (!pod.ok()) {
    std::string text = "error forwarding port " + std::to_string(pair->port) + " to pod " +
                       target.pod + ", uid " + target.uid + ": " + pod.status().message();
    Status told = co_await forwarder.wire.SendError(pair, std::move(text));
    if (told.ok()) told = co_await forwarder.wire.EndData(pair);
    Abort(*pair);
  } else {
    pair->pod = std::move(*pod);
    if (pair->aborted) pair->pod->Close();
    Gate gate;
    const Executor strand = co_await boost::asio::this_coro::executor;
    Spawn(strand, gate, "port-forward to pod", ClientToPod(forwarder, pair));
    co_await PodToClient(forwarder, pair);
    co_await gate.Close(forwarder.env);
    pair->pod->Close();
  }
  Status ended = co_await forwarder.wire.End(pair);
  Abort(*pair);
  forwarder.running.erase(pair);
  forwarder.ended.Notify();
}

void Start(Forwarder& forwarder, const Executor& strand, const PairPtr& pair) {
  forwarder.running.insert(pair);
  Spawn(strand, forwarder.gate, "port-forward", RunPair(forwarder, pair));
}

// Hands bytes to the pair; waits while too many are waiting there already.
Task<> Deliver(Env& env, PairPtr pair, std::string bytes) {
  if (bytes.empty() || pair->inbox_ended) co_return;
  pair->inbox_bytes += bytes.size();
  pair->inbox.push_back(std::move(bytes));
  pair->arrived.Notify();
  while (pair->inbox_bytes > kInboxBytes && !pair->aborted)
    co_await pair->taken.Wait(env);
}

Task<> EndAll(Forwarder& forwarder) {
  for (const PairPtr& pair : std::set<PairPtr>(forwarder.running))
    Abort(*pair);
  co_await forwarder.gate.Close(forwarder.env);
}

// Decimal, 1 to 65535; 0 otherwise.
uint16_t ParsePort(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() ? port : 0;
}

// SPDY: the client opens two streams for each connection.
class SpdyForward : public ForwardWire {
 public:
  SpdyForward(Env& env, std::unique_ptr<Stream> stream, ForwardTarget target)
      : env_(env), connection_(env, std::move(stream)), forwarder_(env, std::move(target), *this) {}

  Task<> Run() {
    strand_ = co_await boost::asio::this_coro::executor;
    while (true) {
      Result<std::optional<SpdyFrame>> frame = co_await connection_.Read();
      if (!frame.ok() || !*frame) break;
      co_await Take(std::move(**frame));
    }
    connection_.Close();
    co_await EndAll(forwarder_);
  }

  Task<Status> SendData(PairPtr pair, std::string bytes) override {
    co_return co_await connection_.Data(pair->data_id, std::move(bytes), false);
  }
  Task<Status> EndData(PairPtr pair) override {
    co_return co_await connection_.Data(pair->data_id, "", true);
  }
  Task<Status> SendError(PairPtr pair, std::string text) override {
    co_return co_await connection_.Data(pair->error_id, std::move(text), false);
  }
  Task<Status> End(PairPtr pair) override {
    by_stream_.erase(pair->data_id);
    by_stream_.erase(pair->error_id);
    co_return co_await connection_.Data(pair->error_id, "", true);
  }

 private:
  Task<> Take(SpdyFrame frame) {
    if (frame.type == SpdyType::kSynStream) {
      co_await Open(std::move(frame));
      co_return;
    }
    auto it = by_stream_.find(frame.stream_id);
    if (it == by_stream_.end()) co_return;
    const PairPtr pair = it->second;
    const bool is_data = frame.stream_id == pair->data_id;
    if (frame.type == SpdyType::kReset) {
      if (is_data) Abort(*pair);
    } else if (frame.type == SpdyType::kData && is_data) {
      co_await Deliver(env_, pair, std::move(frame.data));
      if (frame.fin) {
        pair->inbox_ended = true;
        pair->arrived.Notify();
      }
    }
  }

  Task<> Open(SpdyFrame frame) {
    std::string type, request_id;
    uint16_t port = 0;
    for (const auto& [name, value] : frame.headers) {
      if (name == "streamtype") type = value;
      if (name == "requestid") request_id = value;
      if (name == "port") port = ParsePort(value);
    }
    const bool is_data = type == "data";
    // Clients from before request ids open the error stream first and the data stream right after
    // it.
    if (request_id.empty())
      request_id = "#" + std::to_string(is_data ? frame.stream_id - 2 : frame.stream_id);
    if (port == 0 || (!is_data && type != "error") || by_stream_.size() >= 2 * kMaxConnections) {
      constexpr uint32_t kRefusedStream = 3;
      Status told = co_await connection_.Reset(frame.stream_id, kRefusedStream);
      co_return;
    }
    Status told = co_await connection_.SynReply(frame.stream_id);
    PairPtr& pair = incomplete_[request_id];
    if (!pair) pair = std::make_shared<Pair>();
    pair->port = port;
    (is_data ? pair->data_id : pair->error_id) = frame.stream_id;
    by_stream_[frame.stream_id] = pair;
    if (pair->data_id == 0 || pair->error_id == 0) co_return;
    const PairPtr complete = pair;
    incomplete_.erase(request_id);
    Start(forwarder_, strand_, complete);
  }

  Env& env_;
  SpdyConnection connection_;
  Forwarder forwarder_;
  Executor strand_;
  std::map<std::string, PairPtr> incomplete_;  // by request id
  std::map<uint32_t, PairPtr> by_stream_;
};

// Plain WebSocket: the ports stand in the query, and each has two channels from the beginning.
class WebSocketForward : public ForwardWire {
 public:
  WebSocketForward(Env& env, std::unique_ptr<Stream> stream, ForwardTarget target,
                   std::vector<uint16_t> ports, bool base64)
      : env_(env),
        socket_(env, std::move(stream), wire::WebSocketRole::kServer),
        forwarder_(env, std::move(target), *this),
        base64_(base64) {
    for (size_t i = 0; i < ports.size(); ++i) {
      auto pair = std::make_shared<Pair>();
      pair->data_id = static_cast<uint32_t>(2 * i);
      pair->error_id = static_cast<uint32_t>(2 * i + 1);
      pair->port = ports[i];
      pairs_.push_back(std::move(pair));
    }
  }

  Task<> Run() {
    const Executor strand = co_await boost::asio::this_coro::executor;
    for (const PairPtr& pair : pairs_) {
      const std::string port = {static_cast<char>(pair->port & 0xff),
                                static_cast<char>(pair->port >> 8)};
      for (uint32_t channel : {pair->data_id, pair->error_id})
        Status told = co_await Send(channel, port);
    }
    for (const PairPtr& pair : pairs_)
      Start(forwarder_, strand, pair);
    while (true) {
      Result<std::optional<wire::WebSocketMessage>> message = co_await socket_.Read();
      if (!message.ok() || !*message) break;
      co_await Take(std::move((*message)->payload));
    }
    socket_.Close();
    co_await EndAll(forwarder_);
  }

  Task<Status> SendData(PairPtr pair, std::string bytes) override {
    co_return co_await Send(pair->data_id, std::move(bytes));
  }
  Task<Status> EndData(PairPtr) override { co_return Status::Ok(); }
  Task<Status> SendError(PairPtr pair, std::string text) override {
    co_return co_await Send(pair->error_id, std::move(text));
  }
  Task<Status> End(PairPtr) override {
    if (++ended_ < pairs_.size()) co_return Status::Ok();
    co_return co_await socket_.SendClose(1000, "");
  }

 private:
  Task<> Take(std::string payload) {
    if (payload.empty()) co_return;
    auto channel = static_cast<uint8_t>(payload[0]);
    std::string bytes = payload.substr(1);
    if (base64_) {
      std::optional<std::string> plain = wire::FromBase64(bytes);
      if (!plain) co_return;
      channel = static_cast<uint8_t>(channel - '0');
      bytes = std::move(*plain);
    }
    if (channel % 2 != 0 || channel / 2 >= pairs_.size()) co_return;
    co_await Deliver(env_, pairs_[channel / 2], std::move(bytes));
  }

  Task<Status> Send(uint32_t channel, std::string bytes) {
    std::string payload(1, static_cast<char>(base64_ ? '0' + channel : channel));
    payload += base64_ ? wire::Base64(bytes) : bytes;
    co_return co_await socket_.Write(
        base64_ ? wire::WebSocketOpcode::kText : wire::WebSocketOpcode::kBinary,
        std::move(payload));
  }

  Env& env_;
  wire::WebSocket socket_;
  Forwarder forwarder_;
  std::vector<PairPtr> pairs_;
  size_t ended_ = 0;
  bool base64_;
};

Task<> RunSpdy(Env& env, std::unique_ptr<Stream> stream, ForwardTarget target) {
  SpdyForward forward(env, std::move(stream), std::move(target));
  co_await forward.Run();
}

Task<> RunWebSocket(Env& env, std::unique_ptr<Stream> stream, ForwardTarget target,
                    std::vector<uint16_t> ports, bool base64) {
  WebSocketForward forward(env, std::move(stream), std::move(target), std::move(ports), base64);
  co_await forward.Run();
}

Result<std::vector<uint16_t>> PortsOf(std::string_view query) {
  std::vector<uint16_t> ports;
  while (!query.empty()) {
    const size_t end = query.find('&');
    std::string_view item = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (!item.starts_with("ports=")) continue;
    item.remove_prefix(6);
    while (true) {
      const size_t comma = std::min(item.find(','), item.find("%2C"));
      const uint16_t port = ParsePort(item.substr(0, comma));
      if (port == 0) return BadRequest("port must be a number between 1 and 65535");
      ports.push_back(port);
      if (comma == std::string_view::npos) break;
      item.remove_prefix(comma + (item[comma] == ',' ? 1 : 3));
    }
  }
  if (ports.empty()) return BadRequest("query parameter \"ports\" is required");
  if (ports.size() > kMaxPorts) return BadRequest("too many ports");
  return ports;
}

}  // namespace

Result<Response> ServePortForward(Env& env, const Request& request, ForwardTarget target) {
  GANTRY_TRY(CheckUpgrade(request));
  if (UpgradeOf(request) == UpgradeKind::kSpdy) {
    GANTRY_ASSIGN(Upgrade upgrade, UpgradeSpdy(request, kSpdyProtocols));
    upgrade.response.upgrade = [&env, target](std::unique_ptr<Stream> stream) {
      return RunSpdy(env, std::move(stream), target);
    };
    return std::move(upgrade.response);
  }
  GANTRY_ASSIGN(Upgrade upgrade, UpgradeWebSocket(request, kWebSocketProtocols));
  if (upgrade.protocol == kForwardTunnel) {
    upgrade.response.upgrade = [&env, target](std::unique_ptr<Stream> stream) {
      auto socket =
          std::make_unique<wire::WebSocket>(env, std::move(stream), wire::WebSocketRole::kServer);
      return RunSpdy(env, wire::MakeWebSocketStream(std::move(socket)), target);
    };
    return std::move(upgrade.response);
  }
  GANTRY_ASSIGN(std::vector<uint16_t> ports, PortsOf(request.query));
  const bool base64 = upgrade.protocol.find("base64") != std::string::npos;
  upgrade.response.upgrade = [&env, target, ports, base64](std::unique_ptr<Stream> stream) {
    return RunWebSocket(env, std::move(stream), target, ports, base64);
  };
  return std::move(upgrade.response);
}

}  // namespace gantry::apiserver::streams
