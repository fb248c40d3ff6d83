#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "apiserver/http/connection.h"
#include "apiserver/http/out_queue.h"
#include "apiserver/http/respond.h"
#include "base/wire/http1.h"

namespace gantry::apiserver::internal {
namespace {

using wire::Framing;
using wire::HeadResult;

// A stream's writer waits while more than this is queued.
constexpr size_t kHighWater = 64 * 1024;
// Bytes of further requests that may wait while one is being answered.
constexpr size_t kReadAhead = 64 * 1024;
// A body up to this size travels in one piece with its head.
constexpr size_t kInlineBody = 16 * 1024;

// What of a request decides how its answer is written.
struct AnswerRules {
  bool head_only = false;  // HEAD
  bool keep_alive = true;
  bool chunks = true;  // HTTP/1.1
  bool accepts_gzip = false;
};

class Http1Session : public Session {
 public:
  explicit Http1Session(Connection& connection) : connection_(connection) {
    connection_.SetDeadline(options().idle_timeout);
  }

  void OnData(std::string_view bytes) override {
    in_.append(bytes);
    Process();
  }

  void OnEnd() override {
    ended_ = true;
    rules_.keep_alive = false;
    if (part_ == Part::kAnswering) {
      cancel_->Cancel();
    } else if (part_ != Part::kClosing) {
      connection_.Abort();
    }
  }

  void OnClosed() override {
    gone_ = true;
    if (cancel_) cancel_->Cancel();
    drained_.Notify();
  }

  void OnDeadline() override { connection_.Abort(); }

  bool WantsRead() const override {
    if (ended_ || part_ == Part::kClosing) return false;
    return part_ != Part::kAnswering || in_.size() < kReadAhead;
  }

  std::string_view Peek() override { return out_.Peek(); }

  void Consume(size_t count) override {
    out_.Consume(count);
    if (writer_waits_ && out_.size() < kHighWater / 2) {
      writer_waits_ = false;
      drained_.Notify();
    }
  }

  void Shutdown() override {
    shutdown_ = true;
    rules_.keep_alive = false;
    // What an upgraded connection carries has no end that could be waited for.
    if (upgraded_) return connection_.Abort();
    if (part_ == Part::kHead && in_.empty() && out_.empty()) return connection_.Abort();
    if (streaming_ && cancel_) cancel_->Cancel();
  }

 private:
  enum class Part : uint8_t { kHead, kLengthBody, kChunkedBody, kAnswering, kClosing };
  class Writer;

  const ListenerOptions& options() { return connection_.context().options; }

  // Works off what has come, until a request is being answered or more bytes are needed.
  void Process() {
    if (processing_) return;
    processing_ = true;
    bool progress = true;
    while (progress && !gone_) {
      switch (part_) {
        case Part::kHead:
          progress = TakeHead();
          break;
        case Part::kLengthBody:
          progress = TakeLengthBody();
          break;
        case Part::kChunkedBody:
          progress = TakeChunkedBody();
          break;
        case Part::kAnswering:
        case Part::kClosing:
          progress = false;
          break;
      }
    }
    processing_ = false;
  }

  bool TakeHead() {
    if (in_.empty()) return false;
    if (in_.find("\r\n\r\n", scanned_) == std::string::npos) {
      if (in_.size() > options().max_header_bytes) {
        Refuse(431, "");
        return false;
      }
      if (scanned_ == 0) connection_.SetDeadline(options().header_timeout);
      scanned_ = std::max<size_t>(in_.size(), 4) - 3;
      return false;
    }
    wire::RequestHead head;
    const HeadResult result = ParseHead(in_, &head);
    scanned_ = 0;
    if (result.state == HeadResult::State::kIncomplete) {
      scanned_ = in_.size() - 1;
      return false;
    }
    if (result.state == HeadResult::State::kMalformed) {
      Refuse(400, "");
      return false;
    }
    if (result.consumed > options().max_header_bytes) {
      Refuse(431, "");
      return false;
    }
    Drop(result.consumed);
    return BeginRequest(std::move(head));
  }

