#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "base/status.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/nft/batch.h"
#include "net/policy/ruleset.h"

namespace gantry::net {

// A ruleset in nf_tables: a table for each IP family that has pods to guard, else none, so that a
// node without policies pays nothing.
//
//   egress (forward, input): client -> goto the chain of that pod's policies
//   ingress (forward, after egress): server -> goto the chain of that pod's policies
//   "pods-in-7": jump to each of its policies; a pod may talk to itself; drop the rest
//   "in/shop/allow-web": accept what the policy lets pass
//
// Every packet is judged, those of known connections too, by what conntrack knows of the
// connection: who began it (before any translation) and who really answers on which port (after
// it). So answers pass with their questions, services are judged by their endpoints, and a
// connection that a change forbids is cut, in both directions, by the change itself. What a packet
// pays: two lookups, and the rules of the policies that select its ends.
//
// The node's own connections to its pods leave by the output hook, which has no chain here.
// Threading: one call at a time. Calls block for as long as the kernel takes.
class PolicyRules {
 public:
  explicit PolicyRules(InstanceNames names);

  // Replaces the tables in one step for each family, whatever they held.
  Status Replace(const Ruleset& ruleset);
  // Makes what the kernel has, which must be `ruleset` before `change`, into `ruleset`, in one step
  // for each family. On failure Replace is due.
  Status Apply(const Ruleset& ruleset, const RulesetChange& change);

 private:
  using Chains = std::map<IpAddress, std::string>;

  // What the kernel has of one family.
  struct Table {
    explicit Table(NftFamily family) : family(family) {}
    NftFamily family;
    bool there = false;
    std::set<std::string> sets, policy_chains, pod_chains;
    Chains pods[2];  // by direction
  };
  class Writer;

  Status Open();
  Status ReplaceTable(Table& table, const Ruleset& ruleset);

  const InstanceNames names_;
  Table tables_[2];
  // Stays open: the kernel lets the end of one wait until everybody has let go of what was removed,
  // which takes many times as long as the change.
  std::optional<NetlinkSocket> socket_;
};

}  // namespace gantry::net
