#include "apiserver/rest/watch_stream.h"

#include "api/envelope.h"
#include "api/json.h"
#include "api/meta/v1/object.pb.h"
#include "apiserver/registry/messages.h"
#include "apiserver/rest/codec.h"
#include "apiserver/rest/wire_list.h"
#include "apiserver/status_body.h"
#include "apiserver/tables/tables.h"

namespace gantry::apiserver {
namespace {

using Item = store::WatchItem;

constexpr Duration kBookmarkEvery = std::chrono::seconds(60);
constexpr int64_t kMinSeconds = 1800;
constexpr size_t kMaxChunk = 256 * 1024;

std::string_view NameOf(Item::Type type) {
  switch (type) {
    case Item::Type::kAdded:
      return "ADDED";
    case Item::Type::kModified:
      return "MODIFIED";
    case Item::Type::kDeleted:
      return "DELETED";
    case Item::Type::kInitialEnd:
      return "BOOKMARK";
  }
  return "";
}

std::string Framed(const Output& output, std::string_view type, std::string_view object) {
  if (output.media == Media::kProtobuf) return WireEvent(type, object);
  std::string line = "{\"type\":\"" + std::string(type) + "\",\"object\":";
  line.reserve(line.size() + object.size() + 2);
  line.append(object);
  line.append("}\n");
  return line;
}

// Everything that a running watch needs; one per watcher.
struct Watching {
  Watching(Env& env_, const api::KindInfo& kind_, Output output_, WatchOptions options_)
      : env(env_), kind(kind_), output(output_), options(options_) {}

