#pragma once

#include <absl/functional/any_invocable.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/env/env.h"
#include "base/env/stream.h"
#include "base/status.h"
#include "base/wire/tls.h"

namespace gantry::wire {

enum class IoState : uint8_t {
  kDone,        // some bytes moved
  kWouldBlock,  // wait until the socket is readable (writable, when wants_write)
  kEnd,         // the other side has sent all it will
  kFailed,
};
struct IoResult {
  IoState state = IoState::kDone;
  size_t bytes = 0;
  bool wants_write = false;
};

// A connected TCP socket, with TLS or without, that never blocks and keeps no buffers of its own
// while idle. Threading: strand (the executor that it was made with). Owned by shared_ptr.
class Socket {
 public:
  // `fd` is a connected socket, owned from here on. `tls` null: plain. `server_name` is what a
  // client checks the server's certificate for (a name or an address).
  Socket(Executor strand, int fd, std::shared_ptr<const TlsContext> tls,
         std::string_view server_name = {});
  ~Socket();

  // Before the handshake, for clients: HTTP/2 is not offered on this connection.
  void OfferHttp1Only();
  // One step of the TLS handshake (kDone when complete; at once without TLS).
  IoResult Handshake();
  IoResult Read(std::span<char> into);
  // How many of `bytes` have gone. After kWouldBlock the next call begins with the same ones.
  IoResult Write(std::string_view bytes);
  // Bytes that have been read from the kernel but not handed out: Read again before waiting.
  bool HasBuffered() const;
  // Says that nothing more will be written.
  void ShutdownWrite();
  // Idempotent. Pending waits end with false.
  void Close();
  bool closed() const;

  // Calls back on the strand, with false when the socket was closed. One wait of each kind at a
  // time.
  void WaitReadable(absl::AnyInvocable<void(bool)> call);
  void WaitWritable(absl::AnyInvocable<void(bool)> call);
  Task<bool> Readable();
  Task<bool> Writable();

  bool tls() const;
  bool negotiated_http2() const;
  // After the handshake.
  TlsPeer peer() const;
  // "127.0.0.1:40000"; empty when it cannot be told.
  std::string remote_address() const;
  std::string local_address() const;
  // Why the last operation failed, for messages.
  std::string error() const;
  const Executor& executor() const;

  // The first bytes that have come, without taking them; only for plain sockets and before the
  // handshake.
  size_t Peek(std::span<char> into) const;
  // Writes to the kernel, around TLS: the answer to those who speak plain HTTP to a TLS port.
  void WriteRaw(std::string_view bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A Stream over `socket`; `read_ahead` is handed out first. Closing the stream closes the socket.
std::unique_ptr<Stream> MakeStream(std::shared_ptr<Socket> socket, std::string read_ahead);

struct DialOptions {
  DialOptions() = default;
  std::string host;
  uint16_t port = 0;
  std::shared_ptr<const TlsContext> tls;  // null: plain
  std::string server_name;                // empty: host
  bool http1_only = false;
  Duration timeout = std::chrono::seconds(10);
};
// Connects and completes the handshake. Runs on the awaiting coroutine's executor, which becomes
// the socket's and therefore must be a strand. kUnavailable, worded as Go words it: `dial
// tcp 10.0.0.1:6443: connect: connection refused`.
Task<Result<std::shared_ptr<Socket>>> Dial(Env& env, DialOptions options);

}  // namespace gantry::wire
