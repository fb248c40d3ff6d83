#include <cstddef>
#include <cstdint>
#include <string_view>

#include "apiserver/streams/spdy_framing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gantry::apiserver::streams::SpdyDecoder decoder;
  decoder.Feed(std::string_view(reinterpret_cast<const char*>(data), size));
  while (true) {
    auto frame = decoder.Next();
    if (!frame.ok() || !*frame) return 0;
  }
}
