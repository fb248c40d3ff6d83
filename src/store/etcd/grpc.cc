#include "store/etcd/grpc.h"

#include <charconv>

namespace gantry::store::etcd {
namespace {

constexpr size_t kPrefix = 5;  // a byte that says "compressed", four of length
constexpr size_t kMaxMessage = size_t{1} << 30;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string PercentDecoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
                        HexDigit(text[i + 2]) >= 0;
    out += escape ? static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return out;
}

}  // namespace

std::string Frame(std::string_view message) {
  const auto size = static_cast<uint32_t>(message.size());
  std::string out;
  out.reserve(kPrefix + message.size());
  out += '\0';
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(size >> shift & 0xff);
  out.append(message);
  return out;
}

Result<std::optional<std::string>> Deframer::Next() {
  const std::string_view rest = std::string_view(in_).substr(at_);
  if (rest.size() < kPrefix) return std::optional<std::string>();
  if (rest[0] != 0) return DataLoss("a compressed message, which nobody asked for");
  size_t size = 0;
  for (size_t i = 1; i < kPrefix; ++i)
    size = size << 8 | static_cast<uint8_t>(rest[i]);
  if (size > kMaxMessage) return DataLoss("a message of " + std::to_string(size) + " bytes");
  if (rest.size() < kPrefix + size) return std::optional<std::string>();
  std::optional<std::string> message(rest.substr(kPrefix, size));
  at_ += kPrefix + size;
  if (at_ == in_.size()) {
    std::string().swap(in_);
    at_ = 0;
  } else if (at_ > in_.size() / 2) {
    in_.erase(0, at_);
    at_ = 0;
  }
  return message;
}

std::optional<GrpcStatus> ReadGrpcStatus(const wire::Headers& fields) {
  if (!fields.Has("grpc-status")) return std::nullopt;
  const std::string_view code = fields.Get("grpc-status");
  int number = 2;
  std::from_chars(code.data(), code.data() + code.size(), number);
  GrpcStatus status;
  status.code = static_cast<GrpcCode>(number);
  status.message = PercentDecoded(fields.Get("grpc-message"));
  return status;
}

}  // namespace gantry::store::etcd
