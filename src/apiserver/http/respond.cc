#include "apiserver/http/respond.h"

#include <zlib.h>

#include <ctime>
#include <utility>

#include "base/env/blocking.h"

namespace gantry::apiserver::internal {
namespace {

constexpr size_t kCompressFromBytes = 128 * 1024;
constexpr int kCompressLevel = 1;
constexpr int kGzipWindow = 15 + 16;

// Empty when zlib fails.
std::string Gzip(const std::string& body,
                 const std::vector<std::shared_ptr<const std::string>>& pieces) {
  z_stream zip{};
  if (deflateInit2(&zip, kCompressLevel, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return {};
  std::string out;
  auto feed = [&](std::string_view in, int flush) {
    zip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    zip.avail_in = static_cast<uInt>(in.size());
    int code = Z_OK;
    do {
      const size_t at = out.size();
      const size_t room = 64 * 1024;
      out.resize(at + room);
      zip.next_out = reinterpret_cast<Bytef*>(out.data() + at);
      zip.avail_out = static_cast<uInt>(room);
      code = deflate(&zip, flush);
      out.resize(at + room - zip.avail_out);
    } while (zip.avail_out == 0 || (flush == Z_FINISH && code == Z_OK));
  };
  feed(body, Z_NO_FLUSH);
  for (const auto& piece : pieces)
    feed(*piece, Z_NO_FLUSH);
  feed({}, Z_FINISH);
  deflateEnd(&zip);
  return out;
}

}  // namespace

std::string_view DateHeader(Env& env) {
  struct Cached {
    int64_t second = -1;
    char text[40] = "";
    size_t length = 0;
  };
  thread_local Cached cached;
  const time_t now = static_cast<time_t>(
      std::chrono::duration_cast<std::chrono::seconds>(env.Now().time_since_epoch()).count());
  if (cached.second != now) {
    tm parts{};
    gmtime_r(&now, &parts);
    cached.length = strftime(cached.text, sizeof cached.text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    cached.second = now;
  }
  return {cached.text, cached.length};
}

bool AcceptsGzip(const Headers& headers) { return headers.HasToken("accept-encoding", "gzip"); }

size_t BodySize(const Response& response) {
  size_t size = response.body.size();
  for (const auto& piece : response.pieces)
    size += piece->size();
  return size;
}

Task<> CompressIfLarge(Env& env, bool accepts_gzip, Response* response) {
  if (!accepts_gzip || response->status != 200 || response->stream || response->upgrade ||
      response->headers.Has("content-encoding") || BodySize(*response) < kCompressFromBytes) {
    co_return;
  }
  auto call = [body = std::move(response->body), pieces = std::move(response->pieces)]() mutable {
    std::string zipped = Gzip(body, pieces);
    return std::make_tuple(std::move(zipped), std::move(body), std::move(pieces));
  };
  auto [zipped, body, pieces] = co_await RunBlocking(env, std::move(call));
  if (zipped.empty()) {
    response->body = std::move(body);
    response->pieces = std::move(pieces);
    co_return;
  }
  response->body = std::move(zipped);
  response->pieces.clear();
  response->headers.Add("Content-Encoding", "gzip");
  response->headers.Add("Vary", "Accept-Encoding");
}

Response TooLarge(size_t limit) {
  Response response;
  response.status = 413;
  response.headers.Add("Content-Type", "application/json");
  response.body =
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Request entity too large: limit is )" +
      std::to_string(limit) + R"(","reason":"RequestEntityTooLarge","code":413})" + "\n";
  return response;
}

}  // namespace gantry::apiserver::internal
