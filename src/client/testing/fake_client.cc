#include "client/testing/fake_client.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <utility>

#include "api/core/v1/binding.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/json.h"
#include "api/json_value.h"
#include "api/selector.h"

namespace gantry::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::util::MessageDifferencer;

api::meta::v1::ObjectMeta& MetaOf(Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName("metadata");
  return static_cast<api::meta::v1::ObjectMeta&>(
      *message.GetReflection()->MutableMessage(&message, field));
}

std::unique_ptr<Message> Copy(const Message& message) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  return copy;
}

// Puts `from`'s field into `to`, or clears it there.
void TakeField(Message& to, const Message& from, const char* name) {
  const FieldDescriptor* field = to.GetDescriptor()->FindFieldByName(name);
  if (!field) return;
  to.GetReflection()->ClearField(&to, field);
  if (from.GetReflection()->HasField(from, field)) {
    to.GetReflection()
        ->MutableMessage(&to, field)
        ->CopyFrom(from.GetReflection()->GetMessage(from, field));
  }
}

// Equal but for metadata and status.
bool SameSpec(const Message& a, const Message& b) {
  std::unique_ptr<Message> left = Copy(a), right = Copy(b);
  for (Message* message : {left.get(), right.get()}) {
    for (const char* name : {"metadata", "status"}) {
      if (const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name)) {
        message->GetReflection()->ClearField(message, field);
      }
    }
  }
  return MessageDifferencer::Equals(*left, *right);
}

// "spec.nodeName" of a message, as text.
std::string FieldValue(const Message& message, std::string_view path) {
  const size_t dot = path.find('.');
  const std::string_view head = path.substr(0, dot);
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->json_name() != head || field->is_repeated()) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (dot == std::string_view::npos) return {};
      return FieldValue(reflection.GetMessage(message, field), path.substr(dot + 1));
    }
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection.GetString(message, field);
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.GetBool(message, field) ? "true" : "false";
      case FieldDescriptor::CPPTYPE_INT32:
        return std::to_string(reflection.GetInt32(message, field));
      case FieldDescriptor::CPPTYPE_INT64:
        return std::to_string(reflection.GetInt64(message, field));
      default:
        return {};
    }
  }
  return {};
}

void MergePatch(api::JsonValue& target, const api::JsonValue& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = api::JsonValue::MakeObject();
  for (const auto& [name, value] : patch.as_object()) {
    if (value.is_null()) {
      target.Erase(name);
    } else {
      MergePatch(target[name], value);
    }
  }
}

StatusDetails Details(const api::KindInfo& kind, const std::string& name) {
  StatusDetails details;
  details.group = std::string(kind.group);
  details.kind = std::string(kind.plural);
  details.name = name;
  return details;
}

Status NotFound(const api::KindInfo& kind, const std::string& name) {
  return Status(Code::kNotFound, kind.GroupResource() + " \"" + name + "\" not found",
                Details(kind, name));
}

Status Conflict(const api::KindInfo& kind, const std::string& name, const std::string& why) {
  return Status(
      Code::kConflict,
      "Operation cannot be fulfilled on " + kind.GroupResource() + " \"" + name + "\": " + why,
      Details(kind, name));
}

Status Unsupported(const std::string& what) {
  return BadRequest("the fake API server has no " + what);
}

}  // namespace

// What a list or watch admits.
struct FakeClient::Selection {
  static Result<Selection> From(const ListOptions& options) {
    Selection selection;
    selection.ns = options.ns;
    GANTRY_ASSIGN(selection.labels, api::Selector::Parse(options.label_selector));
    GANTRY_ASSIGN(selection.fields, api::FieldSelector::Parse(options.field_selector));
    return selection;
  }
  bool Admits(const api::ObjectPtr& object) const {
    if (!object || (!ns.empty() && object->ns() != ns)) return false;
    return labels.Matches(object->meta().labels()) &&
           fields.Matches(
               [&object](std::string_view path) { return FieldValue(object->message(), path); });
  }

  std::string ns;
  api::Selector labels;
  api::FieldSelector fields;
};

class FakeClient::FakeWatcher : public Watcher {
 public:
  FakeWatcher(FakeClient& client, const api::KindInfo& kind, Selection selection, int64_t revision)
      : client_(client), kind_(kind), selection_(std::move(selection)), revision_(revision) {
    absl::MutexLock lock(&client_.mutex_);
    client_.watchers_.push_back(this);
  }
  ~FakeWatcher() override {
    absl::MutexLock lock(&client_.mutex_);
    std::erase(client_.watchers_, this);
  }

