#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/object.h"
#include "base/status.h"

namespace gantry::node {

// ConfigMaps and Secrets of the pod's namespace by name; an entry without object was looked for and
// not found.
struct ReferencedObjects {
  std::map<std::string, api::Ref<api::core::v1::ConfigMap>> config_maps;
  std::map<std::string, api::Ref<api::core::v1::Secret>> secrets;
};

struct NodeAllocatable {
  int64_t cpu_milli = 0;
  int64_t memory_bytes = 0;
  int64_t ephemeral_bytes = 0;
};

struct EnvironmentInputs {
  const api::core::v1::Pod* pod = nullptr;
  const api::core::v1::Container* container = nullptr;
  const ReferencedObjects* objects = nullptr;
  std::vector<std::pair<std::string, std::string>> services;  // ServiceEnvironment()
  std::vector<std::string> host_ips;
  std::vector<std::string> pod_ips;
  NodeAllocatable allocatable;
};

using EnvironmentList = std::vector<std::pair<std::string, std::string>>;

// The variables of a container in order, references expanded. Errors are worded as the kubelet's,
// for CreateContainerConfigError.
Result<EnvironmentList> BuildEnvironment(const EnvironmentInputs& inputs);

// KUBERNETES_SERVICE_HOST and so on: of `services` (of any namespace) those that a pod of `ns`
// gets. Without `all`, only the API server's own service.
EnvironmentList ServiceEnvironment(const std::vector<api::Ref<api::core::v1::Service>>& services,
                                   std::string_view ns, bool all);

// $(NAME) replaced by known variables; $$ is $; what is unknown stays as it is.
std::string ExpandVariables(std::string_view text, const EnvironmentList& variables);

// metadata.name, metadata.labels['x'], status.podIP …
Result<std::string> FieldValue(const api::core::v1::Pod& pod, std::string_view path,
                               const std::vector<std::string>& host_ips,
                               const std::vector<std::string>& pod_ips);
// limits.cpu and the like, divided and rounded up.
Result<std::string> ResourceValue(const api::core::v1::Pod& pod,
                                  const api::core::v1::Container* container,
                                  const api::core::v1::ResourceFieldSelector& selector,
                                  const NodeAllocatable& allocatable);

// Names of the ConfigMaps and Secrets that the container's variables refer to.
struct ObjectNames {
  std::vector<std::string> config_maps, secrets;
};
void AddEnvironmentReferences(const api::core::v1::Container& container, ObjectNames* names);

}  // namespace gantry::node
