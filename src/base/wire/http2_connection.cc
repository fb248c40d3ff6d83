#include "base/wire/http2_connection.h"

#include <absl/synchronization/mutex.h>
#include <nghttp2/nghttp2.h>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/env/notifier.h"
#include "base/wire/http2_fields.h"

namespace gantry::wire {
namespace asio = boost::asio;

namespace {

constexpr int32_t kStreamWindow = 4 * 1024 * 1024;
constexpr int32_t kConnectionWindow = 16 * 1024 * 1024;
constexpr size_t kGatherBytes = 64 * 1024;
constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kReadsPerTurn = 16;
constexpr size_t kMaxHeaderBytes = 1024 * 1024;
// For what is under way on a connection that is to end.
constexpr Duration kRetireGrace = std::chrono::seconds(5);

}  // namespace

// One request and its answer. The first block is used on the strand, the second by both sides.
struct Http2Exchange {
  int32_t id = 0;
  std::string body;
  size_t body_sent = 0;
  size_t header_bytes = 0;
  bool over = false;  // nothing more will come
  Headers heading;
  int heading_status = 0;

  absl::Mutex mutex;
  bool has_head ABSL_GUARDED_BY(mutex) = false;
  int status ABSL_GUARDED_BY(mutex) = 0;
  Headers headers ABSL_GUARDED_BY(mutex);
  Headers trailers ABSL_GUARDED_BY(mutex);
  std::deque<std::string> chunks ABSL_GUARDED_BY(mutex);
  bool ended ABSL_GUARDED_BY(mutex) = false;
  bool refused ABSL_GUARDED_BY(mutex) = false;
  Status failure ABSL_GUARDED_BY(mutex);
  Notifier changed;
};
using ExchangePtr = std::shared_ptr<Http2Exchange>;

// nghttp2's session and what it calls back. Threading: the connection's strand.
class Http2Connection::Protocol {
 public:
  explicit Protocol(Http2Connection& connection) : connection_(connection) {
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_session_client_new2(&session_, Callbacks(), this, option);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
    };
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
  }
  ~Protocol() { nghttp2_session_del(session_); }

