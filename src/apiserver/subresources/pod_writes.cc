#include "apiserver/subresources/pod_writes.h"

#include "api/core/v1/binding.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/pods.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "api/selector.h"
#include "apiserver/registry/messages.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Binding;
using api::core::v1::Pod;
using api::core::v1::PodCondition;
using api::policy::v1::PodDisruptionBudget;

constexpr size_t kMaxDisruptedPods = 2000;

Status Invalid(const ResourceRow& row, std::string_view name, api::FieldError error) {
  api::FieldErrors errors;
  errors.push_back(std::move(error));
  return api::InvalidObject("", "Binding", name, errors);
}

PodCondition* Condition(Pod* pod, std::string_view type) {
  for (PodCondition& condition : *pod->mutable_status()->mutable_conditions()) {
    if (condition.type() == type) return &condition;
  }
  PodCondition* added = pod->mutable_status()->add_conditions();
  added->set_type(std::string(type));
  return added;
}

void SetCondition(Pod* pod, std::string_view type, std::string_view reason,
                  std::string_view message, WallTime now) {
  PodCondition* condition = Condition(pod, type);
  if (condition->status() != "True") api::SetTime(now, condition->mutable_last_transition_time());
  condition->set_status("True");
  if (!reason.empty()) condition->set_reason(std::string(reason));
  if (!message.empty()) condition->set_message(std::string(message));
  if (reason.empty()) condition->clear_reason();
  if (message.empty()) condition->clear_message();
}

// The pod, bound; or why it can't be.
Result<std::unique_ptr<Message>> Bound(const ResourceRow& row, const Binding& binding,
                                       const std::string& name, const api::Object* live,
                                       WallTime now) {
  if (live == nullptr) return NotFound(*row.kind, name);
  const Pod& old = live->As<Pod>();
  if (!binding.metadata().uid().empty() && binding.metadata().uid() != live->uid()) {
    return Conflict(*row.kind, name,
                    "Precondition failed: UID in precondition: " + binding.metadata().uid() +
                        ", UID in object meta: " + live->uid());
  }
  auto conflict = [&](const std::string& why) {
    StatusDetails details;
    details.kind = "pods/binding";
    details.name = name;
    return Status(Code::kConflict,
                  "Operation cannot be fulfilled on pods/binding \"" + name + "\": " + why,
                  details);
  };
  if (old.metadata().has_deletion_timestamp())
    return conflict("pod " + name + " is being deleted, cannot be assigned to a host");
  if (!old.spec().node_name().empty()) {
    return conflict("pod " + name + " is already assigned to node \"" + old.spec().node_name() +
                    "\"");
  }
  if (old.spec().scheduling_gates_size() > 0)
    return conflict("pod " + name + " has non-empty .spec.schedulingGates");
  auto pod = std::make_unique<Pod>(old);
  pod->mutable_metadata()->set_resource_version(binding.metadata().resource_version());
  pod->mutable_spec()->set_node_name(binding.target().name());
  pod->mutable_status()->clear_nominated_node_name();  // it has what it waited for
  for (const auto& [key, value] : binding.metadata().annotations()) {
    (*pod->mutable_metadata()->mutable_annotations())[key] = value;
  }
  SetCondition(pod.get(), "PodScheduled", "", "", now);
  return std::unique_ptr<Message>(std::move(pod));
}

// Whether an eviction may go on without asking a budget.
bool NeedsNoBudget(const Pod& pod) {
  return api::IsTerminal(pod) || pod.status().phase() == "Pending" ||
         pod.metadata().has_deletion_timestamp();
}

Status Refused(const std::string& message, const std::string& cause) {
  StatusDetails details;
  details.causes.push_back({"DisruptionBudget", cause, ""});
  return Status(Code::kTooManyRequests, message, std::move(details));
}

// Takes one disruption off the budget, or says why not.
Result<std::unique_ptr<Message>> TakeDisruption(const api::Object* live, const std::string& pod,
                                                WallTime now) {
  constexpr const char* kMessage =
      "Cannot evict pod as it would violate the pod's disruption budget.";
  if (live == nullptr) return Status(Code::kNotFound, "the disruption budget is gone");
  const auto& old = live->As<PodDisruptionBudget>();
  const auto& status = old.status();
  if (status.observed_generation() < old.metadata().generation()) {
    StatusDetails details;
    details.retry_after_seconds = 10;
    details.causes.push_back({"DisruptionBudget",
                              "The disruption budget " + old.metadata().name() +
                                  " is still being processed by the server.",
                              ""});
    return Status(Code::kTooManyRequests, kMessage, std::move(details));
  }
  if (status.disruptions_allowed() <= 0) {
    return Refused(kMessage, "The disruption budget " + old.metadata().name() + " needs " +
                                 std::to_string(status.desired_healthy()) +
                                 " healthy pods and has " +
                                 std::to_string(status.current_healthy()) + " currently");
  }
  if (static_cast<size_t>(status.disrupted_pods_size()) > kMaxDisruptedPods) {
    return Status(Code::kForbidden,
                  "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
  }
  auto budget = std::make_unique<PodDisruptionBudget>(old);
  auto* changed = budget->mutable_status();
  changed->set_disruptions_allowed(status.disruptions_allowed() - 1);
  api::SetTime(now, &(*changed->mutable_disrupted_pods())[pod]);
  return std::unique_ptr<Message>(std::move(budget));
}

std::vector<api::ObjectPtr> BudgetsOf(Registry& registry, const Pod& pod) {
  store::Selection selection;
  selection.ns = pod.metadata().namespace_();
  std::vector<api::ObjectPtr> budgets;
  for (api::ObjectPtr& object :
       registry.CacheOf(api::KindOf<PodDisruptionBudget>()).List(selection).objects) {
    const auto& spec = object->As<PodDisruptionBudget>().spec();
    Result<api::Selector> selector = api::Selector::From(spec.selector());
    if (spec.has_selector() && selector.ok() && selector->Matches(pod.metadata().labels())) {
      budgets.push_back(std::move(object));
    }
  }
  return budgets;
}

}  // namespace