  bool BeginRequest(wire::RequestHead head) {
    request_ = Request();
    rules_ = AnswerRules();
    rules_.chunks = head.minor_version > 0;
    rules_.keep_alive =
        !shutdown_ && (rules_.chunks ? !head.headers.HasToken("connection", "close")
                                     : head.headers.HasToken("connection", "keep-alive"));
    rules_.head_only = head.method == "HEAD";
    rules_.accepts_gzip = head.method == "GET" && AcceptsGzip(head.headers);
    if (rules_.chunks && !head.headers.Has("host"))
      return Refuse(400, ": missing required Host header");
    if (!wire::SplitTarget(head.target, &request_.path, &request_.query)) return Refuse(400, "");
    const Framing framing = wire::RequestFraming(head.headers);
    const bool expects_continue = rules_.chunks && head.headers.HasToken("expect", "100-continue");
    request_.method = std::move(head.method);
    request_.headers = std::move(head.headers);
    switch (framing.kind) {
      case Framing::Kind::kNone:
        Dispatch();
        return true;
      case Framing::Kind::kLength:
        if (framing.length == 0) {
          Dispatch();
          return true;
        }
        if (framing.length > options().max_body_bytes) return RefuseLarge();
        body_left_ = static_cast<size_t>(framing.length);
        request_.body.reserve(std::min<size_t>(body_left_, 256 * 1024));
        part_ = Part::kLengthBody;
        break;
      case Framing::Kind::kChunked:
        chunks_ = wire::ChunkDecoder();
        part_ = Part::kChunkedBody;
        break;
      case Framing::Kind::kUnsupported:
        return Refuse(501, "");
      case Framing::Kind::kUntilEnd:
      case Framing::Kind::kMalformed:
        return Refuse(400, "");
    }
    connection_.SetDeadline(options().body_timeout);
    if (expects_continue && in_.empty()) {
      out_.Append(std::string("HTTP/1.1 100 Continue\r\n\r\n"));
      connection_.Flush();
    }
    return true;
  }

  bool TakeLengthBody() {
    if (in_.empty()) return false;
    const size_t count = std::min(body_left_, in_.size());
    if (request_.body.empty() && count == in_.size() && count == body_left_) {
      request_.body = std::exchange(in_, std::string());
    } else {
      request_.body.append(in_, 0, count);
      Drop(count);
    }
    body_left_ -= count;
    if (body_left_ > 0) {
      connection_.SetDeadline(options().body_timeout);
      return false;
    }
    Dispatch();
    return true;
  }

  bool TakeChunkedBody() {
    if (in_.empty()) return false;
    std::string_view bytes = in_;
    const size_t room = options().max_body_bytes - request_.body.size();
    const auto state = chunks_.Decode(&bytes, room, &request_.body);
    const bool over = state == wire::ChunkDecoder::State::kMore && !bytes.empty();
    Drop(in_.size() - bytes.size());
    if (state == wire::ChunkDecoder::State::kMalformed) return Refuse(400, "");
    if (over) return RefuseLarge();
    if (state == wire::ChunkDecoder::State::kMore) {
      connection_.SetDeadline(options().body_timeout);
      return false;
    }
    Dispatch();
    return true;
  }

  // Forgets the first `count` bytes of the input, and its memory when nothing is left.
  void Drop(size_t count) {
    if (count == in_.size()) {
      if (in_.capacity() > 4096) {
        std::string().swap(in_);
      } else {
        in_.clear();
      }
    } else {
      in_.erase(0, count);
    }
  }

  // An answer to what could not be understood, as Go's server words it. Always false.
  bool Refuse(int status, std::string_view detail) {
    std::string text = std::to_string(status) + " " + std::string(wire::ReasonPhrase(status));
    out_.Append("HTTP/1.1 " + text +
                "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" + text +
                std::string(detail));
    Close();
    return false;
  }

  bool RefuseLarge() {
    rules_.keep_alive = false;
    Response response = TooLarge(options().max_body_bytes);
    WriteWhole(&response);
    Close();
    return false;
  }

  void Close() {
    part_ = Part::kClosing;
    std::string().swap(in_);
    connection_.ClearDeadline();
    connection_.CloseAfterFlush();
  }

  void Dispatch() {
    part_ = Part::kAnswering;
    connection_.ClearDeadline();
    cancel_.emplace();
    request_.cancel = cancel_->token();
    request_.peer = connection_.Peer();
    Spawn(connection_.executor(), connection_.context().gate, "http request",
          Serve(connection_.shared_from_this(), this, std::exchange(request_, Request())));
  }

  static Task<> Serve(std::shared_ptr<Connection> connection, Http1Session* self, Request request) {
    Env& env = connection->context().env;
    Response response = co_await connection->context().handler.Handle(std::move(request));
    if (self->gone_) co_return;
    if (self->rules_.accepts_gzip && !response.upgrade) {
      co_await CompressIfLarge(env, true, &response);
      if (self->gone_) co_return;
    }
    if (response.upgrade) {
      co_await self->ServeUpgrade(std::move(response));
      co_return;
    }
    if (response.stream) {
      co_await self->ServeStream(std::move(response));
    } else {
      self->WriteWhole(&response);
    }
    if (!self->gone_) self->Finish();
  }

  Task<> ServeStream(Response response) {
    const bool has_body = !rules_.head_only;
    std::string head = HeadOf(response);
    if (rules_.chunks) {
      head += "Transfer-Encoding: chunked\r\n";
    } else {
      rules_.keep_alive = false;
    }
    FinishHead(&head);
    out_.Append(std::move(head));
    connection_.Flush();
    if (!has_body) co_return;
    streaming_ = true;
    if (shutdown_) cancel_->Cancel();
    co_await RunStream(&response);
    streaming_ = false;
    if (rules_.chunks) out_.Append(std::string("0\r\n\r\n"));
  }

