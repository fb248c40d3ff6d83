#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace gantry {

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

bool Cidr::Overlaps(const Cidr& other) const {
  return Contains(other.address) || other.Contains(address);
}

IpAddress Cidr::At(uint64_t offset) const {
  IpAddress ip = address;
  // Schoolbook addition from the last byte on; it stops short of the network's first eight.
  const int first = ip.is_v4() ? 0 : 8;
  for (int i = ip.size - 1; i >= first && offset > 0; --i) {
    offset += ip.bytes[i];
    ip.bytes[i] = static_cast<uint8_t>(offset);
    offset >>= 8;
  }
  return ip;
}

uint64_t Cidr::Size() const {
  return uint64_t{1} << std::min<unsigned>(63, address.size * 8u - prefix);
}

std::string Cidr::ToString() const { return address.ToString() + "/" + std::to_string(prefix); }

std::string UrlHost(std::string_view address) {
  const std::string text(address);
  return text.find(':') == std::string::npos ? text : "[" + text + "]";
}

Cidr HostCidr(const IpAddress& ip) {
  Cidr cidr;
  cidr.address = ip;
  cidr.prefix = static_cast<uint8_t>(ip.size * 8);
  return cidr;
}

Cidr Everywhere(const IpAddress& like) {
  Cidr cidr;
  cidr.address.size = like.size;
  return cidr;
}

namespace {

template <class Each>
Status ForEachEntry(std::string_view list, Each each) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    GANTRY_TRY(each(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return Status::Ok();
}

}  // namespace

Result<std::vector<Cidr>> ParseCidrs(std::string_view list) {
  std::vector<Cidr> cidrs;
  GANTRY_TRY(ForEachEntry(list, [&](std::string_view text) -> Status {
    GANTRY_ASSIGN(Cidr cidr, Cidr::Parse(text));
    cidrs.push_back(cidr);
    return Status::Ok();
  }));
  return cidrs;
}

Result<std::vector<IpAddress>> ParseAddresses(std::string_view list) {
  std::vector<IpAddress> addresses;
  GANTRY_TRY(ForEachEntry(list, [&](std::string_view text) -> Status {
    std::optional<IpAddress> ip = IpAddress::Parse(text);
    if (!ip) return Status(Code::kInvalid, "\"" + std::string(text) + "\" is not an IP address");
    addresses.push_back(*ip);
    return Status::Ok();
  }));
  return addresses;
}

}  // namespace gantry
