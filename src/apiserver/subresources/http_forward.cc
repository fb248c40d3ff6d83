#include "apiserver/subresources/http_forward.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <optional>

#include "apiserver/status_body.h"
#include "base/env/spawn.h"
#include "base/wire/http1.h"

namespace gantry::apiserver {
namespace {

constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kMaxHead = 64 * 1024;
// Fields of one connection, never passed on; and what proved who the client is.
constexpr std::string_view kDropped[] = {"connection",
                                         "keep-alive",
                                         "proxy-authenticate",
                                         "proxy-authorization",
                                         "te",
                                         "trailer",
                                         "upgrade",
                                         "transfer-encoding",
                                         "content-length",
                                         "host",
                                         "authorization",
                                         "accept-encoding",
                                         "x-forwarded-for",
                                         "x-forwarded-uri",
                                         "x-forwarded-host",
                                         "x-forwarded-proto"};
// What a change of protocol is asked for and agreed to with.
constexpr std::string_view kUpgrading[] = {"connection", "upgrade"};

bool IsOneOf(std::string_view name, std::span<const std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view one) { return wire::EqualFold(one, name); });
}

bool Passes(std::string_view name, bool upgrading) {
  return !IsOneOf(name, kDropped) || (upgrading && IsOneOf(name, kUpgrading));
}

bool AsksForUpgrade(const Request& request) {
  return !request.http2 && request.headers.HasToken("connection", "upgrade") &&
         request.headers.Has("upgrade");
}

// "10.0.0.1:4000" without its port, "[::1]:4000" also without its brackets.
std::string AddressOf(const std::string& peer) {
  const std::string host = peer.substr(0, peer.rfind(':'));
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

std::string HeadOf(const Forward& forward, std::string_view path, bool upgrading) {
  const Request& http = forward.request.http;
  std::string head = http.method + " " + std::string(path);
  if (!http.query.empty()) head += "?" + http.query;
  head += " HTTP/1.1\r\nHost: " + forward.host + "\r\n";
  if (!upgrading) head += "Connection: close\r\n";
  for (const auto& [name, value] : http.headers.all()) {
    if (Passes(name, upgrading) && name.find_first_of("\r\n") == std::string::npos &&
        value.find_first_of("\r\n") == std::string::npos) {
      head += name + ": " + value + "\r\n";
    }
  }
  std::string chain(http.headers.Get("x-forwarded-for"));
  if (const std::string peer = AddressOf(http.peer.address); !peer.empty())
    chain += (chain.empty() ? "" : ", ") + peer;
  if (!chain.empty()) head += "X-Forwarded-For: " + chain + "\r\n";
  if (const std::string_view host = http.headers.Get("host"); !host.empty())
    head += "X-Forwarded-Host: " + std::string(host) + "\r\n";
  head += "X-Forwarded-Proto: https\r\nX-Forwarded-Uri: " + http.path + "\r\n";
  if (!http.body.empty()) head += "Content-Length: " + std::to_string(http.body.size()) + "\r\n";
  return head + "\r\n";
}

// A place on the other side as one that leads through us; others stay.
std::string Through(const Forward& forward, std::string location) {
  for (const char* scheme : {"http://", "https://"}) {
    if (!location.starts_with(scheme)) continue;
    const size_t host = std::string_view(scheme).size();
    const size_t path = std::min(location.find('/', host), location.size());
    if (location.substr(host, path - host) != forward.host) return location;
    location.erase(0, path);
    if (location.empty()) location = "/";
    break;
  }
  if (!location.starts_with('/') || location.starts_with("//") ||
      location.starts_with(forward.prefix)) {
    return location;
  }
  return forward.prefix + location;
}

// The rest of an answer: what was read with its head, then the connection.
struct Body {
  std::unique_ptr<Stream> stream;
  std::string ahead;
  wire::Framing framing;
  wire::ChunkDecoder chunks;
};

Task<void> CopyBody(BodyWriter& writer, std::shared_ptr<Body> body) {
  uint64_t left = body->framing.length;
  const bool by_length = body->framing.kind == wire::Framing::Kind::kLength;
  const bool chunked = body->framing.kind == wire::Framing::Kind::kChunked;
  std::string bytes = std::move(body->ahead);
  std::string buffer(kReadBytes, '\0');
  bool done = by_length && left == 0;
  while (!done) {
    if (bytes.empty()) {
      Result<size_t> count =
          co_await body->stream->Read(std::span<char>(buffer.data(), buffer.size()));
      if (!count.ok() || *count == 0) break;
      bytes.assign(buffer.data(), *count);
    }
    std::string data;
    if (chunked) {
      std::string_view rest = bytes;
      wire::ChunkDecoder::State state = body->chunks.Decode(&rest, kReadBytes, &data);
      done = state != wire::ChunkDecoder::State::kMore;
      bytes = std::string(rest);
    } else {
      data = std::move(bytes);
      bytes = std::string();
      if (by_length) {
        if (data.size() > left) data.resize(left);
        left -= data.size();
        done = left == 0;
      }
    }
    if (data.empty()) continue;
    auto chunk = std::make_shared<const std::string>(std::move(data));
    Status written = co_await writer.Write(std::move(chunk));
    if (!written.ok()) break;
  }
  body->stream->Close();
}

// What the client says. When it has said all, the other side may still answer.
Task<void> CopyUp(std::shared_ptr<Stream> client, std::shared_ptr<Stream> backend) {
  std::string buffer(kReadBytes, '\0');
  while (true) {
    Result<size_t> count = co_await client->Read(std::span<char>(buffer.data(), buffer.size()));
    if (count.ok() && *count == 0) {
      Status closed = co_await backend->CloseWrite();
      if (closed.ok()) co_return;
    }
    if (!count.ok() || *count == 0) break;
    const std::string_view bytes(buffer.data(), *count);
    Status written = co_await backend->Write(bytes);
    if (!written.ok()) break;
  }
  backend->Close();
}

// Both ways until the other side has said all.
Task<void> CopyBothWays(Env& env, std::unique_ptr<Stream> from_client, std::shared_ptr<Body> body) {
  std::shared_ptr<Stream> client(std::move(from_client)), backend(std::move(body->stream));
  Gate gate;
  const Executor strand = co_await boost::asio::this_coro::executor;
  Spawn(strand, gate, "proxy upgrade", CopyUp(client, backend));
  const std::string ahead = std::move(body->ahead);
  Status written = co_await client->Write(ahead);
  std::string buffer(kReadBytes, '\0');
  while (written.ok()) {
    Result<size_t> count = co_await backend->Read(std::span<char>(buffer.data(), buffer.size()));
    if (!count.ok() || *count == 0) break;
    const std::string_view bytes(buffer.data(), *count);
    written = co_await client->Write(bytes);
  }
  Status closed = co_await client->CloseWrite();
  client->Close();
  backend->Close();
  co_await gate.Close(env);
}

Status Unreachable(const Status& why) {
  return Status(Code::kServiceUnavailable, "error trying to reach service: " + why.message());
}

// The head of the answer; what was read behind it stays in `body`. Interim answers are skipped.
Task<Result<wire::ResponseHead>> ReadHead(std::shared_ptr<Body> body) {
  std::string buffer(kReadBytes, '\0');
  while (true) {
    Result<size_t> count =
        co_await body->stream->Read(std::span<char>(buffer.data(), buffer.size()));
    if (!count.ok()) co_return count.status();
    if (*count == 0) co_return Unavailable("EOF");
    body->ahead.append(buffer.data(), *count);
    while (true) {
      wire::ResponseHead head;
      const wire::HeadResult parsed = wire::ParseHead(body->ahead, &head);
      if (parsed.state == wire::HeadResult::State::kMalformed || body->ahead.size() > kMaxHead)
        co_return Unavailable("malformed HTTP response");
      if (parsed.state != wire::HeadResult::State::kComplete) break;
      body->ahead.erase(0, parsed.consumed);
      if (head.status / 100 != 1 || head.status == 101) co_return std::move(head);
    }
  }
}

}  // namespace

