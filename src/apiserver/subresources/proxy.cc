#include "apiserver/subresources/proxy.h"

#include <algorithm>
#include <charconv>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "apiserver/status_body.h"
#include "base/wire/http1.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;
using api::core::v1::Service;
using api::discovery::v1::EndpointSlice;

constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kMaxHead = 64 * 1024;
// Fields of one connection, never passed on; and what proved who the client is.
constexpr std::string_view kDropped[] = {"connection",
                                         "keep-alive",
                                         "proxy-authenticate",
                                         "proxy-authorization",
                                         "te",
                                         "trailer",
                                         "transfer-encoding",
                                         "upgrade",
                                         "content-length",
                                         "host",
                                         "authorization",
                                         "accept-encoding"};

// "https:web:8080" as it stands in the path.
struct Name {
  std::string scheme, name, port;
};

Result<Name> ParseName(const std::string& text) {
  std::vector<std::string> parts;
  std::string_view rest = text;
  while (true) {
    size_t colon = rest.find(':');
    parts.emplace_back(rest.substr(0, colon));
    if (colon == std::string_view::npos) break;
    rest = rest.substr(colon + 1);
  }
  if (parts.size() == 1) return Name{"", parts[0], ""};
  if (parts.size() == 2) return Name{"", parts[0], parts[1]};
  if (parts.size() == 3) return Name{parts[0], parts[1], parts[2]};
  return BadRequest("invalid proxy target \"" + text + "\"");
}

// Where a request goes to, and from which node.
struct Target {
  std::string node, address;
  uint16_t port = 0;
};

std::optional<uint16_t> PortNumber(std::string_view text) {
  unsigned number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0 || number > 65535)
    return std::nullopt;
  return static_cast<uint16_t>(number);
}

Result<Target> PodTarget(Registry& registry, const ResourceRow& row, const std::string& ns,
                         const Name& name) {
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
                             const Name& name) {
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
        targets.push_back(
            {endpoint.node_name(), endpoint.addresses(0), static_cast<uint16_t>(port.port())});
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

std::string Head(const ResourceRequest& request, const Target& target, std::string_view path) {
  std::string head = request.http.method + " " + std::string(path);
  if (!request.http.query.empty()) head += "?" + request.http.query;
  head += " HTTP/1.1\r\nHost: " + target.address + ":" + std::to_string(target.port) +
          "\r\nConnection: close\r\n";
  for (const auto& [name, value] : request.http.headers.all()) {
    const bool dropped =
        std::any_of(std::begin(kDropped), std::end(kDropped),
                    [&](std::string_view field) { return wire::EqualFold(field, name); });
    if (!dropped && name.find_first_of("\r\n") == std::string::npos &&
        value.find_first_of("\r\n") == std::string::npos) {
      head += name + ": " + value + "\r\n";
    }
  }
  if (!request.http.body.empty())
    head += "Content-Length: " + std::to_string(request.http.body.size()) + "\r\n";
  return head + "\r\n";
}

// The path behind ".../proxy", still encoded.
std::string_view PathBehindProxy(std::string_view path) {
  size_t at = path.find("/proxy", path.find("/namespaces/") == std::string_view::npos
                                      ? 0
                                      : path.find("/namespaces/") + 1);
  if (at == std::string_view::npos) return "/";
  std::string_view rest = path.substr(at + 6);
  return rest.empty() ? std::string_view("/") : rest;
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

Status Unreachable(const Status& why) {
  return Status(Code::kServiceUnavailable, "error trying to reach service: " + why.message());
}

Task<Response> NodeStats(client::NodeDirectory* nodes, ResourceRequest request) {
  if (PathBehindProxy(request.http.path) != "/stats/summary")
    co_return TextResponse(404, "404 page not found\n");
  Result<std::shared_ptr<client::NodeApi>> node =
      nodes->Find(request.info.name.substr(0, request.info.name.find(':')));
  if (!node.ok()) co_return ErrorResponse(Unreachable(node.status()));
  Result<std::string> stats = co_await (*node)->StatsSummary();
  if (!stats.ok()) co_return ErrorResponse(stats.status());
  co_return JsonResponse(200, std::move(*stats));
}

}  // namespace

Task<Response> ServeProxy(Registry& registry, client::NodeDirectory* nodes, const ResourceRow& row,
                          ResourceRequest request) {
  if (nodes == nullptr) co_return ErrorResponse(Unreachable(Unavailable("no node is connected")));
  if (row.kind->kind == "Node") co_return co_await NodeStats(nodes, std::move(request));
  Result<Name> name = ParseName(request.info.name);
  if (!name.ok()) co_return ErrorResponse(name.status());
  if (!name->scheme.empty() && name->scheme != "http") {
    co_return ErrorResponse(
        BadRequest("the proxy passes plain HTTP on, not \"" + name->scheme + "\""));
  }
  Result<Target> target = row.kind->kind == "Pod"
                              ? PodTarget(registry, row, request.info.ns, *name)
                              : ServiceTarget(registry, row, request.info.ns, *name);
  if (!target.ok()) co_return ErrorResponse(target.status());
  Result<std::shared_ptr<client::NodeApi>> node = nodes->Find(target->node);
  if (!node.ok()) co_return ErrorResponse(Unreachable(node.status()));
  Result<std::unique_ptr<Stream>> dialled = co_await (*node)->Dial(target->address, target->port);
  if (!dialled.ok()) co_return ErrorResponse(Unreachable(dialled.status()));
  auto body = std::make_shared<Body>();
  body->stream = std::move(*dialled);
  std::string out = Head(request, *target, PathBehindProxy(request.http.path)) + request.http.body;
  Status sent = co_await body->stream->Write(out);
  if (!sent.ok()) co_return ErrorResponse(Unreachable(sent));

  std::string bytes, buffer(kReadBytes, '\0');
  wire::ResponseHead head;
  wire::HeadResult parsed;
  while (true) {
    Result<size_t> count =
        co_await body->stream->Read(std::span<char>(buffer.data(), buffer.size()));
    if (!count.ok()) co_return ErrorResponse(Unreachable(count.status()));
    if (*count == 0) co_return ErrorResponse(Unreachable(Unavailable("EOF")));
    bytes.append(buffer.data(), *count);
    parsed = wire::ParseHead(bytes, &head);
    if (parsed.state == wire::HeadResult::State::kComplete && head.status / 100 == 1) {
      bytes.erase(0, parsed.consumed);
      continue;
    }
    if (parsed.state == wire::HeadResult::State::kComplete) break;
    if (parsed.state == wire::HeadResult::State::kMalformed || bytes.size() > kMaxHead) {
      co_return ErrorResponse(Unreachable(Unavailable("malformed HTTP response")));
    }
  }
  body->ahead = bytes.substr(parsed.consumed);
  body->framing = wire::ResponseFraming(head, request.http.method);
  Response response;
  response.status = head.status;
  for (const auto& [field, value] : head.headers.all()) {
    const bool dropped =
        std::any_of(std::begin(kDropped), std::end(kDropped),
                    [&](std::string_view known) { return wire::EqualFold(known, field); });
    if (!dropped) response.headers.Add(field, value);
  }
  if (body->framing.kind != wire::Framing::Kind::kNone) {
    response.stream = [body](BodyWriter& writer) { return CopyBody(writer, body); };
  }
  co_return response;
}

}  // namespace gantry::apiserver
