#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "scheduler/framework/resources.h"

namespace gantry::scheduler {

struct HostPortUse {
  std::string protocol;
  std::string ip;  // "0.0.0.0" for all
  int32_t port = 0;

  bool ConflictsWith(const HostPortUse& other) const;
};

// A pod with what plug-ins ask of it over and over, worked out once. Threading: immutable.
struct PodInfo {
  explicit PodInfo(api::Ref<api::core::v1::Pod> from);

  const std::string& uid() const { return pod->metadata().uid(); }
  std::string FullName() const {
    return pod->metadata().namespace_() + "/" + pod->metadata().name();
  }

  api::Ref<api::core::v1::Pod> pod;
  Resources requests;        // pods = 1
  Resources score_requests;  // as `requests`, with the scheduler's minimum for containers that ask
                             // for nothing
  std::vector<HostPortUse> host_ports;
  // Pods with the same signature get the same answers from every plug-in on every node.
  std::string signature;
};
using PodInfoPtr = std::shared_ptr<const PodInfo>;

}  // namespace gantry::scheduler
