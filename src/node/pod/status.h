#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "node/pod/actions.h"

namespace gantry::node {

// Why a container waits: what its last attempt to start met with.
struct WaitingReason {
  std::string reason;  // "ImagePullBackOff"
  std::string message;
};

struct StatusInputs {
  const api::core::v1::Pod* pod = nullptr;  // with its last known status
  const ContainerList* containers = nullptr;
  ObservedPod observed;
  std::map<std::string, WaitingReason, std::less<>> waiting;
  std::vector<std::string> pod_ips;
  std::vector<std::string> host_ips;
  // The pod is being ended, and (when non-empty) why: it then fails with this reason and message.
  bool ending = false;
  bool all_ended = false;
  bool rejected = false;  // the node did not take it: nothing of it ever ran
  std::string end_reason, end_message;
  WallTime now;
};

// The status that a pod has, as the kubelet computes it. Conditions and fields that others own are
// kept. Pure.
api::core::v1::PodStatus BuildPodStatus(const StatusInputs& inputs);

// "Guaranteed", "Burstable" or "BestEffort".
std::string QosClass(const api::core::v1::PodSpec& spec);

}  // namespace gantry::node
