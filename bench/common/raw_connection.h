#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env/env.h"
#include "base/env/stream.h"
#include "base/wire/socket.h"

namespace gantry::bench {

struct RawTarget {
  uint16_t port = 0;
  std::shared_ptr<const wire::TlsContext> tls;  // null: plain
};

// One keep-alive HTTP/1.1 connection to this machine for requests that are encoded already, so that
// the load costs little itself. Threading: the strand of the coroutine that opened it.
class RawConnection {
 public:
  static Task<Result<std::unique_ptr<RawConnection>>> Open(Env& env, RawTarget target);

  // Sends `request` and reads the whole answer: its status. `counted` grows by the bytes of the
  // body as they come. `body` receives the body of answers of 400 and up. `request` must stay
  // valid.
  Task<Result<int>> RoundTrip(std::string_view request, std::atomic<uint64_t>* counted = nullptr,
                              std::string* body = nullptr);

 private:
  explicit RawConnection(std::unique_ptr<Stream> stream)
      : stream_(std::move(stream)), buffer_(64 * 1024) {}

  std::unique_ptr<Stream> stream_;
  std::vector<char> buffer_;
};

// The text of a request with its headers; `body` empty: none.
std::string EncodeRequest(std::string_view method, std::string_view target, std::string_view body);

}  // namespace gantry::bench
