#include "apiserver/subresources/node_connector.h"

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_options.pb.h"
#include "api/duration.h"
#include "apiserver/registry/messages.h"
#include "apiserver/status_body.h"
#include "apiserver/streams/serve.h"
#include "apiserver/subresources/pod_container.h"
#include "apiserver/subresources/proxy.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;

constexpr size_t kLogChunk = 32 * 1024;

Status InvalidLog(const Pod& pod, api::FieldError::Type type, std::string field,
                  std::string message) {
  api::FieldErrors errors;
  errors.push_back({type, std::move(field), std::move(message)});
  return api::InvalidObject("", "PodLogOptions", pod.metadata().name(), errors);
}

Result<client::LogOptions> ReadLogOptions(const Query& query, const Pod& pod, WallTime now) {
  using Type = api::FieldError::Type;
  client::LogOptions options;
  options.ns = pod.metadata().namespace_();
  options.pod = pod.metadata().name();
  options.uid = pod.metadata().uid();
  options.follow = query.GetBool("follow");
  options.previous = query.GetBool("previous");
  options.timestamps = query.GetBool("timestamps");
  GANTRY_ASSIGN(options.tail_lines, query.GetInt("tailLines"));
  GANTRY_ASSIGN(options.limit_bytes, query.GetInt("limitBytes"));
  GANTRY_ASSIGN(std::optional<int64_t> since_seconds, query.GetInt("sinceSeconds"));
  auto number = [](int64_t value) { return "Invalid value: " + std::to_string(value) + ": "; };
  if (options.tail_lines && *options.tail_lines < 0) {
    return InvalidLog(pod, Type::kInvalid, "tailLines",
                      number(*options.tail_lines) + "must be greater than or equal to 0");
  }
  if (options.limit_bytes && *options.limit_bytes < 1) {
    return InvalidLog(pod, Type::kInvalid, "limitBytes",
                      number(*options.limit_bytes) + "must be greater than 0");
  }
  const std::string_view since_time = query.Get("sinceTime");
  if (since_seconds && !since_time.empty()) {
    return InvalidLog(pod, Type::kForbidden, "",
                      "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
  }
  if (since_seconds) {
    if (*since_seconds < 1) {
      return InvalidLog(pod, Type::kInvalid, "sinceSeconds",
                        number(*since_seconds) + "must be greater than 0");
    }
    options.since = now - std::chrono::seconds(*since_seconds);
  }
  if (!since_time.empty()) {
    GANTRY_ASSIGN(WallTime since, api::ParseTime(since_time));
    options.since = since;
  }
  GANTRY_ASSIGN(options.container, ContainerOf(pod, std::string(query.Get("container"))));
  return options;
}

Task<void> CopyLog(BodyWriter& writer, std::shared_ptr<Stream> log) {
  std::string buffer(kLogChunk, '\0');
  while (true) {
    Result<size_t> count = co_await log->Read(std::span<char>(buffer.data(), buffer.size()));
    if (!count.ok() || *count == 0) break;
    auto chunk = std::make_shared<const std::string>(buffer.data(), *count);
    Status written = co_await writer.Write(std::move(chunk));
    if (!written.ok()) break;
  }
  log->Close();
}

}  // namespace

NodeConnector::NodeConnector(Registry& registry, AdmissionChain& admission,
                             client::NodeDirectory* nodes)
    : registry_(registry), admission_(admission), nodes_(nodes) {}

bool NodeConnector::Serves(const ResourceRow& row, std::string_view subresource) const {
  if (!row.kind->group.empty()) return false;
  if (subresource == "proxy") return true;
  return row.kind->kind == "Pod" && (subresource == "log" || subresource == "exec" ||
                                     subresource == "attach" || subresource == "portforward");
}

Result<std::shared_ptr<client::NodeApi>> NodeConnector::FindNode(const std::string& name) const {
  if (nodes_ == nullptr) return Unavailable("no node is connected");
  return nodes_->Find(name);
}

Task<Response> NodeConnector::Connect(const ResourceRow& row, ResourceRequest request) {
  Call call;
  call.user = request.user;
  std::string_view sub = request.info.subresource;
  if (sub != "log") {
    AdmissionRequest admission(Operation::kConnect, call, row, sub, request.info.ns,
                               request.info.name);
    Status admitted = admission_.Validate(admission);
    if (!admitted.ok()) co_return ErrorResponse(admitted);
  }
  if (sub == "proxy") {
    co_return co_await ServeProxy(registry_, nodes_, row, std::move(request));
  }
  const std::string& method = request.http.method;
  if (method != "GET" && !(method == "POST" && sub != "log")) {
    co_return ErrorResponse(
        Status(Code::kMethodNotAllowed,
               "the server does not allow this method on the requested resource"));
  }
  if (sub == "log") co_return co_await Logs(row, std::move(request));
  if (sub == "portforward") co_return co_await PortForward(row, std::move(request));
  const bool attach = sub == "attach";  // `sub` looks into the request
  co_return co_await Exec(row, std::move(request), attach);
}

