#include <algorithm>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/pods.h"
#include "apiserver/admission/admission.h"
#include "apiserver/registry/messages.h"
#include "apiserver/registry/registry.h"
#include "apiserver/registry/removal.h"

namespace gantry::apiserver {
namespace {

using api::meta::v1::ObjectMeta;

constexpr int kTries = 20;

bool HasFinalizer(const ObjectMeta& meta, std::string_view name) {
  return std::find(meta.finalizers().begin(), meta.finalizers().end(), name) !=
         meta.finalizers().end();
}

bool HoldsNamespace(const Message& object) {
  const auto* ns = dynamic_cast<const api::core::v1::Namespace*>(&object);
  return ns != nullptr && ns->spec().finalizers_size() > 0;
}

void BumpGeneration(ObjectMeta* meta) {
  if (meta->generation() > 0) meta->set_generation(meta->generation() + 1);
}

// The grace period of a pod's deletion; 0 where nothing needs to be waited for.
int64_t GracePeriodOf(const Message& object, const DeleteRequest& request) {
  const auto& pod = static_cast<const api::core::v1::Pod&>(object);
  int64_t period =
      request.grace_period_seconds.value_or(pod.spec().has_termination_grace_period_seconds()
                                                ? pod.spec().termination_grace_period_seconds()
                                                : 0);
  if (pod.spec().node_name().empty() || api::IsTerminal(pod)) period = 0;
  return period < 0 ? 1 : period;
}

// Brings the garbage collector's finalizers in line with what the request and the kind ask for.
void SetCollectionFinalizers(const Strategy& strategy, const DeleteRequest& request,
                             ObjectMeta* meta) {
  const std::string& policy = request.propagation_policy;
  bool orphan, foreground;
  if (request.orphan_dependents.has_value()) {
    orphan = *request.orphan_dependents;
    foreground = false;
  } else if (!policy.empty()) {
    orphan = policy == "Orphan";
    foreground = policy == "Foreground";
  } else {
    foreground = HasFinalizer(*meta, kForegroundFinalizer);
    orphan = HasFinalizer(*meta, kOrphanFinalizer) || (!foreground && strategy.orphans_by_default);
  }
  auto set = [meta](std::string_view name, bool wanted) {
    if (HasFinalizer(*meta, name) == wanted) return;
    if (wanted) {
      meta->add_finalizers(std::string(name));
      return;
    }
    auto* all = meta->mutable_finalizers();
    all->erase(std::remove(all->begin(), all->end(), name), all->end());
  };
  set(kOrphanFinalizer, orphan);
  set(kForegroundFinalizer, foreground);
}

void MarkDeleted(ObjectMeta* meta, WallTime now) {
  if (!meta->has_deletion_timestamp()) {
    BumpGeneration(meta);
    api::SetTime(now, meta->mutable_deletion_timestamp());
  }
  meta->set_deletion_grace_period_seconds(0);
}

// Kubernetes names the kind here where other conflicts name the resource.
Status Unmet(const ResourceRow& row, const std::string& name, std::string_view why) {
  StatusDetails details;
  details.name = name;
  details.group = row.kind->group;
  details.kind = row.kind->kind;
  std::string resource(row.kind->kind);
  if (!row.kind->group.empty()) resource += "." + std::string(row.kind->group);
  return Status(
      Code::kConflict,
      "Operation cannot be fulfilled on " + resource + " \"" + name + "\": " + std::string(why),
      std::move(details));
}

Status CheckPreconditions(const ResourceRow& row, const DeleteRequest& request,
                          const api::Object& live) {
  if (request.uid.has_value() && *request.uid != live.uid()) {
    return Unmet(row, request.name,
                 "the UID in the precondition (" + *request.uid +
                     ") does not match the UID in record (" + live.uid() +
                     "). The object might have been deleted and then recreated");
  }
  std::string revision = std::to_string(live.revision());
  if (request.resource_version.has_value() && *request.resource_version != revision) {
    return Unmet(row, request.name,
                 "the ResourceVersion in the precondition (" + *request.resource_version +
                     ") does not match the ResourceVersion in record (" + revision +
                     "). The object might have been modified");
  }
  return {};
}

}  // namespace

bool GoesAwayOnUpdate(const Message& object, const ObjectMeta& old_meta) {
  const ObjectMeta& meta = MetaOf(object);
  if (!meta.has_deletion_timestamp() || meta.finalizers_size() > 0 || HoldsNamespace(object))
    return false;
  return old_meta.deletion_grace_period_seconds() == 0;
}

Removal PlanRemoval(const Strategy& strategy, const DeleteRequest& request, WallTime now,
                    Message* object) {
  ObjectMeta* meta = MutableMetaOf(object);
  bool graceful = false;
  int64_t period = 0;
  if (strategy.graceful) {
    if (meta->has_deletion_timestamp()) {
      if (meta->has_deletion_grace_period_seconds()) {
        int64_t running = meta->deletion_grace_period_seconds();
        if (!request.grace_period_seconds.has_value()) {
          if (running > 0 || meta->finalizers_size() > 0) return Removal::kPending;
        } else {
          period = std::max<int64_t>(*request.grace_period_seconds, 0);
          if (period >= running && (running > 0 || meta->finalizers_size() > 0))
            return Removal::kPending;
          meta->mutable_deletion_timestamp()->set_seconds(meta->deletion_timestamp().seconds() -
                                                          running + period);
          meta->set_deletion_grace_period_seconds(period);
          graceful = true;
        }
      }
    } else {
      period = GracePeriodOf(*object, request);
      api::SetTime(now + std::chrono::seconds(period), meta->mutable_deletion_timestamp());
      meta->set_deletion_grace_period_seconds(period);
      BumpGeneration(meta);
      graceful = true;
    }
  }
  SetCollectionFinalizers(strategy, request, meta);
  if (auto* ns = dynamic_cast<api::core::v1::Namespace*>(object)) {
    MarkDeleted(meta, now);
    ns->mutable_status()->set_phase("Terminating");
    return HoldsNamespace(*object) || meta->finalizers_size() > 0 ? Removal::kMark : Removal::kNow;
  }
  if (meta->finalizers_size() > 0) {
    if (!graceful) MarkDeleted(meta, now);
    return Removal::kMark;
  }
  return graceful && period > 0 ? Removal::kMark : Removal::kNow;
}

Task<Result<DeleteResult>> Registry::DeleteFromCache(Call call, const ResourceRow& row,
                                                     DeleteRequest request) {
  const api::KindInfo& kind = *row.kind->storage_kind;
  const std::string key = api::StorageKey(kind, request.ns, request.name);
  api::ObjectPtr live = Peek(kind, request.ns, request.name);

  for (int tries = 1;; ++tries) {
    if (live == nullptr) co_return NotFound(*row.kind, request.name);
    Status allowed = CheckPreconditions(row, request, *live);
    if (!allowed.ok()) co_return allowed;
    AdmissionRequest admission(Operation::kDelete, call, row, "", request.ns, request.name);
    admission.old = &live->message();
    allowed = admission_.Validate(admission);
    if (allowed.ok() && admission_.remote() != nullptr)
      allowed = co_await admission_.remote()->Validate(admission);
    if (!allowed.ok()) co_return allowed;

    std::unique_ptr<Message> object = Clone(live->message());
    Removal removal = PlanRemoval(*row.strategy, request, env_.Now(), object.get());
    DeleteResult result;
    result.gone = removal == Removal::kNow;
    if (removal == Removal::kPending ||
        (removal == Removal::kMark && SameMessage(*object, live->message()))) {
      result.unchanged = true;
      result.object = live;
      co_return result;
    }
    if (call.dry_run) {
      result.object = api::Object::FromServer(kind, std::move(object));
      co_return result;
    }
    MutableMetaOf(object.get())->clear_resource_version();
    std::vector<store::Write> writes(1);
    if (result.gone && row.strategy->release != nullptr) {
      row.strategy->release(allocators_, live->message(), &writes);
    }
    std::shared_ptr<api::Object> made = api::Object::FromMessage(kind, std::move(object));
    writes[0].key = key;
    writes[0].expected_revision = live->revision();
    writes[0].object = made;
    if (!result.gone) writes[0].value = made->stored();
    Result<store::CommitResult> committed = co_await Commit(std::move(writes));
    if (!committed.ok()) co_return committed.status();
    if (committed->committed()) {
      result.object = std::move(made);
      co_return result;
    }
    if (tries == kTries) {
      co_return Conflict(*row.kind, request.name,
                         "the object has been modified; please apply your changes to the latest "
                         "version and try again");
    }
    Result<api::ObjectPtr> reloaded = co_await Reload(kind, key);
    if (!reloaded.ok()) co_return reloaded.status();
    live = std::move(*reloaded);
  }
}

Task<Result<std::vector<api::ObjectPtr>>> Registry::DeleteCollection(Call call,
                                                                     const ResourceRow& row,
                                                                     ListRequest list,
                                                                     DeleteRequest request) {
  Result<ListResult> listed = co_await List(row, std::move(list));
  if (!listed.ok()) co_return listed.status();
  for (const api::ObjectPtr& object : listed->items) {
    DeleteRequest one = request;
    one.ns = object->ns();
    one.name = object->name();
    Result<DeleteResult> gone = co_await Delete(call, row, std::move(one));
    if (!gone.ok() && gone.code() != Code::kNotFound) co_return gone.status();
  }
  co_return std::move(listed->items);
}

}  // namespace gantry::apiserver
