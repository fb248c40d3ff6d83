#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "api/selector.h"
#include "net/policy/policy.h"
#include "net/policy/ruleset.h"

namespace gantry::net {

// A pod as policies see it.
struct PolicyPod {
  api::Ref<api::core::v1::Pod> object;
  std::vector<IpAddress> addresses;  // none: nobody's peer, and nothing to guard
  bool here = false;                 // on this node: policies that select it are to be enforced
};

// Policies, namespaces and pods in; the node's ruleset out, kept up to date by difference. What
// costs nothing: policies that select no pod of this node. What a change costs: of a pod, a
// comparison with each list of peers in use, and one element for each that it belongs to; of a
// policy, a look at the pods of its namespace on this node, and at all pods for lists of peers that
// are new. Equal lists of peers share one set, equal combinations of policies one chain. Threading:
// one thread at a time.
class PolicyIndex {
 public:
  PolicyIndex() = default;
  PolicyIndex(const PolicyIndex&) = delete;
  PolicyIndex& operator=(const PolicyIndex&) = delete;

  void SetPolicy(Policy policy);
  void RemovePolicy(const PolicyKey& key);
  void SetNamespace(const std::string& name, const api::LabelMap& labels);
  void RemoveNamespace(const std::string& name);
  void SetPod(const std::string& uid, PolicyPod pod);
  void RemovePod(const std::string& uid);

  // Null where there is none. Valid until the next change.
  const PolicyPod* FindPod(const std::string& uid) const;
  const Ruleset& ruleset() const { return ruleset_; }
  // What has changed since the last call.
  RulesetChange TakeChange();

 private:
  using PolicyKeys = std::vector<PolicyKey>;

  // A set whose elements follow from the pods: a list of peers, or a port's name.
  template <class Member>
  struct PodSet {
    std::string set;
    int uses = 0;
    std::map<Member, int> members;  // how many pods make it one
  };
  struct Peers : PodSet<IpAddress> {
    std::vector<PeerSelector> selectors;
  };
  struct FixedSet {
    std::string set;
    int uses = 0;
  };
  struct PodChain {
    std::string chain;
    int uses = 0;
  };
  // What the rules of a policy, in one direction, lean on.
  struct Leans {
    std::vector<std::string> peers;  // by key
    std::vector<std::string> fixed;
    std::vector<PortName> names;
  };
  struct DirectionState {
    int pods = 0;  // of this node that the policy selects
    Leans leans;
  };
  struct PolicyState {
    Policy policy;
    DirectionState directions[2];
  };
  struct PodState {
    PolicyPod pod;
    PolicyKeys policies[2];
  };

  static std::string ChainName(PolicyDirection direction, const PolicyKey& key);
  bool Belongs(const PeerSelector& selector, const api::core::v1::Pod& pod) const;
  bool Belongs(const Peers& peers, const api::core::v1::Pod& pod) const;

  // Counts the pod in, or out again, of everything that follows from pods.
  void CountPod(const PolicyPod& pod, int by);
  void CountNamespace(const std::string& name, int by);
  void CountNames(const PolicyPod& pod, const PortName& name, PodSet<PolicyElement>& ports, int by);
  template <class Member>
  void Count(PodSet<Member>& pods, const Member& member, const PolicyElement& element, int by);
  void NoteElement(const std::string& set, const PolicyElement& element, bool there);

  std::string NewSet(const char* prefix, PolicySet::Kind kind);
  void RemoveSet(const std::string& set);
  std::string UsePeers(const std::vector<PeerSelector>& selectors, Leans* leans);
  std::string UseFixed(const char* prefix, PolicySet::Kind kind, std::set<PolicyElement> elements,
                       Leans* leans);
  std::string UseName(const PortName& name, Leans* leans);
  void Drop(const Leans& leans);

  std::vector<PolicyMatch> Matches(const PolicyRule& rule, Leans* leans);
  void BuildPolicyChain(PolicyDirection direction, PolicyState& state);
  void UsePolicy(PolicyDirection direction, const PolicyKey& key);
  void DropPolicy(PolicyDirection direction, const PolicyKey& key);
  std::string UsePodChain(PolicyDirection direction, const PolicyKeys& keys);
  void DropPodChain(PolicyDirection direction, const PolicyKeys& keys);

  PolicyKeys Selecting(PolicyDirection direction, const PolicyPod& pod) const;
  // Gives the pod the chains of the policies that now select it.
  void Guard(const std::string& uid, PodState& state);
  void GuardNamespace(const std::string& ns);
  void SetChains(const std::string& uid, PodState& state, PolicyDirection direction,
                 PolicyKeys wanted);
  void PointPod(PolicyDirection direction, const std::string& uid, const IpAddress& ip,
                const std::string& chain);

  std::map<PolicyKey, PolicyState> policies_;
  std::map<std::string, api::LabelMap> namespaces_;
  std::map<std::string, PodState> pods_;  // by uid
  std::set<std::string> here_;            // those on this node

  std::map<std::string, Peers> peers_;     // by their selectors' text
  std::map<std::string, FixedSet> fixed_;  // by their content's
  std::map<PortName, PodSet<PolicyElement>> names_;
  std::map<std::pair<PolicyDirection, PolicyKeys>, PodChain> pod_chains_;
  std::map<std::pair<PolicyDirection, IpAddress>, std::string> owners_;  // uid
  uint64_t next_number_ = 1;

  Ruleset ruleset_;
  RulesetChange change_;
};

}  // namespace gantry::net