  bool Receive(std::string_view bytes) {
    return nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()),
                                    bytes.size()) >= 0;
  }

  std::string_view Peek() {
    if (out_at_ < out_.size()) return std::string_view(out_).substr(out_at_);
    out_.clear();
    out_at_ = 0;
    nghttp2_session_send(session_);
    if (out_.empty()) std::string().swap(out_);
    return out_;
  }
  void Consume(size_t count) { out_at_ += count; }
  bool finished() const {
    return !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_);
  }

  void Request(const ExchangePtr& exchange, const Http2Fields& fields) {
    nghttp2_data_provider provider{};
    provider.read_callback = ReadBody;
    const int32_t id =
        nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                               exchange->body.empty() ? nullptr : &provider, nullptr);
    if (id < 0) {
      exchange->over = true;
      End(*exchange, Unavailable("http2: no streams left on the connection"), true);
      return;
    }
    exchange->id = id;
    exchanges_.emplace(id, exchange);
  }

  void Reset(Http2Exchange& exchange) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, exchange.id, NGHTTP2_CANCEL);
  }
  void ConsumeStream(Http2Exchange& exchange, size_t bytes) {
    nghttp2_session_consume_stream(session_, exchange.id, bytes);
  }
  void Ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }

  void FailAll(const Status& why) {
    auto exchanges = std::exchange(exchanges_, {});
    for (auto& [id, exchange] : exchanges) {
      exchange->over = true;
      End(*exchange, why, false);
    }
  }
  bool empty() const { return exchanges_.empty(); }

 private:
  ExchangePtr Find(int32_t id) {
    auto it = exchanges_.find(id);
    return it == exchanges_.end() ? nullptr : it->second;
  }

  void End(Http2Exchange& exchange, const Status& why, bool refused) {
    {
      absl::MutexLock lock(&exchange.mutex);
      exchange.ended = true;
      exchange.failure = why;
      exchange.refused = refused;
    }
    exchange.changed.Notify();
    --connection_.reserved_;
  }

  int OnHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value) {
    const ExchangePtr exchange = Find(frame->hd.stream_id);
    if (!exchange) return 0;
    exchange->header_bytes += name.size() + value.size();
    if (exchange->header_bytes > kMaxHeaderBytes) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (name == ":status") {
      std::from_chars(value.data(), value.data() + value.size(), exchange->heading_status);
    } else if (!name.starts_with(':')) {
      exchange->heading.Add(std::string(name), std::string(value));
    }
    return 0;
  }

  int OnFrame(const nghttp2_frame* frame) {
    if (frame->hd.type == NGHTTP2_SETTINGS) {
      connection_.limit_ =
          nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    }
    if (frame->hd.type == NGHTTP2_GOAWAY) connection_.usable_ = false;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    const ExchangePtr exchange = Find(frame->hd.stream_id);
    if (!exchange || exchange->heading_status < 200) {
      if (exchange) exchange->heading = Headers();
      return 0;
    }
    {
      absl::MutexLock lock(&exchange->mutex);
      if (exchange->has_head) {
        exchange->trailers = std::move(exchange->heading);
        return 0;
      }
      exchange->has_head = true;
      exchange->status = exchange->heading_status;
      exchange->headers = std::move(exchange->heading);
    }
    exchange->changed.Notify();
    return 0;
  }

  int OnData(int32_t id, std::string_view bytes) {
    // The connection's window is for all: a reader that rests must not hold up the others.
    nghttp2_session_consume_connection(session_, bytes.size());
    const ExchangePtr exchange = Find(id);
    if (!exchange) return 0;
    {
      absl::MutexLock lock(&exchange->mutex);
      exchange->chunks.emplace_back(bytes);
    }
    exchange->changed.Notify();
    return 0;
  }

  int OnStreamClose(int32_t id, uint32_t error) {
    auto it = exchanges_.find(id);
    if (it == exchanges_.end()) return 0;
    const ExchangePtr exchange = std::move(it->second);
    exchanges_.erase(it);
    exchange->over = true;
    Status why;
    if (error != NGHTTP2_NO_ERROR) {
      why = Unavailable("stream error: stream ID " + std::to_string(id) + "; " +
                        nghttp2_http2_strerror(error));
    }
    End(*exchange, why, error == NGHTTP2_REFUSED_STREAM);
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t id, uint8_t* into, size_t room, uint32_t* flags,
                          nghttp2_data_source*, void* user) {
    const ExchangePtr exchange = static_cast<Protocol*>(user)->Find(id);
    if (!exchange) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const size_t count = std::min(room, exchange->body.size() - exchange->body_sent);
    std::copy_n(exchange->body.data() + exchange->body_sent, count, reinterpret_cast<char*>(into));
    exchange->body_sent += count;
    if (exchange->body_sent == exchange->body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }

  static nghttp2_session_callbacks* Callbacks();

  Http2Connection& connection_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, ExchangePtr> exchanges_;
  std::string out_;
  size_t out_at_ = 0;
};

nghttp2_session_callbacks* Http2Connection::Protocol::Callbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_send_callback(
        made,
        [](nghttp2_session*, const uint8_t* bytes, size_t length, int, void* user) -> ssize_t {
          std::string& out = static_cast<Protocol*>(user)->out_;
          if (out.size() >= kGatherBytes) return NGHTTP2_ERR_WOULDBLOCK;
          out.append(reinterpret_cast<const char*>(bytes), length);
          return static_cast<ssize_t>(length);
        });
    nghttp2_session_callbacks_set_on_header_callback(
        made,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
           const uint8_t* value, size_t value_length, uint8_t, void* user) {
          return static_cast<Protocol*>(user)->OnHeader(
              frame, {reinterpret_cast<const char*>(name), name_length},
              {reinterpret_cast<const char*>(value), value_length});
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          return static_cast<Protocol*>(user)->OnFrame(frame);
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        made,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t length, void* user) {
          return static_cast<Protocol*>(user)->OnData(
              id, {reinterpret_cast<const char*>(bytes), length});
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        made, [](nghttp2_session*, int32_t id, uint32_t error, void* user) {
          return static_cast<Protocol*>(user)->OnStreamClose(id, error);
        });
    return made;
  }();
  return callbacks;
}

// The answer's body, in the hands of whoever sent the request.
class Http2Body : public HttpBody {
 public:
  Http2Body(std::shared_ptr<Http2Connection> connection, ExchangePtr exchange, CancelToken cancel)
      : connection_(std::move(connection)),
        exchange_(std::move(exchange)),
        cancel_(std::move(cancel)) {}
  ~Http2Body() override { connection_->Drop(exchange_); }