  Task<Result<std::vector<WatchEvent>>> Next(CancelToken cancel) override {
    while (true) {
      std::vector<WatchEvent> events;
      GANTRY_CO_TRY(Read(&events));
      if (!events.empty()) co_return events;
      if (co_await arrived_.Wait(client_.env_, cancel) == Wake::kCanceled) {
        co_return Canceled("the watch was cancelled");
      }
    }
  }

  void WantRevision(int64_t revision) override {
    {
      absl::MutexLock lock(&client_.mutex_);
      wanted_ = std::max(wanted_, revision);
    }
    arrived_.Notify();
  }

  void Wakeup() { arrived_.Notify(); }
  void Break(Status status) {
    broken_ = std::move(status);
    arrived_.Notify();
  }

 private:
  Status Read(std::vector<WatchEvent>* events) {
    absl::MutexLock lock(&client_.mutex_);
    if (!broken_.ok()) return broken_;
    auto first =
        std::upper_bound(client_.changes_.begin(), client_.changes_.end(), revision_,
                         [](int64_t at, const Change& change) { return at < change.revision; });
    for (; first != client_.changes_.end(); ++first) {
      const Change& change = *first;
      revision_ = change.revision;
      if (change.kind != &kind_) continue;
      const bool was = selection_.Admits(change.before), is = selection_.Admits(change.after);
      if (!was && !is) continue;
      WatchEvent& event = events->emplace_back();
      event.type = !was  ? WatchEvent::Type::kAdded
                   : !is ? WatchEvent::Type::kDeleted
                         : WatchEvent::Type::kModified;
      event.object = is ? change.after : change.before;
      event.revision = change.revision;
    }
    if (wanted_ > 0 && revision_ >= wanted_) {
      wanted_ = 0;
      WatchEvent bookmark;
      bookmark.type = WatchEvent::Type::kBookmark;
      bookmark.revision = revision_;
      events->push_back(std::move(bookmark));
    }
    return Status::Ok();
  }

  FakeClient& client_;
  const api::KindInfo& kind_;
  const Selection selection_;
  int64_t revision_;  // these three are guarded by the client's lock
  int64_t wanted_ = 0;
  Status broken_;
  Notifier arrived_;
};

FakeClient::FakeClient(Env& env) : env_(env) {}
FakeClient::~FakeClient() = default;

Status FakeClient::Admit(Call call) {
  std::function<Status(const Call&)> fault;
  {
    absl::MutexLock lock(&mutex_);
    fault = fault_;
    if (call.verb != "get" && call.verb != "list" && call.verb != "watch") writes_.push_back(call);
  }
  return fault ? fault(call) : Status::Ok();
}

api::ObjectPtr FakeClient::Find(const api::KindInfo& kind, std::string_view ns,
                                std::string_view name) const {
  auto objects = objects_.find(&kind);
  if (objects == objects_.end()) return nullptr;
  auto it = objects->second.find(Key(ns, name));
  return it == objects->second.end() ? nullptr : it->second;
}

void FakeClient::Wake() {
  for (FakeWatcher* watcher : watchers_)
    watcher->Wakeup();
}

api::ObjectPtr FakeClient::Store(const api::KindInfo& kind, std::unique_ptr<Message> message) {
  api::meta::v1::ObjectMeta& meta = MetaOf(*message);
  meta.set_resource_version(std::to_string(++revision_));
  if (meta.uid().empty()) meta.set_uid(RandomUuid(env_));
  if (!meta.has_creation_timestamp()) {
    meta.mutable_creation_timestamp()->set_seconds(
        std::chrono::floor<std::chrono::seconds>(env_.Now()).time_since_epoch().count());
  }
  Change change;
  change.kind = &kind;
  change.revision = revision_;
  api::ObjectPtr& slot = objects_[&kind][Key(meta.namespace_(), meta.name())];
  change.before = slot;
  change.after = slot = api::Object::FromServer(kind, std::move(message));
  changes_.push_back(change);
  Wake();
  return change.after;
}

api::ObjectPtr FakeClient::Erase(const api::ObjectPtr& object) {
  std::unique_ptr<Message> message = Copy(object->message());
  MetaOf(*message).set_resource_version(std::to_string(++revision_));
  Change change;
  change.kind = &object->kind();
  change.revision = revision_;
  change.before = api::Object::FromServer(object->kind(), std::move(message));
  objects_[change.kind].erase(Key(object->ns(), object->name()));
  changes_.push_back(change);
  Wake();
  return change.before;
}

