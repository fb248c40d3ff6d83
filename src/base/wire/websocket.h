#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/env/stream.h"
#include "base/status.h"

namespace gantry::wire {

enum class WebSocketRole : uint8_t { kServer, kClient };

enum class WebSocketOpcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

struct WebSocketMessage {
  WebSocketOpcode opcode = WebSocketOpcode::kBinary;
  std::string payload;
};

// Takes frames apart (RFC 6455) and joins fragments. Hostile input is safe. Threading: one at a
// time.
class WebSocketDecoder {
 public:
  WebSocketDecoder(WebSocketRole role, size_t max_message_bytes)
      : role_(role), limit_(max_message_bytes) {}

  void Feed(std::string_view bytes) { in_.append(bytes); }
  // The next whole message or control frame; nullopt when more bytes are needed. After an error the
  // connection cannot be used; close_code() is what to tell the other side.
  Result<std::optional<WebSocketMessage>> Next();
  uint16_t close_code() const { return close_code_; }

 private:
  Status Broken(uint16_t code, std::string why);

  WebSocketRole role_;
  size_t limit_;
  std::string in_;
  size_t at_ = 0;
  WebSocketMessage partial_;
  bool fragmented_ = false;
  uint16_t close_code_ = 1002;
};

// One frame. `mask` is what a client has to draw for each.
std::string EncodeWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                                 std::optional<uint32_t> mask = std::nullopt);

// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string WebSocketAccept(std::string_view key);
std::string Base64(std::string_view bytes);
// Standard alphabet, padded; nullopt when malformed.
std::optional<std::string> FromBase64(std::string_view text);

// Messages over a connection whose handshake is done. Threading: one strand; one reader, any number
// of writers.
class WebSocket {
 public:
  WebSocket(Env& env, std::unique_ptr<Stream> stream, WebSocketRole role,
            size_t max_message_bytes = 16 * 1024 * 1024);

  // The next text or binary message; nullopt when the other side has closed. Pings are answered
  // meanwhile.
  Task<Result<std::optional<WebSocketMessage>>> Read();
  Task<Status> Write(WebSocketOpcode opcode, std::string payload);
  // Says goodbye; the other side's answer is not waited for.
  Task<Status> SendClose(uint16_t code, std::string reason);
  void Close() { stream_->Close(); }
  Stream& stream() { return *stream_; }

 private:
  Task<Status> WriteFrame(std::string frame);
  std::string Frame(WebSocketOpcode opcode, std::string_view payload);

  Env& env_;
  std::unique_ptr<Stream> stream_;
  WebSocketRole role_;
  WebSocketDecoder decoder_;
  bool writing_ = false;
  bool close_sent_ = false;
  Notifier written_;
};

// The bytes of all binary messages as one stream.
std::unique_ptr<Stream> MakeWebSocketStream(std::unique_ptr<WebSocket> socket);

}  // namespace gantry::wire
