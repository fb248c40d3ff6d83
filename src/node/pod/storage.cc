#include "node/pod/storage.h"

#include <algorithm>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/volume.pb.h"
#include "api/quantity.h"

namespace gantry::node {
namespace {

using api::Quantity;
using api::core::v1::Container;
using api::core::v1::Pod;

constexpr char kEphemeral[] = "ephemeral-storage";

std::string VolumeLimit(const api::core::v1::Volume& volume) {
  const auto& empty_dir = volume.volume_source().empty_dir();
  bool limited = empty_dir.has_size_limit() && empty_dir.medium().empty() &&
                 Quantity::ParseOrZero(empty_dir.size_limit().string()).Sign() > 0;
  return limited ? empty_dir.size_limit().string() : std::string();
}

std::string ContainerLimit(const Container& container) {
  auto it = container.resources().limits().find(kEphemeral);
  return it == container.resources().limits().end() ? std::string() : it->second.string();
}

bool Exceeds(int64_t used, const std::string& limit) {
  return used > Quantity::ParseOrZero(limit).Value();
}

}  // namespace

bool HasStorageLimit(const Pod& pod) {
  const auto& volumes = pod.spec().volumes();
  const auto& containers = pod.spec().containers();
  return std::any_of(volumes.begin(), volumes.end(),
                     [](const auto& volume) { return !VolumeLimit(volume).empty(); }) ||
         std::any_of(containers.begin(), containers.end(),
                     [](const auto& container) { return !ContainerLimit(container).empty(); });
}

std::string StorageExceeded(const Pod& pod, const StorageUsage& usage) {
  int64_t all = 0;
  for (const auto& volume : pod.spec().volumes()) {
    auto used = usage.volumes.find(volume.name());
    if (used == usage.volumes.end()) continue;
    all += used->second;
    std::string limit = VolumeLimit(volume);
    if (!limit.empty() && Exceeds(used->second, limit)) {
      return "Usage of EmptyDir volume \"" + volume.name() + "\" exceeds the limit \"" + limit +
             "\". ";
    }
  }
  for (const auto& [name, bytes] : usage.containers)
    all += bytes;
  Quantity together;
  bool limited = false;
  for (const Container& container : pod.spec().containers()) {
    std::string limit = ContainerLimit(container);
    if (limit.empty()) continue;
    limited = true;
    together += Quantity::ParseOrZero(limit);
  }
  if (limited && all > together.Value()) {
    return "Pod ephemeral local storage usage exceeds the total limit of containers " +
           together.ToString() + ". ";
  }
  for (const Container& container : pod.spec().containers()) {
    std::string limit = ContainerLimit(container);
    auto used = usage.containers.find(container.name());
    if (!limit.empty() && used != usage.containers.end() && Exceeds(used->second, limit)) {
      return "Container " + container.name() + " exceeded its local ephemeral storage limit \"" +
             limit + "\". ";
    }
  }
  return {};
}

}  // namespace gantry::node
