#include "base/wire/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace gantry::wire {
namespace {

constexpr std::string_view kHandshakeGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kMaxControlBytes = 125;

bool IsControl(WebSocketOpcode opcode) { return static_cast<uint8_t>(opcode) >= 8; }

bool IsKnown(uint8_t opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

void ApplyMask(char* bytes, size_t count, const char* mask) {
  for (size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<char>(bytes[i] ^ mask[i % 4]);
}

uint64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (char c : bytes)
    value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

Status WebSocketDecoder::Broken(uint16_t code, std::string why) {
  close_code_ = code;
  return BadRequest("websocket: " + std::move(why));
}

Result<std::optional<WebSocketMessage>> WebSocketDecoder::Next() {
  while (true) {
    const std::string_view in = std::string_view(in_).substr(at_);
    if (in.size() < 2) break;
    const auto first = static_cast<uint8_t>(in[0]), second = static_cast<uint8_t>(in[1]);
    const bool final = first & 0x80, masked = second & 0x80;
    if (first & 0x70) return Broken(1002, "reserved bits are set");
    if (!IsKnown(first & 0x0f)) return Broken(1002, "unknown opcode");
    if (masked != (role_ == WebSocketRole::kServer)) return Broken(1002, "bad MASK");
    const auto opcode = static_cast<WebSocketOpcode>(first & 0x0f);
    uint64_t length = second & 0x7f;
    size_t head = 2;
    if (length >= 126) {
      const size_t extra = length == 126 ? 2 : 8;
      if (in.size() < 2 + extra) break;
      length = BigEndian(in.substr(2, extra));
      head += extra;
    }
    if (IsControl(opcode) && (!final || length > kMaxControlBytes))
      return Broken(1002, "bad control frame");
    if (!IsControl(opcode) && length + partial_.payload.size() > limit_)
      return Broken(1009, "message too big");
    if (masked) head += 4;
    if (in.size() < head || in.size() - head < length) break;
    const auto size = static_cast<size_t>(length);
    std::string payload(in.substr(head, size));
    if (masked) ApplyMask(payload.data(), size, in.data() + head - 4);
    at_ += head + size;
    if (at_ == in_.size()) in_.clear(), at_ = 0;

    if (IsControl(opcode)) return std::optional(WebSocketMessage{opcode, std::move(payload)});
    if ((opcode == WebSocketOpcode::kContinuation) != fragmented_) {
      return Broken(1002,
                    fragmented_ ? "a fragment is missing" : "continuation without a beginning");
    }
    if (!fragmented_) partial_.opcode = opcode;
    if (partial_.payload.empty()) {
      partial_.payload = std::move(payload);
    } else {
      partial_.payload += payload;
    }
    fragmented_ = !final;
    if (final) return std::optional(std::exchange(partial_, WebSocketMessage()));
  }
  if (at_ > 0) {
    in_.erase(0, at_);
    at_ = 0;
  }
  return std::optional<WebSocketMessage>();
}

std::string EncodeWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                                 std::optional<uint32_t> mask) {
  std::string out;
  out.reserve(payload.size() + 14);
  out += static_cast<char>(0x80 | static_cast<uint8_t>(opcode));
  const char mask_bit = mask ? static_cast<char>(0x80) : '\0';
  const size_t size = payload.size();
  if (size < 126) {
    out += static_cast<char>(mask_bit | static_cast<char>(size));
  } else {
    const int bytes = size < 65536 ? 2 : 8;
    out += static_cast<char>(mask_bit | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i)
      out += static_cast<char>(static_cast<uint64_t>(size) >> (8 * i));
  }
  char key[4] = {};
  if (mask) {
    std::memcpy(key, &*mask, sizeof key);
    out.append(key, sizeof key);
  }
  const size_t at = out.size();
  out += payload;
  if (mask) ApplyMask(out.data() + at, size, key);
  return out;
}

std::string Base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(length));
  return out;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  out.resize(static_cast<size_t>(length) - std::min<size_t>(padding, static_cast<size_t>(length)));
  return out;
}

