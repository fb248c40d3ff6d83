#pragma once

#include <string>
#include <vector>

#include "net/pod_network.h"
#include "net/policy/policy_enforcer.h"

namespace gantry::net {

// A pod network under NetworkPolicies: a pod is attached when its policies are in the kernel too.
// Threading: any thread.
class PolicedNetwork : public PodNetwork {
 public:
  // Both outlive it.
  PolicedNetwork(PodNetwork& network, PolicyEnforcer& policies)
      : network_(network), policies_(policies) {}

  Task<Result<std::vector<std::string>>> Attach(PodAttachment pod) override;
  Task<Status> Detach(std::string uid) override;
  Task<Status> ReleaseAllBut(std::vector<std::string> live_uids) override;
  std::string NotReadyReason() const override { return network_.NotReadyReason(); }

 private:
  PodNetwork& network_;
  PolicyEnforcer& policies_;
};

}  // namespace gantry::net
