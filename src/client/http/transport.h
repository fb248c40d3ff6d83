#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/stream.h"
#include "base/status.h"
#include "base/wire/headers.h"
#include "base/wire/http_message.h"
#include "base/wire/tls.h"

namespace gantry::client {

struct HttpTransportOptions {
  HttpTransportOptions() = default;
  // "https://10.0.0.1:6443" or "http://127.0.0.1:8080/prefix". Several are several ways to the same
  // cluster: the first that answers is used until it stops to.
  std::vector<std::string> servers;
  std::shared_ptr<const wire::TlsContext> tls;  // for https
  std::string server_name;  // what the certificate is checked for; empty: the URL's host
  std::string bearer_token;
  std::string user_agent = "gantry";
  wire::Headers headers;  // added to every request: whom to act as
  Duration dial_timeout = std::chrono::seconds(10);
  // A connection from which nothing has come for so long is asked for a sign of life, and given up
  // when none comes. One that nobody uses is let go after `ping_after`.
  Duration ping_after = std::chrono::seconds(30);
  Duration ping_timeout = std::chrono::seconds(15);
  // The same where there is another server to change over to, and for how long one is dialled then
  // before the others are tried.
  Duration failover_ping_after = std::chrono::milliseconds(400);
  Duration failover_ping_timeout = std::chrono::milliseconds(500);
  Duration failover_dial_timeout = std::chrono::seconds(1);
};

using wire::HttpBody;
using wire::HttpRequest;
using wire::HttpResponse;

// An answer with its whole body.
struct HttpReply {
  int status = 0;
  wire::Headers headers;
  std::string body;
};

// Another protocol on the connection, after 101.
struct HttpUpgrade {
  wire::Headers headers;
  std::unique_ptr<Stream> stream;
};

// Speaks HTTP/2 where the server does (all requests share a connection, up to its limit of
// streams), HTTP/1.1 else. A request that no server has begun to work on is tried again, and a GET
// whose connection is lost before its answer; others are not. A server whose connection was lost is
// the last to be tried for a while. Life cycle: Stop before destruction when requests may be under
// way. Threading: any thread.
class HttpTransport {
 public:
  HttpTransport(Env& env, HttpTransportOptions options);
  ~HttpTransport();

  // Returns with the head of the answer, whatever its status. kUnavailable: no server can be
  // reached, worded as Go words it. kCanceled: by `cancel`, which also ends the body.
  Task<Result<HttpResponse>> Send(HttpRequest request, CancelToken cancel = CancelToken());
  // Send, and the whole body up to `max_bytes`.
  Task<Result<HttpReply>> Fetch(HttpRequest request, CancelToken cancel = CancelToken(),
                                size_t max_bytes = size_t{1} << 30);
  // A connection of its own, asked to change to another protocol (headers Upgrade and the like are
  // the caller's). An answer other than 101 is a failure with the Status of its body's message.
  // Runs on the awaiting coroutine's executor, which must be a strand; the stream belongs to it.
  Task<Result<HttpUpgrade>> Upgrade(HttpRequest request, CancelToken cancel = CancelToken());
  // Opens a WebSocket at `target`, offering `protocols`; the stream carries its frames
  // (wire::WebSocket, client role).
  Task<Result<HttpUpgrade>> OpenWebSocket(std::string target, std::vector<std::string> protocols,
                                          CancelToken cancel = CancelToken());

  // Other ways to the same cluster from now on. Connections to servers that are no longer named
  // take no new requests and end soon. Malformed URLs are left out; with no good one nothing
  // changes.
  void SetServers(const std::vector<std::string>& servers);
  // Other credentials: new requests go over connections made with them. What is under way has some
  // seconds to end, then it fails as with a lost connection.
  void SetTls(std::shared_ptr<const wire::TlsContext> tls);

  // Ends all connections; what is under way fails with kUnavailable.
  Task<> Stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

// Puts together "?a=b&c=d" with what has to be escaped.
std::string QueryEscape(std::string_view text);

}  // namespace gantry::client
