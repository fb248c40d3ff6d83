#pragma once

#include <memory>
#include <string>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "scheduler/framework/pod_shape.h"

namespace gantry::scheduler {

// A pod, and the shape that it shares with those like it. Threading: immutable.
struct PodInfo {
  // With a shape of its own.
  explicit PodInfo(api::Ref<api::core::v1::Pod> from)
      : pod(std::move(from)),
        shape(std::make_shared<const PodShape>(*pod, PodShape::SignatureOf(*pod))) {}
  PodInfo(api::Ref<api::core::v1::Pod> from, PodShapePtr shape)
      : pod(std::move(from)), shape(std::move(shape)) {}

  const std::string& uid() const { return pod->metadata().uid(); }
  std::string FullName() const {
    return pod->metadata().namespace_() + "/" + pod->metadata().name();
  }
  bool terminating() const { return pod->metadata().has_deletion_timestamp(); }

  api::Ref<api::core::v1::Pod> pod;
  PodShapePtr shape;
};
using PodInfoPtr = std::shared_ptr<const PodInfo>;

}  // namespace gantry::scheduler
