#include "cli/node_gateway.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/duration.h"
#include "api/json_value.h"
#include "apiserver/authz/node_authorizer.h"
#include "apiserver/status_body.h"
#include "cli/text_field.h"
#include "cli/version.h"

namespace gantry::cli {
namespace {

using api::JsonValue;
using apiserver::ErrorResponse;
using apiserver::ResourceRequest;
using apiserver::Response;
using std::chrono::milliseconds;

constexpr char kLeaseHeader[] = "Gantry-Lease-Ms";
constexpr char kRenewHeader[] = "Gantry-Lease-Renew-Ms";
constexpr Duration kLongestDrain = std::chrono::seconds(10);
constexpr size_t kMostAddresses = 100;

int64_t Milliseconds(Duration duration) { return duration / milliseconds(1); }

std::optional<int64_t> Number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Leases are told in whole seconds.
std::optional<node::LeaseTimes> LeaseOf(std::optional<int64_t> duration,
                                        std::optional<int64_t> renew) {
  if (!duration || !renew || *duration < 1000 || *renew < 100 || *renew >= *duration)
    return std::nullopt;
  return node::LeaseTimes{milliseconds(*renew), milliseconds(*duration)};
}

std::optional<int64_t> IntOf(const JsonValue& object, const char* field) {
  const JsonValue* value = object.Find(field);
  if (value == nullptr || !value->is_int()) return std::nullopt;
  return value->as_int();
}

Status NoNode(const ResourceRequest& request) {
  return Status(Code::kForbidden, "User \"" + request.user.name + "\" is no node");
}

Response Json(std::string body) {
  Response response;
  response.headers.Set("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

}  // namespace

NodeGateway::NodeGateway(Env& env, const FailoverProfile& profile)
    : env_(env),
      lease_(profile.lease),
      nodes_(env, profile.tunnel_dead_after),
      drain_(env, nodes_) {}

void NodeGateway::AddRoutes(apiserver::ApiServer& api) {
  api.AddRoute(apiserver::tunnel::kTunnelPath,
               [this](ResourceRequest request) { return AcceptTunnel(std::move(request)); });
  api.AddRoute(kClusterPath,
               [this](ResourceRequest request) { return DescribeCluster(std::move(request)); });
  api.AddRoute(kDrainPath, [this](ResourceRequest request) { return Drain(std::move(request)); });
}

Task<> NodeGateway::Stop() { return drain_.Stop(); }

Task<Response> NodeGateway::AcceptTunnel(ResourceRequest request) {
  const std::string node(apiserver::NodeOf(request.user));
  if (node.empty()) co_return ErrorResponse(NoNode(request));
  if (Status fit = CheckVersions(ProgramVersion(), request.http.headers.Get(kVersionHeader));
      !fit.ok())
    co_return ErrorResponse(fit);
  Result<Response> accepted = nodes_.Accept(request.http, node);
  if (!accepted.ok()) co_return ErrorResponse(accepted.status());
  accepted->headers.Add(kVersionHeader, std::string(ProgramVersion()));
  AddLeaseHeaders(lease_, &accepted->headers);
  co_return std::move(accepted).value();
}

Task<Response> NodeGateway::DescribeCluster(ResourceRequest request) {
  if (apiserver::NodeOf(request.user).empty()) co_return ErrorResponse(NoNode(request));
  if (Status fit = CheckVersions(ProgramVersion(), request.http.headers.Get(kVersionHeader));
      !fit.ok())
    co_return ErrorResponse(fit);
  ClusterFacts facts;
  facts.version = ProgramVersion();
  facts.now = env_.Now();
  facts.lease = lease_;
  co_return Json(WriteClusterFacts(facts));
}

Task<Response> NodeGateway::Drain(ResourceRequest request) {
  if (apiserver::NodeOf(request.user).empty()) co_return ErrorResponse(NoNode(request));
  if (request.http.method != "POST") {
    co_return ErrorResponse(
        Status(Code::kMethodNotAllowed,
               "the server does not allow this method on the requested resource"));
  }
  Result<DrainRequest> wanted = ReadDrainRequest(request.http.body);
  if (!wanted.ok()) co_return ErrorResponse(wanted.status());
  co_await drain_.AwaitDrained(std::move(wanted->addresses), wanted->timeout);
  co_return Json("{}");
}

std::string WriteClusterFacts(const ClusterFacts& facts) {
  JsonValue json = JsonValue::MakeObject();
  json["version"] = facts.version;
  json["time"] = api::FormatTime(facts.now);
  json["leaseMilliseconds"] = Milliseconds(facts.lease.duration);
  json["renewMilliseconds"] = Milliseconds(facts.lease.renew);
  return json.ToString();
}

Result<ClusterFacts> ReadClusterFacts(std::string_view text) {
  GANTRY_ASSIGN(const JsonValue json, JsonValue::Parse(text));
  ClusterFacts facts;
  facts.version = TextField(json, "version");
  GANTRY_ASSIGN(facts.now, api::ParseTime(TextField(json, "time")));
  if (auto lease = LeaseOf(IntOf(json, "leaseMilliseconds"), IntOf(json, "renewMilliseconds")))
    facts.lease = *lease;
  return facts;
}

std::string WriteDrainRequest(const DrainRequest& request) {
  JsonValue json = JsonValue::MakeObject();
  JsonValue::Array addresses;
  for (const std::string& address : request.addresses)
    addresses.emplace_back(address);
  json["addresses"] = JsonValue(std::move(addresses));
  json["timeoutMilliseconds"] = Milliseconds(request.timeout);
  return json.ToString();
}

Result<DrainRequest> ReadDrainRequest(std::string_view text) {
  GANTRY_ASSIGN(const JsonValue json, JsonValue::Parse(text));
  DrainRequest request;
  const JsonValue* addresses = json.Find("addresses");
  if (addresses == nullptr || !addresses->is_array() ||
      addresses->as_array().size() > kMostAddresses)
    return BadRequest("addresses: a list of at most " + std::to_string(kMostAddresses) +
                      " is wanted");
  for (const JsonValue& address : addresses->as_array()) {
    if (!address.is_string()) return BadRequest("addresses: a list of texts is wanted");
    request.addresses.push_back(address.as_string());
  }
  request.timeout =
      std::clamp<Duration>(milliseconds(IntOf(json, "timeoutMilliseconds").value_or(0)),
                           Duration::zero(), kLongestDrain);
  return request;
}

void AddLeaseHeaders(const node::LeaseTimes& lease, wire::Headers* headers) {
  headers->Add(kLeaseHeader, std::to_string(Milliseconds(lease.duration)));
  headers->Add(kRenewHeader, std::to_string(Milliseconds(lease.renew)));
}

std::optional<node::LeaseTimes> LeaseOfHeaders(const wire::Headers& headers) {
  return LeaseOf(Number(headers.Get(kLeaseHeader)), Number(headers.Get(kRenewHeader)));
}

}  // namespace gantry::cli
