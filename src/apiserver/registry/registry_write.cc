#include <algorithm>
#include <iterator>

#include "api/defaults.h"
#include "api/duration.h"
#include "api/quote.h"
#include "api/validation.h"
#include "apiserver/admission/admission.h"
#include "apiserver/apply/managed_fields.h"
#include "apiserver/registry/messages.h"
#include "apiserver/registry/registry.h"
#include "apiserver/registry/removal.h"

namespace gantry::apiserver {
namespace {

using api::meta::v1::ObjectMeta;

constexpr std::string_view kModified =
    "the object has been modified; please apply your changes to the latest version and try again";
constexpr int kPatchTries = 5;
constexpr int kUnconditionalTries = 20;
constexpr int kGeneratedNameTries = 8;
constexpr int kChargeTries = 100;
// etcd's own limit on a request, which Kubernetes users know as the limit on an object.
constexpr size_t kMaxObjectBytes = 1536 * 1024;

Status TooLargeObject() { return Status(Code::kUnknown, "etcdserver: request is too large"); }

std::string GenerateName(Env& env, std::string_view base) {
  constexpr size_t kMaxBase = 58;
  return std::string(base.substr(0, kMaxBase)) + RandomNameSuffix(env);
}

Status UidMismatch(const api::KindInfo& kind, std::string_view name, const std::string& key,
                   const std::string& wanted, const std::string& found) {
  return Conflict(kind, name,
                  "StorageError: invalid object, Code: 4, Key: " + key +
                      ", ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
                      "precondition: " +
                      wanted + ", UID in object meta: " + found);
}

void CopyTime(const ObjectMeta& from, ObjectMeta* to) {
  if (from.has_creation_timestamp()) {
    *to->mutable_creation_timestamp() = from.creation_timestamp();
  }
  if (from.has_deletion_timestamp()) {
    *to->mutable_deletion_timestamp() = from.deletion_timestamp();
  } else {
    to->clear_deletion_timestamp();
  }
  if (from.has_deletion_grace_period_seconds()) {
    to->set_deletion_grace_period_seconds(from.deletion_grace_period_seconds());
  } else {
    to->clear_deletion_grace_period_seconds();
  }
}

void AddWarnings(const Call& call, std::vector<std::string> texts) {
  for (std::string& text : texts)
    call.warnings->push_back(std::move(text));
}

// A status update may change the status and, of the metadata, what belongs to no other writer.
void KeepAllButStatus(const Strategy& strategy, const Message& old, Message* object) {
  const google::protobuf::Descriptor* type = old.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const std::string& name = type->field(i)->name();
    if (name != "metadata" && name != "status") CopyField(old, object, name);
  }
  ObjectMeta* meta = MutableMetaOf(object);
  if (strategy.status_keeps_labels) *meta->mutable_labels() = MetaOf(old).labels();
  *meta->mutable_owner_references() = MetaOf(old).owner_references();
}

}  // namespace

Task<Result<store::CommitResult>> Registry::Commit(std::vector<store::Write> writes) {
  Result<store::CommitResult> result = co_await store_.Commit(std::move(writes));
  if (result.ok() && result->committed() && caches_.revision() < result->revision) {
    Status seen = co_await caches_.WaitFor(result->revision);
    if (!seen.ok()) co_return seen;
  }
  co_return result;
}

