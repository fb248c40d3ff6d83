#include "cli/client/connection.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "base/env/real/real_env.h"
#include "base/wire/tls.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "client/http/reply_status.h"
#include "client/http/transport.h"
#include "client/kubeconfig.h"

namespace gantry::cli {
namespace {

using client::HttpReply;
using client::HttpRequest;
using client::HttpTransport;
using client::Kubeconfig;

constexpr const char* kServerKubeconfig = "/var/lib/gantry/kubeconfig";

Result<Kubeconfig> ReadFile(const std::string& path) {
  Result<Kubeconfig> config = client::ReadKubeconfig(path);
  if (!config.ok()) return LocalError(config.status().message());
  return config;
}

Result<Kubeconfig> FindKubeconfig(const GlobalFlags& flags) {
  if (!flags.kubeconfig.empty()) return ReadFile(flags.kubeconfig);
  const char* listed = std::getenv("KUBECONFIG");
  if (listed != nullptr && *listed != '\0') {
    Kubeconfig merged;
    for (const std::string& path : SplitText(listed, ':')) {
      if (path.empty() || ::access(path.c_str(), F_OK) != 0) continue;
      GANTRY_ASSIGN(Kubeconfig config, ReadFile(path));
      merged.MergeFrom(config);
    }
    return merged;
  }
  const char* home = std::getenv("HOME");
  const std::string own = home == nullptr ? std::string() : std::string(home) + "/.kube/config";
  for (const std::string& path : {own, std::string(kServerKubeconfig)}) {
    if (!path.empty() && ::access(path.c_str(), R_OK) == 0) return ReadFile(path);
  }
  return LocalError(
      "no kubeconfig found: give --kubeconfig FILE, set KUBECONFIG, or run as root beside a server "
      "that keeps " +
      std::string(kServerKubeconfig));
}

Task<> FetchInto(HttpTransport& transport, HttpRequest request, Result<HttpReply>* reply) {
  *reply = co_await transport.Fetch(std::move(request));
}

struct StreamState {
  HttpTransport& transport;
  Connection::TakeBytes take;
  CancelSource cancel;
  Status status;
};

Task<> StreamInto(StreamState& state, HttpRequest request) {
  Result<client::HttpResponse> response =
      co_await state.transport.Send(std::move(request), state.cancel.token());
  if (!response.ok()) {
    state.status = response.status();
    co_return;
  }
  const bool failed = response->status >= 400;
  std::string failure;
  while (true) {
    Result<std::string> piece = co_await response->body->Read();
    if (!piece.ok()) {
      state.status = piece.status();
      break;
    }
    if (piece->empty()) break;
    if (failed) {
      failure += *piece;
    } else if (!state.take(*piece)) {
      break;
    }
  }
  if (failed) state.status = client::StatusOfReply(response->status, failure);
}

Task<> StopTransport(HttpTransport& transport) { co_await transport.Stop(); }

}  // namespace

Connection::Connection() = default;

Connection::~Connection() {
  if (transport_) env_->RunToEnd(StopTransport(*transport_));
  env_->Stop();
}

Result<std::unique_ptr<Connection>> Connection::Open(const GlobalFlags& flags) {
  GANTRY_ASSIGN(Kubeconfig config, FindKubeconfig(flags));
  const std::string context_name = flags.context.empty() ? config.current_context : flags.context;
  const Kubeconfig::Context* context = config.FindContext(context_name);
  if (context == nullptr) return LocalError("context \"" + context_name + "\" does not exist");
  const Kubeconfig::Cluster* cluster = config.FindCluster(context->cluster);
  if (cluster == nullptr) return LocalError("cluster \"" + context->cluster + "\" does not exist");
  const Kubeconfig::User* user = config.FindUser(context->user);

  client::HttpTransportOptions options;
  options.servers.push_back(cluster->server);
  options.server_name = cluster->tls_server_name;
  wire::TlsClientOptions tls;
  tls.ca_pem = cluster->certificate_authority;
  tls.insecure_skip_verify = cluster->insecure_skip_tls_verify;
  if (user != nullptr) {
    options.bearer_token = user->token;
    tls.certificate_pem = user->client_certificate;
    tls.private_key_pem = user->client_key;
  }
  Result<std::shared_ptr<const wire::TlsContext>> context_of_tls = wire::TlsContext::Client(tls);
  if (!context_of_tls.ok()) return LocalError(context_of_tls.status().message());
  options.tls = std::move(context_of_tls).value();

  std::unique_ptr<Connection> connection(new Connection());
  connection->env_ = std::make_unique<RealEnv>(1, 2);
  connection->transport_ = std::make_unique<HttpTransport>(*connection->env_, std::move(options));
  connection->ns_ = !flags.ns.empty() ? flags.ns : !context->ns.empty() ? context->ns : "default";
  return connection;
}

Result<std::string> Connection::Call(HttpRequest request, int* http_status) {
  Result<HttpReply> reply = InternalError("no answer");
  env_->RunToEnd(FetchInto(*transport_, std::move(request), &reply));
  if (!reply.ok()) return ServerError(reply.status());
  if (http_status != nullptr) *http_status = reply->status;
  for (const auto& [name, value] : reply->headers.all()) {
    // 299 - "the text"
    if (!wire::EqualFold(name, "warning") || value.find('"') == std::string::npos) continue;
    const size_t from = value.find('"') + 1;
    std::fprintf(stderr, "Warning: %s\n", value.substr(from, value.rfind('"') - from).c_str());
  }
  if (reply->status >= 400) return ServerError(client::StatusOfReply(reply->status, reply->body));
  return std::move(reply->body);
}

Result<api::JsonValue> Connection::GetJson(const std::string& target, const std::string& accept) {
  HttpRequest request("GET", target);
  request.headers.Add("Accept", accept);
  GANTRY_ASSIGN(const std::string body, Call(std::move(request)));
  return api::JsonValue::Parse(body);
}

Result<api::JsonValue> Connection::Send(const std::string& method, const std::string& target,
                                        const api::JsonValue& body, const std::string& content_type,
                                        int* http_status) {
  HttpRequest request(method, target);
  request.headers.Add("Accept", "application/json");
  request.headers.Add("Content-Type", content_type);
  request.body = body.ToString();
  GANTRY_ASSIGN(const std::string answer, Call(std::move(request), http_status));
  return api::JsonValue::Parse(answer);
}

Status Connection::Stream(HttpRequest request, TakeBytes take, std::optional<SteadyTime> until) {
  StreamState state{*transport_, std::move(take), CancelSource(), Status()};
  std::unique_ptr<TimerHandle> timer;
  if (until) timer = env_->CallAt(*until, [cancel = state.cancel]() mutable { cancel.Cancel(); });
  env_->RunToEnd(StreamInto(state, std::move(request)));
  return ServerError(state.status);
}

Status Connection::Watch(const std::string& target, const std::string& accept, TakeEvent take,
                         std::optional<SteadyTime> until) {
  HttpRequest request("GET", target);
  request.headers.Add("Accept", accept);
  std::string pending;
  Status failure;
  auto take_bytes = [&](std::string_view bytes) {
    pending.append(bytes);
    size_t from = 0;
    for (size_t end; (end = pending.find('\n', from)) != std::string::npos; from = end + 1) {
      if (end == from) continue;
      Result<api::JsonValue> event =
          api::JsonValue::Parse(std::string_view(pending).substr(from, end - from));
      if (!event.ok()) {
        failure = event.status();
        return false;
      }
      const std::string type = TextAt(*event, "type");
      const api::JsonValue* object = event->Find("object");
      if (object == nullptr) continue;
      if (type == "ERROR") {
        failure = client::StatusOfReply(static_cast<int>(IntAt(*object, "code", 500)),
                                        object->ToString());
        return false;
      }
      if (!take(type, *object)) return false;
    }
    pending.erase(0, from);
    return true;
  };
  GANTRY_TRY(Stream(std::move(request), take_bytes, until));
  return ServerError(failure);
}

}  // namespace gantry::cli