  Task<> RunStream(Response* response);

  Task<> ServeUpgrade(Response response) {
    std::string head = HeadOf(response);
    head += "\r\n";
    out_.Append(std::move(head));
    connection_.Flush();
    while (!out_.empty() && !gone_)
      co_await WaitDrained();
    if (gone_) co_return;
    upgraded_ = true;
    std::unique_ptr<Stream> stream = connection_.Detach(std::exchange(in_, std::string()));
    co_await response.upgrade(std::move(stream));
    connection_.Abort();
  }

  // Until the queue is empty or well below the high water, or the connection is gone.
  Task<> WaitDrained() {
    writer_waits_ = true;
    co_await drained_.Wait(connection_.context().env);
  }

  std::string HeadOf(const Response& response) {
    std::string head;
    head.reserve(512);
    head += "HTTP/1.1 ";
    char digits[8];
    head.append(digits, std::to_chars(digits, digits + sizeof digits, response.status).ptr);
    head += ' ';
    head += wire::ReasonPhrase(response.status);
    head += "\r\n";
    for (const auto& [name, value] : response.headers.all()) {
      head += name;
      head += ": ";
      head += value;
      head += "\r\n";
    }
    return head;
  }

  void FinishHead(std::string* head) {
    *head += "Date: ";
    *head += DateHeader(connection_.context().env);
    if (!rules_.keep_alive) {
      *head += "\r\nConnection: close";
    } else if (!rules_.chunks) {
      *head += "\r\nConnection: keep-alive";
    }
    *head += "\r\n\r\n";
  }

  void WriteWhole(Response* response) {
    std::string head = HeadOf(*response);
    const size_t size = BodySize(*response);
    if (response->status >= 200 && response->status != 204 && response->status != 304) {
      head += "Content-Length: ";
      char digits[24];
      head.append(digits, std::to_chars(digits, digits + sizeof digits, size).ptr);
      head += "\r\n";
    }
    FinishHead(&head);
    const bool has_body = !rules_.head_only && response->status != 204 && response->status != 304;
    if (has_body && response->pieces.empty() && size <= kInlineBody) {
      head += response->body;
      out_.Append(std::move(head));
      return;
    }
    out_.Append(std::move(head));
    if (!has_body) return;
    out_.Append(std::move(response->body));
    for (auto& piece : response->pieces)
      out_.Append(std::move(piece));
  }

  // The answer is complete: on to the next request, or the end.
  void Finish() {
    cancel_.reset();
    if (!rules_.keep_alive || ended_) {
      Close();
      return;
    }
    part_ = Part::kHead;
    connection_.SetDeadline(options().idle_timeout);
    connection_.Flush();
    if (gone_) return;
    Process();
    if (!gone_) connection_.ResumeReading();
  }

  Connection& connection_;
  Part part_ = Part::kHead;
  std::string in_;
  size_t scanned_ = 0;  // no end of a head begins before this
  Request request_;     // while it is being read
  size_t body_left_ = 0;
  wire::ChunkDecoder chunks_;

  AnswerRules rules_;
  std::optional<CancelSource> cancel_;
  OutQueue out_;
  Notifier drained_;
  bool writer_waits_ = false;
  bool streaming_ = false;
  bool upgraded_ = false;
  bool processing_ = false;
  bool ended_ = false;
  bool gone_ = false;
  bool shutdown_ = false;
};

class Http1Session::Writer : public BodyWriter {
 public:
  explicit Writer(Http1Session& session) : session_(session) {}

  Task<Status> Write(std::shared_ptr<const std::string> chunk) override {
    Http1Session& s = session_;
    if (s.gone_) co_return Canceled("the client is gone");
    if (!chunk || chunk->empty()) co_return Status::Ok();
    if (s.rules_.chunks) {
      char size[24];
      char* end = std::to_chars(size, size + 20, chunk->size(), 16).ptr;
      *end++ = '\r';
      *end++ = '\n';
      s.out_.Append(std::string(size, end));
      s.out_.Append(std::move(chunk));
      s.out_.Append(std::string("\r\n"));
    } else {
      s.out_.Append(std::move(chunk));
    }
    s.connection_.ScheduleFlush();
    while (s.out_.size() > kHighWater && !s.gone_)
      co_await s.WaitDrained();
    if (s.gone_) co_return Canceled("the client is gone");
    co_return Status::Ok();
  }

 private:
  Http1Session& session_;
};

Task<> Http1Session::RunStream(Response* response) {
  Writer writer(*this);
  co_await response->stream(writer);
}

}  // namespace

std::unique_ptr<Session> MakeHttp1Session(Connection& connection) {
  return std::make_unique<Http1Session>(connection);
}

}  // namespace gantry::apiserver::internal
