#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/env/env.h"
#include "base/wire/socket.h"
#include "client/http/transport.h"

struct nghttp2_session;

namespace gantry::client::internal {

struct Http2Exchange;

// One HTTP/2 connection to a server, shared by many requests. Threading: any thread; works on its
// socket's strand.
class Http2Connection : public std::enable_shared_from_this<Http2Connection> {
 public:
  Http2Connection(Env& env, std::shared_ptr<wire::Socket> socket, std::string authority, bool https,
                  const HttpTransportOptions& options);
  ~Http2Connection();
  // Once, before any request.
  void Start();

  // Whether another request may be sent here.
  bool HasRoom() const;
  // No request will be taken any more.
  bool Dead() const { return !usable_; }
  // `refused` is set when the server has not begun to work on the request.
  Task<Result<HttpResponse>> Send(HttpRequest request, CancelToken cancel, bool* refused);
  void Close();

 private:
  friend struct Http2Exchange;
  friend class Http2Body;
  class Protocol;

  void Submit(std::shared_ptr<Http2Exchange> exchange, HttpRequest request);
  void Drop(std::shared_ptr<Http2Exchange> exchange);
  void Consumed(std::shared_ptr<Http2Exchange> exchange, size_t bytes);
  void Read();
  void WaitReadable();
  void Flush();
  void ScheduleFlush();
  void Fail(const std::string& why);
  void ArmPing();
  void OnPingTimer();

  Env& env_;
  const std::shared_ptr<wire::Socket> socket_;
  const std::string authority_;
  const std::string scheme_;
  const std::string user_agent_;
  const std::string authorization_;
  const Duration ping_after_;
  const Duration ping_timeout_;

  std::atomic<bool> usable_ = true;
  std::atomic<uint32_t> reserved_ = 0;  // requests under way
  std::atomic<uint32_t> limit_ = 100;   // until the server says

  // Used on the strand.
  std::unique_ptr<Protocol> protocol_;
  bool failed_ = false;
  bool write_armed_ = false;
  bool flush_posted_ = false;
  bool receiving_ = false;
  bool ping_sent_ = false;
  SteadyTime last_read_{};
  std::unique_ptr<TimerHandle> ping_timer_;
};

}  // namespace gantry::client::internal
