#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "api/kinds.h"
#include "api/meta/v1/object_meta.pb.h"
#include "base/status.h"

namespace gantry::api {

class Object;
using ObjectPtr = std::shared_ptr<const Object>;

// One revision of one API object, encoded at most once in each form: the store, the watch cache,
// informers and every reader share it. Metadata is always there; the message, the stored bytes and
// the JSON are made on first need. Life cycle: made by one of the factories; Stamp() is called once
// by the store's committer, before anybody else sees the object. Threading: any thread after that.
class Object {
 public:
  // An object that is about to be written. Its revision is 0 until Stamp().
  static std::shared_ptr<Object> FromMessage(const KindInfo& kind,
                                             std::unique_ptr<google::protobuf::Message> message);

  // What the store holds (the binary envelope, without resourceVersion). kDataLoss when the
  // envelope or the metadata do not decode; a message that does not is logged on first need and
  // then holds what could be read of it.
  static Result<ObjectPtr> FromStored(const KindInfo& kind,
                                      std::shared_ptr<const std::string> stored, int64_t revision);

  // A message that came from an API server: metadata.resourceVersion is the revision.
  static ObjectPtr FromServer(const KindInfo& kind,
                              std::unique_ptr<google::protobuf::Message> message);

  // Sets the revision that the commit gave.
  void Stamp(int64_t revision);

  const KindInfo& kind() const { return *kind_; }
  const meta::v1::ObjectMeta& meta() const { return *meta_; }
  const std::string& name() const { return meta().name(); }
  const std::string& ns() const { return meta().namespace_(); }
  const std::string& uid() const { return meta().uid(); }
  int64_t revision() const { return revision_.load(std::memory_order_relaxed); }
  std::string Key() const;  // StorageKey of it

  // The decoded object, metadata.resourceVersion included. As<T>() is a bug when the kind is not T.
  const google::protobuf::Message& message() const;
  template <class T>
  const T& As() const {
    return static_cast<const T&>(CheckedMessage(T::descriptor()));
  }

  // The envelope as the store keeps it, without resourceVersion.
  std::shared_ptr<const std::string> stored() const;
  // The whole object as JSON with kind, apiVersion and resourceVersion.
  std::shared_ptr<const std::string> json() const;
  // The envelope as clients get it, with resourceVersion. Not kept.
  std::string WireBytes() const;
  // Lets go of the JSON to save memory; the next json() makes it anew.
  void DropJson() const;

  Object(const KindInfo& kind, int64_t revision);  // for the factories
  ~Object();

 private:
  const google::protobuf::Message& CheckedMessage(const google::protobuf::Descriptor* type) const;
  void TakeMessage(std::unique_ptr<google::protobuf::Message> message) const;
  std::unique_ptr<google::protobuf::Message> Decode() const;

  const KindInfo* kind_;
  std::atomic<int64_t> revision_;
  const meta::v1::ObjectMeta* meta_;  // own_meta_, or that of the message
  std::unique_ptr<meta::v1::ObjectMeta> own_meta_;
  mutable std::atomic<const google::protobuf::Message*> message_view_{
      nullptr};               // message_, once it is made
  mutable std::mutex mutex_;  // guards the making of the forms below; what is made never changes
  mutable std::unique_ptr<google::protobuf::Message> message_;
  mutable std::shared_ptr<const std::string> stored_;
  mutable std::shared_ptr<const std::string> json_;
};

// An ObjectPtr that knows its type. Null or not; `->` needs not null. Threading: a value, like
// shared_ptr.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(ObjectPtr object)
      : object_(std::move(object)), message_(object_ ? &object_->As<T>() : nullptr) {}
  // An object of a test or of a plan, made from a message.
  static Ref Of(T message) {
    return Ref(Object::FromServer(KindOf<T>(), std::make_unique<T>(std::move(message))));
  }

  const T* operator->() const { return message_; }
  const T& operator*() const { return *message_; }
  explicit operator bool() const { return message_ != nullptr; }
  const ObjectPtr& object() const { return object_; }
  int64_t revision() const { return object_->revision(); }

 private:
  ObjectPtr object_;
  const T* message_ = nullptr;
};

}  // namespace gantry::api
