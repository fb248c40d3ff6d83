#include "common/raw_http2.h"

#include <boost/asio/post.hpp>

#include <algorithm>

namespace gantry::bench {
namespace {

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
};
constexpr uint8_t kAck = 1, kEndStream = 1, kEndHeaders = 4;
constexpr size_t kFrameHead = 9;
constexpr uint32_t kMaxWindow = 0x7fffffff;

void AppendNumber(std::string* out, uint32_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out->push_back(static_cast<char>(value >> shift));
}

uint32_t NumberAt(std::string_view text, size_t at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = value << 8 | static_cast<uint8_t>(text[at + i]);
  return value;
}

void AppendFrame(std::string* out, uint8_t type, uint8_t flags, uint32_t stream,
                 std::string_view payload) {
  AppendNumber(out, static_cast<uint32_t>(payload.size()), 3);
  AppendNumber(out, type, 1);
  AppendNumber(out, flags, 1);
  AppendNumber(out, stream, 4);
  out->append(payload);
}

// HPACK without the dynamic table: indexes of the static one, values as they are.
std::string RequestBlock(std::string_view target) {
  std::string block = "\x82\x87";  // :method GET, :scheme https
  const auto literal = [&](std::string_view name, std::string_view value) {
    block.append(name);
    block.push_back(static_cast<char>(value.size()));
    block.append(value);
  };
  literal("\x01", "127.0.0.1");             // :authority
  literal("\x04", target);                  // :path
  literal("\x0f\x04", "application/json");  // accept
  return block;
}

std::string Opening(std::string_view target, int streams) {
  std::string text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  std::string window;
  AppendNumber(&window, 4, 2);  // SETTINGS_INITIAL_WINDOW_SIZE
  AppendNumber(&window, kMaxWindow, 4);
  AppendFrame(&text, kSettings, 0, 0, window);
  std::string more;
  AppendNumber(&more, kMaxWindow - 65535, 4);
  AppendFrame(&text, kWindowUpdate, 0, 0, more);
  const std::string block = RequestBlock(target);
  for (int i = 0; i < streams; ++i)
    AppendFrame(&text, kHeaders, kEndStream | kEndHeaders, static_cast<uint32_t>(2 * i + 1), block);
  return text;
}

// Takes in one frame; appends to `reply` what it asks for.
void OnFrame(std::string_view head, std::string_view payload, Watched& watched, int* lines,
             std::string* reply) {
  const uint32_t type = NumberAt(head, 3, 1), flags = NumberAt(head, 4, 1);
  switch (type) {
    case kData:
      *lines += static_cast<int>(std::count(payload.begin(), payload.end(), '\n'));
      if ((flags & kEndStream) != 0) ++watched.broken;
      break;
    case kHeaders:
      // 0x88 is ":status 200".
      if (payload.empty() || payload[0] != '\x88' || (flags & kEndStream) != 0) {
        ++watched.broken;
      } else if (++watched.open >= watched.wanted) {
        watched.progress.Notify();
      }
      break;
    case kReset:
    case kGoAway:
      ++watched.broken;
      break;
    case kSettings:
    case kPing:
      if ((flags & kAck) == 0)
        AppendFrame(reply, static_cast<uint8_t>(type), kAck, 0, type == kPing ? payload : "");
      break;
    default:
      break;
  }
}

Task<Status> Exchange(Env& env, RawTarget server, std::string target, int streams, Watched& watched,
                      CancelToken cancel) {
  wire::DialOptions dial;
  dial.host = "127.0.0.1";
  dial.port = server.port;
  dial.tls = server.tls;
  GANTRY_CO_ASSIGN(std::shared_ptr<wire::Socket> socket, co_await wire::Dial(env, std::move(dial)));
  if (!socket->negotiated_http2()) co_return Unavailable("the server does not speak HTTP/2");
  const CancelToken::Registration close = cancel.OnCancel(
      [socket] { boost::asio::post(socket->executor(), [socket] { socket->Close(); }); });
  const std::unique_ptr<Stream> stream = wire::MakeStream(socket, "");
  const std::string opening = Opening(target, streams);
  GANTRY_CO_TRY(co_await stream->Write(opening));
  std::vector<char> buffer(32 * 1024);
  std::string text, reply;
  while (true) {
    GANTRY_CO_ASSIGN(const size_t got, co_await stream->Read(buffer));
    if (got == 0) co_return Unavailable("the server closed the connection");
    text.append(buffer.data(), got);
    const std::string_view all = text;
    size_t at = 0;
    int lines = 0;
    while (all.size() - at >= kFrameHead) {
      const size_t length = NumberAt(all, at, 3);
      if (all.size() - at < kFrameHead + length) break;
      OnFrame(all.substr(at, kFrameHead), all.substr(at + kFrameHead, length), watched, &lines,
              &reply);
      at += kFrameHead + length;
    }
    text.erase(0, at);
    if (lines > 0 && (watched.events += lines) >= watched.wanted) watched.progress.Notify();
    if (watched.broken > 0) watched.progress.Notify();
    if (!reply.empty()) GANTRY_CO_TRY(co_await stream->Write(reply));
    reply.clear();
  }
}

}  // namespace

Task<> RunWatches(Env& env, RawTarget server, std::string target, int streams, Watched& watched,
                  CancelToken cancel) {
  const Status ended =
      co_await Exchange(env, std::move(server), std::move(target), streams, watched, cancel);
  if (!ended.ok() && !cancel.cancelled()) {
    ++watched.broken;
    watched.progress.Notify();
  }
}

}  // namespace gantry::bench
