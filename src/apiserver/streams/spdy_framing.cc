#include "apiserver/streams/spdy_framing.h"

#include <zlib.h>

#include <utility>

namespace gantry::apiserver::streams {
namespace {

constexpr uint16_t kVersion = 3;
constexpr uint8_t kFlagFin = 1;
constexpr size_t kMaxHeaderBytes = 64 * 1024;
constexpr size_t kMaxHeaders = 256;

// The words of the dictionary that both sides compress headers with; each stands there after its
// length.
constexpr std::string_view kWords[] = {"options",
                                       "head",
                                       "post",
                                       "put",
                                       "delete",
                                       "trace",
                                       "accept",
                                       "accept-charset",
                                       "accept-encoding",
                                       "accept-language",
                                       "accept-ranges",
                                       "age",
                                       "allow",
                                       "authorization",
                                       "cache-control",
                                       "connection",
                                       "content-base",
                                       "content-encoding",
                                       "content-language",
                                       "content-length",
                                       "content-location",
                                       "content-md5",
                                       "content-range",
                                       "content-type",
                                       "date",
                                       "etag",
                                       "expect",
                                       "expires",
                                       "from",
                                       "host",
                                       "if-match",
                                       "if-modified-since",
                                       "if-none-match",
                                       "if-range",
                                       "if-unmodified-since",
                                       "last-modified",
                                       "location",
                                       "max-forwards",
                                       "pragma",
                                       "proxy-authenticate",
                                       "proxy-authorization",
                                       "range",
                                       "referer",
                                       "retry-after",
                                       "server",
                                       "te",
                                       "trailer",
                                       "transfer-encoding",
                                       "upgrade",
                                       "user-agent",
                                       "vary",
                                       "via",
                                       "warning",
                                       "www-authenticate",
                                       "method",
                                       "get",
                                       "status",
                                       "200 OK",
                                       "version",
                                       "HTTP/1.1",
                                       "url",
                                       "public",
                                       "set-cookie",
                                       "keep-alive",
                                       "origin"};
constexpr std::string_view kWordsTail =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 "
    "Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, "
    "GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/"
    "plain,"
    "text/"
    "javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq="
    "0.";

void Put16(uint16_t value, std::string* out) {
  *out += static_cast<char>(value >> 8);
  *out += static_cast<char>(value);
}
void Put32(uint32_t value, std::string* out) {
  Put16(static_cast<uint16_t>(value >> 16), out);
  Put16(static_cast<uint16_t>(value), out);
}
uint32_t Get32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

const std::string& Dictionary() {
  static const std::string* const dictionary = [] {
    auto* text = new std::string();
    for (std::string_view word : kWords) {
      Put32(static_cast<uint32_t>(word.size()), text);
      *text += word;
    }
    *text += kWordsTail;
    return text;
  }();
  return *dictionary;
}

const Bytef* DictionaryBytes() { return reinterpret_cast<const Bytef*>(Dictionary().data()); }

std::string ControlFrame(SpdyType type, uint8_t flags, std::string_view body) {
  std::string out;
  out.reserve(8 + body.size());
  Put16(0x8000 | kVersion, &out);
  Put16(static_cast<uint16_t>(type), &out);
  Put32(static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(body.size()), &out);
  out += body;
  return out;
}

Status Malformed(std::string_view what) {
  return BadRequest("spdy: malformed " + std::string(what));
}

}  // namespace

struct SpdyDecoder::Zip {
  Zip() { inflateInit(&stream); }
  ~Zip() { inflateEnd(&stream); }
  z_stream stream{};
};

struct SpdyEncoder::Zip {
  Zip() {
    deflateInit(&stream, Z_BEST_SPEED);
    deflateSetDictionary(&stream, DictionaryBytes(), static_cast<uInt>(Dictionary().size()));
  }
  ~Zip() { deflateEnd(&stream); }
  z_stream stream{};
};

SpdyDecoder::SpdyDecoder() : zip_(std::make_unique<Zip>()) {}
SpdyDecoder::~SpdyDecoder() = default;

Result<std::string> SpdyDecoder::Inflate(std::string_view block) {
  z_stream& zip = zip_->stream;
  zip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  zip.avail_in = static_cast<uInt>(block.size());
  std::string out;
  char buffer[4096];
  while (true) {
    zip.next_out = reinterpret_cast<Bytef*>(buffer);
    zip.avail_out = sizeof buffer;
    const int code = inflate(&zip, Z_SYNC_FLUSH);
    if (code == Z_NEED_DICT) {
      if (inflateSetDictionary(&zip, DictionaryBytes(), static_cast<uInt>(Dictionary().size())) !=
          Z_OK) {
        return Malformed("header compression");
      }
      continue;
    }
    if (code != Z_OK && code != Z_BUF_ERROR) return Malformed("header compression");
    out.append(buffer, sizeof buffer - zip.avail_out);
    if (out.size() > kMaxHeaderBytes) return Malformed("headers: too large");
    if (zip.avail_out != 0) return out;
  }
}

Result<SpdyHeaders> SpdyDecoder::ReadHeaders(std::string_view block) {
  GANTRY_ASSIGN(const std::string text, Inflate(block));
  std::string_view rest = text;
  auto take_text = [&rest](std::string* out) {
    if (rest.size() < 4) return false;
    const uint32_t length = Get32(rest);
    if (rest.size() - 4 < length) return false;
    *out = rest.substr(4, length);
    rest.remove_prefix(4 + size_t{length});
    return true;
  };
  if (rest.size() < 4) return Malformed("headers");
  const uint32_t count = Get32(rest);
  rest.remove_prefix(4);
  if (count > kMaxHeaders) return Malformed("headers: too many");
  SpdyHeaders headers;
  for (uint32_t i = 0; i < count; ++i) {
    std::string name, value;
    if (!take_text(&name) || !take_text(&value)) return Malformed("headers");
    headers.emplace_back(std::move(name), std::move(value));
  }
  return headers;
}

Result<std::optional<SpdyFrame>> SpdyDecoder::ReadControl(uint16_t type, uint8_t flags,
                                                          std::string_view body) {
  SpdyFrame frame;
  frame.type = static_cast<SpdyType>(type);
  frame.fin = flags & kFlagFin;
  size_t header_at = 0;
  switch (frame.type) {
    case SpdyType::kSynStream:
      header_at = 10;
      break;
    case SpdyType::kSynReply:
    case SpdyType::kHeaders:
      header_at = 4;
      break;
    case SpdyType::kReset:
    case SpdyType::kGoAway:
      if (body.size() < 8) return Malformed("frame");
      frame.stream_id = Get32(body) & 0x7fffffff;
      frame.value = Get32(body.substr(4));
      return std::optional(std::move(frame));
    case SpdyType::kPing:
      if (body.size() < 4) return Malformed("ping");
      frame.value = Get32(body);
      return std::optional(std::move(frame));
    default:
      return std::optional<SpdyFrame>();
  }
  if (body.size() < header_at) return Malformed("frame");
  frame.stream_id = Get32(body) & 0x7fffffff;
  GANTRY_ASSIGN(frame.headers, ReadHeaders(body.substr(header_at)));
  return std::optional(std::move(frame));
}

Result<std::optional<SpdyFrame>> SpdyDecoder::Next() {
  while (true) {
    const std::string_view in = std::string_view(in_).substr(at_);
    if (in.size() < 8) break;
    const uint32_t first = Get32(in);
    const auto flags = static_cast<uint8_t>(in[4]);
    const uint32_t size = Get32(in.substr(4)) & 0xffffff;
    if (in.size() - 8 < size) break;
    const std::string_view body = in.substr(8, size);
    std::optional<SpdyFrame> frame;
    if (first & 0x80000000) {
      if ((first >> 16 & 0x7fff) != kVersion) return Malformed("frame: not SPDY/3");
      GANTRY_ASSIGN(frame, ReadControl(static_cast<uint16_t>(first), flags, body));
    } else {
      frame.emplace();
      frame->stream_id = first;
      frame->fin = flags & kFlagFin;
      frame->data = body;
    }
    at_ += 8 + size_t{size};
    if (frame) return frame;
  }
  if (at_ > 0) {
    in_.erase(0, at_);
    at_ = 0;
  }
  return std::optional<SpdyFrame>();
}

SpdyEncoder::SpdyEncoder() : zip_(std::make_unique<Zip>()) {}
SpdyEncoder::~SpdyEncoder() = default;

std::string SpdyEncoder::HeaderBlock(const SpdyHeaders& headers) {
  std::string text;
  Put32(static_cast<uint32_t>(headers.size()), &text);
  for (const auto& [name, value] : headers) {
    Put32(static_cast<uint32_t>(name.size()), &text);
    text += name;
    Put32(static_cast<uint32_t>(value.size()), &text);
    text += value;
  }
  z_stream& zip = zip_->stream;
  zip.next_in = reinterpret_cast<Bytef*>(text.data());
  zip.avail_in = static_cast<uInt>(text.size());
  std::string out;
  char buffer[1024];
  do {
    zip.next_out = reinterpret_cast<Bytef*>(buffer);
    zip.avail_out = sizeof buffer;
    deflate(&zip, Z_SYNC_FLUSH);
    out.append(buffer, sizeof buffer - zip.avail_out);
  } while (zip.avail_out == 0);
  return out;
}

std::string SpdyEncoder::SynStream(uint32_t stream_id, const SpdyHeaders& headers, bool fin) {
  std::string body;
  Put32(stream_id, &body);
  Put32(0, &body);  // no associated stream
  Put16(0, &body);  // priority and slot
  body += HeaderBlock(headers);
  return ControlFrame(SpdyType::kSynStream, fin ? kFlagFin : 0, body);
}

std::string SpdyEncoder::SynReply(uint32_t stream_id, const SpdyHeaders& headers) {
  std::string body;
  Put32(stream_id, &body);
  body += HeaderBlock(headers);
  return ControlFrame(SpdyType::kSynReply, 0, body);
}

std::string SpdyEncoder::Data(uint32_t stream_id, std::string_view bytes, bool fin) {
  std::string out;
  out.reserve(8 + bytes.size());
  Put32(stream_id & 0x7fffffff, &out);
  Put32((fin ? uint32_t{kFlagFin} << 24 : 0) | static_cast<uint32_t>(bytes.size()), &out);
  out += bytes;
  return out;
}

std::string SpdyEncoder::Reset(uint32_t stream_id, uint32_t status) {
  std::string body;
  Put32(stream_id, &body);
  Put32(status, &body);
  return ControlFrame(SpdyType::kReset, 0, body);
}

std::string SpdyEncoder::Ping(uint32_t id) {
  std::string body;
  Put32(id, &body);
  return ControlFrame(SpdyType::kPing, 0, body);
}

std::string SpdyEncoder::GoAway(uint32_t last_stream_id) {
  std::string body;
  Put32(last_stream_id, &body);
  Put32(0, &body);
  return ControlFrame(SpdyType::kGoAway, 0, body);
}

}  // namespace gantry::apiserver::streams
