#include "apiserver/streams/spdy_connection.h"

#include <array>
#include <utility>

namespace gantry::apiserver::streams {
namespace {
constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kMaxDataBytes = 1024 * 1024;
}  // namespace

Task<Status> SpdyConnection::Write(std::string frame) {
  while (writing_)
    co_await written_.Wait(env_);
  writing_ = true;
  Status sent = co_await stream_->Write(frame);
  writing_ = false;
  written_.Notify();
  co_return sent;
}

Task<Result<std::optional<SpdyFrame>>> SpdyConnection::Read() {
  while (true) {
    GANTRY_CO_ASSIGN(std::optional<SpdyFrame> frame, decoder_.Next());
    if (frame) {
      if (frame->type == SpdyType::kPing) {
        GANTRY_CO_TRY(co_await Write(SpdyEncoder::Ping(frame->value)));
        continue;
      }
      if (frame->type == SpdyType::kGoAway) co_return std::optional<SpdyFrame>();
      co_return frame;
    }
    std::array<char, kReadBytes> buffer;
    GANTRY_CO_ASSIGN(const size_t got, co_await stream_->Read(buffer));
    if (got == 0) co_return std::optional<SpdyFrame>();
    decoder_.Feed(std::string_view(buffer.data(), got));
  }
}

// The header blocks of a direction are one compressed text: they are made in the order in which
// they are sent.
Task<Status> SpdyConnection::SynStream(uint32_t stream_id, SpdyHeaders headers) {
  while (writing_)
    co_await written_.Wait(env_);
  co_return co_await Write(encoder_.SynStream(stream_id, headers, false));
}

Task<Status> SpdyConnection::SynReply(uint32_t stream_id) {
  while (writing_)
    co_await written_.Wait(env_);
  co_return co_await Write(encoder_.SynReply(stream_id, SpdyHeaders()));
}

Task<Status> SpdyConnection::Data(uint32_t stream_id, std::string bytes, bool fin) {
  size_t at = 0;
  while (bytes.size() - at > kMaxDataBytes) {
    GANTRY_CO_TRY(co_await Write(
        SpdyEncoder::Data(stream_id, std::string_view(bytes).substr(at, kMaxDataBytes), false)));
    at += kMaxDataBytes;
  }
  co_return co_await Write(SpdyEncoder::Data(stream_id, std::string_view(bytes).substr(at), fin));
}

Task<Status> SpdyConnection::Reset(uint32_t stream_id, uint32_t status) {
  co_return co_await Write(SpdyEncoder::Reset(stream_id, status));
}

}  // namespace gantry::apiserver::streams