Task<Result<api::ObjectPtr>> Registry::CreateFromCache(Call call, const ResourceRow& row,
                                                       std::string ns,
                                                       std::unique_ptr<Message> object) {
  const api::KindInfo& kind = *row.kind->storage_kind;
  const Strategy& strategy = *row.strategy;
  ObjectMeta* meta = MutableMetaOf(object.get());
  if (kind.namespaced) {
    if (meta->namespace_().empty()) meta->set_namespace_(ns);
    if (meta->namespace_() != ns) {
      co_return BadRequest(
          "the namespace of the provided object does not match the namespace sent on the request");
    }
  } else {
    meta->clear_namespace_();
  }
  if (!meta->resource_version().empty())
    co_return Status(Code::kUnknown, "resourceVersion should not be set on objects to be created");
  api::SetDefaults(object.get());
  const WallTime now = env_.Now();
  if (!call.manager.empty())
    UpdateManagedFields(*row.kind, nullptr, object.get(), call.manager, "", now);

  const std::string asked_name = meta->name();  // the object may be replaced by its copy
  AdmissionRequest admission(Operation::kCreate, call, row, "", ns, asked_name);
  admission.object = object.get();
  Status admitted = admission_.Mutate(admission);
  if (!admitted.ok()) co_return admitted;
  if (RemoteAdmission* remote = admission_.remote()) {
    admitted = co_await remote->Mutate(admission);
    if (!admitted.ok()) co_return admitted;
  }

  meta = MutableMetaOf(object.get());
  meta->clear_deletion_timestamp();
  meta->clear_deletion_grace_period_seconds();
  meta->clear_generation();
  meta->clear_self_link();
  if (strategy.has_status && !strategy.status_on_create) ClearField(object.get(), "status");
  if (strategy.has_generation) meta->set_generation(1);
  api::SetTime(now, meta->mutable_creation_timestamp());
  meta->set_uid(RandomUuid(env_));
  PrepareContext context{env_, now, call.user};
  const bool generated = meta->name().empty() && !meta->generate_name().empty();
  admission.object = object.get();
  const bool charges = admission_.Charges(admission);
  int outbid = 0;  // tries lost to others who charged the same quota

  for (int tries = 1;; ++tries) {
    // A name or a claim that another writer took meanwhile is chosen again, from the object as it
    // is now.
    std::unique_ptr<Message> again =
        generated || charges || strategy.allocate != nullptr ? Clone(*object) : nullptr;
    if (generated) meta->set_name(GenerateName(env_, meta->generate_name()));
    if (strategy.prepare_create != nullptr) strategy.prepare_create(context, object.get());
    std::vector<store::Write> writes(1);
    api::FieldErrors errors;
    if (strategy.allocate != nullptr) {
      Status allocated = strategy.allocate(allocators_, object.get(), nullptr, &writes, &errors);
      if (!errors.empty()) co_return api::InvalidObject(*row.kind, meta->name(), errors);
      if (!allocated.ok()) co_return allocated;
    }
    errors = api::ValidateCreate(kind, *object);
    if (!errors.empty()) co_return api::InvalidObject(*row.kind, meta->name(), errors);
    if (tries == 1 && outbid == 0) {
      AddWarnings(call, api::WarningsOnWrite(kind, *object));
      admission.object = object.get();
      admitted = admission_.Validate(admission);
      if (admitted.ok() && admission_.remote() != nullptr)
        admitted = co_await admission_.remote()->Validate(admission);
      if (!admitted.ok()) co_return admitted;
    }
    const size_t first_charge = writes.size();
    if (charges) {
      admission.object = object.get();
      admitted = admission_.Charge(admission, &writes);
      if (!admitted.ok()) co_return admitted;
    }
    std::string key = api::StorageKey(kind, meta->namespace_(), meta->name());
    if (call.dry_run) {
      if (Peek(kind, meta->namespace_(), meta->name()))
        co_return AlreadyExists(*row.kind, meta->name());
      co_return api::ObjectPtr(api::Object::FromMessage(kind, std::move(object)));
    }
    std::string name = meta->name();
    std::shared_ptr<api::Object> made = api::Object::FromMessage(kind, std::move(object));
    writes[0].key = std::move(key);
    writes[0].value = made->stored();
    writes[0].expected_revision = store::kAbsent;
    writes[0].object = made;
    if (writes[0].value->size() > kMaxObjectBytes) co_return TooLargeObject();
    Result<store::CommitResult> result = co_await Commit(std::move(writes));
    if (!result.ok()) co_return result.status();
    if (result->committed()) co_return api::ObjectPtr(std::move(made));
    const bool taken = result->failed_write == 0;
    if (result->failed_write >= first_charge) {
      if (++outbid == kChargeTries) co_return Conflict(*row.kind, name, kModified);
      admitted = co_await Reach({});
      if (!admitted.ok()) co_return admitted;
      --tries;
    }
    if (taken && !generated) co_return AlreadyExists(*row.kind, name);
    if (tries == kGeneratedNameTries) {
      if (!taken)
        co_return Status(Code::kInternalError, "failed to allocate a serviceIP: range is full");
      co_return Status(Code::kAlreadyExists,
                       AlreadyExists(*row.kind, name).message() +
                           ", the server was not able to generate a unique name for the object",
                       AlreadyExists(*row.kind, name).details());
    }
    object = std::move(again);
    meta = MutableMetaOf(object.get());
  }
}

