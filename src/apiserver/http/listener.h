#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "apiserver/http/handler.h"
#include "base/env/env.h"
#include "base/status.h"
#include "base/wire/tls.h"

namespace gantry::apiserver {

struct ListenerOptions {
  ListenerOptions() = default;
  std::string address = "127.0.0.1";  // an IP address
  uint16_t port = 0;                  // 0: the kernel chooses
  // Null: plain HTTP (HTTP/2 with prior knowledge works too). For tests.
  std::shared_ptr<const wire::TlsContext> tls;

  size_t max_body_bytes = 3 * 1024 * 1024;  // 413 beyond
  size_t max_header_bytes = 1024 * 1024;    // 431 beyond
  size_t max_connections = 20'000;          // further ones wait in the kernel's queue
  uint32_t max_streams_per_connection = 250;
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration header_timeout = std::chrono::seconds(32);  // for a head, from its first byte
  Duration body_timeout = std::chrono::seconds(60);    // between two pieces of a request body
  Duration idle_timeout = std::chrono::seconds(90);    // between requests
};

// Accepts connections on one port and speaks HTTP/1.1 and HTTP/2 (chosen by ALPN) with each of
// them, calling the handler for every request. A client's certificate is asked for and reported in
// Request::peer; whether it is good enough is the handler's decision. Life cycle: Start once, Stop
// before destruction (from a coroutine). The handler and the Env must outlive it. Threading: any
// thread. Each connection has its own strand.
class Listener {
 public:
  Listener(Env& env, Handler& handler, ListenerOptions options);
  ~Listener();

  // Binds and begins to accept. kUnavailable, worded as Go words it:
  // `listen tcp 0.0.0.0:6443: bind: address already in use`.
  Status Start();
  // The port that is listened on, after Start.
  uint16_t port() const;
  // New connections use these keys and certificates.
  void ReplaceTls(std::shared_ptr<const wire::TlsContext> tls);
  // Accepts no more, ends streams, lets requests finish for `grace`, then cancels them. Returns
  // when nothing runs.
  Task<> Stop(Duration grace);

  size_t connection_count() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace gantry::apiserver
