#include "controllers/nodeipam/subnets.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>

namespace gantry::controllers {
namespace {

// One bit is kept for each subnet. The limit for IPv6 is that of kube-controller-manager.
constexpr int kMostBitsV4 = 24, kMostBitsV6 = 16;

}  // namespace

std::optional<Subnets::Network> Subnets::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string address(text.substr(0, slash));
  std::array<uint8_t, 16> bytes{};
  Network network;
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    network.bits = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    network.bits = 128;
  } else {
    return std::nullopt;
  }
  const char* end = text.data() + text.size();
  auto [parsed, error] = std::from_chars(text.data() + slash + 1, end, network.prefix);
  if (error != std::errc() || parsed != end || network.prefix < 0 || network.prefix > network.bits)
    return std::nullopt;
  for (int i = 0; i < network.bits / 8; ++i)
    network.first = network.first << 8 | bytes[static_cast<size_t>(i)];
  const int host_bits = network.bits - network.prefix;
  network.first = host_bits == 128 ? 0 : network.first >> host_bits << host_bits;
  return network;
}

std::string Subnets::Format(Number first, int prefix, int bits) {
  std::array<uint8_t, 16> bytes{};
  for (int i = bits / 8 - 1; i >= 0; --i, first >>= 8)
    bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(first);
  char text[INET6_ADDRSTRLEN];
  inet_ntop(bits == 32 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return std::string(text) + "/" + std::to_string(prefix);
}

Subnets::Number Subnets::LastOf(const Network& network) {
  const int host_bits = network.bits - network.prefix;
  const Number size_less_one = host_bits == 128 ? ~Number{0} : (Number{1} << host_bits) - 1;
  return network.first + size_less_one;
}

Result<Subnets> Subnets::Cut(const std::string& range, int subnet_prefix) {
  const std::optional<Network> parsed = Parse(range);
  if (!parsed) {
    return BadRequest("cluster CIDR \"" + range + "\" is not a network such as 10.42.0.0/16");
  }
  if (subnet_prefix < parsed->prefix || subnet_prefix > parsed->bits) {
    return BadRequest("cluster CIDR " + range + " has no room for a /" +
                      std::to_string(subnet_prefix) + " for each node");
  }
  const int index_bits = subnet_prefix - parsed->prefix;
  const int most = parsed->bits == 32 ? kMostBitsV4 : kMostBitsV6;
  if (index_bits > most) {
    return BadRequest("cluster CIDR " + range + " has more than 2^" + std::to_string(most) +
                      " subnets with the node's mask of /" + std::to_string(subnet_prefix) +
                      "; the node CIDR size is too big");
  }
  Subnets subnets;
  subnets.range_ = *parsed;
  subnets.bits_ = parsed->bits;
  subnets.subnet_prefix_ = subnet_prefix;
  subnets.taken_.resize(size_t{1} << index_bits);
  return subnets;
}

void Subnets::Take(std::string_view text) {
  const std::optional<Network> network = Parse(text);
  if (!network || network->bits != bits_) return;
  const Number last = LastOf(*network);
  if (last < range_.first || network->first > LastOf(range_)) return;
  const int shift = bits_ - subnet_prefix_;
  auto index = [&](Number address) {
    // A subnet of the whole address space would be shifted by all of its bits.
    return shift == 128 ? size_t{0} : static_cast<size_t>((address - range_.first) >> shift);
  };
  const size_t begin = network->first <= range_.first ? 0 : index(network->first);
  const size_t end = index(std::min(last, LastOf(range_)));
  for (size_t i = begin; i <= end && i < taken_.size(); ++i)
    taken_[i] = true;
}

std::optional<std::string> Subnets::Next() {
  while (next_ < taken_.size() && taken_[next_])
    ++next_;
  if (next_ == taken_.size()) return std::nullopt;
  taken_[next_] = true;
  const int shift = bits_ - subnet_prefix_;
  const Number offset = shift == 128 ? Number{0} : Number{next_} << shift;
  return Format(range_.first + offset, subnet_prefix_, bits_);
}

}  // namespace gantry::controllers