Task<Result<api::ObjectPtr>> Registry::Reload(const api::KindInfo& kind, std::string key) {
  Result<std::optional<store::Record>> record = co_await store_.Get(key);
  if (!record.ok()) co_return record.status();
  if (!record->has_value()) co_return api::ObjectPtr();
  co_return api::Object::FromStored(kind, (*record)->value, (*record)->revision);
}

// The same managers of the same fields; when they last did anything does not matter.
static bool SameManagers(const ObjectMeta& a, const ObjectMeta& b) {
  return std::equal(
      a.managed_fields().begin(), a.managed_fields().end(), b.managed_fields().begin(),
      b.managed_fields().end(), [](const auto& one, const auto& other) {
        return one.manager() == other.manager() && one.operation() == other.operation() &&
               one.api_version() == other.api_version() &&
               one.subresource() == other.subresource() &&
               one.fields_v1().raw() == other.fields_v1().raw();
      });
}

// Whether a write would change nothing that the API shows. A manager that says once more what it
// said before does not make the object another one, though its time has moved: then the object
// keeps the old times.
static bool IsUnchanged(const Message& old, Message* object) {
  ObjectMeta* meta = MutableMetaOf(object);
  if (!SameManagers(*meta, MetaOf(old))) return false;
  auto old_fields = MetaOf(old).managed_fields();
  meta->mutable_managed_fields()->Swap(&old_fields);
  if (SameDesired(*object, old) && SameField(*object, old, "status") &&
      SameField(*object, old, "metadata")) {
    return true;
  }
  meta->mutable_managed_fields()->Swap(&old_fields);
  return false;
}

struct Registry::Attempt {
  bool remove = false;     // the last finalizer went: the object goes away instead
  bool unchanged = false;  // nothing to write
  std::vector<store::Write> claims;
  bool conditional = false;
};

// Defaults, managed fields and everything else up to the mutating plug-ins.
static Status Shape(Env& env, AdmissionChain& admission, const Call& call, const ResourceRow& row,
                    const UpdateRequest& request, const api::Object& live, Message* object) {
  ObjectMeta* meta = MutableMetaOf(object);
  if (meta->namespace_().empty()) meta->set_namespace_(live.ns());
  api::SetDefaults(object);
  if (!call.manager.empty() && request.kind != ChangeKind::kApply) {
    UpdateManagedFields(*row.kind, &live.message(), object, call.manager, request.subresource,
                        env.Now());
  }
  AdmissionRequest admitted(Operation::kUpdate, call, row, request.subresource, request.ns,
                            request.name);
  admitted.object = object;
  admitted.old = &live.message();
  return admission.Mutate(admitted);
}

