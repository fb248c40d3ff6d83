#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "apiserver/http/handler.h"
#include "apiserver/http/listener.h"
#include "base/env/env.h"
#include "base/env/spawn.h"
#include "base/wire/socket.h"

namespace gantry::apiserver::internal {

// What all connections of a listener share. Outlives them.
struct ServerContext {
  ServerContext(Env& env, Handler& handler, ListenerOptions options)
      : env(env), handler(handler), options(std::move(options)) {}
  Env& env;
  Handler& handler;
  const ListenerOptions options;
  Gate gate;  // every request's coroutine is inside
};

// One protocol on one connection: takes bytes in, gives bytes out, starts requests. Threading: the
// connection's strand.
class Session {
 public:
  virtual ~Session() = default;

  virtual void OnData(std::string_view bytes) = 0;
  // The other side will send no more.
  virtual void OnEnd() = 0;
  // The connection is gone: cancels every request.
  virtual void OnClosed() = 0;
  // A deadline that the session set has passed.
  virtual void OnDeadline() = 0;
  virtual bool WantsRead() const = 0;
  // The next bytes to write, valid until Consume; empty when there are none now.
  virtual std::string_view Peek() = 0;
  virtual void Consume(size_t count) = 0;
  // Ends streams, takes no new requests, and closes the connection when the last one is answered.
  virtual void Shutdown() = 0;
};

// A connection's socket and its readiness; what the bytes mean is the session's matter.
// Threading: its strand, but for deadline() and the functions that say otherwise. Owned by
// shared_ptr: pending waits and requests keep it alive.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using OnGone = std::function<void(Connection*)>;
  // `on_gone` is called once, on the strand, when the connection has been closed.
  Connection(std::shared_ptr<ServerContext> context, Executor strand, int fd,
             std::shared_ptr<const wire::TlsContext> tls, OnGone on_gone);
  ~Connection();

  void Start();
  // Any thread.
  void PostShutdown();
  void PostAbort();
  void PostDeadline();
  int64_t deadline_ns() const { return deadline_ns_.load(std::memory_order_relaxed); }

  // For sessions.
  ServerContext& context() { return *context_; }
  const Executor& executor() const { return socket_->executor(); }
  void Flush();
  // Flush after what is ready to run on this strand has run, so that it all goes out together.
  void ScheduleFlush();
  void ResumeReading();
  void SetDeadline(Duration from_now);
  void ClearDeadline() { deadline_ns_.store(0, std::memory_order_relaxed); }
  // Closes once everything has been written, and then waits a moment for the other side to have
  // read it.
  void CloseAfterFlush();
  void Abort();
  bool closed() const { return closed_; }
  // The socket becomes the caller's stream; the connection only remembers it, to close it on Abort.
  std::unique_ptr<Stream> Detach(std::string read_ahead);
  PeerInfo Peer() const;

 private:
  void Handshake();
  void ChooseProtocol();
  void Begin(std::unique_ptr<Session> session);
  void Read();
  void WaitReadable();
  void BeginLinger();
  void Linger();

  std::shared_ptr<ServerContext> context_;
  std::shared_ptr<wire::Socket> socket_;
  std::unique_ptr<Session> session_;
  OnGone on_gone_;
  PeerInfo peer_;
  int64_t certificate_not_before_ = 0;
  int64_t certificate_not_after_ = 0;
  std::atomic<int64_t> deadline_ns_ = 0;
  bool closed_ = false;
  bool detached_ = false;
  bool reading_ = false;      // inside Read
  bool read_armed_ = false;   // waiting until readable
  bool write_armed_ = false;  // waiting until writable
  bool flush_posted_ = false;
  bool close_after_flush_ = false;
  bool lingering_ = false;
  bool shutdown_ = false;
};

std::unique_ptr<Session> MakeHttp1Session(Connection& connection);
std::unique_ptr<Session> MakeHttp2Session(Connection& connection);

}  // namespace gantry::apiserver::internal
