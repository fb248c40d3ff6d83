#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/address_pool.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/nft/batch.h"

namespace gantry::net {

// The nf_tables table of the pod network in one family: host ports, masquerade of traffic that
// leaves the cluster, and of pods that reach themselves. Threading: one call at a time; calls block
// for well under a millisecond.
class PodRules {
 public:
  // Of `cluster_cidrs`, those of the family count.
  PodRules(NftFamily family, InstanceNames names, std::vector<Cidr> cluster_cidrs);

  NftFamily family() const { return family_; }

  // Replaces the table, whatever a predecessor left in it, in one step. `pod_cidrs`: this node's.
  Status Replace(std::span<const Cidr> pod_cidrs, std::span<const PodRecord> pods);
  // kAlreadyExists when another pod has one of the host ports.
  Status Add(const PodRecord& pod);
  Status Remove(const PodRecord& pod);

 private:
  void AddGuard(NftBatch* batch) const;
  void AddMasquerade(NftBatch* batch, std::span<const Cidr> pod_cidrs) const;

  NftFamily family_;
  InstanceNames names_;
  std::vector<Cidr> cluster_cidrs_;
};

}  // namespace gantry::net
