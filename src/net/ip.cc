#include "net/ip.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace gantry::net {

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof(buffer)) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = 0;
  IpAddress ip;
  if (inet_pton(AF_INET, buffer, ip.bytes.data()) == 1) {
    ip.size = 4;
  } else if (inet_pton(AF_INET6, buffer, ip.bytes.data()) == 1) {
    ip.size = 16;
  } else {
    return std::nullopt;
  }
  return ip;
}

IpAddress IpAddress::V4(uint32_t host_order) {
  IpAddress ip;
  ip.size = 4;
  for (int i = 0; i < 4; ++i)
    ip.bytes[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return ip;
}

uint32_t IpAddress::v4() const {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

std::string IpAddress::ToString() const {
  if (size == 0) return "";
  char buffer[INET6_ADDRSTRLEN];
  return inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes.data(), buffer, sizeof(buffer));
}

Result<Cidr> Cidr::Parse(std::string_view text) {
  const Status invalid(Code::kInvalid,
                       "\"" + std::string(text) + "\" is not a network such as 10.42.0.0/16");
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return invalid;
  std::optional<IpAddress> ip = IpAddress::Parse(text.substr(0, slash));
  if (!ip) return invalid;
  std::string_view digits = text.substr(slash + 1);
  unsigned prefix = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (error != std::errc() || end != digits.data() + digits.size() || prefix > ip->size * 8u)
    return invalid;
  Cidr cidr;
  cidr.address = *ip;
  cidr.prefix = static_cast<uint8_t>(prefix);
  for (unsigned bit = prefix; bit < ip->size * 8u; ++bit) {
    cidr.address.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
  }
  return cidr;
}

bool Cidr::Contains(const IpAddress& ip) const {
  if (ip.size != address.size) return false;
  for (unsigned bit = 0; bit < prefix; ++bit) {
    if ((ip.bytes[bit / 8] ^ address.bytes[bit / 8]) & (0x80u >> (bit % 8))) return false;
  }
  return true;
}

std::string Cidr::ToString() const { return address.ToString() + "/" + std::to_string(prefix); }

}  // namespace gantry::net
