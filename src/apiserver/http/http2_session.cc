#include <absl/functional/any_invocable.h>
#include <absl/synchronization/mutex.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <charconv>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apiserver/http/connection.h"
#include "apiserver/http/out_queue.h"
#include "apiserver/http/respond.h"
#include "base/wire/http1.h"
#include "base/wire/http2_fields.h"

namespace gantry::apiserver::internal {
namespace {

// A stream's writer waits while more than this is queued.
constexpr size_t kHighWater = 64 * 1024;
// Frames are gathered up to about this much before they are encrypted and written.
constexpr size_t kGatherBytes = 64 * 1024;
constexpr int32_t kStreamWindow = 256 * 1024;
constexpr int32_t kConnectionWindow = 4 * 1024 * 1024;

// The streams of one connection whose sources have more: however many are woken at once, the
// connection is called once. Threading: any thread.
class ReadyStreams {
 public:
  ReadyStreams(std::weak_ptr<Connection> connection, Executor strand,
               absl::AnyInvocable<void()> resume)
      : connection_(std::move(connection)),
        strand_(std::move(strand)),
        resume_(std::move(resume)) {}

  // `resume` is called on the strand, if the connection is still there.
  static void Add(const std::shared_ptr<ReadyStreams>& self, int32_t id) {
    {
      absl::MutexLock lock(&self->mutex_);
      self->ids_.push_back(id);
      if (self->ids_.size() > 1) return;
    }
    boost::asio::post(self->strand_, [self] {
      if (const auto connection = self->connection_.lock()) self->resume_();
    });
  }

  std::vector<int32_t> Take() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(ids_, {});
  }

 private:
  const std::weak_ptr<Connection> connection_;
  const Executor strand_;
  absl::AnyInvocable<void()> resume_;  // on the strand
  absl::Mutex mutex_;
  std::vector<int32_t> ids_ ABSL_GUARDED_BY(mutex_);
};

struct Http2Stream : Waker {
  Http2Stream(int32_t id, std::shared_ptr<ReadyStreams> ready) : id(id), ready(std::move(ready)) {}
  // The source has more. Any thread.
  void Wake() override { ReadyStreams::Add(ready, id); }

