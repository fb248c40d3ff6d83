#include "net/names.h"

#include <filesystem>
#include <system_error>

namespace gantry::net {
namespace {

std::string Hex(uint64_t value, int digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(static_cast<size_t>(digits), '0');
  for (int i = digits - 1; i >= 0; --i, value >>= 4)
    text[static_cast<size_t>(i)] = kDigits[value & 15];
  return text;
}

// FNV-1a: the names must stay the same for ever.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (char c : text)
    hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return hash;
}

}  // namespace

InstanceNames InstanceNames::ForDataDir(std::string_view data_dir) {
  std::error_code error;
  std::filesystem::path path =
      std::filesystem::weakly_canonical(std::filesystem::path(data_dir), error);
  std::string canonical = error ? std::string(data_dir) : path.string();
  while (canonical.size() > 1 && canonical.back() == '/')
    canonical.pop_back();
  uint64_t hash = Hash(canonical);
  hash ^= hash >> 32;
  InstanceNames names;
  names.id = Hex(hash, 8);
  names.bridge = "gantry-" + names.id;
  names.overlay = "gvxlan-" + names.id;
  names.veth_prefix = "v" + names.id.substr(0, 6);
  names.pod_table = "gantry-" + names.id + "-pods";
  names.service_table = "gantry-" + names.id;
  names.policy_table = "gantry-" + names.id + "-policy";
  names.bridge_mac = {0x0a, 0x59};
  for (size_t i = 0; i < 4; ++i)
    names.bridge_mac[2 + i] = static_cast<uint8_t>(hash >> (24 - 8 * i));
  return names;
}

std::string InstanceNames::VethOf(const IpAddress& ip) const {
  return veth_prefix + Hex(TailOf(ip), 8);
}

std::array<uint8_t, 6> MacOf(const IpAddress& ip) {
  const uint32_t tail = TailOf(ip);
  return {0x0a,
          0x58,
          static_cast<uint8_t>(tail >> 24),
          static_cast<uint8_t>(tail >> 16),
          static_cast<uint8_t>(tail >> 8),
          static_cast<uint8_t>(tail)};
}

std::array<uint8_t, 6> MacOfNode(std::string_view node_name) {
  const uint64_t hash = Hash(node_name);
  std::array<uint8_t, 6> mac;
  for (size_t i = 0; i < mac.size(); ++i)
    mac[i] = static_cast<uint8_t>(hash >> (8 * i));
  mac[0] = static_cast<uint8_t>((mac[0] & 0xfc) | 0x02);  // one device's, given by hand
  return mac;
}

uint32_t TailOf(const IpAddress& ip) {
  const uint8_t* tail = ip.bytes.data() + ip.size - 4;
  return uint32_t{tail[0]} << 24 | uint32_t{tail[1]} << 16 | uint32_t{tail[2]} << 8 | tail[3];
}

}  // namespace gantry::net