Status Registry::Prepare(Call& call, const ResourceRow& row, const UpdateRequest& request,
                         const api::Object& live, std::unique_ptr<Message>* object,
                         Attempt* attempt) {
  const api::KindInfo& kind = *row.kind->storage_kind;
  const Strategy& strategy = *row.strategy;
  const Message& old = live.message();
  const ObjectMeta& old_meta = live.meta();
  Message* message = object->get();
  ObjectMeta* meta = MutableMetaOf(message);
  meta->set_generation(old_meta.generation());
  if (old_meta.generation() == 0) meta->clear_generation();
  meta->clear_self_link();
  if (meta->uid().empty()) meta->set_uid(old_meta.uid());
  CopyTime(old_meta, meta);

  PrepareContext context{env_, env_.Now(), call.user};
  const bool status_update = request.subresource == "status";
  if (status_update) {
    KeepAllButStatus(strategy, old, message);
    if (strategy.prepare_status != nullptr) strategy.prepare_status(context, message, old);
  } else {
    if (request.subresource.empty()) {
      if (strategy.has_status) CopyField(old, message, "status");
      if (strategy.prepare_update != nullptr) strategy.prepare_update(context, message, old);
      if (strategy.allocate != nullptr) {
        api::FieldErrors errors;
        Status allocated = strategy.allocate(allocators_, message, &old, &attempt->claims, &errors);
        if (!errors.empty()) return api::InvalidObject(*row.kind, request.name, errors);
        GANTRY_TRY(allocated);
      }
    }
    if (strategy.has_generation && !SameDesired(old, *message))
      meta->set_generation(old_meta.generation() + 1);
  }

  meta->set_resource_version(std::to_string(live.revision()));
  api::FieldErrors errors = request.validate ? request.validate(*message, old)
                            : status_update  ? api::ValidateStatusUpdate(kind, *message, old)
                                             : api::ValidateUpdate(kind, *message, old);
  if (!errors.empty()) return api::InvalidObject(*row.kind, request.name, errors);
  if (!status_update) AddWarnings(call, api::WarningsOnWrite(kind, *message));

  AdmissionRequest admission(Operation::kUpdate, call, row, request.subresource, request.ns,
                             request.name);
  admission.object = message;
  admission.old = &old;
  GANTRY_TRY(admission_.Validate(admission));

  attempt->remove = GoesAwayOnUpdate(*message, old_meta);
  attempt->unchanged = !attempt->remove && IsUnchanged(old, message);
  return {};
}