Task<Response> ForwardHttp(Env& env, Forward forward) {
  auto body = std::make_shared<Body>();
  body->stream = std::move(forward.connection);
  const Request& http = forward.request.http;
  const bool upgrading = AsksForUpgrade(http);
  std::string_view path = std::string_view(http.path).substr(forward.prefix.size());
  if (path.empty()) path = "/";
  const std::string out = HeadOf(forward, path, upgrading) + http.body;
  Status sent = co_await body->stream->Write(out);
  if (!sent.ok()) co_return ErrorResponse(Unreachable(sent));
  Result<wire::ResponseHead> head = co_await ReadHead(body);
  if (!head.ok()) co_return ErrorResponse(Unreachable(head.status()));
  const bool upgraded = head->status == 101;
  if (upgraded && !upgrading)
    co_return ErrorResponse(Unreachable(Unavailable("unexpected change of protocol")));

  Response response;
  response.status = head->status;
  for (const auto& [field, value] : head->headers.all()) {
    if (wire::EqualFold(field, "location")) {
      response.headers.Add(field, Through(forward, value));
    } else if (Passes(field, upgraded)) {
      response.headers.Add(field, value);
    }
  }
  if (upgraded) {
    response.upgrade = [&env, body](std::unique_ptr<Stream> client) {
      return CopyBothWays(env, std::move(client), body);
    };
    co_return response;
  }
  body->framing = wire::ResponseFraming(*head, http.method);
  if (body->framing.kind != wire::Framing::Kind::kNone) {
    response.stream = [body](BodyWriter& writer) { return CopyBody(writer, body); };
  }
  co_return response;
}

Task<void> CopyToBody(BodyWriter& writer, std::shared_ptr<Stream> stream) {
  std::string buffer(kReadBytes, '\0');
  while (true) {
    Result<size_t> count = co_await stream->Read(std::span<char>(buffer.data(), buffer.size()));
    if (!count.ok() || *count == 0) break;
    auto chunk = std::make_shared<const std::string>(buffer.data(), *count);
    Status written = co_await writer.Write(std::move(chunk));
    if (!written.ok()) break;
  }
  stream->Close();
}

}  // namespace gantry::apiserver
