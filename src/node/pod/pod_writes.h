#pragma once

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/task.h"
#include "base/status.h"
#include "client/client.h"

// What a node writes of its pods.
namespace gantry::node {

struct PodWritten {
  PodWritten() = default;
  bool done = false;  // false: somebody else wrote meanwhile; look at `newest` first
  api::Ref<api::core::v1::Pod> newest;  // null: the pod is gone, or its name is another's now
};

// Writes the status of `pod`, unless it has it already. `client` must outlive the task.
Task<Result<PodWritten>> PutPodStatus(client::Client& client, api::Ref<api::core::v1::Pod> pod,
                                      api::core::v1::PodStatus status);

// Takes away `pod`, of which nothing runs any more, as the last step of its deletion. True where
// it was gone before; else its finalizers may still keep it, and a watch tells when it goes.
Task<Result<bool>> ConfirmDeletion(client::Client& client, api::Ref<api::core::v1::Pod> pod);

}  // namespace gantry::node