api::ObjectPtr FakeClient::PutMessage(const api::KindInfo& kind, std::unique_ptr<Message> message) {
  absl::MutexLock lock(&mutex_);
  const api::meta::v1::ObjectMeta& meta = MetaOf(*message);
  if (api::ObjectPtr before = Find(kind, meta.namespace_(), meta.name())) {
    if (meta.uid().empty()) MetaOf(*message).set_uid(before->uid());
  }
  return Store(kind, std::move(message));
}

void FakeClient::Remove(const api::KindInfo& kind, std::string_view ns, std::string_view name) {
  absl::MutexLock lock(&mutex_);
  if (api::ObjectPtr object = Find(kind, ns, name)) Erase(object);
}

api::ObjectPtr FakeClient::Peek(const api::KindInfo& kind, std::string_view ns,
                                std::string_view name) const {
  absl::MutexLock lock(&mutex_);
  return Find(kind, ns, name);
}

std::vector<api::ObjectPtr> FakeClient::All(const api::KindInfo& kind) const {
  absl::MutexLock lock(&mutex_);
  std::vector<api::ObjectPtr> all;
  if (auto objects = objects_.find(&kind); objects != objects_.end()) {
    for (const auto& [key, object] : objects->second)
      all.push_back(object);
  }
  return all;
}

int64_t FakeClient::revision() const {
  absl::MutexLock lock(&mutex_);
  return revision_;
}

std::vector<FakeClient::Call> FakeClient::writes() const {
  absl::MutexLock lock(&mutex_);
  return writes_;
}

void FakeClient::SetFault(std::function<Status(const Call&)> fault) {
  absl::MutexLock lock(&mutex_);
  fault_ = std::move(fault);
}

void FakeClient::BreakWatches(Status status) {
  absl::MutexLock lock(&mutex_);
  for (FakeWatcher* watcher : watchers_)
    watcher->Break(status);
}

void FakeClient::Compact(int64_t revision) {
  absl::MutexLock lock(&mutex_);
  compacted_ = revision;
}

Task<Result<api::ObjectPtr>> FakeClient::Get(const api::KindInfo& kind, std::string ns,
                                             std::string name) {
  GANTRY_CO_TRY(Admit(Call{"get", &kind, ns, name, ""}));
  absl::MutexLock lock(&mutex_);
  api::ObjectPtr object = Find(kind, ns, name);
  if (!object) co_return NotFound(kind, name);
  co_return object;
}

Task<Result<List>> FakeClient::ListObjects(const api::KindInfo& kind, ListOptions options) {
  GANTRY_CO_TRY(Admit(Call{"list", &kind, options.ns, "", ""}));
  GANTRY_CO_ASSIGN(Selection selection, Selection::From(options));
  List list;
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, object] : objects_[&kind]) {
    if (selection.Admits(object)) list.items.push_back(object);
  }
  list.revision = revision_;
  co_return list;
}

Task<Result<std::unique_ptr<Watcher>>> FakeClient::Watch(const api::KindInfo& kind,
                                                         ListOptions options, int64_t revision) {
  GANTRY_CO_TRY(Admit(Call{"watch", &kind, options.ns, "", ""}));
  GANTRY_CO_ASSIGN(Selection selection, Selection::From(options));
  {
    absl::MutexLock lock(&mutex_);
    if (revision < compacted_) {
      co_return Status(Code::kExpired, "too old resource version: " + std::to_string(revision) +
                                           " (" + std::to_string(compacted_) + ")");
    }
  }
  std::unique_ptr<Watcher> watcher =
      std::make_unique<FakeWatcher>(*this, kind, std::move(selection), revision);
  co_return watcher;
}

Task<Result<api::ObjectPtr>> FakeClient::Create(const api::KindInfo& kind, std::string ns,
                                                std::string name, std::string subresource,
                                                std::unique_ptr<Message> object,
                                                WriteOptions options) {
  GANTRY_CO_TRY(Admit(Call{"create", &kind, ns, name, subresource}));
  absl::MutexLock lock(&mutex_);
  if (subresource == "binding") co_return Bind(ns, name, *object);
  if (subresource == "eviction") co_return Drop(kind, ns, name, DeleteOptions());
  if (!subresource.empty()) co_return Unsupported("subresource " + subresource);
  api::meta::v1::ObjectMeta& meta = MetaOf(*object);
  if (kind.namespaced && meta.namespace_().empty()) meta.set_namespace_(ns);
  if (meta.name().empty() && !meta.generate_name().empty()) {
    meta.set_name(meta.generate_name() + RandomNameSuffix(env_));
  }
  if (meta.name().empty()) co_return BadRequest("name or generateName is required");
  if (!meta.resource_version().empty()) {
    co_return BadRequest("resourceVersion should not be set on objects to be created");
  }
  if (Find(kind, meta.namespace_(), meta.name())) {
    co_return Status(Code::kAlreadyExists,
                     kind.GroupResource() + " \"" + meta.name() + "\" already exists",
                     Details(kind, meta.name()));
  }
  meta.clear_uid();
  meta.clear_creation_timestamp();
  meta.clear_deletion_timestamp();
  meta.set_generation(1);
  if (const FieldDescriptor* status = object->GetDescriptor()->FindFieldByName("status")) {
    object->GetReflection()->ClearField(object.get(), status);
  }
  if (options.dry_run) co_return api::Object::FromServer(kind, std::move(object));
  co_return Store(kind, std::move(object));
}

