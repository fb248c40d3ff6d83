#include "node/pod/pod_writes.h"

#include <google/protobuf/util/message_differencer.h>

#include <utility>

#include "api/core/v1/pod_status.pb.h"
#include "client/typed.h"

namespace gantry::node {

using api::Ref;
using api::core::v1::Pod;

Task<Result<PodWritten>> PutPodStatus(client::Client& client, Ref<Pod> pod,
                                      api::core::v1::PodStatus status) {
  PodWritten written;
  written.newest = pod;
  written.done = google::protobuf::util::MessageDifferencer::Equals(status, pod->status());
  if (written.done) co_return written;
  Pod changed = *pod;
  *changed.mutable_status() = std::move(status);
  Result<Ref<Pod>> put = co_await client::UpdateStatus<Pod>(client, std::move(changed));
  if (put.code() == Code::kConflict) {
    std::string ns = pod->metadata().namespace_(), name = pod->metadata().name();
    put = co_await client::Get<Pod>(client, std::move(ns), std::move(name));
    if (put.ok() && (*put)->metadata().uid() != pod->metadata().uid())
      put = Status(Code::kNotFound, "another pod has its name");
  } else {
    written.done = true;
  }
  if (put.code() == Code::kNotFound) {
    written.done = true;
    written.newest = {};
    co_return written;
  }
  GANTRY_CO_TRY(put);
  written.newest = *std::move(put);
  co_return written;
}

Task<Result<bool>> ConfirmDeletion(client::Client& client, Ref<Pod> pod) {
  client::DeleteOptions options;
  options.uid = pod->metadata().uid();
  options.grace_period_seconds = 0;
  std::string ns = pod->metadata().namespace_(), name = pod->metadata().name();
  Status deleted =
      co_await client::Delete<Pod>(client, std::move(ns), std::move(name), std::move(options));
  if (deleted.code() == Code::kNotFound || deleted.code() == Code::kConflict) co_return true;
  GANTRY_CO_TRY(deleted);
  co_return false;
}

}  // namespace gantry::node
