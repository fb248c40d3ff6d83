#include "apiserver/subresources/kubelet.h"

#include <optional>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "apiserver/status_body.h"
#include "apiserver/subresources/http_forward.h"
#include "apiserver/subresources/log_options.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;

constexpr std::string_view kContainerLogs = "/containerLogs/";

std::vector<std::string> Parts(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    parts.emplace_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return parts;
}

Response Streamed(int status, std::string content_type, std::unique_ptr<Stream> from) {
  Response response;
  response.status = status;
  response.headers.Set("Content-Type", std::move(content_type));
  std::shared_ptr<Stream> stream(std::move(from));
  response.stream = [stream](BodyWriter& writer) { return CopyToBody(writer, stream); };
  return response;
}

// A kubelet's errors are plain text.
Response Failure(const Status& status) {
  return TextResponse(HttpStatusOf(status.code()), status.message() + "\n");
}

// /containerLogs/NAMESPACE/POD/CONTAINER
Task<Response> ContainerLog(Registry& registry, client::NodeApi& node, std::string path,
                            ResourceRequest request) {
  const std::vector<std::string> parts =
      Parts(std::string_view(path).substr(kContainerLogs.size()));
  if (parts.size() != 3) co_return TextResponse(404, "404 page not found\n");
  api::Ref<Pod> pod = registry.Peek<Pod>(parts[0], parts[1]);
  if (!pod) co_return TextResponse(404, "pod \"" + parts[1] + "\" does not exist\n");
  Result<client::LogOptions> options =
      ReadLogOptions(request.query, *pod, parts[2], registry.env().Now());
  if (!options.ok()) co_return Failure(options.status());
  Result<std::unique_ptr<Stream>> log =
      co_await node.Logs(std::move(*options), request.http.cancel);
  if (!log.ok()) co_return Failure(log.status());
  co_return Streamed(200, "text/plain", std::move(*log));
}

}  // namespace

Task<Response> AskKubelet(Registry& registry, std::shared_ptr<client::NodeApi> node,
                          std::string path, ResourceRequest request) {
  const std::string& method = request.http.method;
  if (method != "GET" && method != "HEAD") co_return TextResponse(405, "405: Method Not Allowed\n");
  std::optional<std::string> decoded = PercentDecode(path, false);
  if (!decoded) co_return TextResponse(400, "400 Bad Request\n");
  if (decoded->starts_with(kContainerLogs)) {
    co_return co_await ContainerLog(registry, *node, std::move(*decoded), std::move(request));
  }
  Result<client::NodePage> page = co_await node->Page(std::move(*decoded), request.http.cancel);
  if (!page.ok()) co_return ErrorResponse(page.status());
  co_return Streamed(page->status, std::move(page->content_type), std::move(page->body));
}

}  // namespace gantry::apiserver