Task<Result<UpdateResult>> Registry::UpdateFromCache(Call call, const ResourceRow& row,
                                                     UpdateRequest request) {
  const api::KindInfo& kind = *row.kind->storage_kind;
  const std::string key = api::StorageKey(kind, request.ns, request.name);
  api::ObjectPtr live = Peek(kind, request.ns, request.name);

  for (int tries = 1;; ++tries) {
    Result<std::unique_ptr<Message>> changed = request.change(live.get());
    if (!changed.ok()) co_return changed.status();
    std::unique_ptr<Message> object = std::move(changed).value();
    ObjectMeta* meta = MutableMetaOf(object.get());
    const std::string wanted = meta->resource_version();

    if (live == nullptr) {
      if (request.kind == ChangeKind::kUpdate && !meta->uid().empty())
        co_return UidMismatch(*row.kind, request.name, key, meta->uid(), "");
      if (!request.may_create || (!wanted.empty() && wanted != "0"))
        co_return NotFound(*row.kind, request.name);
      meta->clear_resource_version();
      Call create = call;
      if (request.kind == ChangeKind::kApply) create.manager.clear();
      if (meta->name().empty()) meta->set_name(request.name);
      Result<api::ObjectPtr> made =
          co_await CreateFromCache(std::move(create), row, request.ns, std::move(object));
      if (made.code() == Code::kAlreadyExists && tries < kPatchTries) {
        Result<api::ObjectPtr> reloaded = co_await Reload(kind, key);
        if (!reloaded.ok()) co_return reloaded.status();
        live = std::move(*reloaded);
        continue;
      }
      if (!made.ok()) co_return made.status();
      UpdateResult result;
      result.object = std::move(*made);
      result.created = true;
      co_return result;
    }

    // What a patch makes of the uid is found by validation.
    if (request.kind == ChangeKind::kUpdate && !meta->uid().empty() && meta->uid() != live->uid()) {
      co_return UidMismatch(*row.kind, request.name, key, meta->uid(), live->uid());
    }
    if (wanted.empty() && request.kind == ChangeKind::kUpdate &&
        row.strategy->needs_revision_on_update) {
      api::FieldErrors errors;
      errors.push_back({api::FieldError::Type::kInvalid, "metadata.resourceVersion",
                        "Invalid value: 0: must be specified for an update"});
      co_return api::InvalidObject(*row.kind, request.name, errors);
    }
    if (wanted.find_first_not_of("0123456789") != std::string::npos) {
      co_return Status(Code::kUnknown,
                       "strconv.ParseUint: parsing " + api::GoQuote(wanted) + ": invalid syntax");
    }
    if (!wanted.empty() && wanted != "0" && wanted != std::to_string(live->revision())) {
      co_return Conflict(*row.kind, request.name, kModified);
    }
    const bool conditional =
        request.kind == ChangeKind::kUpdate && !wanted.empty() && wanted != "0";

    Attempt attempt;
    Status status = Shape(env_, admission_, call, row, request, *live, object.get());
    if (status.ok() && admission_.remote() != nullptr) {
      AdmissionRequest admission(Operation::kUpdate, call, row, request.subresource, request.ns,
                                 request.name);
      admission.object = object.get();
      admission.old = &live->message();
      status = co_await admission_.remote()->Mutate(admission);
    }
    if (status.ok()) status = Prepare(call, row, request, *live, &object, &attempt);
    if (status.ok() && admission_.remote() != nullptr) {
      AdmissionRequest admission(Operation::kUpdate, call, row, request.subresource, request.ns,
                                 request.name);
      admission.object = object.get();
      admission.old = &live->message();
      status = co_await admission_.remote()->Validate(admission);
    }
    if (!status.ok()) co_return status;

    UpdateResult result;
    if (attempt.unchanged) {
      result.unchanged = true;
      result.object = live;
      co_return result;
    }
    std::vector<store::Write> writes(1);
    if (attempt.remove) {
      if (row.strategy->release != nullptr)
        row.strategy->release(allocators_, live->message(), &writes);
    } else {
      std::ranges::move(attempt.claims, std::back_inserter(writes));
    }
    if (!attempt.remove) {
      AdmissionRequest admission(Operation::kUpdate, call, row, request.subresource, request.ns,
                                 request.name);
      admission.object = object.get();
      admission.old = &live->message();
      status = admission_.Charge(admission, &writes);
      if (!status.ok()) co_return status;
    }
    if (call.dry_run) {
      result.object = api::Object::FromServer(kind, std::move(object));
      co_return result;
    }
    MutableMetaOf(object.get())->clear_resource_version();
    std::shared_ptr<api::Object> made = api::Object::FromMessage(kind, std::move(object));
    writes[0].key = key;
    writes[0].expected_revision = live->revision();
    writes[0].object = made;
    if (!attempt.remove) {
      writes[0].value = made->stored();
      if (writes[0].value->size() > kMaxObjectBytes) co_return TooLargeObject();
    }
    Result<store::CommitResult> committed = co_await Commit(std::move(writes));
    if (!committed.ok()) co_return committed.status();
    if (committed->committed()) {
      result.object = std::move(made);
      co_return result;
    }
    if (conditional && committed->failed_write == 0)
      co_return Conflict(*row.kind, request.name, kModified);
    if (tries >= (request.kind == ChangeKind::kUpdate ? kUnconditionalTries : kPatchTries)) {
      co_return Conflict(*row.kind, request.name, kModified);
    }
    Result<api::ObjectPtr> reloaded = co_await Reload(kind, key);
    if (!reloaded.ok()) co_return reloaded.status();
    live = std::move(*reloaded);
  }
}

}  // namespace gantry::apiserver
