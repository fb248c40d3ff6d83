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
// A chunk is about this large; it is looked at after so many events.
constexpr size_t kMaxChunk = 256 * 1024;
constexpr size_t kItemsPerTurn = 8;

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

// What the bytes of a watcher's events depend on.
struct Watching {
  Watching(Env& env_, const api::KindInfo& kind_, Output output_, WatchOptions options_)
      : env(env_), kind(kind_), output(output_), options(options_) {}

  Env& env;
  const api::KindInfo& kind;
  Output output;
  WatchOptions options;
  bool sent_headers = false;  // of a table
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

// One watcher's events, bookmarks and end.
class WatchSource final : public BodySource {
 public:
  WatchSource(const Watching& state, std::unique_ptr<store::CacheWatch> watch, CancelToken cancel)
      : state_(state), watch_(std::move(watch)), cancel_(std::move(cancel)) {}

  Env& env() { return state_.env; }

  void Start(std::shared_ptr<Waker> waker) override {
    const int64_t seconds = state_.options.timeout_seconds.value_or(
        kMinSeconds + static_cast<int64_t>(RandomBelow(state_.env, kMinSeconds)));
    const SteadyTime now = state_.env.Steady();
    end_ = now + std::chrono::seconds(std::min<int64_t>(seconds, 86400 * 365));
    next_bookmark_ = state_.options.bookmarks ? now + kBookmarkEvery : SteadyTime::max();
    waker_ = std::move(waker);
    watch_->SetWaker(waker_);
    cancelled_ = cancel_.OnCancel([waker = waker_] { waker->Wake(); });
    SetTimer();
  }

  State Take(std::shared_ptr<const std::string>* chunk) override {
    if (cancel_.cancelled()) return State::kEnd;
    const Result<bool> more = TakeEvents(chunk);
    if (!more.ok()) {
      if (more.code() == Code::kCanceled) return State::kEnd;
      Response failed = WatchErrorResponse(state_.output, more.status());
      *chunk = std::make_shared<const std::string>(std::move(failed.body));
      return State::kEnd;
    }
    if (*more) return State::kMore;
    const SteadyTime now = state_.env.Steady();
    if (now < std::min(end_, next_bookmark_)) return State::kIdle;
    if (*chunk != nullptr) return State::kMore;  // what is due comes behind the events
    if (now >= end_) return State::kEnd;
    next_bookmark_ = now + kBookmarkEvery;
    SetTimer();
    const int64_t revision = watch_->revision();
    if (revision > last_revision_) {
      last_revision_ = revision;
      *chunk = std::make_shared<const std::string>(Bookmark(state_, revision, false));
    }
    return State::kIdle;
  }

 private:
  // About a chunk of events; null when there are none. True: there are more.
  Result<bool> TakeEvents(std::shared_ptr<const std::string>* chunk) {
    // Filled and emptied here, so that idle watchers hold no memory.
    thread_local std::vector<Item> items;
    std::string together;
    size_t size = 0;
    bool more = true;
    while (more && size < kMaxChunk) {
      items.clear();
      GANTRY_ASSIGN(more, watch_->Take(kItemsPerTurn, &items));
      for (const Item& item : items) {
        if (item.type == Item::Type::kInitialEnd && !state_.options.mark_initial_end) continue;
        std::shared_ptr<const std::string> frame = FrameOf(state_, item);
        last_revision_ = item.revision;
        // One event alone, as most come, is shared and not copied.
        if (size > 0 && together.empty()) together = **chunk;
        if (size > 0) together += *frame;
        size += frame->size();
        *chunk = std::move(frame);
      }
    }
    items.clear();
    if (!together.empty()) *chunk = std::make_shared<const std::string>(std::move(together));
    return more;
  }

  void SetTimer() {
    timer_ = state_.env.CallAt(std::min(end_, next_bookmark_), [waker = waker_] { waker->Wake(); });
  }

  Watching state_;
  const std::unique_ptr<store::CacheWatch> watch_;
  const CancelToken cancel_;
  CancelToken::Registration cancelled_;
  std::shared_ptr<Waker> waker_;
  std::unique_ptr<TimerHandle> timer_;
  SteadyTime end_{};
  SteadyTime next_bookmark_{};
  int64_t last_revision_ = 0;
};

Task<void> RunWatch(BodyWriter& writer, std::shared_ptr<WatchSource> source) {
  const Status ended = co_await writer.Drain(source->env(), *source);
  if (!ended.ok()) co_return;  // the client is gone, which is how most watches end
}

}  // namespace

Response WatchResponse(Env& env, const api::KindInfo& kind, const Output& output,
                       std::unique_ptr<store::CacheWatch> watch, WatchOptions options,
                       CancelToken cancel) {
  auto source = std::make_shared<WatchSource>(Watching(env, kind, output, options),
                                              std::move(watch), std::move(cancel));
  Response response;
  response.headers.Set("Content-Type", output.StreamContentType());
  response.stream = [source = std::move(source)](BodyWriter& writer) {
    return RunWatch(writer, source);
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
