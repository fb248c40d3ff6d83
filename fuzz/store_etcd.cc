#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "store/etcd/grpc.h"

namespace {

// The messages in a stream that comes in pieces of `step` bytes; the last one tells how it ended.
std::vector<std::string> Cut(std::string_view stream, size_t step) {
  gantry::store::etcd::Deframer deframer;
  std::vector<std::string> out;
  for (size_t at = 0; at < stream.size(); at += step) {
    deframer.Add(stream.substr(at, step));
    for (;;) {
      auto next = deframer.Next();
      if (!next.ok()) {
        out.push_back("refused");
        return out;
      }
      if (!*next) break;
      out.push_back(std::move(**next));
    }
  }
  out.push_back("more");
  return out;
}

}  // namespace

// What an etcd server sends: its messages do not depend on how the stream was cut into packets.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (Cut(text, 1) != Cut(text, size == 0 ? 1 : size)) abort();
  gantry::wire::Headers fields;
  const size_t half = size / 2;
  fields.Add("grpc-status", std::string(text.substr(0, half)));
  fields.Add("grpc-message", std::string(text.substr(half)));
  (void)gantry::store::etcd::ReadGrpcStatus(fields);
  return 0;
}