  const int32_t id;
  const std::shared_ptr<ReadyStreams> ready;
  Request request;  // until it is dispatched
  size_t header_bytes = 0;
  bool dispatched = false;
  bool streaming = false;
  bool submitted = false;  // the answer's head is on its way
  bool complete = false;   // nothing will be added to `out`
  bool deferred = false;   // nghttp2 waits to be told that there is more
  bool closed = false;
  bool writer_waits = false;
  bool head_only = false;
  CancelSource cancel;
  OutQueue out;
  BodySource* source = nullptr;  // asked when `out` is empty; null behind its end
  Notifier drained;              // or the source is at its end
};
using StreamPtr = std::shared_ptr<Http2Stream>;

// Buffers that connections pass around, so that a busy thread needs one and idle connections none.
std::string& SpareBuffer() {
  thread_local std::string spare;
  return spare;
}

class Http2Session : public Session {
 public:
  explicit Http2Session(Connection& connection)
      : connection_(connection),
        ready_(std::make_shared<ReadyStreams>(connection.weak_from_this(), connection.executor(),
                                              [this] { ResumeReady(); })) {
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_session_server_new2(&session_, Callbacks(), this, option);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options().max_streams_per_connection},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options().max_header_bytes)},
    };
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
    UpdateDeadline();
  }
  ~Http2Session() override { nghttp2_session_del(session_); }

  void OnData(std::string_view bytes) override {
    receiving_ = true;
    const ssize_t taken = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    receiving_ = false;
    if (gone_) return;
    if (taken < 0) {
      // What nghttp2 wants to say about the error (GOAWAY) still goes out.
      connection_.CloseAfterFlush();
      return;
    }
    UpdateDeadline();
    connection_.Flush();
    CloseIfDone();
  }

  void OnEnd() override { connection_.Abort(); }

  void OnClosed() override {
    gone_ = true;
    auto streams = std::exchange(streams_, {});
    for (auto& [id, stream] : streams)
      Forget(*stream);
  }

  void OnDeadline() override {
    if (streams_.empty()) {
      nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
      connection_.CloseAfterFlush();
      return;
    }
    for (auto& [id, stream] : streams_) {
      if (!stream->dispatched)
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    connection_.ScheduleFlush();
  }

  bool WantsRead() const override { return !closing_; }

  std::string_view Peek() override {
    if (out_at_ < out_.size()) return std::string_view(out_).substr(out_at_);
    if (out_.capacity() == 0) out_.swap(SpareBuffer());
    out_.clear();
    out_at_ = 0;
    const int failure = nghttp2_session_send(session_);
    if (out_.empty()) {
      if (SpareBuffer().capacity() < out_.capacity()) out_.swap(SpareBuffer());
      std::string().swap(out_);
      if (failure != 0 ||
          (!nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_))) {
        BeginClosing();
      }
    }
    return out_;
  }

  void Consume(size_t count) override { out_at_ += count; }

  void Shutdown() override {
    shutdown_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                          nullptr, 0);
    const auto streams = streams_;
    for (const auto& [id, stream] : streams) {
      if (stream->streaming) stream->cancel.Cancel();
    }
    connection_.Flush();
    CloseIfDone();
  }

 private:
  class Writer;

  const ListenerOptions& options() { return connection_.context().options; }

  void BeginClosing() {
    if (closing_) return;
    closing_ = true;
    connection_.CloseAfterFlush();
  }

  void CloseIfDone() {
    if (!gone_ && shutdown_ && streams_.empty()) BeginClosing();
  }

  void UpdateDeadline() {
    if (streams_.empty()) {
      connection_.SetDeadline(options().idle_timeout);
    } else if (unread_ > 0) {
      connection_.SetDeadline(options().body_timeout);
    } else {
      connection_.ClearDeadline();
    }
  }

  void FlushSoon() {
    if (!receiving_) connection_.ScheduleFlush();
  }

  StreamPtr Find(int32_t id) {
    auto it = streams_.find(id);
    return it == streams_.end() ? nullptr : it->second;
  }

  // The stream is no more: whoever works for it is told.
  void Forget(Http2Stream& stream) {
    if (!stream.dispatched) --unread_;
    stream.closed = true;
    stream.out.Clear();
    stream.cancel.Cancel();
    stream.drained.Notify();
  }

  int OnBeginHeaders(const nghttp2_frame* frame) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const int32_t id = frame->hd.stream_id;
    // A client that resets its streams as fast as it opens them still leaves work behind.
    if (running_ > 2 * options().max_streams_per_connection) {
      nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
      return 0;
    }
    streams_.emplace(id, std::make_shared<Http2Stream>(id, ready_));
    ++unread_;
    return 0;
  }

  int OnHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const StreamPtr stream = Find(frame->hd.stream_id);
    if (!stream) return 0;
    stream->header_bytes += name.size() + value.size() + 32;
    if (stream->header_bytes > options().max_header_bytes)
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    Request& request = stream->request;
    if (name == ":method") {
      request.method = value;
    } else if (name == ":path") {
      if (!wire::SplitTarget(value, &request.path, &request.query))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    } else if (name == ":authority") {
      request.headers.Set("host", std::string(value));
    } else if (!name.starts_with(':')) {
      request.headers.Add(std::string(name), std::string(value));
    }
    return 0;
  }

  int OnBody(int32_t id, std::string_view bytes) {
    const StreamPtr stream = Find(id);
    if (!stream || stream->dispatched) return 0;
    std::string& body = stream->request.body;
    if (body.size() + bytes.size() > options().max_body_bytes) {
      stream->dispatched = true;
      --unread_;
      stream->request = Request();
      Answer(*stream, TooLarge(options().max_body_bytes));
      return 0;
    }
    body.append(bytes);
    return 0;
  }

  int OnFrame(const nghttp2_frame* frame) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    const StreamPtr stream = Find(frame->hd.stream_id);
    if (stream && !stream->dispatched) Dispatch(stream);
    return 0;
  }

  int OnStreamClose(int32_t id) {
    auto it = streams_.find(id);
    if (it == streams_.end()) return 0;
    const StreamPtr stream = std::move(it->second);
    streams_.erase(it);
    Forget(*stream);
    if (!receiving_) UpdateDeadline();
    return 0;
  }

  void Dispatch(const StreamPtr& stream) {
    stream->dispatched = true;
    --unread_;
    Request request = std::exchange(stream->request, Request());
    request.http2 = true;
    request.cancel = stream->cancel.token();
    request.peer = connection_.Peer();
    stream->head_only = request.method == "HEAD";
    ++running_;
    Spawn(connection_.executor(), connection_.context().gate, "http2 request",
          Serve(connection_.shared_from_this(), this, stream, std::move(request)));
  }

  static Task<> Serve(std::shared_ptr<Connection> connection, Http2Session* self, StreamPtr stream,
                      Request request) {
    const bool accepts_gzip = request.method == "GET" && AcceptsGzip(request.headers);
    Response response = co_await connection->context().handler.Handle(std::move(request));
    if (accepts_gzip && !stream->closed) {
      co_await CompressIfLarge(connection->context().env, true, &response);
    }
    if (!stream->closed) co_await self->Respond(stream, std::move(response));
    --self->running_;
    self->CloseIfDone();
  }

  Task<> Respond(StreamPtr stream, Response response) {
    if (response.upgrade) {
      response = Response();
      response.status = 400;
      response.headers.Add("content-type", "text/plain; charset=utf-8");
      response.body = "an upgrade needs HTTP/1.1\n";
    }
    if (!response.stream) {
      Answer(*stream, std::move(response));
      co_return;
    }
    Submit(*stream, response, false);
    if (stream->head_only) co_return;
    stream->streaming = true;
    if (shutdown_) stream->cancel.Cancel();
    co_await RunStream(stream, &response);
    stream->streaming = false;
    stream->complete = true;
    Resume(*stream);
  }

  Task<> RunStream(StreamPtr stream, Response* response);

  // A whole answer.
  void Answer(Http2Stream& stream, Response response) {
    Submit(stream, response, true);
    if (stream.head_only) return;
    stream.out.Append(std::move(response.body));
    for (auto& piece : response.pieces)
      stream.out.Append(std::move(piece));
    stream.complete = true;
  }

  void Submit(Http2Stream& stream, const Response& response, bool whole) {
    const size_t size = whole ? BodySize(response) : 0;
    char status[8], length[24];
    const std::string_view status_text(
        status, static_cast<size_t>(
                    std::to_chars(status, status + sizeof status, response.status).ptr - status));
    const std::string_view length_text(
        length,
        static_cast<size_t>(std::to_chars(length, length + sizeof length, size).ptr - length));
    wire::Http2Fields fields(response.headers, 3);
    fields.Add(":status", status_text);
    fields.AddAll(response.headers);
    if (!response.headers.Has("date")) fields.Add("date", DateHeader(connection_.context().env));
    const bool may_have_body = response.status != 204 && response.status != 304;
    if (whole && may_have_body) fields.Add("content-length", length_text);
    const bool has_body = !stream.head_only && may_have_body && (!whole || size > 0);
    if (!has_body) stream.head_only = true;
    nghttp2_data_provider provider{};
    provider.source.ptr = &stream;
    provider.read_callback = ReadData;
    nghttp2_submit_response(session_, stream.id, fields.data(), fields.size(),
                            has_body ? &provider : nullptr);
    stream.submitted = true;
    FlushSoon();
  }

  // Tells nghttp2 that a stream has more to send.
  void Resume(Http2Stream& stream) {
    if (stream.closed || gone_) return;
    if (stream.deferred) {
      stream.deferred = false;
      nghttp2_session_resume_data(session_, stream.id);
    }
    FlushSoon();
  }

  // Sources have woken their streams.
  void ResumeReady() {
    if (gone_) return;
    for (const int32_t id : ready_->Take()) {
      auto it = streams_.find(id);
      if (it == streams_.end() || !it->second->deferred) continue;
      it->second->deferred = false;
      nghttp2_session_resume_data(session_, id);
    }
    connection_.Flush();
  }

  static void TakeFromSource(Http2Stream* stream) {
    BodySource::State state = BodySource::State::kMore;
    while (stream->out.empty() && state == BodySource::State::kMore) {
      std::shared_ptr<const std::string> chunk;
      state = stream->source->Take(&chunk);
      stream->out.Append(std::move(chunk));
    }
    if (state != BodySource::State::kEnd) return;
    stream->source = nullptr;
    stream->drained.Notify();
  }

  static ssize_t ReadData(nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    auto* stream = static_cast<Http2Stream*>(source->ptr);
    if (stream->out.empty() && stream->source != nullptr) TakeFromSource(stream);
    const size_t count = std::min(length, stream->out.size());
    if (count == 0 && !stream->complete) {
      stream->deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (stream->complete && count == stream->out.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }

  int SendData(Http2Stream* stream, const uint8_t* head, size_t length) {
    if (out_.size() >= kGatherBytes) return NGHTTP2_ERR_WOULDBLOCK;
    if (stream->out.size() < length) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    out_.append(reinterpret_cast<const char*>(head), 9);
    while (length > 0) {
      const std::string_view bytes = stream->out.Front().substr(0, length);
      out_.append(bytes);
      length -= bytes.size();
      stream->out.Consume(bytes.size());
    }
    if (stream->writer_waits && stream->out.size() < kHighWater / 2) {
      stream->writer_waits = false;
      stream->drained.Notify();
    }
    return 0;
  }

  ssize_t Send(const uint8_t* bytes, size_t length) {
    if (out_.size() >= kGatherBytes) return NGHTTP2_ERR_WOULDBLOCK;
    out_.append(reinterpret_cast<const char*>(bytes), length);
    return static_cast<ssize_t>(length);
  }

  static nghttp2_session_callbacks* Callbacks();

  Connection& connection_;
  const std::shared_ptr<ReadyStreams> ready_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, StreamPtr> streams_;
  size_t unread_ = 0;   // streams whose request is not complete
  size_t running_ = 0;  // handlers at work, those of closed streams included
  std::string out_;
  size_t out_at_ = 0;
  bool receiving_ = false;
  bool closing_ = false;
  bool shutdown_ = false;
  bool gone_ = false;
};

nghttp2_session_callbacks* Http2Session::Callbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_send_callback(
        made, [](nghttp2_session*, const uint8_t* bytes, size_t length, int, void* user) {
          return static_cast<Http2Session*>(user)->Send(bytes, length);
        });
    nghttp2_session_callbacks_set_send_data_callback(
        made, [](nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t length,
                 nghttp2_data_source* source, void* user) {
          return static_cast<Http2Session*>(user)->SendData(static_cast<Http2Stream*>(source->ptr),
                                                            head, length);
        });
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          return static_cast<Http2Session*>(user)->OnBeginHeaders(frame);
        });
    nghttp2_session_callbacks_set_on_header_callback(
        made,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
           const uint8_t* value, size_t value_length, uint8_t, void* user) {
          return static_cast<Http2Session*>(user)->OnHeader(
              frame, {reinterpret_cast<const char*>(name), name_length},
              {reinterpret_cast<const char*>(value), value_length});
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        made,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t length, void* user) {
          return static_cast<Http2Session*>(user)->OnBody(
              id, {reinterpret_cast<const char*>(bytes), length});
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          return static_cast<Http2Session*>(user)->OnFrame(frame);
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        made, [](nghttp2_session*, int32_t id, uint32_t, void* user) {
          return static_cast<Http2Session*>(user)->OnStreamClose(id);
        });
    return made;
  }();
  return callbacks;
}

