#include "apiserver/subresources/pod_container.h"

namespace gantry::apiserver {
namespace {

template <class Containers>
std::string Names(const Containers& containers) {
  std::string names;
  for (const auto& container : containers)
    names += (names.empty() ? "" : " ") + container.name();
  return names;
}

template <class Containers>
bool HasNamed(const Containers& containers, const std::string& name) {
  for (const auto& container : containers) {
    if (container.name() == name) return true;
  }
  return false;
}

}  // namespace

Result<std::string> ContainerOf(const api::core::v1::Pod& pod, const std::string& wanted) {
  const auto& spec = pod.spec();
  const std::string& name = pod.metadata().name();
  if (!wanted.empty()) {
    if (HasNamed(spec.containers(), wanted) || HasNamed(spec.init_containers(), wanted))
      return wanted;
    for (const auto& container : spec.ephemeral_containers()) {
      if (container.ephemeral_container_common().name() == wanted) return wanted;
    }
    return BadRequest("container " + wanted + " is not valid for pod " + name);
  }
  if (spec.containers_size() == 0)
    return BadRequest("a container name must be specified for pod " + name);
  if (spec.containers_size() == 1) return spec.containers(0).name();
  std::string message = "a container name must be specified for pod " + name +
                        ", choose one of: [" + Names(spec.containers()) + "]";
  if (spec.init_containers_size() > 0) {
    message += " or one of the init containers: [" + Names(spec.init_containers()) + "]";
  }
  return BadRequest(std::move(message));
}

}  // namespace gantry::apiserver
