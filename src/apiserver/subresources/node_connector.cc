#include "apiserver/subresources/node_connector.h"

#include "api/core/v1/pod.pb.h"
#include "apiserver/registry/messages.h"
#include "apiserver/status_body.h"
#include "apiserver/streams/serve.h"
#include "apiserver/subresources/http_forward.h"
#include "apiserver/subresources/log_options.h"
#include "apiserver/subresources/pod_container.h"
#include "apiserver/subresources/proxy.h"

namespace gantry::apiserver {

using api::core::v1::Pod;

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
  Result<client::LogOptions> options = ReadLogOptions(
      request.query, *pod, std::string(request.query.Get("container")), registry_.env().Now());
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
  response.stream = [stream](BodyWriter& writer) { return CopyToBody(writer, stream); };
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
