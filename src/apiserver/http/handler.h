#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/stream.h"
#include "base/env/task.h"
#include "base/env/time.h"
#include "base/env/waker.h"
#include "base/status.h"
#include "base/wire/headers.h"

namespace gantry::apiserver {

using Headers = wire::Headers;

// The identity that a client certificate proved in the handshake, and the one that the connection
// gives.
struct PeerInfo {
  std::string address;  // "127.0.0.1:40000"
  // Subject of a verified client certificate; empty common name: none was shown, or it does not
  // verify.
  std::string certificate_common_name;
  std::vector<std::string> certificate_organizations;
  // Shown, but not to be trusted: says why ("certificate signed by unknown authority"). Without
  // another proof of identity such a request is answered 401, not treated as anonymous.
  std::string certificate_error;
  bool certificate_expired = false;
};

// One HTTP request with its whole body. The listener has enforced size limits (body over
// `max_body_bytes` answers 413 there) and decoded nothing.
struct Request {
  std::string method;  // "GET"
  std::string path;    // "/api/v1/pods", still percent-encoded, without the query
  std::string query;   // "watch=true", without "?"
  Headers headers;
  std::string body;
  PeerInfo peer;
  CancelToken cancel;  // the client went away or the server stops
  bool http2 = false;
};

// Bytes that come from time to time and are taken when the transport has room for them, such as
// the events of a watch: of ten thousand that wait, none is a coroutine that must be woken.
// Threading: one caller at a time.
class BodySource {
 public:
  enum class State : uint8_t {
    kMore,  // ask again
    kIdle,  // nothing until the waker is told
    kEnd,   // the body ends behind these bytes
  };
  virtual ~BodySource() = default;
  // Once, before Take. `waker` is told when there may be more after kIdle.
  virtual void Start(std::shared_ptr<Waker> waker) = 0;
  // The next bytes; null when there are none now.
  virtual State Take(std::shared_ptr<const std::string>* chunk) = 0;
};

// Where a streamed body goes. Threading: as Stream.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  // Sends all that `source` gives, to its end.
  virtual Task<Status> Drain(Env& env, BodySource& source);
  // Sends the chunk; returns when the transport has room for the next one. The bytes are shared,
  // not copied, where the transport can. kCanceled once the client is gone.
  virtual Task<Status> Write(std::shared_ptr<const std::string> chunk) = 0;
};

// What to answer. Exactly one of body/bodies, stream, upgrade is used.
struct Response {
  Response() = default;

  int status = 200;
  Headers headers;  // content-type and the like; the listener adds date, content-length,
                    // transfer-encoding
  std::string body;
  // A body of shared pieces sent one after another (a list made of cached objects), after `body`.
  std::vector<std::shared_ptr<const std::string>> pieces;
  // A body of unknown length (watch, log -f). Called after the header went out; returning ends the
  // body.
  std::function<Task<void>(BodyWriter&)> stream;
  // For 101: called with the raw connection (bytes read ahead included). HTTP/1.1 only. Owns it
  // until it returns.
  std::function<Task<void>(std::unique_ptr<Stream>)> upgrade;
  // What went wrong, for the request chain: it writes the body, in the form that the client reads.
  std::optional<Status> failure;
};

// The server above the wire. Called on the connection's strand, several at once for HTTP/2.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Task<Response> Handle(Request request) = 0;
};

}  // namespace gantry::apiserver
