#include "common/raw_connection.h"

#include "base/wire/http1.h"

namespace gantry::bench {

Task<Result<std::unique_ptr<RawConnection>>> RawConnection::Open(Env& env, RawTarget target) {
  wire::DialOptions dial;
  dial.host = "127.0.0.1";
  dial.port = target.port;
  dial.tls = target.tls;
  dial.http1_only = true;
  GANTRY_CO_ASSIGN(std::shared_ptr<wire::Socket> socket, co_await wire::Dial(env, std::move(dial)));
  co_return std::unique_ptr<RawConnection>(
      new RawConnection(wire::MakeStream(std::move(socket), "")));
}

Task<Result<int>> RawConnection::RoundTrip(std::string_view request, std::atomic<uint64_t>* counted,
                                           std::string* body) {
  GANTRY_CO_TRY(co_await stream_->Write(request));
  wire::ResponseHead head;
  std::string text;  // the head, while it comes in pieces
  std::string_view rest;
  while (true) {
    GANTRY_CO_ASSIGN(const size_t got, co_await stream_->Read(buffer_));
    if (got == 0) co_return Unavailable("the server closed the connection");
    text.append(buffer_.data(), got);
    const wire::HeadResult parsed = wire::ParseHead(text, &head);
    if (parsed.state == wire::HeadResult::State::kMalformed) co_return InternalError(parsed.error);
    if (parsed.state == wire::HeadResult::State::kIncomplete) continue;
    rest = std::string_view(text).substr(parsed.consumed);
    break;
  }
  const wire::Framing framing = wire::ResponseFraming(head, request.substr(0, request.find(' ')));
  if (framing.kind == wire::Framing::Kind::kNone) co_return head.status;
  const bool chunked = framing.kind == wire::Framing::Kind::kChunked;
  if (!chunked && framing.kind != wire::Framing::Kind::kLength)
    co_return InternalError("a body without a length");
  const bool keep = body != nullptr && head.status >= 400;
  wire::ChunkDecoder chunks;
  std::string data;
  uint64_t left = framing.length;
  while (true) {
    bool done = false;
    std::string_view piece = rest;
    if (chunked) {
      data.clear();
      const wire::ChunkDecoder::State state = chunks.Decode(&rest, SIZE_MAX, &data);
      if (state == wire::ChunkDecoder::State::kMalformed)
        co_return InternalError("a malformed chunk");
      done = state == wire::ChunkDecoder::State::kDone;
      piece = data;
    } else {
      left -= piece.size();
      done = left == 0;
    }
    if (counted != nullptr) *counted += piece.size();
    if (keep) body->append(piece);
    if (done) co_return head.status;
    GANTRY_CO_ASSIGN(const size_t got, co_await stream_->Read(buffer_));
    if (got == 0) co_return Unavailable("the server closed the connection inside an answer");
    rest = std::string_view(buffer_.data(), got);
  }
}

std::string EncodeRequest(std::string_view method, std::string_view target, std::string_view body) {
  std::string text(method);
  text.append(" ").append(target).append(
      " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: gantry-bench\r\nAccept: application/json\r\n");
  if (!body.empty()) {
    text.append("Content-Type: application/json\r\nContent-Length: ")
        .append(std::to_string(body.size()))
        .append("\r\n");
  }
  text.append("\r\n").append(body);
  return text;
}

}  // namespace gantry::bench
