#pragma once

#include <vector>

#include "net/ip.h"

namespace gantry::net {

// Neighbouring addresses of one family, both ends included. Threading: a value.
struct AddressRange {
  IpAddress first, last;

  static AddressRange Of(const Cidr& cidr);
  auto operator<=>(const AddressRange&) const = default;
};

// The address that follows; none after the last one of its family.
std::optional<IpAddress> Next(const IpAddress& ip);

// What is left of `whole` without `holes`. Sorted, disjoint.
std::vector<AddressRange> Subtract(const AddressRange& whole, std::vector<AddressRange> holes);
// All of them, sorted, disjoint and not touching.
std::vector<AddressRange> Merge(std::vector<AddressRange> ranges);

}  // namespace gantry::net