Task<Response> NodeConnector::Logs(const ResourceRow& row, ResourceRequest request) {
  Result<api::ObjectPtr> got = co_await registry_.Get(row, request.info.ns, request.info.name);
  if (!got.ok()) co_return ErrorResponse(got.status());
  api::Ref<Pod> pod(std::move(*got));
  Result<client::LogOptions> options = ReadLogOptions(request.query, *pod, registry_.env().Now());
  if (!options.ok()) co_return ErrorResponse(options.status());
  Response response;
  response.headers.Set("Content-Type", "text/plain");
  // A pod without a node has said nothing yet.
  if (pod->spec().node_name().empty()) co_return response;
  Result<std::shared_ptr<client::NodeApi>> node = FindNode(pod->spec().node_name());
  if (!node.ok()) co_return ErrorResponse(node.status());
  Result<std::unique_ptr<Stream>> log =
      co_await (*node)->Logs(std::move(*options), request.http.cancel);
  if (!log.ok()) co_return ErrorResponse(log.status());
  std::shared_ptr<Stream> stream(std::move(*log));
  response.stream = [stream](BodyWriter& writer) { return CopyLog(writer, stream); };
  co_return response;
}

Task<Response> NodeConnector::Exec(const ResourceRow& row, ResourceRequest request, bool attach) {
  Result<api::ObjectPtr> got = co_await registry_.Get(row, request.info.ns, request.info.name);
  if (!got.ok()) co_return ErrorResponse(got.status());
  api::Ref<Pod> pod(std::move(*got));
  Result<std::string> container = ContainerOf(*pod, std::string(request.query.Get("container")));
  if (!container.ok()) co_return ErrorResponse(container.status());
  if (pod->spec().node_name().empty()) {
    co_return ErrorResponse(
        BadRequest("pod " + request.info.name + " does not have a host assigned"));
  }
  if (api::core::v1::PodStatus status = pod->status();
      status.phase() == "Succeeded" || status.phase() == "Failed") {
    co_return ErrorResponse(BadRequest(
        "cannot exec into a container in a completed pod; current phase is " + status.phase()));
  }
  client::ExecOptions options;
  options.ns = request.info.ns;
  options.pod = request.info.name;
  options.uid = pod->metadata().uid();
  options.container = std::move(*container);
  options.stdin_open = request.query.GetBool("stdin");
  options.stdout_open = request.query.GetBool("stdout");
  options.stderr_open = request.query.GetBool("stderr");
  options.tty = request.query.GetBool("tty");
  if (options.tty) options.stderr_open = false;
  if (!options.stdin_open && !options.stdout_open && !options.stderr_open) {
    co_return ErrorResponse(BadRequest("you must specify at least 1 of stdin, stdout, stderr"));
  }
  if (!attach) {
    options.command = request.query.All("command");
    if (options.command.empty()) {
      co_return ErrorResponse(BadRequest("you must specify at least 1 command for the container"));
    }
  }
  Status upgrade = streams::CheckUpgrade(request.http);
  if (!upgrade.ok()) co_return ErrorResponse(upgrade);
  Result<std::shared_ptr<client::NodeApi>> node = FindNode(pod->spec().node_name());
  if (!node.ok()) co_return ErrorResponse(node.status());
  client::ExecOptions copy = options;
  Result<std::unique_ptr<client::ExecSession>> session =
      co_await (*node)->Exec(std::move(copy), request.http.cancel);
  if (!session.ok()) co_return ErrorResponse(session.status());
  Result<Response> response =
      streams::ServeExec(registry_.env(), request.http, options, std::move(*session));
  if (!response.ok()) co_return ErrorResponse(response.status());
  co_return std::move(*response);
}

Task<Response> NodeConnector::PortForward(const ResourceRow& row, ResourceRequest request) {
  Result<api::ObjectPtr> got = co_await registry_.Get(row, request.info.ns, request.info.name);
  if (!got.ok()) co_return ErrorResponse(got.status());
  api::Ref<Pod> pod(std::move(*got));
  if (pod->spec().node_name().empty()) {
    co_return ErrorResponse(
        BadRequest("pod " + request.info.name + " does not have a host assigned"));
  }
  Status upgrade = streams::CheckUpgrade(request.http);
  if (!upgrade.ok()) co_return ErrorResponse(upgrade);
  Result<std::shared_ptr<client::NodeApi>> node = FindNode(pod->spec().node_name());
  if (!node.ok()) co_return ErrorResponse(node.status());
  streams::ForwardTarget target;
  target.node = std::move(*node);
  target.ns = request.info.ns;
  target.pod = request.info.name;
  target.uid = pod->metadata().uid();
  Result<Response> response =
      streams::ServePortForward(registry_.env(), request.http, std::move(target));
  if (!response.ok()) co_return ErrorResponse(response.status());
  co_return std::move(*response);
}

}  // namespace gantry::apiserver
