#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/netlink/route.h"
#include "net/overlay/plan.h"
#include "net/overlay/settings.h"

namespace gantry::net {

// One node's part of the network between nodes, in the kernel: the tunnel device with its peers, or
// the routes. Nothing is learned from packets, and nothing is needed to keep it going: it stays
// when the process ends, and the next one changes only what is different. Threading: one call at a
// time; calls block for some microseconds per change.
class Overlay {
 public:
  struct Options {
    Options() = default;
    OverlaySettings settings;
    InstanceNames names;
    std::string node_name;
    IpAddress underlay;       // this node's address among the nodes
    std::string routes_file;  // records the routes that are not a device's own
  };
  explicit Overlay(Options options);

  // Makes the kernel hold the plan, by difference. `own_cidrs`: this node's, whose first addresses
  // are on the node already; `mtu`: what a pod may send. After a failure the next call looks at
  // what is really there. One peer's failure does not keep the others.
  Status Apply(const OverlayPlan& plan, const std::vector<Cidr>& own_cidrs, uint32_t mtu);

  // Where an instance's routes are on record.
  static std::string RoutesFile(const std::string& data_dir);
  // Removes what an instance left, whatever its mode was.
  static Status CleanUp(const std::string& data_dir);

 private:
  // What is in the kernel.
  struct Installed {
    int link = 0;  // the tunnel device
    std::map<Cidr, Route> routes;
    std::map<IpAddress, MacAddress> neighbours;
    std::map<MacAddress, IpAddress> forwarding;
  };

  Status ApplyNow(RouteSocket& route, const OverlayPlan& plan, const std::vector<Cidr>& own_cidrs,
                  uint32_t mtu);
  Status EnsureDevice(RouteSocket& route, const std::vector<Cidr>& own_cidrs, uint32_t mtu);
  Status ReadInstalled(RouteSocket& route);
  Result<std::map<Cidr, Route>> WantedRoutes(RouteSocket& route, const OverlayPlan& plan,
                                             const std::vector<Cidr>& own_cidrs, Status* failed);
  bool tunnels() const { return options_.settings.mode == OverlayMode::kVxlan; }

  const Options options_;
  std::optional<Installed> installed_;
};

}  // namespace gantry::net
