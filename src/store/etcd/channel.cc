#include "store/etcd/channel.h"

#include <algorithm>
#include <utility>

#include "base/env/run_on.h"
#include "base/wire/socket.h"

namespace gantry::store::etcd {
namespace {

// An unused connection is not kept awake by these: nobody waits at it.
constexpr Duration kPingAfter = std::chrono::seconds(6);
constexpr Duration kPingTimeout = std::chrono::seconds(3);
// A machine that is off does not even refuse.
constexpr Duration kDialWithOthers = std::chrono::seconds(1);

bool IsHere(const Endpoint& endpoint) {
  return endpoint.host == "localhost" || endpoint.host == "::1" ||
         endpoint.host.starts_with("127.");
}

size_t FirstOf(Env& env, const std::vector<Endpoint>& endpoints) {
  for (size_t i = 0; i < endpoints.size(); ++i) {
    if (IsHere(endpoints[i])) return i;
  }
  return static_cast<size_t>(RandomBelow(env, endpoints.size()));
}

Code CodeFor(GrpcCode code) {
  switch (code) {
    case GrpcCode::kOk:
      return Code::kOk;
    case GrpcCode::kOutOfRange:
      return Code::kExpired;
    case GrpcCode::kNotFound:
      return Code::kNotFound;
    case GrpcCode::kUnavailable:
      return Code::kUnavailable;
    case GrpcCode::kPermissionDenied:
    case GrpcCode::kUnauthenticated:
      return Code::kForbidden;
    default:
      return Code::kUnknown;
  }
}

// etcd's own errors of a call that it has certainly not acted on.
bool IsRefusal(const GrpcStatus& status) {
  switch (status.code) {
    case GrpcCode::kUnknown:
    case GrpcCode::kDeadlineExceeded:
      return false;
    case GrpcCode::kUnavailable:
      // "request timed out" and its kin, "leader changed", "server stopped" leave it open.
      return status.message == "etcdserver: no leader" ||
             status.message == "etcdserver: not capable";
    default:
      return true;
  }
}

}  // namespace

std::string NameOf(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  return (v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

Task<Result<std::string>> MessageStream::Next() {
  while (true) {
    GANTRY_CO_ASSIGN(std::optional<std::string> message, deframer_.Next());
    if (message) co_return std::move(*message);
    Result<std::string> bytes = co_await response_.body->Read();
    if (!bytes.ok()) {
      code_ = GrpcCode::kUnavailable;
      co_return bytes.status();
    }
    if (!bytes->empty()) {
      deframer_.Add(*bytes);
      continue;
    }
    std::optional<GrpcStatus> status = ReadGrpcStatus(response_.body->Trailers());
    if (!status) status = ReadGrpcStatus(response_.headers);
    code_ = status ? status->code : GrpcCode::kUnavailable;
    if (!status || status->code == GrpcCode::kOk)
      co_return Unavailable("the server ended the answer");
    co_return Status(CodeFor(status->code), std::move(status->message));
  }
}

Task<Result<std::string>> MessageStream::Only() {
  GANTRY_CO_ASSIGN(std::string message, co_await Next());
  // What says how it went comes behind the message.
  Result<std::string> end = co_await Next();
  if (end.ok()) co_return DataLoss("two messages where one was expected");
  if (code_ != GrpcCode::kOk) co_return end.status();
  co_return message;
}

Channel::Channel(Env& env, ChannelOptions options)
    : env_(env), options_(std::move(options)), current_(FirstOf(env, options_.endpoints->All())) {}

std::string Channel::current() const {
  absl::MutexLock lock(&mutex_);
  return NameOf(options_.endpoints->At(current_));
}

std::string Channel::names() const {
  std::string names;
  for (const Endpoint& endpoint : options_.endpoints->All())
    names += (names.empty() ? "" : ",") + NameOf(endpoint);
  return names;
}

wire::HttpRequest Channel::MakeRequest(const std::string& method,
                                       const std::string& message) const {
  wire::HttpRequest request("POST", method);
  request.headers.Add("content-type", "application/grpc");
  request.headers.Add("te", "trailers");
  request.headers.Add("hasleader", "true");
  request.body = Frame(message);
  return request;
}

Task<Status> Channel::Connect(CancelToken cancel, std::shared_ptr<wire::Http2Connection>* out) {
  while (true) {
    std::shared_ptr<Notifier> waiter;
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_) co_return Unavailable("the store is stopped");
      if (connection_ && !connection_->Dead()) {
        *out = connection_;
        co_return Status::Ok();
      }
      if (connection_) {
        connection_.reset();
        ++current_;
      }
      if (!std::exchange(dialing_, true)) break;
      waiter = waiting_.emplace_back(std::make_shared<Notifier>());
    }
    if (co_await waiter->Wait(env_, cancel) == Wake::kCanceled)
      co_return Unavailable("no connection to etcd at " + names() + " in time");
    absl::MutexLock lock(&mutex_);
    if (!connection_ && !last_dial_.ok()) co_return last_dial_;
  }
  Status dialed = co_await Dial(out);
  std::vector<std::shared_ptr<Notifier>> waiting;
  {
    absl::MutexLock lock(&mutex_);
    dialing_ = false;
    last_dial_ = dialed;
    waiting.swap(waiting_);
  }
  for (const auto& waiter : waiting)
    waiter->Notify();
  co_return dialed;
}

// Every server once.
Task<Status> Channel::Dial(std::shared_ptr<wire::Http2Connection>* out) {
  Status last;
  for (size_t tried = 0; tried < options_.endpoints->size(); ++tried) {
    Endpoint endpoint;
    {
      absl::MutexLock lock(&mutex_);
      endpoint = options_.endpoints->At(current_);
    }
    wire::DialOptions dial;
    dial.host = endpoint.host;
    dial.port = endpoint.port;
    dial.tls = options_.tls;
    dial.timeout =
        has_others() ? std::min(options_.dial_timeout, kDialWithOthers) : options_.dial_timeout;
    const Executor strand = env_.MakeStrand();
    Result<std::shared_ptr<wire::Socket>> socket =
        co_await RunOn(strand, wire::Dial(env_, std::move(dial)));
    if (socket.ok() && options_.tls && !(*socket)->negotiated_http2())
      socket = Unavailable(NameOf(endpoint) + " does not speak HTTP/2");
    absl::MutexLock lock(&mutex_);
    if (!socket.ok()) {
      last = socket.status().WithContext("no connection to etcd");
      ++current_;
      continue;
    }
    if (stopped_) co_return Unavailable("the store is stopped");
    wire::Http2Options http2;
    http2.authority = NameOf(endpoint);
    http2.https = options_.tls != nullptr;
    http2.user_agent = "gantry";
    http2.ping_after = kPingAfter;
    http2.ping_timeout = kPingTimeout;
    connection_ =
        std::make_shared<wire::Http2Connection>(env_, std::move(*socket), std::move(http2));
    connection_->Start();
    *out = connection_;
    co_return Status::Ok();
  }
  co_return last;
}

void Channel::GiveUp(const std::shared_ptr<wire::Http2Connection>& connection) {
  {
    absl::MutexLock lock(&mutex_);
    if (connection_ == connection) {
      connection_.reset();
      ++current_;
    }
  }
  connection->Close();
}

Task<Result<std::string>> Channel::Call(std::string method, std::string message, Duration timeout,
                                        CallError* error) {
  *error = CallError();
  CancelSource expiry;
  const auto timer = env_.CallAt(env_.Steady() + timeout, [expiry]() mutable { expiry.Cancel(); });
  std::shared_ptr<wire::Http2Connection> connection;
  error->status = co_await Connect(expiry.token(), &connection);
  if (!error->status.ok()) co_return error->status;

  bool refused = false;
  wire::HttpRequest request = MakeRequest(method, message);
  error->begun = true;
  Result<wire::HttpResponse> head =
      co_await connection->Send(std::move(request), expiry.token(), &refused);
  Status failed = head.status();
  if (head.ok()) {
    MessageStream answer(connection, std::move(head).value());
    Result<std::string> only = co_await answer.Only();
    if (only.ok()) co_return only;
    failed = only.status();
    error->code = answer.code();
    GrpcStatus said;
    said.code = answer.code();
    said.message = failed.message();
    error->begun = !IsRefusal(said);
  } else {
    error->begun = !refused;
  }
  if (expiry.token().cancelled()) {
    failed = Unavailable("etcdserver: request timed out");
    error->code = GrpcCode::kDeadlineExceeded;
  }
  // A server that is cut off from the others, or stops, is left for another.
  const bool lost =
      error->code == GrpcCode::kUnavailable || error->code == GrpcCode::kDeadlineExceeded;
  if (lost && has_others()) GiveUp(connection);
  error->status = failed;
  co_return failed;
}

Task<Result<std::unique_ptr<MessageStream>>> Channel::Open(std::string method, std::string message,
                                                           Duration timeout) {
  CancelSource expiry;
  const auto timer = env_.CallAt(env_.Steady() + timeout, [expiry]() mutable { expiry.Cancel(); });
  std::shared_ptr<wire::Http2Connection> connection;
  GANTRY_CO_TRY(co_await Connect(expiry.token(), &connection));
  bool refused = false;
  wire::HttpRequest request = MakeRequest(method, message);
  Result<wire::HttpResponse> head =
      co_await connection->Send(std::move(request), expiry.token(), &refused);
  if (!head.ok()) {
    if (has_others()) GiveUp(connection);
    co_return head.status();
  }
  co_return std::make_unique<MessageStream>(std::move(connection), std::move(head).value());
}

void Channel::Stop() {
  std::shared_ptr<wire::Http2Connection> connection;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    connection = std::move(connection_);
  }
  if (connection) connection->Close();
}

}  // namespace gantry::store::etcd
