#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/networking/v1/network_policy.pb.h"
#include "net/ip.h"
#include "net/policy/policy_index.h"
#include "net/policy/ruleset.h"

namespace gantry::net::testing {

// A first packet.
struct Flow {
  IpAddress client, server;
  uint8_t protocol = 0;
  uint16_t port = 0;

  std::string ToString() const;
};

// A cluster as policies see it, and what they mean by the words of the API's documentation, without
// any of the code under test. All its pods are on the node.
struct PolicyCluster {
  std::map<std::string, std::map<std::string, std::string>> namespaces;  // labels
  std::map<std::string, api::core::v1::Pod> pods;                        // by uid
  std::map<PolicyKey, api::networking::v1::NetworkPolicy> policies;

  bool Allows(const Flow& flow) const;

  // Puts everything, or what a change has made different, into an index.
  void PutNamespace(const std::string& name, PolicyIndex* index) const;
  void PutPod(const std::string& uid, PolicyIndex* index) const;
  void PutPolicy(const PolicyKey& key, PolicyIndex* index) const;

  // A pod with the addresses in its status.
  static api::core::v1::Pod MakePod(const std::string& ns, const std::string& name,
                                    const std::map<std::string, std::string>& labels,
                                    const std::vector<std::string>& addresses);
};

// Whether the rules let it pass, as the kernel would read them.
bool Passes(const Ruleset& ruleset, const Flow& flow);

// What a ruleset becomes by a change; `after` gives the content of what the change only names.
void ApplyTo(const RulesetChange& change, const Ruleset& after, Ruleset* ruleset);

// Draws policies of every shape over the pods of a cluster.
class RandomPolicies {
 public:
  RandomPolicies(uint32_t seed, std::vector<uint16_t> ports)
      : random_(seed), ports_(std::move(ports)) {}

  api::networking::v1::NetworkPolicy Policy(const PolicyCluster& cluster, const PolicyKey& key);
  std::map<std::string, std::string> Labels();
  // 0 to below - 1.
  uint32_t Below(uint32_t below) { return random_() % below; }

 private:
  bool Chance(uint32_t percent) { return Below(100) < percent; }
  void Select(const char* const* values, size_t count, const char* key,
              api::meta::v1::LabelSelector* selector);
  void Peer(const PolicyCluster& cluster, api::networking::v1::NetworkPolicyPeer* peer);
  void Port(api::networking::v1::NetworkPolicyPort* port);

  std::mt19937 random_;
  std::vector<uint16_t> ports_;
};

}  // namespace gantry::net::testing
