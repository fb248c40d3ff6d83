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
  return veth_prefix + Hex(ip.v4(), 8);
}

std::array<uint8_t, 6> MacOf(const IpAddress& ip) {
  return {0x0a, 0x58, ip.bytes[0], ip.bytes[1], ip.bytes[2], ip.bytes[3]};
}

}  // namespace gantry::net
