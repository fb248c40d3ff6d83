#include "client/http/http1_exchange.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace gantry::client::internal {
namespace {

constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kMaxHeadBytes = 1024 * 1024;

// A stream with bytes that came before it.
class PrefixedStream : public Stream {
 public:
  PrefixedStream(std::string prefix, std::unique_ptr<Stream> stream)
      : prefix_(std::move(prefix)), stream_(std::move(stream)) {}
  Task<Result<size_t>> Read(std::span<char> into) override {
    if (prefix_.empty()) co_return co_await stream_->Read(into);
    const size_t count = std::min(into.size(), prefix_.size());
    std::memcpy(into.data(), prefix_.data(), count);
    prefix_.erase(0, count);
    co_return count;
  }
  Task<Status> Write(std::string_view bytes) override { return stream_->Write(bytes); }
  Task<Status> CloseWrite() override { return stream_->CloseWrite(); }
  void Close() override { stream_->Close(); }

 private:
  std::string prefix_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace

Task<Status> Http1Exchange::Fill() {
  std::array<char, kReadBytes> buffer;
  GANTRY_CO_ASSIGN(const size_t got, co_await stream_->Read(buffer));
  if (got == 0) co_return Unavailable("unexpected EOF");
  in_.append(buffer.data(), got);
  co_return Status::Ok();
}

Task<Result<wire::ResponseHead>> Http1Exchange::Begin(std::string head, std::string body,
                                                      std::string method) {
  if (body.size() <= kReadBytes) {
    head += body;
    body.clear();
  }
  GANTRY_CO_TRY(co_await stream_->Write(head));
  if (!body.empty()) GANTRY_CO_TRY(co_await stream_->Write(body));
  while (true) {
    wire::ResponseHead answer;
    const wire::HeadResult result = ParseHead(in_, &answer);
    if (result.state == wire::HeadResult::State::kMalformed) {
      co_return Unavailable(std::string("net/http: HTTP/1.x transport connection broken: ") +
                            result.error);
    }
    if (result.state == wire::HeadResult::State::kIncomplete) {
      if (in_.size() > kMaxHeadBytes)
        co_return Unavailable("net/http: server response headers exceeded limit");
      GANTRY_CO_TRY(co_await Fill());
      continue;
    }
    in_.erase(0, result.consumed);
    if (answer.status >= 100 && answer.status < 200 && answer.status != 101) continue;
    framing_ = wire::ResponseFraming(answer, method);
    if (framing_.kind == wire::Framing::Kind::kMalformed ||
        framing_.kind == wire::Framing::Kind::kUnsupported) {
      co_return Unavailable("net/http: HTTP/1.x transport connection broken: body length");
    }
    keep_alive_ = answer.minor_version > 0 && !answer.headers.HasToken("connection", "close") &&
                  framing_.kind != wire::Framing::Kind::kUntilEnd;
    chunks_ = wire::ChunkDecoder();
    ended_ = framing_.kind == wire::Framing::Kind::kNone ||
             (framing_.kind == wire::Framing::Kind::kLength && framing_.length == 0);
    co_return answer;
  }
}

Task<Result<std::string>> Http1Exchange::ReadBody() {
  while (!ended_) {
    std::string out;
    switch (framing_.kind) {
      case wire::Framing::Kind::kChunked: {
        std::string_view bytes = in_;
        const auto state = chunks_.Decode(&bytes, std::string::npos, &out);
        in_.erase(0, in_.size() - bytes.size());
        if (state == wire::ChunkDecoder::State::kMalformed)
          co_return Unavailable("malformed chunked encoding");
        ended_ = state == wire::ChunkDecoder::State::kDone;
        break;
      }
      case wire::Framing::Kind::kLength:
        if (in_.size() > framing_.length) {
          out = in_.substr(0, static_cast<size_t>(framing_.length));
          in_.erase(0, out.size());
        } else {
          out = std::exchange(in_, std::string());
        }
        framing_.length -= out.size();
        ended_ = framing_.length == 0;
        break;
      default:
        out = std::exchange(in_, std::string());
        break;
    }
    if (!out.empty()) co_return out;
    if (ended_) break;
    if (framing_.kind == wire::Framing::Kind::kUntilEnd) {
      std::array<char, kReadBytes> buffer;
      GANTRY_CO_ASSIGN(const size_t got, co_await stream_->Read(buffer));
      ended_ = got == 0;
      in_.assign(buffer.data(), got);
    } else {
      GANTRY_CO_TRY(co_await Fill());
    }
  }
  co_return std::string();
}

std::unique_ptr<Stream> Http1Exchange::Detach() {
  return std::make_unique<PrefixedStream>(std::exchange(in_, std::string()), std::move(stream_));
}

}  // namespace gantry::client::internal