class Http2Session::Writer : public BodyWriter {
 public:
  Writer(Http2Session& session, StreamPtr stream) : session_(session), stream_(std::move(stream)) {}

  Task<Status> Write(std::shared_ptr<const std::string> chunk) override {
    if (stream_->closed) co_return Canceled("the client is gone");
    stream_->out.Append(std::move(chunk));
    session_.Resume(*stream_);
    while (stream_->out.size() > kHighWater && !stream_->closed) {
      stream_->writer_waits = true;
      co_await stream_->drained.Wait(session_.connection_.context().env);
    }
    if (stream_->closed) co_return Canceled("the client is gone");
    co_return Status::Ok();
  }

  Task<Status> Drain(Env& env, BodySource& source) override {
    if (stream_->closed) co_return Canceled("the client is gone");
    source.Start(stream_);
    stream_->source = &source;
    session_.Resume(*stream_);
    while (stream_->source != nullptr && !stream_->closed)
      co_await stream_->drained.Wait(env);
    stream_->source = nullptr;
    if (stream_->closed) co_return Canceled("the client is gone");
    co_return Status::Ok();
  }

 private:
  Http2Session& session_;
  StreamPtr stream_;
};

Task<> Http2Session::RunStream(StreamPtr stream, Response* response) {
  Writer writer(*this, std::move(stream));
  co_await response->stream(writer);
}

}  // namespace

std::unique_ptr<Session> MakeHttp2Session(Connection& connection) {
  return std::make_unique<Http2Session>(connection);
}

}  // namespace gantry::apiserver::internal
