#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/defaults.h"
#include "api/duration.h"
#include "api/object.h"
#include "apiserver/registry/messages.h"
#include "apiserver/registry/registry.h"
#include "store/store.h"

// How the server writes objects of its own: around admission, which may need them.
namespace gantry::apiserver {

// The writes that bring the cluster up to what it should have.
class Batch {
 public:
  explicit Batch(Registry& registry) : registry_(registry) {}

  // Writes `object` unless there is one of its name.
  template <class T>
  void Ensure(T object) {
    if (!Live(object)) Put(std::move(object), store::kAbsent, nullptr);
  }

  // Writes `object`; where there is one already, `merge` changes a copy of that one, and it is
  // written if that made a difference.
  template <class T, class Merge>
  void Reconcile(T object, Merge merge) {
    api::Ref<T> live = Live(object);
    if (!live) {
      Put(std::move(object), store::kAbsent, nullptr);
      return;
    }
    T changed = *live;
    merge(&changed, object);
    if (!SameMessage(changed, *live)) Put(std::move(changed), live.revision(), &live->metadata());
  }

  void Remove(const api::Object& live) {
    store::Write write;
    write.key = live.Key();
    write.expected_revision = live.revision();
    writes_.push_back(std::move(write));
  }

  std::vector<store::Write> Take() { return std::move(writes_); }

 private:
  template <class T>
  api::Ref<T> Live(const T& object) const {
    return registry_.Peek<T>(object.metadata().namespace_(), object.metadata().name());
  }

  template <class T>
  void Put(T object, int64_t expected, const api::meta::v1::ObjectMeta* live) {
    auto* meta = object.mutable_metadata();
    if (live == nullptr) {
      meta->set_uid(RandomUuid(registry_.env()));
      api::SetTime(registry_.env().Now(), meta->mutable_creation_timestamp());
    }
    meta->clear_resource_version();
    api::SetDefaults(&object);
    const api::KindInfo& kind = api::KindOf<T>();
    store::Write write;
    write.key = api::StorageKey(kind, meta->namespace_(), meta->name());
    std::shared_ptr<api::Object> stored =
        api::Object::FromMessage(kind, std::make_unique<T>(std::move(object)));
    write.value = stored->stored();
    write.expected_revision = expected;
    write.object = std::move(stored);
    writes_.push_back(std::move(write));
  }

  Registry& registry_;
  std::vector<store::Write> writes_;
};

template <class T>
T Named(std::string_view ns, std::string_view name) {
  T object;
  if (!ns.empty()) object.mutable_metadata()->set_namespace_(std::string(ns));
  object.mutable_metadata()->set_name(std::string(name));
  return object;
}

}  // namespace gantry::apiserver
