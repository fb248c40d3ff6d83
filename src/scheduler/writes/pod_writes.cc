#include "scheduler/writes/pod_writes.h"

#include "api/core/v1/binding.pb.h"
#include "api/duration.h"
#include "api/pods.h"
#include "client/typed.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Binding;
using api::core::v1::Pod;
using api::core::v1::PodCondition;

constexpr int kConflictTries = 5;

// What the status is to be; nullopt when there is nothing to do. It is asked again for every try.
using Change = std::function<std::optional<Pod>(const Pod&)>;

Task<Status> ChangeStatus(client::Client& client, PodInfoPtr pod, Change change) {
  api::Ref<Pod> current = pod->pod;
  Status last;
  for (int tries = 0; tries < kConflictTries; ++tries) {
    std::optional<Pod> next = change(*current);
    if (!next) co_return Status();
    Result<api::Ref<Pod>> written = co_await client::UpdateStatus(client, *std::move(next));
    if (written.ok() || written.code() == Code::kNotFound) co_return Status();
    last = written.status();
    if (written.code() != Code::kConflict) co_return last;
    std::string ns = current->metadata().namespace_(), name = current->metadata().name();
    Result<api::Ref<Pod>> read = co_await client::Get<Pod>(client, std::move(ns), std::move(name));
    if (read.code() == Code::kNotFound) co_return Status();
    if (!read.ok()) co_return read.status();
    current = *std::move(read);
    if (current->metadata().uid() != pod->uid()) co_return Status();
  }
  co_return last;
}

// Sets the condition; false when it says so already.
bool SetCondition(Pod* pod, const std::string& type, const std::string& status,
                  const std::string& reason, const std::string& message, WallTime now) {
  PodCondition* condition = nullptr;
  for (auto& candidate : *pod->mutable_status()->mutable_conditions()) {
    if (candidate.type() == type) condition = &candidate;
  }
  const bool had = condition != nullptr && condition->status() == status;
  if (had && condition->reason() == reason && condition->message() == message) return false;
  if (condition == nullptr) condition = pod->mutable_status()->add_conditions();
  condition->set_type(type);
  condition->set_status(status);
  condition->set_reason(reason);
  condition->set_message(message);
  if (!had) api::SetTime(now, condition->mutable_last_transition_time());
  return true;
}

bool SetNomination(Pod* pod, const std::string& node) {
  if (pod->status().nominated_node_name() == node) return false;
  if (node.empty()) {
    pod->mutable_status()->clear_nominated_node_name();
  } else {
    pod->mutable_status()->set_nominated_node_name(node);
  }
  return true;
}

}  // namespace

Task<Status> WriteUnscheduled(client::Client& client, PodInfoPtr pod, Unscheduled why,
                              WallTime now) {
  Change change = [why = std::move(why), now](const Pod& current) -> std::optional<Pod> {
    if (!current.spec().node_name().empty()) return std::nullopt;
    Pod next = current;
    bool changed = SetCondition(&next, "PodScheduled", "False", why.reason, why.message, now);
    if (why.nominated_node) changed = SetNomination(&next, *why.nominated_node) || changed;
    if (!changed) return std::nullopt;
    return next;
  };
  co_return co_await ChangeStatus(client, std::move(pod), std::move(change));
}

Task<Status> ClearNomination(client::Client& client, PodInfoPtr pod) {
  Change change = [](const Pod& current) -> std::optional<Pod> {
    Pod next = current;
    if (!SetNomination(&next, "")) return std::nullopt;
    return next;
  };
  co_return co_await ChangeStatus(client, std::move(pod), std::move(change));
}

Task<Status> MakeRoom(client::Client& client, PodInfoPtr victim, std::string scheduler,
                      WallTime now) {
  std::string message = scheduler + ": preempting to accommodate a higher priority pod";
  Change change = [message = std::move(message), now](const Pod& current) -> std::optional<Pod> {
    Pod next = current;
    if (!SetCondition(&next, "DisruptionTarget", "True", "PreemptionByScheduler", message, now))
      return std::nullopt;
    return next;
  };
  GANTRY_CO_TRY(co_await ChangeStatus(client, victim, std::move(change)));
  client::DeleteOptions options;
  options.uid = victim->uid();
  std::string ns = victim->pod->metadata().namespace_(), name = victim->pod->metadata().name();
  const Status gone =
      co_await client::Delete<Pod>(client, std::move(ns), std::move(name), std::move(options));
  // Another pod has its name by now: it is gone.
  if (gone.code() == Code::kNotFound || gone.code() == Code::kConflict) co_return Status();
  co_return gone;
}

Task<Status> WriteBinding(client::Client& client, PodInfoPtr pod, std::string node) {
  auto binding = std::make_unique<Binding>();
  auto* meta = binding->mutable_metadata();
  meta->set_name(pod->pod->metadata().name());
  meta->set_namespace_(pod->pod->metadata().namespace_());
  meta->set_uid(pod->uid());
  binding->mutable_target()->set_kind("Node");
  binding->mutable_target()->set_name(node);
  std::string ns = meta->namespace_(), name = meta->name();
  std::unique_ptr<google::protobuf::Message> message = std::move(binding);
  client::WriteOptions options;
  Result<api::ObjectPtr> bound =
      co_await client.Create(api::KindOf<Pod>(), std::move(ns), std::move(name),
                             std::string("binding"), std::move(message), std::move(options));
  co_return bound.status();
}

}  // namespace gantry::scheduler
