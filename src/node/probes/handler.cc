#include "node/probes/handler.h"

#include <boost/asio/this_coro.hpp>

#include <charconv>

#include "api/duration.h"
#include "api/intstr/int_or_string.pb.h"
#include "api/quote.h"
#include "base/env/notifier.h"
#include "node/probes/connection.h"
#include "node/probes/grpc.h"
#include "node/probes/http.h"

namespace gantry::node {
namespace {

constexpr char kProbeAgent[] = "kube-probe/1.36";
constexpr char kHookAgent[] = "kube-lifecycle/1.36";
constexpr int kServing = 1;  // of grpc.health.v1
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
    // Perhaps it is a number in writing.
    if (number == 0) {
      const std::string& text = port.str_val();
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size()) {
        return Status(Code::kInvalid,
                      "strconv.Atoi: parsing " + api::GoQuote(text) + ": invalid syntax");
      }
    }
  }
  if (number <= 0 || number > 65535)
    return Status(Code::kInvalid, "invalid port number: " + std::to_string(number));
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

std::string Joined(const std::vector<std::string>& command) {
  std::string shown;
  for (const std::string& part : command)
    shown += (shown.empty() ? "" : " ") + part;
  return shown;
}

Task<ProbeAnswer> AskExec(Runtime& runtime, std::vector<std::string> command, HandlerTarget target,
                          Duration timeout, CancelToken cancel) {
  ExecRequest request;
  request.id = target.id;
  request.bundle = target.bundle;
  request.command = std::move(command);
  std::string shown = Joined(request.command);
  Result<ExecOutcome> done = co_await runtime.ExecSync(std::move(request), timeout, cancel);
  if (!done.ok()) co_return Answer(Kind::kUnknown, done.status().message());
  if (done->timed_out) {
    co_return Answer(
        cancel.cancelled() ? Kind::kUnknown : Kind::kFailure,
        "command timed out: \"" + shown + "\" timed out after " + api::FormatGoDuration(timeout));
  }
  co_return Answer(done->exit_code == 0 ? Kind::kSuccess : Kind::kFailure, std::move(done->output));
}

// As the kubelet words what a gRPC service's answer lacks.
std::string WhyUnhealthy(const GrpcHealth& health, const std::string& address, Duration timeout) {
  constexpr const char* kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  const std::string limit = api::FormatGoDuration(timeout);
  if (!health.connected) {
    return "timeout: failed to connect service \"" + address + "\" within " + limit +
           ": context deadline exceeded";
  }
  switch (health.code) {
    case kGrpcOk: {
      const auto number = static_cast<size_t>(health.health);
      return "service unhealthy (responded with \"" +
             (number < std::size(kNames) ? kNames[number] : std::to_string(number)) + "\")";
    }
    case kGrpcUnimplemented:
      return "error: this server does not implement the grpc health protocol "
             "(grpc.health.v1.Health): " +
             health.message;
    case kGrpcDeadlineExceeded:
      return "timeout: health rpc did not complete within " + limit;
    default:
      return "error: health rpc probe failed: rpc error: code = " + GrpcCodeName(health.code) +
             " desc = " + health.message;
  }
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
    const std::string address = target.pod_ip + ":" + std::to_string(handler.grpc().port());
    std::string host = target.pod_ip, service = handler.grpc().service(), agent = kProbeAgent;
    const auto port = static_cast<uint16_t>(handler.grpc().port());
    GrpcHealth health = co_await AskGrpcHealth(env, std::move(host), port, std::move(service),
                                               std::move(agent), timeout, cancel);
    if (cancel.cancelled()) co_return Answer(Kind::kUnknown);
    if (health.code == kGrpcOk && health.health == kServing) co_return Answer(Kind::kSuccess);
    co_return Answer(Kind::kFailure, WhyUnhealthy(health, address, timeout));
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
  std::string where = " for Container \"" + target.container.name() + "\" in Pod \"" + target.pod +
                      "\" failed - error: ";
  if (handler.has_exec()) {
    ExecRequest request;
    request.id = target.id;
    request.bundle = target.bundle;
    request.command = CommandOf(handler.exec());
    std::string shown = Joined(request.command);
    Result<ExecOutcome> done = co_await runtime.ExecSync(std::move(request), limit, cancel);
    std::string why, output;
    if (!done.ok()) {
      why = done.status().message();
    } else if (done->timed_out) {
      why = "command \"" + shown + "\" timed out";
    } else if (done->exit_code != 0) {
      why = "command '" + shown + "' exited with " + std::to_string(done->exit_code) + ": " +
            done->error_output;
      output = done->output;
    } else {
      co_return Status::Ok();
    }
    co_return InternalError("Exec lifecycle hook ([" + shown + "])" + where + why +
                            ", message: " + api::GoQuote(output));
  }
  if (handler.has_http_get()) {
    Result<uint16_t> port = PortOf(handler.http_get().port(), target.container);
    GANTRY_CO_TRY(port);
    std::string host =
        handler.http_get().host().empty() ? target.pod_ip : handler.http_get().host();
    std::string agent = kHookAgent;
    Result<int> code = co_await HttpStatusOf(env, handler.http_get(), std::move(host), *port, limit,
                                             cancel, std::move(agent));
    if (code.ok()) co_return Status::Ok();
    co_return InternalError("HTTP lifecycle hook (" + handler.http_get().path() + ")" + where +
                            code.status().message());
  }
  co_return Status(Code::kInvalid, "invalid handler");
}

}  // namespace gantry::node
