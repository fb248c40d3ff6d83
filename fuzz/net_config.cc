#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "net/cni/config.h"
#include "net/dns/resolv_conf.h"

// What the node reads about its network from files, flags and the answers of CNI plug-ins.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry;  // NOLINT: one program for many parsers
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (auto config = net::cni::NetworkConfig::Parse(text); config.ok()) {
    auto again = net::cni::NetworkConfig::Parse(config->ToString());
    if (!again.ok() || again->name != config->name ||
        again->plugins.size() != config->plugins.size())
      abort();
  }
  if (auto result = api::JsonValue::Parse(text); result.ok())
    (void)net::cni::AddressesOf(*result).ok();
  for (const IpAddress& server : net::dns::ResolvConf::Parse(text).servers) {
    if (IpAddress::Parse(server.ToString()) != server) abort();
  }
  if (auto networks = ParseCidrs(text); networks.ok()) {
    for (const Cidr& network : *networks) {
      if (!network.Contains(network.address)) abort();
      auto again = Cidr::Parse(network.ToString());
      if (!again.ok() || *again != network) abort();
    }
  }
  return 0;
}