Result<api::ObjectPtr> FakeClient::Replace(const api::KindInfo& kind,
                                           const std::string& subresource,
                                           std::unique_ptr<Message> message, bool dry_run) {
  const bool finalize = subresource == "finalize", approval = subresource == "approval";
  if (!subresource.empty() && subresource != "status" && !finalize && !approval)
    return Unsupported("subresource " + subresource);
  api::meta::v1::ObjectMeta& meta = MetaOf(*message);
  api::ObjectPtr before = Find(kind, meta.namespace_(), meta.name());
  if (!before) return NotFound(kind, meta.name());
  if (!meta.uid().empty() && meta.uid() != before->uid()) {
    return Conflict(kind, meta.name(),
                    "Precondition failed: UID in precondition: " + meta.uid() +
                        ", UID in object meta: " + before->uid());
  }
  if (!meta.resource_version().empty() &&
      meta.resource_version() != std::to_string(before->revision())) {
    return Conflict(kind, meta.name(),
                    "the object has been modified; please apply your changes to the latest version "
                    "and try again");
  }
  std::unique_ptr<Message> next = std::move(message);
  if (subresource == "status" || approval) {
    std::unique_ptr<Message> whole = Copy(before->message());
    TakeField(*whole, *next, "status");
    next = std::move(whole);
  } else {
    TakeField(*next, before->message(), "status");
  }
  api::meta::v1::ObjectMeta& kept = MetaOf(*next);
  const api::meta::v1::ObjectMeta& old = before->meta();
  kept.set_uid(old.uid());
  *kept.mutable_creation_timestamp() = old.creation_timestamp();
  kept.clear_deletion_timestamp();
  if (old.has_deletion_timestamp()) *kept.mutable_deletion_timestamp() = old.deletion_timestamp();
  kept.set_resource_version(old.resource_version());
  kept.clear_generation();
  if (old.has_generation()) kept.set_generation(old.generation());
  if (MessageDifferencer::Equals(*next, before->message())) return before;
  if (subresource.empty() && !SameSpec(*next, before->message()))
    kept.set_generation(old.generation() + 1);
  if (dry_run) return api::Object::FromServer(kind, std::move(next));
  const bool last_finalizer_gone = old.has_deletion_timestamp() && old.finalizers_size() > 0 &&
                                   kept.finalizers_size() == 0 &&
                                   kept.deletion_grace_period_seconds() == 0;
  api::ObjectPtr after = Store(kind, std::move(next));
  const bool finalized = finalize && old.has_deletion_timestamp() &&
                         after->As<api::core::v1::Namespace>().spec().finalizers().empty();
  return last_finalizer_gone || finalized ? Erase(after) : after;
}

Task<Result<api::ObjectPtr>> FakeClient::Update(const api::KindInfo& kind, std::string subresource,
                                                std::unique_ptr<Message> object,
                                                WriteOptions options) {
  const api::meta::v1::ObjectMeta& meta = MetaOf(*object);
  GANTRY_CO_TRY(Admit(Call{"update", &kind, meta.namespace_(), meta.name(), subresource}));
  absl::MutexLock lock(&mutex_);
  co_return Replace(kind, subresource, std::move(object), options.dry_run);
}

Task<Result<api::ObjectPtr>> FakeClient::Patch(const api::KindInfo& kind, std::string ns,
                                               std::string name, std::string subresource,
                                               PatchType type, std::string body,
                                               WriteOptions options) {
  GANTRY_CO_TRY(Admit(Call{"patch", &kind, ns, name, subresource}));
  if (type != PatchType::kMerge) co_return Unsupported("patches but merge patches");
  GANTRY_CO_ASSIGN(api::JsonValue patch, api::JsonValue::Parse(body));
  absl::MutexLock lock(&mutex_);
  api::ObjectPtr before = Find(kind, ns, name);
  if (!before) co_return NotFound(kind, name);
  std::string text;
  api::WriteJson(before->message(), &text);
  GANTRY_CO_ASSIGN(api::JsonValue json, api::JsonValue::Parse(text));
  MergePatch(json, patch);
  std::unique_ptr<Message> message(before->message().New());
  GANTRY_CO_TRY(api::ReadJson(json.ToString(), message.get()));
  co_return Replace(kind, subresource, std::move(message), options.dry_run);
}

