#include "apiserver/http/connection.h"

#include <boost/asio/post.hpp>

#include <array>
#include <utility>

namespace gantry::apiserver::internal {
namespace asio = boost::asio;
using wire::IoResult;
using wire::IoState;

namespace {

constexpr size_t kReadBytes = 64 * 1024;
// Work done in one go before others on the same thread have their turn.
constexpr size_t kReadsPerTurn = 16;
constexpr size_t kWritesPerTurn = 64;
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Filled and emptied within one handler, so that idle connections hold no buffer.
std::span<char> ReadBuffer() {
  thread_local const std::unique_ptr<std::array<char, kReadBytes>> buffer =
      std::make_unique<std::array<char, kReadBytes>>();
  return *buffer;
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerContext> context, Executor strand, int fd,
                       std::shared_ptr<const wire::TlsContext> tls, OnGone on_gone)
    : context_(std::move(context)),
      socket_(std::make_shared<wire::Socket>(std::move(strand), fd, std::move(tls))),
      on_gone_(std::move(on_gone)) {
  peer_.address = socket_->remote_address();
}

Connection::~Connection() = default;

void Connection::Start() {
  asio::post(socket_->executor(), [self = shared_from_this()] {
    self->SetDeadline(self->context_->options.handshake_timeout);
    self->Handshake();
  });
}

void Connection::PostShutdown() {
  asio::post(socket_->executor(), [self = shared_from_this()] {
    self->shutdown_ = true;
    if (self->closed_) return;
    if (self->session_) {
      self->session_->Shutdown();
    } else {
      self->Abort();
    }
  });
}

void Connection::PostAbort() {
  asio::post(socket_->executor(), [self = shared_from_this()] { self->Abort(); });
}

void Connection::PostDeadline() {
  asio::post(socket_->executor(), [self = shared_from_this()] {
    const int64_t deadline = self->deadline_ns();
    if (self->closed_ || deadline == 0 ||
        deadline > self->context_->env.Steady().time_since_epoch().count()) {
      return;
    }
    self->ClearDeadline();
    if (self->session_ && !self->lingering_) {
      self->session_->OnDeadline();
    } else {
      self->Abort();
    }
  });
}

void Connection::Handshake() {
  if (closed_) return;
  if (!socket_->tls()) return ChooseProtocol();
  std::array<char, 5> first{};
  if (socket_->Peek(first) > 0 && first[0] >= 'A' && first[0] <= 'Z') {
    socket_->WriteRaw(
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    return BeginLinger();
  }
  const IoResult io = socket_->Handshake();
  if (io.state == IoState::kDone) return ChooseProtocol();
  if (io.state != IoState::kWouldBlock) return Abort();
  auto again = [self = shared_from_this()](bool ready) {
    if (ready) {
      self->Handshake();
    } else {
      self->Abort();
    }
  };
  if (io.wants_write) {
    socket_->WaitWritable(again);
  } else {
    socket_->WaitReadable(again);
  }
}

void Connection::ChooseProtocol() {
  wire::TlsPeer peer = socket_->peer();
  if (peer.certificate_shown) {
    certificate_not_before_ = peer.not_before;
    certificate_not_after_ = peer.not_after;
    peer_.certificate_error = std::move(peer.error);
    if (peer_.certificate_error.empty()) {
      peer_.certificate_common_name = std::move(peer.common_name);
      peer_.certificate_organizations = std::move(peer.organizations);
    }
  }
  if (socket_->tls()) {
    return Begin(socket_->negotiated_http2() ? MakeHttp2Session(*this) : MakeHttp1Session(*this));
  }
  SetDeadline(context_->options.idle_timeout);
  read_armed_ = true;
  socket_->WaitReadable([self = shared_from_this()](bool ready) {
    self->read_armed_ = false;
    if (!ready) return self->Abort();
    std::array<char, kHttp2Preface.size()> first{};
    const std::string_view seen(first.data(), self->socket_->Peek(first));
    const bool http2 = seen.size() >= 4 && kHttp2Preface.starts_with(seen);
    self->Begin(http2 ? MakeHttp2Session(*self) : MakeHttp1Session(*self));
  });
}

void Connection::Begin(std::unique_ptr<Session> session) {
  if (closed_) return;
  session_ = std::move(session);
  if (shutdown_) return session_->Shutdown();
  Flush();
  Read();
}

void Connection::WaitReadable() {
  if (read_armed_ || closed_ || detached_) return;
  read_armed_ = true;
  socket_->WaitReadable([self = shared_from_this()](bool ready) {
    self->read_armed_ = false;
    if (self->detached_ || self->closed_) return;
    if (!ready) return self->Abort();
    if (self->lingering_) return self->Linger();
    self->Read();
  });
}

void Connection::Read() {
  if (reading_ || read_armed_) return;
  reading_ = true;
  const std::span<char> buffer = ReadBuffer();
  bool more = true;
  for (size_t turn = 0; turn < kReadsPerTurn && more; ++turn) {
    if (closed_ || detached_ || lingering_ || !session_->WantsRead()) {
      reading_ = false;
      return;
    }
    const IoResult io = socket_->Read(buffer);
    if (io.state == IoState::kDone) {
      session_->OnData(std::string_view(buffer.data(), io.bytes));
      more = !closed_ && (socket_->HasBuffered() || io.bytes == buffer.size());
    } else if (io.state == IoState::kWouldBlock) {
      more = false;
    } else {
      reading_ = false;
      // After an end of the stream nothing can be read, but an answer may still be on its way out.
      if (io.state == IoState::kEnd) {
        session_->OnEnd();
        Flush();
      } else {
        Abort();
      }
      return;
    }
  }
  reading_ = false;
  if (closed_ || detached_ || lingering_ || !session_->WantsRead()) return;
  if (more) {
    asio::post(socket_->executor(), [self = shared_from_this()] {
      if (!self->closed_) self->Read();
    });
  } else {
    WaitReadable();
  }
}

void Connection::ResumeReading() {
  if (closed_ || detached_ || lingering_ || reading_ || read_armed_) return;
  if (socket_->HasBuffered()) {
    Read();
  } else {
    WaitReadable();
  }
}

void Connection::Flush() {
  if (closed_ || detached_ || lingering_ || write_armed_ || !session_) return;
  for (size_t turn = 0; turn < kWritesPerTurn; ++turn) {
    const std::string_view out = session_->Peek();
    if (out.empty()) {
      if (close_after_flush_) BeginLinger();
      return;
    }
    const IoResult io = socket_->Write(out);
    if (io.state == IoState::kDone) {
      session_->Consume(io.bytes);
      if (closed_ || detached_) return;
    } else if (io.state == IoState::kWouldBlock) {
      write_armed_ = true;
      socket_->WaitWritable([self = shared_from_this()](bool ready) {
        self->write_armed_ = false;
        if (self->closed_) return;
        if (ready) {
          self->Flush();
        } else {
          self->Abort();
        }
      });
      return;
    } else {
      return Abort();
    }
  }
  ScheduleFlush();
}

void Connection::ScheduleFlush() {
  if (flush_posted_ || write_armed_ || closed_) return;
  flush_posted_ = true;
  asio::post(socket_->executor(), [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->Flush();
  });
}

void Connection::SetDeadline(Duration from_now) {
  deadline_ns_.store((context_->env.Steady() + from_now).time_since_epoch().count(),
                     std::memory_order_relaxed);
}

void Connection::CloseAfterFlush() {
  close_after_flush_ = true;
  Flush();
}

void Connection::BeginLinger() {
  if (lingering_ || closed_) return;
  lingering_ = true;
  // A close with unread input makes the kernel send a reset, which may overtake the answer.
  socket_->ShutdownWrite();
  SetDeadline(std::chrono::seconds(1));
  Linger();
}

void Connection::Linger() {
  if (closed_ || read_armed_) return;
  const std::span<char> buffer = ReadBuffer();
  for (size_t turn = 0; turn < kReadsPerTurn; ++turn) {
    const IoResult io = socket_->Read(buffer);
    if (io.state == IoState::kWouldBlock) break;
    if (io.state != IoState::kDone) return Abort();
  }
  WaitReadable();
}

void Connection::Abort() {
  if (closed_) return;
  closed_ = true;
  ClearDeadline();
  auto keep = shared_from_this();
  socket_->Close();
  if (session_) session_->OnClosed();
  if (OnGone gone = std::exchange(on_gone_, nullptr)) gone(this);
}

std::unique_ptr<Stream> Connection::Detach(std::string read_ahead) {
  detached_ = true;
  ClearDeadline();
  return wire::MakeStream(socket_, std::move(read_ahead));
}

PeerInfo Connection::Peer() const {
  PeerInfo peer = peer_;
  if (certificate_not_after_ == 0) return peer;
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(context_->env.Now().time_since_epoch())
          .count();
  if (now > certificate_not_after_ || now < certificate_not_before_) {
    peer.certificate_expired = true;
    peer.certificate_common_name.clear();
    peer.certificate_organizations.clear();
    if (peer.certificate_error.empty()) {
      peer.certificate_error = "certificate has expired or is not yet valid";
    }
  }
  return peer;
}

}  // namespace gantry::apiserver::internal
