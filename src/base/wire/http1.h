#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/wire/headers.h"

// The text of HTTP/1.1 (RFC 9112), both directions: heads and body framing. Strict, since what is
// ambiguous is how requests get smuggled. No I/O; hostile input is safe.
namespace gantry::wire {

struct RequestHead {
  std::string method;
  std::string target;  // as sent
  int minor_version = 1;
  Headers headers;
};

struct ResponseHead {
  int status = 0;
  std::string reason;
  int minor_version = 1;
  Headers headers;
};

struct HeadResult {
  enum class State : uint8_t { kIncomplete, kComplete, kMalformed };
  State state = State::kIncomplete;
  size_t consumed = 0;  // bytes of the head with its empty line
  const char* error = "";
};
// `bytes` begins with the head. Calling again with more of the same bytes is how to go on after
// kIncomplete.
HeadResult ParseHead(std::string_view bytes, RequestHead* out);
HeadResult ParseHead(std::string_view bytes, ResponseHead* out);

// How the body that follows a head is delimited.
struct Framing {
  enum class Kind : uint8_t { kNone, kLength, kChunked, kUntilEnd, kMalformed, kUnsupported };
  Kind kind = Kind::kNone;
  uint64_t length = 0;
};
Framing RequestFraming(const Headers& headers);
Framing ResponseFraming(const ResponseHead& head, std::string_view request_method);

// Takes the chunked coding apart, in pieces of any size. Trailers are skipped.
class ChunkDecoder {
 public:
  enum class State : uint8_t { kMore, kDone, kMalformed };
  // Takes from the front of `bytes` what it understands and appends the data to `out`, at most
  // `limit` bytes more. kMore with bytes left over: the limit was reached.
  State Decode(std::string_view* bytes, size_t limit, std::string* out);

 private:
  enum class Part : uint8_t {
    kSize,
    kExtension,
    kSizeEnd,
    kData,
    kDataCr,
    kDataLf,
    kTrailer,
    kTrailerLine,
    kTrailerLf,
    kEndLf,
    kDone
  };
  Part part_ = Part::kSize;
  uint64_t left_ = 0;
  int digits_ = 0;
  size_t overhead_ = 0;  // bytes of extensions and trailers
};

// "OK" for 200; "" for what is unknown.
std::string_view ReasonPhrase(int status);

// Both parts of a target in origin form, "/a?b" -> "/a", "b"; absolute form is brought to that.
// False: neither.
bool SplitTarget(std::string_view target, std::string* path, std::string* query);

}  // namespace gantry::wire
