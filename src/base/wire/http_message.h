#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/env/task.h"
#include "base/status.h"
#include "base/wire/headers.h"

namespace gantry::wire {

// What a client sends and gets over HTTP, whatever its version.

struct HttpRequest {
  HttpRequest() = default;
  HttpRequest(std::string method, std::string target)
      : method(std::move(method)), target(std::move(target)) {}
  std::string method = "GET";
  std::string target;  // "/api/v1/pods?watch=true", percent-encoded
  Headers headers;
  std::string body;
};

// The body of an answer as it comes. Destroying it before its end gives the answer up. Threading:
// one at a time.
class HttpBody {
 public:
  virtual ~HttpBody() = default;
  // The next bytes; empty at the end. kUnavailable when the connection is lost, kCanceled by the
  // request's token.
  virtual Task<Result<std::string>> Read() = 0;
  // After the end: the fields that came behind the body. HTTP/2 only.
  virtual Headers Trailers() const { return {}; }
};

struct HttpResponse {
  int status = 0;
  Headers headers;
  std::unique_ptr<HttpBody> body;
};

}  // namespace gantry::wire
