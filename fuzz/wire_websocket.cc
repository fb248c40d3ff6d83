#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/wire/websocket.h"

// Frames in two pieces, read by a server and by a client.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry::wire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (WebSocketRole role : {WebSocketRole::kServer, WebSocketRole::kClient}) {
    WebSocketDecoder decoder(role, 1024);
    bool good = true;
    for (std::string_view part : {bytes.substr(0, size / 2), bytes.substr(size / 2)}) {
      decoder.Feed(part);
      while (good) {
        auto message = decoder.Next();
        good = message.ok();
        if (!good || !*message) break;
        if ((*message)->payload.size() > 1024) __builtin_trap();
      }
    }
  }
  return 0;
}