  Env& env;
  const api::KindInfo& kind;
  Output output;
  WatchOptions options;
  std::unique_ptr<store::CacheWatch> watch;
  CancelToken cancel;
  bool sent_headers = false;  // of a table
  int64_t last_revision = 0;
};

std::string Encode(const Watching& state, const Item& item, bool no_headers) {
  api::ObjectPtr object =
      state.output.shape == Shape::kObject ? InVersion(state.kind, item.object) : item.object;
  const bool restamp = object->revision() != item.revision && item.type == Item::Type::kDeleted;
  if (restamp) {
    std::unique_ptr<Message> copy = Clone(object->message());
    MutableMetaOf(copy.get())->set_resource_version(std::to_string(item.revision));
    object = api::Object::FromServer(object->kind(), std::move(copy));
  }
  const bool binary = state.output.media == Media::kProtobuf;
  std::string body;
  if (state.output.shape == Shape::kTable) {
    TableOptions options(no_headers,
                         static_cast<TableOptions::Include>(state.options.table_include));
    AppendTable(object->kind(), {&object, 1}, item.revision, {}, std::nullopt, options,
                state.env.Now(), &body);
  } else if (state.output.shape == Shape::kPartial && binary) {
    api::meta::v1::PartialObjectMetadata partial;
    *partial.mutable_metadata() = object->meta();
    partial.mutable_metadata()->set_resource_version(std::to_string(item.revision));
    body = api::Seal(api::KindOf<api::meta::v1::PartialObjectMetadata>(), partial);
  } else if (state.output.shape == Shape::kPartial) {
    AppendPartialMetadata(*object, &body);
  } else if (binary) {
    body = object->WireBytes();
  } else {
    return Framed(state.output, NameOf(item.type), *object->json());
  }
  return Framed(state.output, NameOf(item.type), body);
}

// Bytes that all watchers with this output share; -1 where they are this watcher's own.
int SlotOf(const Watching& state, const Item& item) {
  if (item.event == nullptr) return -1;
  int form;
  if (state.output.shape == Shape::kTable) {
    if (!state.sent_headers ||
        state.options.table_include != static_cast<int>(TableOptions::Include::kMetadata)) {
      return -1;
    }
    form = 3;
  } else if (&state.kind != state.kind.storage_kind) {
    return -1;
  } else if (state.output.shape == Shape::kPartial) {
    if (state.output.media == Media::kProtobuf) return -1;
    form = 2;
  } else {
    form = state.output.media == Media::kProtobuf ? 1 : 0;
  }
  return static_cast<int>(item.type) * 4 + form;
}

std::string Bookmark(const Watching& state, int64_t revision, bool initial_end) {
  const bool partial = state.output.shape == Shape::kPartial;
  const api::KindInfo& kind =
      partial ? api::KindOf<api::meta::v1::PartialObjectMetadata>() : state.kind;
  std::unique_ptr<Message> object(kind.prototype->New());
  auto* meta = MutableMetaOf(object.get());
  meta->set_resource_version(std::to_string(revision));
  if (initial_end) (*meta->mutable_annotations())["k8s.io/initial-events-end"] = "true";
  std::string body;
  if (state.output.media == Media::kProtobuf) {
    body = api::Seal(kind, *object);
  } else if (state.output.shape == Shape::kTable) {
    // A bookmark of a table is a table of one row without cells that carries the object.
    api::ObjectPtr shown = api::Object::FromServer(kind, std::move(object));
    TableOptions options(state.sent_headers,
                         static_cast<TableOptions::Include>(state.options.table_include));
    AppendTable(kind, {&shown, 1}, revision, {}, std::nullopt, options, state.env.Now(), &body);
  } else {
    api::WriteObjectJson(kind, *object, 0, &body);
  }
  return Framed(state.output, "BOOKMARK", body);
}

std::shared_ptr<const std::string> FrameOf(Watching& state, const Item& item) {
  if (item.type == Item::Type::kInitialEnd) {
    return std::make_shared<const std::string>(Bookmark(state, item.revision, true));
  }
  const int slot = SlotOf(state, item);
  const bool no_headers = state.sent_headers;
  state.sent_headers = true;
  if (slot < 0) return std::make_shared<const std::string>(Encode(state, item, no_headers));
  return item.event->Frame(static_cast<size_t>(slot), [&] { return Encode(state, item, true); });
}

Task<void> RunWatch(BodyWriter& writer, std::shared_ptr<Watching> state) {
  Env& env = state->env;
  const int64_t seconds = state->options.timeout_seconds.value_or(
      kMinSeconds + static_cast<int64_t>(RandomBelow(env, kMinSeconds)));
  const SteadyTime end =
      env.Steady() + std::chrono::seconds(std::min<int64_t>(seconds, 86400 * 365));
  SteadyTime next_bookmark = env.Steady() + kBookmarkEvery;
  while (!state->cancel.cancelled()) {
    SteadyTime deadline = state->options.bookmarks ? std::min(end, next_bookmark) : end;
    Result<std::vector<Item>> items = co_await state->watch->Next(state->cancel, deadline);
    if (!items.ok()) {
      if (items.code() == Code::kCanceled) co_return;
      Response failed = WatchErrorResponse(state->output, items.status());
      auto last = std::make_shared<const std::string>(std::move(failed.body));
      Status ignored = co_await writer.Write(std::move(last));
      if (!ignored.ok()) co_return;
      co_return;
    }
    std::string together;
    std::shared_ptr<const std::string> single;
    for (const Item& item : *items) {
      if (item.type == Item::Type::kInitialEnd && !state->options.mark_initial_end) continue;
      std::shared_ptr<const std::string> frame = FrameOf(*state, item);
      state->last_revision = item.revision;
      if (items->size() == 1) {
        single = std::move(frame);
        break;
      }
      together += *frame;
      if (together.size() < kMaxChunk) continue;
      auto chunk = std::make_shared<const std::string>(std::move(together));
      together = std::string();
      Status written = co_await writer.Write(std::move(chunk));
      if (!written.ok()) co_return;
    }
    if (!together.empty()) single = std::make_shared<const std::string>(std::move(together));
    const SteadyTime now = env.Steady();
    if (single == nullptr && now >= end) co_return;
    if (single == nullptr && state->options.bookmarks && now >= next_bookmark) {
      next_bookmark = now + kBookmarkEvery;
      int64_t revision = state->watch->revision();
      if (revision > state->last_revision) {
        state->last_revision = revision;
        single = std::make_shared<const std::string>(Bookmark(*state, revision, false));
      }
    }
    if (single != nullptr) {
      Status written = co_await writer.Write(std::move(single));
      if (!written.ok()) co_return;
    }
  }
}

}  // namespace

Response WatchResponse(Env& env, const api::KindInfo& kind, const Output& output,
                       std::unique_ptr<store::CacheWatch> watch, WatchOptions options,
                       CancelToken cancel) {
  auto state = std::make_shared<Watching>(env, kind, output, options);
  state->watch = std::move(watch);
  state->cancel = std::move(cancel);
  Response response;
  response.headers.Set("Content-Type", output.StreamContentType());
  response.stream = [state = std::move(state)](BodyWriter& writer) {
    return RunWatch(writer, state);
  };
  return response;
}

Response WatchErrorResponse(const Output& output, const Status& status) {
  Response response;
  response.headers.Set("Content-Type", output.StreamContentType());
  if (output.media == Media::kProtobuf) {
    response.body = Framed(output, "ERROR",
                           api::Seal(api::KindOf<api::meta::v1::Status>(), StatusMessage(status)));
  } else {
    response.body = Framed(output, "ERROR", StatusJson(status));
  }
  return response;
}

}  // namespace gantry::apiserver
