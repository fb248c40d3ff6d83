#include "apiserver/subresources/proxy.h"

#include <charconv>
#include <optional>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "apiserver/status_body.h"
#include "apiserver/subresources/http_forward.h"
#include "apiserver/subresources/kubelet.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Service;
using api::discovery::v1::EndpointSlice;

constexpr int kKubeletPort = 10250;

// "https:web:8080" as it stands in the path.
struct ProxyName {
  std::string scheme, name, port;
};

Result<ProxyName> ParseProxyName(const std::string& text) {
  std::vector<std::string> parts;
  std::string_view rest = text;
  while (true) {
    size_t colon = rest.find(':');
    parts.emplace_back(rest.substr(0, colon));
    if (colon == std::string_view::npos) break;
    rest = rest.substr(colon + 1);
  }
  if (parts.size() == 1) return ProxyName{"", parts[0], ""};
  if (parts.size() == 2) return ProxyName{"", parts[0], parts[1]};
  if (parts.size() == 3) return ProxyName{parts[0], parts[1], parts[2]};
  return BadRequest("invalid proxy target \"" + text + "\"");
}

// Where a request goes to, and from which node.
struct Target {
  std::string node, address;
  uint16_t port = 0;
  bool is_kubelet = false;
};

std::optional<uint16_t> PortNumber(std::string_view text) {
  unsigned number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0 || number > 65535)
    return std::nullopt;
  return static_cast<uint16_t>(number);
}

Result<Target> PodTarget(Registry& registry, const ResourceRow& row, const std::string& ns,
                         const ProxyName& name) {
  api::Ref<Pod> pod = registry.Peek<Pod>(ns, name.name);
  if (!pod) return NotFound(*row.kind, name.name);
  Target target;
  target.node = pod->spec().node_name();
  target.address = pod->status().pod_ip();
  if (target.address.empty()) return BadRequest("address not allowed");
  target.port = 80;
  if (name.port.empty()) {
    for (const auto& container : pod->spec().containers()) {
      if (container.ports_size() > 0) {
        target.port = static_cast<uint16_t>(container.ports(0).container_port());
        break;
      }
    }
    return target;
  }
  if (std::optional<uint16_t> port = PortNumber(name.port)) {
    target.port = *port;
    return target;
  }
  for (const auto& container : pod->spec().containers()) {
    for (const auto& port : container.ports()) {
      if (port.name() == name.port) {
        target.port = static_cast<uint16_t>(port.container_port());
        return target;
      }
    }
  }
  return BadRequest("invalid port \"" + name.port + "\"");
}

Result<Target> ServiceTarget(Registry& registry, const ResourceRow& row, const std::string& ns,
                             const ProxyName& name) {
  api::Ref<Service> service = registry.Peek<Service>(ns, name.name);
  if (!service) return NotFound(*row.kind, name.name);
  std::string port_name = name.port;
  if (std::optional<uint16_t> number = PortNumber(name.port)) {
    for (const auto& port : service->spec().ports()) {
      if (port.port() == *number) port_name = port.name();
    }
  }
  store::Selection selection;
  selection.ns = ns;
  selection.matches = [&name](const api::Object& object) {
    auto it = object.meta().labels().find("kubernetes.io/service-name");
    return it != object.meta().labels().end() && it->second == name.name;
  };
  std::vector<Target> targets;
  for (const api::ObjectPtr& object :
       registry.CacheOf(api::KindOf<EndpointSlice>()).List(selection).objects) {
    const auto& slice = object->As<EndpointSlice>();
    for (const auto& port : slice.ports()) {
      if (!port_name.empty() && port.name() != port_name &&
          std::to_string(port.port()) != port_name)
        continue;
      for (const auto& endpoint : slice.endpoints()) {
        if (!endpoint.conditions().ready() || endpoint.addresses().empty()) continue;
        Target target;
        target.node = endpoint.node_name();
        target.address = endpoint.addresses(0);
        target.port = static_cast<uint16_t>(port.port());
        targets.push_back(std::move(target));
      }
      if (port_name.empty()) break;
    }
  }
  if (targets.empty()) {
    return Status(Code::kServiceUnavailable,
                  "no endpoints available for service \"" + name.name + "\"");
  }
  return targets[RandomBelow(registry.env(), targets.size())];
}