  Task<Result<std::string>> Read() override {
    while (true) {
      {
        absl::MutexLock lock(&exchange_->mutex);
        if (!exchange_->chunks.empty()) {
          std::string chunk = std::move(exchange_->chunks.front());
          exchange_->chunks.pop_front();
          if (!exchange_->ended) connection_->Consumed(exchange_, chunk.size());
          co_return chunk;
        }
        if (!exchange_->failure.ok()) co_return exchange_->failure;
        if (exchange_->ended) co_return std::string();
      }
      if (co_await exchange_->changed.Wait(connection_->env_, cancel_) == Wake::kCanceled) {
        co_return Canceled("context canceled");
      }
    }
  }

  Headers Trailers() const override {
    absl::MutexLock lock(&exchange_->mutex);
    return exchange_->trailers;
  }

 private:
  std::shared_ptr<Http2Connection> connection_;
  ExchangePtr exchange_;
  CancelToken cancel_;
};

Http2Connection::Http2Connection(Env& env, std::shared_ptr<Socket> socket, Http2Options options)
    : env_(env),
      socket_(std::move(socket)),
      options_(std::move(options)),
      protocol_(std::make_unique<Protocol>(*this)),
      ping_after_(options_.ping_after),
      ping_timeout_(options_.ping_timeout) {}

Http2Connection::~Http2Connection() = default;

void Http2Connection::Start() {
  asio::post(socket_->executor(), [self = shared_from_this()] {
    self->last_read_ = self->env_.Steady();
    self->Flush();
    self->Read();
    self->ArmPing();
  });
}

bool Http2Connection::HasRoom() const { return usable_ && reserved_ < limit_; }

Task<Result<HttpResponse>> Http2Connection::Send(HttpRequest request, CancelToken cancel,
                                                 bool* refused) {
  ++reserved_;
  auto exchange = std::make_shared<Http2Exchange>();
  auto self = shared_from_this();
  // Owns the exchange from here on: however this ends, the server is told when nobody wants the
  // answer any more.
  auto body = std::make_unique<Http2Body>(self, exchange, cancel);
  asio::post(socket_->executor(), [self, exchange, request = std::move(request)]() mutable {
    self->Submit(std::move(exchange), std::move(request));
  });
  while (true) {
    {
      absl::MutexLock lock(&exchange->mutex);
      if (exchange->has_head) {
        HttpResponse response;
        response.status = exchange->status;
        response.headers = std::move(exchange->headers);
        response.body = std::move(body);
        co_return response;
      }
      if (exchange->ended) {
        *refused = exchange->refused;
        if (exchange->failure.ok())
          co_return Unavailable("http2: the server closed the stream without an answer");
        co_return exchange->failure;
      }
    }
    if (co_await exchange->changed.Wait(env_, cancel) == Wake::kCanceled)
      co_return Canceled("context canceled");
  }
}

void Http2Connection::Submit(ExchangePtr exchange, HttpRequest request) {
  if (failed_) {
    exchange->over = true;
    {
      absl::MutexLock lock(&exchange->mutex);
      exchange->ended = exchange->refused = true;
      exchange->failure = Unavailable("http2: the connection is closed");
    }
    exchange->changed.Notify();
    --reserved_;
    return;
  }
  if (protocol_->empty()) {
    busy_since_ = env_.Steady();
    if (!ping_sent_) ArmPing();
  }
  exchange->body = std::move(request.body);
  const std::string length = std::to_string(exchange->body.size());
  Http2Fields fields(request.headers, 7);
  fields.Add(":method", request.method);
  fields.Add(":scheme", options_.https ? "https" : "http");
  fields.Add(":authority", options_.authority);
  fields.Add(":path", request.target);
  fields.AddAll(request.headers);
  if (!options_.authorization.empty() && !request.headers.Has("authorization"))
    fields.Add("authorization", options_.authorization);
  if (!options_.user_agent.empty() && !request.headers.Has("user-agent"))
    fields.Add("user-agent", options_.user_agent);
  if (!exchange->body.empty()) fields.Add("content-length", length);
  protocol_->Request(exchange, fields);
  ScheduleFlush();
}

void Http2Connection::Drop(ExchangePtr exchange) {
  {
    absl::MutexLock lock(&exchange->mutex);
    if (exchange->ended) return;
  }
  asio::post(socket_->executor(), [self = shared_from_this(), exchange] {
    if (self->failed_ || exchange->over || exchange->id == 0) return;
    self->protocol_->Reset(*exchange);
    self->ScheduleFlush();
  });
}

void Http2Connection::Consumed(ExchangePtr exchange, size_t bytes) {
  asio::post(socket_->executor(), [self = shared_from_this(), exchange, bytes] {
    if (self->failed_ || exchange->over) return;
    self->protocol_->ConsumeStream(*exchange, bytes);
    self->ScheduleFlush();
  });
}

