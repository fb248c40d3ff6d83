#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

// Frames of SPDY/3.1 as Kubernetes' exec, attach and port-forward use them. No I/O; hostile input
// is safe.
namespace gantry::apiserver::streams {

using SpdyHeaders = std::vector<std::pair<std::string, std::string>>;

enum class SpdyType : uint16_t {
  kData = 0,  // of ours: data frames have no type on the wire
  kSynStream = 1,
  kSynReply = 2,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

struct SpdyFrame {
  SpdyType type = SpdyType::kData;
  uint32_t stream_id = 0;
  bool fin = false;
  uint32_t value = 0;  // ping: id; reset and goaway: status
  SpdyHeaders headers;
  std::string data;
};

// Threading: one at a time. The header compression of a direction has state, so every frame must
// pass through.
class SpdyDecoder {
 public:
  SpdyDecoder();
  ~SpdyDecoder();
  void Feed(std::string_view bytes) { in_.append(bytes); }
  // The next frame; nullopt when more bytes are needed. Frames of no use to us (settings, window
  // updates) are skipped. After an error the connection cannot be used.
  Result<std::optional<SpdyFrame>> Next();

 private:
  Result<SpdyHeaders> ReadHeaders(std::string_view block);
  Result<std::string> Inflate(std::string_view block);
  Result<std::optional<SpdyFrame>> ReadControl(uint16_t type, uint8_t flags, std::string_view body);

  struct Zip;
  std::unique_ptr<Zip> zip_;
  std::string in_;
  size_t at_ = 0;
};

class SpdyEncoder {
 public:
  SpdyEncoder();
  ~SpdyEncoder();
  std::string SynStream(uint32_t stream_id, const SpdyHeaders& headers, bool fin);
  std::string SynReply(uint32_t stream_id, const SpdyHeaders& headers);
  static std::string Data(uint32_t stream_id, std::string_view bytes, bool fin);
  static std::string Reset(uint32_t stream_id, uint32_t status);
  static std::string Ping(uint32_t id);
  static std::string GoAway(uint32_t last_stream_id);

 private:
  std::string HeaderBlock(const SpdyHeaders& headers);

  struct Zip;
  std::unique_ptr<Zip> zip_;
};

}  // namespace gantry::apiserver::streams
