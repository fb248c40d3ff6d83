#include "node/probes/handler.h"

#include <boost/asio/this_coro.hpp>

#include "api/duration.h"
#include "api/intstr/int_or_string.pb.h"
#include "base/env/notifier.h"
#include "node/probes/connection.h"
#include "node/probes/http.h"

namespace gantry::node {
namespace {

constexpr char kProbeAgent[] = "kube-probe/1.32";
constexpr char kHookAgent[] = "kube-lifecycle/1.32";
constexpr size_t kMaxMessage = 10 << 10;

using Kind = ProbeAnswer::Kind;

Result<uint16_t> PortOf(const api::intstr::IntOrString& port,
                        const api::core::v1::Container& container) {
  int64_t number = port.int_val();
  if (port.type() == 1) {
    number = 0;
    for (const auto& named : container.ports()) {
      if (named.name() == port.str_val()) number = named.container_port();
    }
    if (number == 0) number = std::atoi(port.str_val().c_str());
  }
  if (number <= 0 || number > 65535)
    return Status(Code::kInvalid, "couldn't find port: " + port.str_val() + " in container");
  return static_cast<uint16_t>(number);
}

ProbeAnswer Answer(Kind kind, std::string message = {}) {
  ProbeAnswer answer;
  answer.kind = kind;
  answer.message = std::move(message);
  if (answer.message.size() > kMaxMessage) answer.message.resize(kMaxMessage);
  return answer;
}

std::vector<std::string> CommandOf(const api::core::v1::ExecAction& action) {
  return {action.command().begin(), action.command().end()};
}

Task<ProbeAnswer> AskExec(Runtime& runtime, std::vector<std::string> command, HandlerTarget target,
                          Duration timeout, CancelToken cancel) {
  ExecRequest request;
  request.id = target.id;
  request.bundle = target.bundle;
  request.command = std::move(command);
  std::string shown;
  for (const std::string& part : request.command)
    shown += (shown.empty() ? "" : " ") + part;
  Result<ExecOutcome> done = co_await runtime.ExecSync(std::move(request), timeout, cancel);
  if (!done.ok()) co_return Answer(Kind::kUnknown, done.status().message());
  if (done->timed_out) {
    co_return Answer(
        cancel.cancelled() ? Kind::kUnknown : Kind::kFailure,
        "command timed out: \"" + shown + "\" timed out after " + api::FormatGoDuration(timeout));
  }
  co_return Answer(done->exit_code == 0 ? Kind::kSuccess : Kind::kFailure, std::move(done->output));
}

}  // namespace

Task<ProbeAnswer> AskOnce(Env& env, Runtime& runtime, api::core::v1::ProbeHandler handler,
                          HandlerTarget target, Duration timeout, CancelToken cancel) {
  if (handler.has_exec()) {
    std::vector<std::string> command = CommandOf(handler.exec());
    co_return co_await AskExec(runtime, std::move(command), std::move(target), timeout, cancel);
  }
  if (handler.has_http_get()) {
    Result<uint16_t> port = PortOf(handler.http_get().port(), target.container);
    if (!port.ok()) co_return Answer(Kind::kUnknown, port.status().message());
    std::string host =
        handler.http_get().host().empty() ? target.pod_ip : handler.http_get().host();
    std::string agent = kProbeAgent;
    Result<int> code = co_await HttpStatusOf(env, handler.http_get(), std::move(host), *port,
                                             timeout, cancel, std::move(agent));
    if (cancel.cancelled()) co_return Answer(Kind::kUnknown);
    if (!code.ok()) co_return Answer(Kind::kFailure, code.status().message());
    if (*code >= 200 && *code < 400) co_return Answer(Kind::kSuccess);
    co_return Answer(Kind::kFailure, "HTTP probe failed with statuscode: " + std::to_string(*code));
  }
  if (handler.has_tcp_socket()) {
    Result<uint16_t> port = PortOf(handler.tcp_socket().port(), target.container);
    if (!port.ok()) co_return Answer(Kind::kUnknown, port.status().message());
    std::string host =
        handler.tcp_socket().host().empty() ? target.pod_ip : handler.tcp_socket().host();
    TimedConnection connection(env, co_await boost::asio::this_coro::executor, timeout, cancel);
    Status connected = co_await connection.Connect(std::move(host), *port);
    if (cancel.cancelled()) co_return Answer(Kind::kUnknown);
    co_return connected.ok() ? Answer(Kind::kSuccess) : Answer(Kind::kFailure, connected.message());
  }
  if (handler.has_grpc()) {
    std::string host = target.pod_ip, service = handler.grpc().service();
    uint16_t port = static_cast<uint16_t>(handler.grpc().port());
    Result<int> health = co_await GrpcHealthOf(env, host, port, service, timeout, cancel);
    if (cancel.cancelled()) co_return Answer(Kind::kUnknown);
    if (!health.ok()) {
      std::string address = host + ":" + std::to_string(port);
      bool unreached = health.status().message().starts_with("dial tcp");
      co_return Answer(Kind::kFailure,
                       unreached
                           ? "timeout: failed to connect service \"" + address + "\" within " +
                                 api::FormatGoDuration(timeout) + ": context deadline exceeded"
                           : "error: health rpc failed: " + health.status().message());
    }
    constexpr const char* kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    if (*health == 1) co_return Answer(Kind::kSuccess);
    co_return Answer(Kind::kFailure, std::string("service unhealthy (responded with \"") +
                                         kNames[*health & 3] + "\")");
  }
  co_return Answer(Kind::kUnknown, "missing probe handler");
}

Task<Status> RunLifecycleHandler(Env& env, Runtime& runtime,
                                 api::core::v1::LifecycleHandler handler, HandlerTarget target,
                                 Duration limit, CancelToken cancel) {
  limit = std::max<Duration>(limit, std::chrono::milliseconds(1));
  if (handler.has_sleep()) {
    Duration pause = std::min<Duration>(limit, std::chrono::seconds(handler.sleep().seconds()));
    co_await SleepFor(env, pause, cancel);
    co_return Status::Ok();
  }
  if (handler.has_exec()) {
    std::vector<std::string> command = CommandOf(handler.exec());
    ProbeAnswer answer =
        co_await AskExec(runtime, std::move(command), std::move(target), limit, cancel);
    co_return answer.kind == Kind::kSuccess ? Status::Ok() : InternalError(answer.message);
  }
  if (handler.has_http_get()) {
    Result<uint16_t> port = PortOf(handler.http_get().port(), target.container);
    GANTRY_CO_TRY(port);
    std::string host =
        handler.http_get().host().empty() ? target.pod_ip : handler.http_get().host();
    std::string agent = kHookAgent;
    Result<int> code = co_await HttpStatusOf(env, handler.http_get(), std::move(host), *port, limit,
                                             cancel, std::move(agent));
    co_return code.status();
  }
  co_return Status(Code::kInvalid, "invalid handler");
}

}  // namespace gantry::node