Task<Result<api::ObjectPtr>> FakeClient::Delete(const api::KindInfo& kind, std::string ns,
                                                std::string name, DeleteOptions options) {
  GANTRY_CO_TRY(Admit(Call{"delete", &kind, ns, name, ""}));
  absl::MutexLock lock(&mutex_);
  co_return Drop(kind, ns, name, options);
}

Result<api::ObjectPtr> FakeClient::Drop(const api::KindInfo& kind, const std::string& ns,
                                        const std::string& name, const DeleteOptions& options) {
  api::ObjectPtr before = Find(kind, ns, name);
  if (!before) return NotFound(kind, name);
  if (!options.uid.empty() && options.uid != before->uid()) {
    return Conflict(kind, name,
                    "Precondition failed: UID in precondition: " + options.uid +
                        ", UID in object meta: " + before->uid());
  }
  if (options.resource_version != 0 && options.resource_version != before->revision()) {
    return Conflict(kind, name,
                    "Precondition failed: ResourceVersion in precondition: " +
                        std::to_string(options.resource_version) +
                        ", ResourceVersion in object meta: " + std::to_string(before->revision()));
  }
  int64_t grace = 0;
  if (&kind == &api::KindOf<api::core::v1::Pod>()) {
    const auto& pod = before->As<api::core::v1::Pod>();
    const bool running = !pod.spec().node_name().empty() && pod.status().phase() != "Succeeded" &&
                         pod.status().phase() != "Failed";
    const int64_t wanted = pod.spec().has_termination_grace_period_seconds()
                               ? pod.spec().termination_grace_period_seconds()
                               : 30;
    if (running) grace = options.grace_period_seconds.value_or(wanted);
  }
  std::unique_ptr<Message> next = Copy(before->message());
  api::meta::v1::ObjectMeta& meta = MetaOf(*next);
  const std::pair<const char*, const char*> holders[] = {{"Foreground", "foregroundDeletion"},
                                                         {"Orphan", "orphan"}};
  for (const auto& [policy, finalizer] : holders) {
    if (options.propagation_policy == policy &&
        std::find(meta.finalizers().begin(), meta.finalizers().end(), finalizer) ==
            meta.finalizers().end()) {
      meta.add_finalizers(finalizer);
    }
  }
  if (meta.finalizers_size() == 0 && grace == 0) return Erase(before);
  if (meta.has_deletion_timestamp() && grace >= meta.deletion_grace_period_seconds() &&
      meta.finalizers_size() == before->meta().finalizers_size()) {
    return before;
  }
  const int64_t now =
      std::chrono::floor<std::chrono::seconds>(env_.Now()).time_since_epoch().count();
  meta.mutable_deletion_timestamp()->set_seconds(now + grace);
  meta.set_deletion_grace_period_seconds(grace);
  return Store(kind, std::move(next));
}

Result<api::ObjectPtr> FakeClient::Bind(const std::string& ns, const std::string& name,
                                        const Message& message) {
  const api::KindInfo& pods = api::KindOf<api::core::v1::Pod>();
  const auto& binding = static_cast<const api::core::v1::Binding&>(message);
  api::ObjectPtr before = Find(pods, ns, name);
  if (!before) return NotFound(pods, name);
  auto pod = std::make_unique<api::core::v1::Pod>(before->As<api::core::v1::Pod>());
  if (!pod->spec().node_name().empty()) {
    return Conflict(
        pods, name,
        "pod " + name + " is already assigned to node \"" + pod->spec().node_name() + "\"");
  }
  pod->mutable_spec()->set_node_name(binding.target().name());
  pod->mutable_status()->clear_nominated_node_name();
  auto& conditions = *pod->mutable_status()->mutable_conditions();
  auto scheduled = std::find_if(conditions.begin(), conditions.end(), [](const auto& condition) {
    return condition.type() == "PodScheduled";
  });
  auto& condition =
      scheduled == conditions.end() ? *pod->mutable_status()->add_conditions() : *scheduled;
  condition.Clear();
  condition.set_type("PodScheduled");
  condition.set_status("True");
  condition.mutable_last_transition_time()->set_seconds(
      std::chrono::floor<std::chrono::seconds>(env_.Now()).time_since_epoch().count());
  return Store(pods, std::move(pod));
}

}  // namespace gantry::client
