#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry {

// An IPv4 or IPv6 address, in network byte order. Threading: a value.
struct IpAddress {
  uint8_t size = 0;  // 4 or 16; 0: none
  std::array<uint8_t, 16> bytes{};

  static std::optional<IpAddress> Parse(std::string_view text);
  static IpAddress V4(uint32_t host_order);

  bool is_v4() const { return size == 4; }
  bool is_v6() const { return size == 16; }
  explicit operator bool() const { return size != 0; }
  // 0.0.0.0, ::, or none at all.
  bool is_unspecified() const { return bytes == std::array<uint8_t, 16>{}; }
  uint32_t v4() const;  // host order
  std::span<const uint8_t> raw() const { return {bytes.data(), size}; }
  std::string ToString() const;
  auto operator<=>(const IpAddress&) const = default;
};

// A network, its host bits zero.
struct Cidr {
  IpAddress address;
  uint8_t prefix = 0;

  static Result<Cidr> Parse(std::string_view text);  // kInvalid; host bits are cleared

  bool Contains(const IpAddress& ip) const;
  bool Overlaps(const Cidr& other) const;
  // The address `offset` after the first one. For IPv6 it counts in the last eight bytes.
  IpAddress At(uint64_t offset) const;
  // How many addresses the network has; 2^63 stands for all larger numbers.
  uint64_t Size() const;
  std::string ToString() const;
  auto operator<=>(const Cidr&) const = default;
};

// Only this address, as a network.
Cidr HostCidr(const IpAddress& ip);
// All addresses of the family of `like`.
Cidr Everywhere(const IpAddress& like);

// An address or name as it stands in a URL: IPv6 in brackets.
std::string UrlHost(std::string_view address);

// The entries of a list such as "10.42.0.0/16,fd42::/56". kInvalid names the entry that is none.
Result<std::vector<Cidr>> ParseCidrs(std::string_view list);
Result<std::vector<IpAddress>> ParseAddresses(std::string_view list);

}  // namespace gantry
