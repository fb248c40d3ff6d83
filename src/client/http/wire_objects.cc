#include "client/http/wire_objects.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>

#include <charconv>
#include <utility>

#include "api/envelope.h"
#include "api/meta/v1/object.pb.h"
#include "api/meta/v1/object_meta.pb.h"
#include "api/meta/v1/status.pb.h"
#include "client/http/reply_status.h"

namespace gantry::client::internal {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

Status NotDecodable(std::string_view what) {
  return DataLoss("the server's answer does not decode: " + std::string(what));
}

Status FailureOf(const api::meta::v1::Status& message, int http_status) {
  StatusDetails details;
  details.group = message.details().group();
  details.kind = message.details().kind();
  details.name = message.details().name();
  details.uid = message.details().uid();
  details.retry_after_seconds = message.details().retry_after_seconds();
  for (const auto& cause : message.details().causes()) {
    StatusCause entry;
    entry.reason = cause.reason();
    entry.message = cause.message();
    entry.field = cause.field();
    details.causes.push_back(std::move(entry));
  }
  return Status(CodeOfReply(http_status, message.reason()), message.message(), std::move(details));
}

int64_t RevisionOf(std::string_view text) {
  int64_t revision = 0;
  std::from_chars(text.data(), text.data() + text.size(), revision);
  return revision;
}

Result<std::unique_ptr<google::protobuf::Message>> Parse(const api::KindInfo& kind,
                                                         std::string_view raw) {
  std::unique_ptr<google::protobuf::Message> message(kind.prototype->New());
  if (!message->ParseFromArray(raw.data(), static_cast<int>(raw.size())))
    return NotDecodable(kind.kind);
  return message;
}

// Each field of a message as its number and, where it is length-delimited, its bytes. False when
// malformed.
template <class Visit>
bool ForEachField(std::string_view raw, Visit visit) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(raw.data()), static_cast<int>(raw.size()));
  while (const uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      continue;
    }
    uint32_t length = 0;
    if (!in.ReadVarint32(&length)) return false;
    const auto at = static_cast<size_t>(in.CurrentPosition());
    if (length > raw.size() - at || !in.Skip(static_cast<int>(length))) return false;
    if (!visit(WireFormatLite::GetTagFieldNumber(tag), raw.substr(at, length))) return false;
  }
  return in.ConsumedEntireMessage();
}

}  // namespace

Status ReadFailure(int http_status, std::string_view body) {
  if (!api::IsEnvelope(body)) return StatusOfReply(http_status, body);
  Result<api::Envelope> envelope = api::OpenEnvelope(body);
  api::meta::v1::Status message;
  if (!envelope.ok() ||
      !message.ParseFromArray(envelope->raw.data(), static_cast<int>(envelope->raw.size()))) {
    return StatusOfReply(http_status, "");
  }
  return FailureOf(message, http_status);
}

Result<api::ObjectPtr> ReadObject(std::string_view body) {
  if (!api::IsEnvelope(body)) return NotDecodable("it is not in the binary encoding");
  GANTRY_ASSIGN(const api::Envelope envelope, api::OpenEnvelope(body));
  if (envelope.api_version == "v1" && envelope.kind == "Status") {
    api::meta::v1::Status message;
    if (!message.ParseFromArray(envelope.raw.data(), static_cast<int>(envelope.raw.size())))
      return NotDecodable("Status");
    if (message.status() == "Failure") return FailureOf(message, message.code());
    return api::ObjectPtr();
  }
  const api::KindInfo* kind = api::FindKindByApiVersion(envelope.api_version, envelope.kind);
  if (!kind || !kind->prototype) {
    return NotDecodable("unknown kind " + std::string(envelope.api_version) + " " +
                        std::string(envelope.kind));
  }
  GANTRY_ASSIGN(std::unique_ptr<google::protobuf::Message> message, Parse(*kind, envelope.raw));
  return api::Object::FromServer(*kind, std::move(message));
}

Result<List> ReadList(const api::KindInfo& kind, std::string_view body) {
  if (!api::IsEnvelope(body)) return NotDecodable("it is not in the binary encoding");
  GANTRY_ASSIGN(const api::Envelope envelope, api::OpenEnvelope(body));
  List list;
  Status failure;
  const bool whole = ForEachField(envelope.raw, [&](int field, std::string_view bytes) {
    if (field == 1) {
      api::meta::v1::ListMeta meta;
      if (!meta.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
      list.revision = RevisionOf(meta.resource_version());
      list.continue_token = meta.continue_();
    } else if (field == 2) {
      Result<std::unique_ptr<google::protobuf::Message>> message = Parse(kind, bytes);
      if (!message.ok()) {
        failure = message.status();
        return false;
      }
      list.items.push_back(api::Object::FromServer(kind, std::move(message).value()));
    }
    return true;
  });
  GANTRY_TRY(failure);
  if (!whole) return NotDecodable(envelope.kind);
  return list;
}

Result<WatchEvent> ReadEvent(std::string_view frame) {
  api::meta::v1::WatchEvent message;
  if (!message.ParseFromArray(frame.data(), static_cast<int>(frame.size())))
    return NotDecodable("WatchEvent");
  GANTRY_ASSIGN(api::ObjectPtr object, ReadObject(message.object().raw()));
  if (!object) return NotDecodable("a watch event without an object");
  WatchEvent event;
  event.revision = object->revision();
  if (message.type() == "ADDED") {
    event.type = WatchEvent::Type::kAdded;
  } else if (message.type() == "MODIFIED") {
    event.type = WatchEvent::Type::kModified;
  } else if (message.type() == "DELETED") {
    event.type = WatchEvent::Type::kDeleted;
  } else if (message.type() == "BOOKMARK") {
    event.type = WatchEvent::Type::kBookmark;
    return event;
  } else {
    return NotDecodable("watch event of type " + message.type());
  }
  event.object = std::move(object);
  return event;
}

}  // namespace gantry::client::internal
