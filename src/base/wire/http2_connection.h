#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/wire/http_message.h"
#include "base/wire/socket.h"

struct nghttp2_session;

namespace gantry::wire {

struct Http2Exchange;

struct Http2Options {
  Http2Options() = default;
  std::string authority;  // "10.0.0.1:6443"
  bool https = true;
  // Added to requests that do not have them; empty: not added.
  std::string user_agent;
  std::string authorization;
  // A connection from which nothing has come for so long is asked for a sign of life, and given up
  // when none comes. One that nobody waits at is closed instead.
  Duration ping_after = std::chrono::seconds(30);
  Duration ping_timeout = std::chrono::seconds(15);
};

// The client's end of an HTTP/2 connection, shared by many requests. Threading: any thread; works
// on its socket's strand. Life cycle: Start once, before any request.
class Http2Connection : public std::enable_shared_from_this<Http2Connection> {
 public:
  // `socket` is connected and through its handshake.
  Http2Connection(Env& env, std::shared_ptr<Socket> socket, Http2Options options);
  ~Http2Connection();
  void Start();

  // Whether another request may be sent here.
  bool HasRoom() const;
  // No request will be taken any more.
  bool Dead() const { return !usable_; }
  // It broke, or the server does not answer; nobody here ended it.
  bool Lost() const { return lost_; }
  // After how long a silence a sign of life is asked for, and how long it is waited for.
  void SetPings(Duration after, Duration timeout);
  // Takes no requests any more; those under way have a few seconds.
  void Retire();
  // Returns with the head of the answer. `refused` is set when the server has not begun to work on
  // the request.
  Task<Result<HttpResponse>> Send(HttpRequest request, CancelToken cancel, bool* refused);
  // What is under way fails with kUnavailable.
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
  // `lost`: through no doing of ours.
  void Fail(const std::string& why, bool lost = true);
  void ArmPing();
  void OnPingTimer();

  Env& env_;
  const std::shared_ptr<Socket> socket_;
  const Http2Options options_;

  std::atomic<bool> usable_ = true;
  std::atomic<bool> lost_ = false;
  std::atomic<uint32_t> reserved_ = 0;  // requests under way
  std::atomic<uint32_t> limit_ = 100;   // until the server says

  // Used on the strand.
  std::unique_ptr<Protocol> protocol_;
  bool failed_ = false;
  bool write_armed_ = false;
  bool flush_posted_ = false;
  bool receiving_ = false;
  bool ping_sent_ = false;
  Duration ping_after_, ping_timeout_;
  SteadyTime last_read_;
  SteadyTime busy_since_;  // when the first of the present requests came
  std::unique_ptr<TimerHandle> ping_timer_;
  std::unique_ptr<TimerHandle> retire_timer_;
};

}  // namespace gantry::wire
