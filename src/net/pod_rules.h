#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/address_pool.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/nft/batch.h"

namespace gantry::net {

// The nf_tables table of the pod network: host ports, masquerade of traffic that leaves the
// cluster, and of pods that reach themselves. Threading: one call at a time; calls block for well
// under a millisecond.
class PodRules {
 public:
  PodRules(InstanceNames names, std::vector<Cidr> cluster_cidrs);

  // Replaces the table, whatever a predecessor left in it, in one step. `pod_cidr`: this node's.
  Status Replace(const std::optional<Cidr>& pod_cidr, std::span<const PodRecord> pods);
  // kAlreadyExists when another pod has one of the host ports.
  Status Add(const PodRecord& pod);
  Status Remove(const PodRecord& pod);

 private:
  InstanceNames names_;
  std::vector<Cidr> cluster_cidrs_;
};

}  // namespace gantry::net
