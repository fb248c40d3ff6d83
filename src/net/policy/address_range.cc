#include "net/policy/address_range.h"

#include <algorithm>

namespace gantry::net {
namespace {

std::optional<IpAddress> Previous(IpAddress ip) {
  for (int i = ip.size - 1; i >= 0; --i) {
    if (ip.bytes[static_cast<size_t>(i)]-- != 0) return ip;
  }
  return std::nullopt;
}

}  // namespace

std::optional<IpAddress> Next(const IpAddress& ip) {
  IpAddress next = ip;
  for (int i = next.size - 1; i >= 0; --i) {
    if (++next.bytes[static_cast<size_t>(i)] != 0) return next;
  }
  return std::nullopt;
}

AddressRange AddressRange::Of(const Cidr& cidr) {
  AddressRange range{cidr.address, cidr.address};
  for (unsigned bit = cidr.prefix; bit < cidr.address.size * 8u; ++bit)
    range.last.bytes[bit / 8] |= static_cast<uint8_t>(0x80u >> (bit % 8));
  return range;
}

std::vector<AddressRange> Subtract(const AddressRange& whole, std::vector<AddressRange> holes) {
  std::vector<AddressRange> left;
  std::optional<IpAddress> next = whole.first;
  for (const AddressRange& hole : Merge(std::move(holes))) {
    if (hole.first.size != whole.first.size || hole.last < *next || hole.first > whole.last)
      continue;
    if (hole.first > *next) left.push_back({*next, *Previous(hole.first)});
    next = Next(hole.last);
    if (!next || *next > whole.last) return left;
  }
  left.push_back({*next, whole.last});
  return left;
}

std::vector<AddressRange> Merge(std::vector<AddressRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<AddressRange> merged;
  for (const AddressRange& range : ranges) {
    if (!merged.empty() && merged.back().first.size == range.first.size) {
      const std::optional<IpAddress> after = Next(merged.back().last);
      if (!after || range.first <= *after) {
        merged.back().last = std::max(merged.back().last, range.last);
        continue;
      }
    }
    merged.push_back(range);
  }
  return merged;
}

}  // namespace gantry::net