void Http2Connection::Close() {
  asio::post(socket_->executor(),
             [self = shared_from_this()] { self->Fail("the client was closed", false); });
}

void Http2Connection::Retire() {
  usable_ = false;
  asio::post(socket_->executor(), [self = shared_from_this()] {
    if (self->failed_ || self->retire_timer_) return;
    if (self->protocol_->empty()) return self->Fail("replaced", false);
    self->retire_timer_ =
        self->env_.CallAt(self->env_.Steady() + kRetireGrace, [weak = self->weak_from_this()] {
          if (auto self = weak.lock()) {
            asio::post(self->socket_->executor(), [self] { self->Fail("replaced", false); });
          }
        });
  });
}

void Http2Connection::SetPings(Duration after, Duration timeout) {
  asio::post(socket_->executor(), [self = shared_from_this(), after, timeout] {
    self->ping_after_ = after;
    self->ping_timeout_ = timeout;
    if (!self->ping_sent_) self->ArmPing();
  });
}

void Http2Connection::Fail(const std::string& why, bool lost) {
  if (failed_) return;
  failed_ = true;
  lost_ = lost;
  usable_ = false;
  ping_timer_.reset();
  retire_timer_.reset();
  socket_->Close();
  protocol_->FailAll(Unavailable("http2: client connection lost: " + why));
}

void Http2Connection::WaitReadable() {
  socket_->WaitReadable([self = shared_from_this()](bool ready) {
    if (self->failed_) return;
    if (!ready) return self->Fail("closed");
    self->Read();
  });
}

void Http2Connection::Read() {
  thread_local const auto buffer = std::make_unique<std::array<char, kReadBytes>>();
  bool more = true;
  for (size_t turn = 0; turn < kReadsPerTurn && more; ++turn) {
    const IoResult io = socket_->Read(*buffer);
    if (io.state == IoState::kEnd) return Fail("EOF");
    if (io.state == IoState::kFailed) return Fail(socket_->error());
    more = io.state == IoState::kDone;
    if (!more) break;
    last_read_ = env_.Steady();
    ping_sent_ = false;
    receiving_ = true;
    const bool good = protocol_->Receive(std::string_view(buffer->data(), io.bytes));
    receiving_ = false;
    if (!good) return Fail("protocol error");
    more = socket_->HasBuffered() || io.bytes == buffer->size();
  }
  Flush();
  if (failed_) return;
  if (!more) return WaitReadable();
  asio::post(socket_->executor(), [self = shared_from_this()] {
    if (!self->failed_) self->Read();
  });
}

void Http2Connection::Flush() {
  if (failed_ || write_armed_) return;
  while (true) {
    const std::string_view out = protocol_->Peek();
    if (out.empty()) break;
    const IoResult io = socket_->Write(out);
    if (io.state == IoState::kDone) {
      protocol_->Consume(io.bytes);
    } else if (io.state == IoState::kWouldBlock) {
      write_armed_ = true;
      socket_->WaitWritable([self = shared_from_this()](bool ready) {
        self->write_armed_ = false;
        if (self->failed_) return;
        if (!ready) return self->Fail("closed");
        self->Flush();
      });
      return;
    } else {
      return Fail(socket_->error());
    }
  }
  if (protocol_->finished()) Fail("the server is going away");
}

void Http2Connection::ScheduleFlush() {
  if (receiving_ || flush_posted_ || write_armed_ || failed_) return;
  flush_posted_ = true;
  asio::post(socket_->executor(), [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->Flush();
  });
}

void Http2Connection::ArmPing() {
  if (failed_) return;
  // Nobody waits for an unused connection: it is let go in time rather than kept awake.
  const SteadyTime next = ping_sent_           ? env_.Steady() + ping_timeout_
                          : protocol_->empty() ? last_read_ + options_.ping_after
                                               : std::max(last_read_, busy_since_) + ping_after_;
  ping_timer_ = env_.CallAt(next, [weak = weak_from_this()] {
    if (auto self = weak.lock())
      asio::post(self->socket_->executor(), [self] { self->OnPingTimer(); });
  });
}

void Http2Connection::OnPingTimer() {
  if (failed_) return;
  if (ping_sent_) return Fail("no answer to a ping");
  const SteadyTime now = env_.Steady();
  if (protocol_->empty()) {
    if (now - last_read_ >= options_.ping_after) return Fail("idle", false);
  } else if (now - std::max(last_read_, busy_since_) >= ping_after_) {
    ping_sent_ = true;
    protocol_->Ping();
    Flush();
  }
  ArmPing();
}

}  // namespace gantry::wire