// The node's agent, or another port of its machine.
Result<Target> NodeTarget(Registry& registry, const ResourceRow& row, const ProxyName& name) {
  api::Ref<Node> node = registry.Peek<Node>("", name.name);
  if (!node) return NotFound(*row.kind, name.name);
  Target target;
  target.node = name.name;
  const int kubelet = node->status().daemon_endpoints().kubelet_endpoint().port();
  if (name.port.empty() || name.port == std::to_string(kubelet != 0 ? kubelet : kKubeletPort)) {
    target.is_kubelet = true;
    return target;
  }
  std::optional<uint16_t> port = PortNumber(name.port);
  if (!port) return BadRequest("invalid port \"" + name.port + "\"");
  target.port = *port;
  for (const auto& address : node->status().addresses()) {
    if (address.type() == "InternalIP" && target.address.empty())
      target.address = address.address();
  }
  if (target.address.empty()) return BadRequest("address not allowed");
  return target;
}

// What of the path leads to the object and its proxy: of the rest, the other side is asked.
// "/api/v1/namespaces/default/pods/web/proxy", "/api/v1/nodes/n1/proxy".
std::string PrefixOf(const std::string& path, bool namespaced) {
  size_t at = 0;
  for (int parts = namespaced ? 7 : 5; parts > 0 && at != std::string::npos; --parts)
    at = path.find('/', at + 1);
  return path.substr(0, at);
}

Status Unreachable(const Status& why) {
  return Status(Code::kServiceUnavailable, "error trying to reach service: " + why.message());
}

Task<Response> PassOn(Env& env, client::NodeDirectory& nodes, Target target,
                      ResourceRequest request, std::string prefix) {
  Result<std::shared_ptr<client::NodeApi>> node = nodes.Find(target.node);
  if (!node.ok()) co_return ErrorResponse(Unreachable(node.status()));
  Forward forward;
  forward.host = target.address + ":" + std::to_string(target.port);
  forward.prefix = std::move(prefix);
  Result<std::unique_ptr<Stream>> dialled = co_await (*node)->Dial(target.address, target.port);
  if (!dialled.ok()) co_return ErrorResponse(Unreachable(dialled.status()));
  forward.connection = std::move(*dialled);
  forward.request = std::move(request);
  co_return co_await ForwardHttp(env, std::move(forward));
}

// A browser that asks for ".../proxy" is sent to ".../proxy/", so that relative links hold.
Response ToRoot(const Request& request) {
  Response response;
  response.status = 301;
  response.headers.Set("Location",
                       request.path + "/" + (request.query.empty() ? "" : "?" + request.query));
  return response;
}

}  // namespace

Task<Response> ServeProxy(Registry& registry, client::NodeDirectory* nodes, const ResourceRow& row,
                          ResourceRequest request) {
  if (nodes == nullptr) co_return ErrorResponse(Unreachable(Unavailable("no node is connected")));
  Result<ProxyName> name = ParseProxyName(request.info.name);
  if (!name.ok()) co_return ErrorResponse(name.status());
  std::string prefix = PrefixOf(request.http.path, row.kind->namespaced);
  const std::string& method = request.http.method;
  if (request.http.path.size() == prefix.size() && (method == "GET" || method == "HEAD"))
    co_return ToRoot(request.http);
  Result<Target> target = row.kind->kind == "Pod" ? PodTarget(registry, row, request.info.ns, *name)
                          : row.kind->kind == "Node"
                              ? NodeTarget(registry, row, *name)
                              : ServiceTarget(registry, row, request.info.ns, *name);
  if (!target.ok()) co_return ErrorResponse(target.status());
  if (target->is_kubelet) {
    Result<std::shared_ptr<client::NodeApi>> node = nodes->Find(target->node);
    if (!node.ok()) co_return ErrorResponse(Unreachable(node.status()));
    std::string path = request.http.path.substr(prefix.size());
    co_return co_await AskKubelet(registry, std::move(*node), std::move(path), std::move(request));
  }
  if (!name->scheme.empty() && name->scheme != "http") {
    co_return ErrorResponse(
        BadRequest("the proxy passes plain HTTP on, not \"" + name->scheme + "\""));
  }
  co_return co_await PassOn(registry.env(), *nodes, std::move(*target), std::move(request),
                            std::move(prefix));
}

}  // namespace gantry::apiserver
