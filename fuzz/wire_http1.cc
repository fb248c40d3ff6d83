#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/wire/http1.h"

// Heads of both directions, targets and the chunked coding.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry::wire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  RequestHead request;
  if (ParseHead(bytes, &request).state == HeadResult::State::kComplete) {
    std::string path, query;
    if (SplitTarget(request.target, &path, &query) && !path.starts_with('/')) __builtin_trap();
    RequestFraming(request.headers);
  }
  ResponseHead response;
  if (ParseHead(bytes, &response).state == HeadResult::State::kComplete)
    ResponseFraming(response, "GET");
  ChunkDecoder decoder;
  std::string_view rest = bytes;
  std::string out;
  decoder.Decode(&rest, 4096, &out);
  if (out.size() > 4096) __builtin_trap();
  return 0;
}