std::string WebSocketAccept(std::string_view key) {
  const std::string text = std::string(key) + std::string(kHandshakeGuid);
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return Base64(std::string_view(reinterpret_cast<char*>(digest), sizeof digest));
}

WebSocket::WebSocket(Env& env, std::unique_ptr<Stream> stream, WebSocketRole role,
                     size_t max_message_bytes)
    : env_(env), stream_(std::move(stream)), role_(role), decoder_(role, max_message_bytes) {}

std::string WebSocket::Frame(WebSocketOpcode opcode, std::string_view payload) {
  std::optional<uint32_t> mask;
  if (role_ == WebSocketRole::kClient) mask = static_cast<uint32_t>(RandomUint64(env_));
  return EncodeWebSocketFrame(opcode, payload, mask);
}

Task<Status> WebSocket::WriteFrame(std::string frame) {
  while (writing_)
    co_await written_.Wait(env_);
  writing_ = true;
  Status sent = co_await stream_->Write(frame);
  writing_ = false;
  written_.Notify();
  co_return sent;
}

Task<Status> WebSocket::Write(WebSocketOpcode opcode, std::string payload) {
  co_return co_await WriteFrame(Frame(opcode, payload));
}

Task<Status> WebSocket::SendClose(uint16_t code, std::string reason) {
  if (std::exchange(close_sent_, true)) co_return Status::Ok();
  std::string payload = {static_cast<char>(code >> 8), static_cast<char>(code)};
  payload += reason.substr(0, kMaxControlBytes - 2);
  co_return co_await WriteFrame(Frame(WebSocketOpcode::kClose, payload));
}

Task<Result<std::optional<WebSocketMessage>>> WebSocket::Read() {
  while (true) {
    Result<std::optional<WebSocketMessage>> next = decoder_.Next();
    if (!next.ok()) {
      Status told = co_await SendClose(decoder_.close_code(), "");
      co_return next.status();
    }
    if (*next) {
      WebSocketMessage message = std::move(**next);
      if (message.opcode == WebSocketOpcode::kPing) {
        GANTRY_CO_TRY(co_await WriteFrame(Frame(WebSocketOpcode::kPong, message.payload)));
        continue;
      }
      if (message.opcode == WebSocketOpcode::kPong) continue;
      if (message.opcode == WebSocketOpcode::kClose) {
        Status told = co_await SendClose(1000, "");
        co_return std::optional<WebSocketMessage>();
      }
      co_return std::optional<WebSocketMessage>(std::move(message));
    }
    std::array<char, kReadBytes> buffer;
    GANTRY_CO_ASSIGN(const size_t got, co_await stream_->Read(buffer));
    if (got == 0) co_return Unavailable("websocket: close 1006 (abnormal closure): unexpected EOF");
    decoder_.Feed(std::string_view(buffer.data(), got));
  }
}

namespace {

class WebSocketStream : public Stream {
 public:
  explicit WebSocketStream(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}

  Task<Result<size_t>> Read(std::span<char> into) override {
    while (at_ == pending_.size()) {
      GANTRY_CO_ASSIGN(std::optional<WebSocketMessage> message, co_await socket_->Read());
      if (!message) co_return size_t{0};
      pending_ = std::move(message->payload);
      at_ = 0;
    }
    const size_t count = std::min(into.size(), pending_.size() - at_);
    std::memcpy(into.data(), pending_.data() + at_, count);
    at_ += count;
    co_return count;
  }

  Task<Status> Write(std::string_view bytes) override {
    co_return co_await socket_->Write(WebSocketOpcode::kBinary, std::string(bytes));
  }

  Task<Status> CloseWrite() override { co_return co_await socket_->SendClose(1000, ""); }

  void Close() override { socket_->Close(); }

 private:
  std::unique_ptr<WebSocket> socket_;
  std::string pending_;
  size_t at_ = 0;
};

}  // namespace

std::unique_ptr<Stream> MakeWebSocketStream(std::unique_ptr<WebSocket> socket) {
  return std::make_unique<WebSocketStream>(std::move(socket));
}

}  // namespace gantry::wire
