#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::net {

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
  // The address `offset` after the first one. IPv4 only.
  IpAddress At(uint32_t offset) const { return IpAddress::V4(address.v4() + offset); }
  // How many addresses an IPv4 network has.
  uint64_t Size() const { return uint64_t{1} << (32 - prefix); }
  std::string ToString() const;
  auto operator<=>(const Cidr&) const = default;
};

}  // namespace gantry::net
