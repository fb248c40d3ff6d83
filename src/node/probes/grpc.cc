#include "node/probes/grpc.h"

#include <nghttp2/nghttp2.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/wire/http1.h"
#include "base/wire/http2_fields.h"
#include "node/probes/connection.h"

namespace gantry::node {
namespace asio = boost::asio;
namespace {

constexpr size_t kMaxAnswer = 16 << 10;
constexpr size_t kFraming = 5;  // a flag and a length in front of each message
constexpr int kUnknown = 2, kInternal = 13, kUnavailable = 14;

constexpr std::string_view kCodeNames[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

// What an answer that is not gRPC's counts as.
struct HttpCode {
  int http, grpc;
};
constexpr HttpCode kHttpCodes[] = {
    {400, kInternal},          {401, 16},           {403, 7},
    {404, kGrpcUnimplemented}, {429, kUnavailable}, {502, kUnavailable},
    {503, kUnavailable},       {504, kUnavailable}};

// A HealthCheckRequest with its framing. The service's name has at most 2^14 bytes.
std::string RequestBody(const std::string& service) {
  std::string message;
  if (!service.empty()) {
    message.push_back('\x0a');
    size_t size = service.size();
    for (; size >= 0x80; size >>= 7)
      message.push_back(static_cast<char>(size | 0x80));
    message.push_back(static_cast<char>(size));
    message += service;
  }
  std::string body(1, '\0');
  for (int shift : {24, 16, 8, 0})
    body.push_back(static_cast<char>(message.size() >> shift));
  return body + message;
}

// The `status` of a HealthCheckResponse behind its framing; an absent field is 0.
int HealthOf(std::string_view answer) {
  const bool has_field = answer.size() >= kFraming + 2 && answer[kFraming] == 0x08;
  return has_field ? static_cast<unsigned char>(answer[kFraming + 1]) : 0;
}

std::string Decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 3], value, 16).ptr == &text[i + 3]) {
      out.push_back(static_cast<char>(value));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

int Number(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// One call over HTTP/2. Bytes go in and out; no I/O of its own.
class Call {
 public:
  Call() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
  }
  ~Call() { nghttp2_session_del(session_); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void Begin(const std::string& authority, const std::string& user_agent,
             const std::string& service) {
    body_ = RequestBody(service);
    wire::Http2Fields fields({}, 7);
    fields.Add(":method", "POST");
    fields.Add(":scheme", "http");
    fields.Add(":path", "/grpc.health.v1.Health/Check");
    fields.Add(":authority", authority);
    fields.Add("content-type", "application/grpc");
    fields.Add("user-agent", user_agent);
    fields.Add("te", "trailers");
    nghttp2_data_provider body{};
    body.read_callback = ReadBody;
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), &body, nullptr);
  }

  std::string TakeOutput() {
    std::string out;
    const uint8_t* bytes = nullptr;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &bytes)) > 0;)
      out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    return out;
  }
  // False for what is not HTTP/2.
  bool Take(std::string_view bytes) {
    return nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()),
                                    bytes.size()) >= 0;
  }

  bool spoken() const { return spoken_; }
  bool closed() const { return closed_; }

  // Of the closed call.
  GrpcHealth Outcome() const {
    GrpcHealth out;
    out.connected = true;
    if (code_) {
      out.code = *code_;
      out.message = message_;
    } else if (http_status_ != 200) {
      const auto known =
          std::find_if(std::begin(kHttpCodes), std::end(kHttpCodes),
                       [&](const HttpCode& row) { return row.http == http_status_; });
      out.code = known == std::end(kHttpCodes) ? kUnknown : known->grpc;
      out.message =
          "unexpected HTTP status code received from server: " + std::to_string(http_status_) +
          " (" + std::string(wire::ReasonPhrase(http_status_)) + ")";
    } else {
      out.code = kInternal;
      out.message =
          "stream terminated by RST_STREAM with error code: " + std::to_string(reset_code_);
    }
    if (out.code == kGrpcOk) out.health = HealthOf(answer_);
    return out;
  }

 private:
  static Call* Self(void* data) { return static_cast<Call*>(data); }

  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t* into, size_t room, uint32_t* flags,
                          nghttp2_data_source*, void* data) {
    Call* self = Self(data);
    const size_t size = self->body_.copy(reinterpret_cast<char*>(into), room);
    self->body_.erase(0, size);
    if (self->body_.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    if (frame->hd.type == NGHTTP2_SETTINGS) Self(data)->spoken_ = true;
    return 0;
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* data) {
    Call* self = Self(data);
    const std::string_view field(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (field == ":status") self->http_status_ = Number(text);
    if (field == "grpc-status") self->code_ = Number(text);
    if (field == "grpc-message") self->message_ = Decoded(text);
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t, const uint8_t* bytes, size_t size,
                    void* data) {
    std::string& answer = Self(data)->answer_;
    answer.append(reinterpret_cast<const char*>(bytes),
                  std::min(size, kMaxAnswer - std::min(kMaxAnswer, answer.size())));
    return 0;
  }
  static int OnClose(nghttp2_session*, int32_t, uint32_t error, void* data) {
    Self(data)->closed_ = true;
    Self(data)->reset_code_ = error;
    return 0;
  }

  nghttp2_session* session_ = nullptr;
  std::string body_, answer_, message_;
  std::optional<int> code_;
  int http_status_ = 0;
  uint32_t reset_code_ = 0;
  bool spoken_ = false, closed_ = false;
};

GrpcHealth Failure(const Call& call, const TimedConnection& connection, std::string why) {
  GrpcHealth out;
  out.connected = call.spoken();
  out.code = connection.timed_out() ? kGrpcDeadlineExceeded : kUnavailable;
  out.message = connection.timed_out() ? "context deadline exceeded" : std::move(why);
  return out;
}

}  // namespace

std::string GrpcCodeName(int code) {
  if (code >= 0 && static_cast<size_t>(code) < std::size(kCodeNames))
    return std::string(kCodeNames[code]);
  return "Code(" + std::to_string(code) + ")";
}

Task<GrpcHealth> AskGrpcHealth(Env& env, std::string host, uint16_t port, std::string service,
                               std::string user_agent, Duration timeout, CancelToken cancel) {
  TimedConnection connection(env, co_await asio::this_coro::executor, timeout, cancel);
  const std::string authority =
      (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + std::to_string(port);
  Call call;
  Status connected = co_await connection.Connect(std::move(host), port);
  if (!connected.ok()) co_return Failure(call, connection, connected.message());
  call.Begin(authority, user_agent, service);
  asio::ip::tcp::socket& socket = connection.socket();
  std::string buffer(kMaxAnswer, '\0');
  while (!call.closed()) {
    const std::string out = call.TakeOutput();
    if (!out.empty()) {
      auto [unsent, sent] = co_await asio::async_write(socket, asio::buffer(out),
                                                       asio::as_tuple(asio::use_awaitable));
      if (unsent)
        co_return Failure(call, connection,
                          "connection error: desc = \"error writing: " + unsent.message() + "\"");
    }
    auto [error, size] =
        co_await socket.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    if (error) {
      const std::string why = error == asio::error::eof ? "EOF" : error.message();
      co_return Failure(call, connection, "error reading from server: " + why);
    }
    if (!call.Take(std::string_view(buffer.data(), size)))
      co_return Failure(call, connection, "error reading server preface: http2: invalid frame");
  }
  co_return call.Outcome();
}

}  // namespace gantry::node
