#include "common/api_client.h"

#include <unistd.h>

#include "client/http/reply_status.h"

namespace gantry::bench {
namespace {

using api::JsonValue;

Task<> Fetch(client::HttpTransport& transport, client::HttpRequest request,
             Result<client::HttpReply>* reply) {
  *reply = co_await transport.Fetch(std::move(request));
}

}  // namespace

Result<std::shared_ptr<const wire::TlsContext>> TlsOf(const client::Kubeconfig& config,
                                                      bool http2) {
  if (config.clusters.empty() || config.users.empty())
    return InternalError("the kubeconfig names no cluster or no user");
  wire::TlsClientOptions options;
  options.ca_pem = config.clusters[0].certificate_authority;
  options.certificate_pem = config.users[0].client_certificate;
  options.private_key_pem = config.users[0].client_key;
  options.http2 = http2;
  return wire::TlsContext::Client(options);
}

client::HttpTransportOptions TransportOptionsOf(const client::Kubeconfig& config,
                                                std::shared_ptr<const wire::TlsContext> tls) {
  client::HttpTransportOptions options;
  options.servers = {config.clusters[0].server};
  options.tls = std::move(tls);
  options.user_agent = "gantry-bench";
  return options;
}

Result<std::unique_ptr<ApiClient>> ApiClient::Make(RealEnv& env, const client::Kubeconfig& config) {
  GANTRY_ASSIGN(std::shared_ptr<const wire::TlsContext> tls, TlsOf(config));
  return std::unique_ptr<ApiClient>(new ApiClient(env, TransportOptionsOf(config, std::move(tls))));
}

ApiClient::~ApiClient() { env_.RunToEnd(transport_.Stop()); }

Result<client::HttpReply> ApiClient::Call(client::HttpRequest request) {
  const std::string what = request.method + " " + request.target;
  request.headers.Add("Accept", "application/json");
  Result<client::HttpReply> reply = InternalError("no answer");
  env_.RunToEnd(Fetch(transport_, std::move(request), &reply));
  if (!reply.ok()) return reply.status().WithContext(what);
  if (reply->status >= 400)
    return client::StatusOfReply(reply->status, reply->body).WithContext(what);
  return reply;
}

Result<JsonValue> ApiClient::Get(const std::string& target) {
  GANTRY_ASSIGN(client::HttpReply reply, Call(client::HttpRequest("GET", target)));
  return JsonValue::Parse(reply.body);
}

Status ApiClient::Post(const std::string& target, const std::string& body) {
  client::HttpRequest request("POST", target);
  request.headers.Add("Content-Type", "application/json");
  request.body = body;
  return Call(std::move(request)).status();
}

Status ApiClient::Apply(const std::string& target, const std::string& body) {
  client::HttpRequest request("PATCH", target + "?fieldManager=bench&force=true");
  request.headers.Add("Content-Type", "application/apply-patch+yaml");
  request.body = body;
  return Call(std::move(request)).status();
}

Status ApiClient::Delete(const std::string& target, int grace_seconds) {
  return Call(client::HttpRequest("DELETE",
                                  target + "?gracePeriodSeconds=" + std::to_string(grace_seconds)))
      .status();
}

Status ApiClient::AwaitFound(const std::string& target) {
  Status last;
  for (int i = 0; i < 2000; ++i) {
    last = Call(client::HttpRequest("GET", target)).status();
    if (last.ok()) return last;
    usleep(5000);
  }
  return last;
}

Status ApiClient::AwaitEmpty(const std::string& target) {
  for (int i = 0; i < 2400; ++i) {
    GANTRY_ASSIGN(const JsonValue list, Get(target + "?limit=1"));
    const JsonValue* items = list.Find("items");
    if (items == nullptr || !items->is_array() || items->as_array().empty()) return Status::Ok();
    usleep(50'000);
  }
  return InternalError("GET " + target + ": still not empty after two minutes");
}

const JsonValue* At(const JsonValue& value, std::initializer_list<const char*> path) {
  const JsonValue* at = &value;
  for (const char* name : path) {
    at = at->Find(name);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string StringAt(const JsonValue& value, std::initializer_list<const char*> path) {
  const JsonValue* at = At(value, path);
  return at != nullptr && at->is_string() ? at->as_string() : "";
}

int64_t IntAt(const JsonValue& value, std::initializer_list<const char*> path) {
  const JsonValue* at = At(value, path);
  return at != nullptr && at->is_int() ? at->as_int() : 0;
}

bool HasCondition(const JsonValue& object, const std::string& type) {
  const JsonValue* conditions = At(object, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  for (const JsonValue& condition : conditions->as_array()) {
    if (StringAt(condition, {"type"}) == type) return StringAt(condition, {"status"}) == "True";
  }
  return false;
}

}  // namespace gantry::bench
