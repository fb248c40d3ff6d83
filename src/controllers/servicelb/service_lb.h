#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// The load balancer of a cluster that has none: a LoadBalancer service gets the addresses of the
// ready nodes, on which the service proxies of the nodes answer its ports. With
// externalTrafficPolicy Local only nodes with endpoints, with loadBalancerIP only the node that has
// that address; never nodes with the label node.kubernetes.io/exclude-from-external-load-balancers.
// One port of an address belongs to one service: the one that has it, else the oldest; the API
// servers' own ports to nobody. Services with a loadBalancerClass other than ours are left alone,
// and those without one unless `without_class`.
std::unique_ptr<client::Reconciler> MakeServiceLbController(bool without_class = true);

inline constexpr char kServiceLbClass[] = "gantry.dev/node-addresses";

}  // namespace gantry::controllers
