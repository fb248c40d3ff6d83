#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/wire/headers.h"

// How gRPC packs messages into HTTP/2. No I/O.
namespace gantry::store::etcd {

// Status codes of gRPC that something depends on.
enum class GrpcCode : uint8_t {
  kOk = 0,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kOutOfRange = 11,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

// A message with its prefix.
std::string Frame(std::string_view message);

// Cuts a stream of bytes into messages. Threading: a value.
class Deframer {
 public:
  void Add(std::string_view bytes) { in_.append(bytes); }
  // The next whole message; nullopt: more bytes are needed. kDataLoss for what no server should
  // send.
  Result<std::optional<std::string>> Next();

 private:
  std::string in_;
  size_t at_ = 0;
};

struct GrpcStatus {
  GrpcStatus() = default;
  GrpcCode code = GrpcCode::kUnknown;
  std::string message;
};

// What the fields behind an answer (or its head, where nothing else came) say; nullopt when they
// say nothing.
std::optional<GrpcStatus> ReadGrpcStatus(const wire::Headers& fields);

}  // namespace gantry::store::etcd