Task<Result<api::ObjectPtr>> BindPod(Registry& registry, Call call, const ResourceRow& row,
                                     std::string ns, std::string name,
                                     std::unique_ptr<Message> message) {
  std::shared_ptr<const Binding> binding(static_cast<const Binding*>(message.release()));
  if (!binding->metadata().name().empty() && binding->metadata().name() != name) {
    co_return BadRequest("name in URL does not match name in Binding object");
  }
  if (binding->target().name().empty()) {
    co_return Invalid(row, name,
                      {api::FieldError::Type::kRequired, "target.name", "Required value"});
  }
  const std::string& kind = binding->target().kind();
  if (!kind.empty() && kind != "Node" && kind != "Minion") {
    co_return Invalid(
        row, name,
        {api::FieldError::Type::kNotSupported, "target.kind",
         "Unsupported value: \"" + kind + "\": supported values: \"Node\", \"<empty>\""});
  }
  UpdateRequest request;
  request.ns = std::move(ns);
  request.name = name;
  request.subresource = "binding";
  request.kind = ChangeKind::kPatch;
  const WallTime now = registry.env().Now();
  request.change = [binding, &row, name, now](const api::Object* live) {
    return Bound(row, *binding, name, live, now);
  };
  // The rules of pod updates forbid what a binding does; Bound has checked all that matters.
  request.validate = [](const Message&, const Message&) { return api::FieldErrors(); };
  call.manager.clear();
  Result<UpdateResult> bound = co_await registry.Update(std::move(call), row, std::move(request));
  if (!bound.ok()) co_return bound.status();
  co_return std::move(bound->object);
}

Task<Result<api::ObjectPtr>> EvictPod(Registry& registry, Call call, const ResourceRow& row,
                                      std::string ns, std::string name,
                                      std::unique_ptr<Message> message) {
  auto* eviction = static_cast<api::policy::v1::Eviction*>(message.get());
  if (!eviction->metadata().name().empty() && eviction->metadata().name() != name) {
    co_return BadRequest("name in URL does not match name in Eviction object");
  }
  Result<api::ObjectPtr> got = co_await registry.Get(row, ns, name);
  if (!got.ok()) co_return got.status();
  api::ObjectPtr pod_object = std::move(*got);
  const Pod& pod = pod_object->As<Pod>();
  const auto& options = eviction->delete_options();
  for (const std::string& value : options.dry_run())
    call.dry_run = call.dry_run || value == "All";

  if (!NeedsNoBudget(pod)) {
    std::vector<api::ObjectPtr> budgets = BudgetsOf(registry, pod);
    if (budgets.size() > 1) {
      co_return InternalError(
          "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
          "support.");
    }
    if (!budgets.empty()) {
      const auto& budget = budgets[0]->As<PodDisruptionBudget>();
      const bool unhealthy = !api::IsReady(pod);
      const bool always = budget.spec().unhealthy_pod_eviction_policy() == "AlwaysAllow";
      const bool healthy_enough =
          budget.status().current_healthy() >= budget.status().desired_healthy() &&
          budget.status().desired_healthy() > 0;
      if (!(unhealthy && (always || healthy_enough))) {
        UpdateRequest request;
        request.ns = ns;
        request.name = budget.metadata().name();
        request.subresource = "status";
        request.kind = ChangeKind::kPatch;
        const WallTime now = registry.env().Now();
        request.change = [name, now](const api::Object* live) {
          return TakeDisruption(live, name, now);
        };
        Call quiet = call;
        quiet.manager.clear();
        Result<UpdateResult> taken = co_await registry.Update(
            std::move(quiet), *FindResourceRow(api::KindOf<PodDisruptionBudget>()),
            std::move(request));
        if (!taken.ok()) co_return taken.status();
      }
    }
  }
  if (pod.spec().node_name().size() > 0 && !call.dry_run &&
      !pod.metadata().has_deletion_timestamp()) {
    UpdateRequest request;
    request.ns = ns;
    request.name = name;
    request.subresource = "status";
    request.kind = ChangeKind::kPatch;
    const WallTime now = registry.env().Now();
    request.change = [now, &row,
                      name](const api::Object* live) -> Result<std::unique_ptr<Message>> {
      if (live == nullptr) return NotFound(*row.kind, name);
      auto changed = std::make_unique<Pod>(live->As<Pod>());
      SetCondition(changed.get(), "DisruptionTarget", "EvictionByEvictionAPI",
                   "Eviction API: evicting", now);
      return std::unique_ptr<Message>(std::move(changed));
    };
    Call quiet = call;
    quiet.manager.clear();
    Result<UpdateResult> marked =
        co_await registry.Update(std::move(quiet), row, std::move(request));
    if (!marked.ok()) co_return marked.status();
  }
  DeleteRequest request;
  request.ns = std::move(ns);
  request.name = std::move(name);
  request.uid = pod_object->uid();
  if (options.has_grace_period_seconds())
    request.grace_period_seconds = options.grace_period_seconds();
  if (options.preconditions().has_uid()) request.uid = options.preconditions().uid();
  request.propagation_policy = options.propagation_policy();
  Result<DeleteResult> gone = co_await registry.Delete(std::move(call), row, std::move(request));
  if (!gone.ok()) co_return gone.status();
  co_return std::move(gone->object);
}

}  // namespace gantry::apiserver
