#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "api/convert.h"
#include "api/envelope.h"
#include "api/json.h"
#include "api/json_value.h"
#include "api/meta/v1/object.pb.h"
#include "api/yaml.h"
#include "apiserver/registry/messages.h"
#include "apiserver/rest/codec.h"
#include "apiserver/rest/wire_list.h"
#include "apiserver/tables/tables.h"
#include "base/log.h"

namespace gantry::apiserver {
namespace {

constexpr size_t kChunkBytes = 128 * 1024;
constexpr size_t kStreamedItems = 64;  // a list of more is sent while it is put together

std::shared_ptr<const std::string> LineBreak() {
  static const auto* const text =
      new std::shared_ptr<const std::string>(std::make_shared<const std::string>("\n"));
  return *text;
}

Response TextOf(int code, const Output& output, std::string json) {
  Response response;
  response.status = code;
  response.headers.Set("Content-Type", output.ContentType());
  if (output.media == Media::kYaml) {
    Result<api::JsonValue> value = api::JsonValue::Parse(json);
    response.body = value.ok() ? api::JsonToYaml(*value) : std::move(json);
    return response;
  }
  response.body = output.pretty ? PrettyJson(json) : std::move(json);
  // Like Kubernetes: a line break behind compact JSON only.
  if (!output.pretty) response.body.push_back('\n');
  return response;
}

std::string ListHead(const api::KindInfo& kind, const ListResult& list) {
  std::string head = "{\"kind\":\"" + std::string(kind.list_kind) + "\",\"apiVersion\":\"" +
                     kind.ApiVersion() + "\",\"metadata\":{\"resourceVersion\":\"" +
                     std::to_string(list.revision) + "\"";
  if (!list.continue_token.empty()) head += ",\"continue\":\"" + list.continue_token + "\"";
  if (list.remaining.has_value())
    head += ",\"remainingItemCount\":" + std::to_string(*list.remaining);
  return head + "},\"items\":[";
}

// Items of a list stand without kind and apiVersion.
void AppendItem(const api::KindInfo& kind, const api::Object& object, bool first,
                std::string* out) {
  static thread_local std::string prefix;
  prefix =
      "{\"kind\":\"" + std::string(kind.kind) + "\",\"apiVersion\":\"" + kind.ApiVersion() + "\",";
  std::shared_ptr<const std::string> json = object.json();
  std::string_view text = *json;
  if (text.starts_with(prefix)) {
    out->append(first ? "{" : ",{");
    out->append(text.substr(prefix.size()));
  } else {
    if (!first) out->push_back(',');
    out->append(text);
  }
}

struct StreamedList {
  const api::KindInfo* kind;
  ListResult list;
};

Task<void> StreamList(BodyWriter& writer, std::shared_ptr<StreamedList> state) {
  std::string chunk = ListHead(*state->kind, state->list);
  bool first = true;
  for (const api::ObjectPtr& object : state->list.items) {
    AppendItem(*state->kind, *object, first, &chunk);
    first = false;
    if (chunk.size() < kChunkBytes) continue;
    auto ready = std::make_shared<const std::string>(std::move(chunk));
    chunk = std::string();
    chunk.reserve(kChunkBytes + kChunkBytes / 8);
    Status written = co_await writer.Write(std::move(ready));
    if (!written.ok()) co_return;
  }
  chunk += "]}\n";
  auto last = std::make_shared<const std::string>(std::move(chunk));
  Status written = co_await writer.Write(std::move(last));
  if (!written.ok()) co_return;
}

api::meta::v1::PartialObjectMetadata PartialOf(const api::Object& object) {
  api::meta::v1::PartialObjectMetadata partial;
  *partial.mutable_metadata() = object.meta();
  partial.mutable_metadata()->set_resource_version(std::to_string(object.revision()));
  return partial;
}

Response BytesResponse(int code, const Output& output, std::string bytes) {
  Response response;
  response.status = code;
  response.headers.Set("Content-Type", output.ContentType());
  response.body = std::move(bytes);
  return response;
}

TableOptions OptionsOf(int include) {
  return TableOptions(false, static_cast<TableOptions::Include>(include));
}

Response PartialListResponse(const Output& output, const ListResult& list) {
  if (output.media == Media::kProtobuf) {
    api::meta::v1::PartialObjectMetadataList message;
    message.mutable_metadata()->set_resource_version(std::to_string(list.revision));
    if (!list.continue_token.empty())
      message.mutable_metadata()->set_continue_(list.continue_token);
    if (list.remaining.has_value())
      message.mutable_metadata()->set_remaining_item_count(*list.remaining);
    for (const api::ObjectPtr& object : list.items)
      *message.add_items() = PartialOf(*object);
    return BytesResponse(
        200, output, api::Seal(api::KindOf<api::meta::v1::PartialObjectMetadataList>(), message));
  }
  std::string json;
  AppendPartialMetadataList(list.items, list.revision, list.continue_token, list.remaining, &json);
  return TextOf(200, output, std::move(json));
}

}  // namespace

api::ObjectPtr InVersion(const api::KindInfo& kind, api::ObjectPtr object) {
  if (&object->kind() == &kind || &kind == kind.storage_kind) return object;
  Result<std::unique_ptr<Message>> converted = api::ConvertTo(kind, object->message());
  if (!converted.ok()) {
    log::Error("apiserver", "an object does not convert",
               {{"kind", kind.kind}, {"error", converted.status().ToString()}});
    return object;
  }
  return api::Object::FromServer(kind, std::move(*converted));
}

Result<std::unique_ptr<Message>> ToStored(const api::KindInfo& kind,
                                          std::unique_ptr<Message> message) {
  if (&kind == kind.storage_kind) return message;
  return api::ConvertTo(*kind.storage_kind, *message);
}

Result<int> TableInclude(const Query& query) {
  std::string_view value = query.Get("includeObject");
  if (value.empty() || value == "Metadata")
    return static_cast<int>(TableOptions::Include::kMetadata);
  if (value == "None") return static_cast<int>(TableOptions::Include::kNone);
  if (value == "Object") return static_cast<int>(TableOptions::Include::kObject);
  return BadRequest("unrecognized includeObject value: \"" + std::string(value) + "\"");
}

Response ObjectResponse(int code, const Output& output, const api::ObjectPtr& object, int include,
                        WallTime now) {
  if (output.shape == Shape::kTable) {
    std::string json;
    AppendTable(object->kind(), {&object, 1}, object->revision(), {}, std::nullopt,
                OptionsOf(include), now, &json);
    return TextOf(code, output, std::move(json));
  }
  if (output.shape == Shape::kPartial) {
    if (output.media == Media::kProtobuf) {
      return BytesResponse(
          code, output,
          api::Seal(api::KindOf<api::meta::v1::PartialObjectMetadata>(), PartialOf(*object)));
    }
    std::string json;
    AppendPartialMetadata(*object, &json);
    return TextOf(code, output, std::move(json));
  }
  if (output.media == Media::kProtobuf) return BytesResponse(code, output, object->WireBytes());
  if (output.media == Media::kYaml || output.pretty) return TextOf(code, output, *object->json());
  Response response;
  response.status = code;
  response.headers.Set("Content-Type", output.ContentType());
  response.pieces.push_back(object->json());
  response.pieces.push_back(LineBreak());
  return response;
}

Response MessageResponse(int code, const Output& output, const api::KindInfo& kind,
                         const Message& message) {
  if (output.media == Media::kProtobuf)
    return BytesResponse(code, output, api::Seal(kind, message));
  std::string json;
  api::WriteObjectJson(kind, message, 0, &json);
  return TextOf(code, output, std::move(json));
}

Response ListResponse(const Output& output, const api::KindInfo& kind, ListResult list, int include,
                      WallTime now) {
  if (&kind != kind.storage_kind && output.shape == Shape::kObject) {
    for (api::ObjectPtr& object : list.items)
      object = InVersion(kind, std::move(object));
  }
  if (output.shape == Shape::kTable) {
    std::string json;
    AppendTable(kind, list.items, list.revision, list.continue_token, list.remaining,
                OptionsOf(include), now, &json);
    return TextOf(200, output, std::move(json));
  }
  if (output.shape == Shape::kPartial) return PartialListResponse(output, list);
  if (output.media == Media::kProtobuf) return BytesResponse(200, output, WireList(kind, list));
  if (output.media == Media::kJson && !output.pretty && list.items.size() > kStreamedItems) {
    auto state = std::make_shared<StreamedList>();
    state->kind = &kind;
    state->list = std::move(list);
    Response response;
    response.headers.Set("Content-Type", output.ContentType());
    response.stream = [state = std::move(state)](BodyWriter& writer) {
      return StreamList(writer, state);
    };
    return response;
  }
  std::string json = ListHead(kind, list);
  bool first = true;
  for (const api::ObjectPtr& object : list.items) {
    AppendItem(kind, *object, first, &json);
    first = false;
  }
  json += "]}";
  return TextOf(200, output, std::move(json));
}

}  // namespace gantry::apiserver
