#include "api/object.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <charconv>
#include <utility>

#include "api/envelope.h"
#include "api/json.h"
#include "base/check.h"
#include "base/log.h"

namespace gantry::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using meta::v1::ObjectMeta;

constexpr int kMetadataField = 1;  // of every object
constexpr uint8_t kMetadataTag = kMetadataField << 3 | 2;

// Null for types without metadata of objects, like Status.
const FieldDescriptor* MetadataField(const Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByNumber(kMetadataField);
  if (field == nullptr || field->is_repeated() || field->message_type() != ObjectMeta::descriptor())
    return nullptr;
  return field;
}

const ObjectMeta& MetaOf(const Message& message) {
  const FieldDescriptor* field = MetadataField(message);
  if (field == nullptr) return ObjectMeta::default_instance();
  return static_cast<const ObjectMeta&>(message.GetReflection()->GetMessage(message, field));
}

ObjectMeta* MutableMeta(Message* message) {
  const FieldDescriptor* field = MetadataField(*message);
  if (field == nullptr) return nullptr;
  return static_cast<ObjectMeta*>(message->GetReflection()->MutableMessage(message, field));
}

int64_t ParseRevision(std::string_view text) {
  int64_t revision = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
  return error == std::errc() && end == text.data() + text.size() ? revision : 0;
}

// Reads the metadata out of a message's bytes without decoding the rest.
bool ReadMeta(std::string_view raw, ObjectMeta* meta) {
  size_t at = 0;
  auto varint = [&](uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && at < raw.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(raw[at++]);
      *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  };
  while (at < raw.size()) {
    uint64_t tag = 0;
    uint64_t size = 0;
    if (!varint(&tag)) return false;
    switch (tag & 7) {
      case 0:
        if (!varint(&size)) return false;
        continue;
      case 1:
        size = 8;
        break;
      case 2:
        if (!varint(&size)) return false;
        break;
      case 5:
        size = 4;
        break;
      default:
        return false;
    }
    if (size > raw.size() - at) return false;
    if (tag == kMetadataTag && !meta->MergeFromString(std::string(raw.substr(at, size))))
      return false;
    at += size;
  }
  return true;
}

// False where the object has to be decoded for it.
bool WriteJsonOf(const KindInfo& kind, const std::string& stored, int64_t revision,
                 std::string* out) {
  out->reserve(2 * stored.size());
  const Result<Envelope> envelope = OpenEnvelope(stored);
  return envelope.ok() && WriteStoredJson(kind, envelope->raw, revision, out);
}

}  // namespace

Object::Object(const KindInfo& kind, int64_t revision)
    : kind_(&kind), revision_(revision), meta_(&ObjectMeta::default_instance()) {}

Object::~Object() = default;

void Object::TakeMessage(std::unique_ptr<Message> message) const {
  message_ = std::move(message);
  message_view_.store(message_.get(), std::memory_order_release);
}

std::shared_ptr<Object> Object::FromMessage(const KindInfo& kind,
                                            std::unique_ptr<Message> message) {
  auto object = std::make_shared<Object>(kind, 0);
  if (ObjectMeta* meta = MutableMeta(message.get())) meta->clear_resource_version();
  object->meta_ = &MetaOf(*message);
  object->TakeMessage(std::move(message));
  return object;
}

Result<ObjectPtr> Object::FromStored(const KindInfo& kind,
                                     std::shared_ptr<const std::string> stored, int64_t revision) {
  Result<Envelope> envelope = OpenEnvelope(*stored);
  auto meta = std::make_unique<ObjectMeta>();
  if (!envelope.ok() || !ReadMeta(envelope->raw, meta.get()))
    return DataLoss("a stored object of kind " + std::string(kind.kind) + " at revision " +
                    std::to_string(revision) + " does not decode");
  meta->set_resource_version(std::to_string(revision));
  auto object = std::make_shared<Object>(kind, revision);
  object->own_meta_ = std::move(meta);
  object->meta_ = object->own_meta_.get();
  object->stored_ = std::move(stored);
  return ObjectPtr(std::move(object));
}

ObjectPtr Object::FromServer(const KindInfo& kind, std::unique_ptr<Message> message) {
  auto object = std::make_shared<Object>(kind, ParseRevision(MetaOf(*message).resource_version()));
  object->meta_ = &MetaOf(*message);
  object->TakeMessage(std::move(message));
  return object;
}

void Object::Stamp(int64_t revision) {
  (void)stored();  // made now: it carries no resourceVersion
  revision_.store(revision, std::memory_order_relaxed);
  json_ = nullptr;
  const std::string text = std::to_string(revision);
  if (own_meta_ != nullptr) own_meta_->set_resource_version(text);
  if (message_ != nullptr) {
    if (ObjectMeta* meta = MutableMeta(message_.get())) meta->set_resource_version(text);
  }
}

std::string Object::Key() const { return StorageKey(*kind_, ns(), name()); }

std::unique_ptr<Message> Object::Decode() const {
  std::unique_ptr<Message> message(kind_->prototype->New());
  if (Status status = ParseSealed(*stored_, message.get()); !status.ok())
    log::Error("api", "a stored object does not decode",
               {{"key", Key()}, {"error", status.ToString()}});
  if (ObjectMeta* meta = MutableMeta(message.get()))
    meta->set_resource_version(std::to_string(revision()));
  return message;
}

const Message& Object::message() const {
  if (const Message* made = message_view_.load(std::memory_order_acquire)) return *made;
  std::lock_guard lock(mutex_);
  if (message_ == nullptr) TakeMessage(Decode());
  return *message_;
}

const Message& Object::CheckedMessage(const google::protobuf::Descriptor* type) const {
  const Message& made = message();
  GANTRY_CHECK(made.GetDescriptor() == type, kind_->kind);
  return made;
}

std::shared_ptr<const std::string> Object::stored() const {
  std::lock_guard lock(mutex_);
  if (stored_ == nullptr) {
    if (meta_->resource_version().empty()) {
      stored_ = std::make_shared<const std::string>(Seal(*kind_, *message_));
    } else {
      std::unique_ptr<Message> copy(message_->New());
      copy->CopyFrom(*message_);
      MutableMeta(copy.get())->clear_resource_version();
      stored_ = std::make_shared<const std::string>(Seal(*kind_, *copy));
    }
  }
  return stored_;
}

std::shared_ptr<const std::string> Object::json() const {
  std::lock_guard lock(mutex_);
  if (json_ != nullptr) return json_;
  std::string text;
  if (stored_ == nullptr || !WriteJsonOf(*kind_, *stored_, revision(), &text)) {
    // A message that is decoded for this alone is not kept.
    std::unique_ptr<Message> decoded = message_ == nullptr ? Decode() : nullptr;
    WriteObjectJson(*kind_, decoded == nullptr ? *message_ : *decoded, revision(), &text);
  }
  // Copied, so that what is kept takes no more room than it needs.
  json_ = std::make_shared<const std::string>(std::string_view(text));
  return json_;
}

std::string Object::WireBytes() const { return SealedWithRevision(*stored(), revision()); }

void Object::DropJson() const {
  std::lock_guard lock(mutex_);
  json_ = nullptr;
}

}  // namespace gantry::api
