#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apiserver/streams/spdy_framing.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/env/stream.h"

namespace gantry::apiserver::streams {

// Frames over a connection. Flow control is left to TCP, as spdystream does. Threading: one strand;
// one reader, any number of writers.
class SpdyConnection {
 public:
  SpdyConnection(Env& env, std::unique_ptr<Stream> stream)
      : env_(env), stream_(std::move(stream)) {}

  // The next frame but pings, which are answered here; nullopt at the end of the connection or
  // after a goaway.
  Task<Result<std::optional<SpdyFrame>>> Read();
  Task<Status> SynStream(uint32_t stream_id, SpdyHeaders headers);
  Task<Status> SynReply(uint32_t stream_id);
  // Cut into frames where it is long. With `fin`, the stream's last.
  Task<Status> Data(uint32_t stream_id, std::string bytes, bool fin);
  Task<Status> Reset(uint32_t stream_id, uint32_t status);
  void Close() { stream_->Close(); }

 private:
  Task<Status> Write(std::string frame);

  Env& env_;
  std::unique_ptr<Stream> stream_;
  SpdyDecoder decoder_;
  SpdyEncoder encoder_;
  bool writing_ = false;
  Notifier written_;
};

}  // namespace gantry::apiserver::streams
