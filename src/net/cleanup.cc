#include "net/cleanup.h"

#include <algorithm>

#include "net/cni/cni_network.h"
#include "net/names.h"
#include "net/netlink/route.h"
#include "net/nft/batch.h"
#include "net/overlay/overlay.h"

namespace gantry::net {
namespace {

Status DeleteTables(const InstanceNames& names) {
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  for (NftFamily family : {NftFamily::kIp, NftFamily::kIp6}) {
    GANTRY_ASSIGN(std::vector<std::string> tables, ListNftTables(socket, family));
    for (const std::string& table : {names.service_table, names.pod_table, names.policy_table}) {
      if (std::find(tables.begin(), tables.end(), table) == tables.end()) continue;
      NftBatch batch(family);
      batch.DeleteTable(table);
      GANTRY_TRY(batch.Commit(socket));
    }
  }
  return Status::Ok();
}

Status DeleteLinks(const InstanceNames& names) {
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  GANTRY_ASSIGN(std::vector<Link> links, route.Links());
  Status first;
  for (const Link& link : links) {
    if (link.name != names.bridge && !link.name.starts_with(names.veth_prefix)) continue;
    Status status = route.DeleteLink(link.name);
    if (first.ok()) first = status;
  }
  return first;
}

}  // namespace

Status CleanUpNetwork(const std::string& data_dir) {
  const InstanceNames names = InstanceNames::ForDataDir(data_dir);
  Status tables = DeleteTables(names);
  Status plugins = CniNetwork::CleanUp(data_dir);
  Status overlay = Overlay::CleanUp(data_dir);
  Status links = DeleteLinks(names);
  if (!tables.ok()) return tables;
  if (!plugins.ok()) return plugins;
  return overlay.ok() ? links : overlay;
}

}  // namespace gantry::net
