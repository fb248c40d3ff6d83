#include "cli/client/connection.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
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

// --kubeconfig, else the files of $KUBECONFIG, else ~/.kube/config, else that of a server on this
// machine; empty when there is none of these.
Result<Kubeconfig> FindKubeconfig(const GlobalFlags& flags) {
  if (!flags.kubeconfig.empty()) {
    if (::access(flags.kubeconfig.c_str(), F_OK) != 0)
      return LocalError("stat " + flags.kubeconfig + ": no such file or directory");
    return ReadFile(flags.kubeconfig);
  }
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
  return Kubeconfig();
}

Result<std::string> FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) return LocalError("unable to read " + path);
  return text.str();
}

// Where to, as whom, and in which namespace: what the kubeconfig says, with what the flags say
// instead.
struct Login {
  Kubeconfig::Cluster cluster;
  Kubeconfig::User user;
  std::string ns;
};

Result<Login> FindLogin(const GlobalFlags& flags) {
  GANTRY_ASSIGN(const Kubeconfig config, FindKubeconfig(flags));
  Login login;
  const std::string name = flags.context.empty() ? config.current_context : flags.context;
  std::string cluster_name = flags.cluster, user_name = flags.user;
  if (const Kubeconfig::Context* context = config.FindContext(name)) {
    if (cluster_name.empty()) cluster_name = context->cluster;
    if (user_name.empty()) user_name = context->user;
    login.ns = context->ns;
  } else if (!flags.context.empty()) {
    return LocalError("context \"" + name + "\" does not exist");
  }
  if (const Kubeconfig::Cluster* cluster = config.FindCluster(cluster_name)) {
    login.cluster = *cluster;
  } else if (!flags.cluster.empty() || (!cluster_name.empty() && flags.server.empty())) {
    return LocalError("cluster \"" + cluster_name + "\" does not exist");
  }
  if (const Kubeconfig::User* user = config.FindUser(user_name)) {
    login.user = *user;
  } else if (!flags.user.empty()) {
    return LocalError("auth info \"" + user_name + "\" does not exist");
  }
  if (!flags.server.empty()) {
    login.cluster.server =
        flags.server.find("://") == std::string::npos ? "http://" + flags.server : flags.server;
  }
  if (login.cluster.server.empty()) {
    return LocalError(
        "no cluster is configured: give --kubeconfig FILE, set KUBECONFIG, or run as root beside a "
        "server that keeps " +
        std::string(kServerKubeconfig));
  }
  if (!flags.tls_server_name.empty()) login.cluster.tls_server_name = flags.tls_server_name;
  if (flags.insecure_skip_tls_verify) {
    login.cluster.insecure_skip_tls_verify = true;
    login.cluster.certificate_authority.clear();
  }
  const std::pair<const std::string*, std::string*> files[] = {
      {&flags.certificate_authority, &login.cluster.certificate_authority},
      {&flags.client_certificate, &login.user.client_certificate},
      {&flags.client_key, &login.user.client_key}};
  for (const auto& [path, text] : files) {
    if (path->empty()) continue;
    GANTRY_ASSIGN(*text, FileText(*path));
  }
  if (!flags.token.empty()) {
    login.user = Kubeconfig::User();
    login.user.token = flags.token;
  }
  if (!flags.ns.empty()) login.ns = flags.ns;
  if (login.ns.empty()) login.ns = "default";
  return login;
}

Task<> FetchInto(HttpTransport& transport, HttpRequest request, CancelToken cancel,
                 Result<HttpReply>* reply) {
  *reply = co_await transport.Fetch(std::move(request), std::move(cancel));
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

Task<> CloseGate(Gate& gate, Env& env) { co_await gate.Close(env); }

Task<> StopTransport(HttpTransport& transport) { co_await transport.Stop(); }

}  // namespace

Connection::Connection() = default;

Connection::~Connection() {
  if (transport_) env_->RunToEnd(StopTransport(*transport_));
  env_->Stop();
}

Result<std::unique_ptr<Connection>> Connection::Open(const GlobalFlags& flags) {
  GANTRY_ASSIGN(const Login login, FindLogin(flags));
  client::HttpTransportOptions options;
  options.servers.push_back(login.cluster.server);
  options.server_name = login.cluster.tls_server_name;
  options.bearer_token = login.user.token;
  if (!flags.as.empty()) options.headers.Add("Impersonate-User", flags.as);
  if (!flags.as_uid.empty()) options.headers.Add("Impersonate-Uid", flags.as_uid);
  for (const std::string& group : flags.as_groups)
    options.headers.Add("Impersonate-Group", group);
  if (flags.as.empty() && (!flags.as_uid.empty() || !flags.as_groups.empty()))
    return LocalError("requesting uid, groups or user-extra without impersonating a user");
  wire::TlsClientOptions tls;
  tls.ca_pem = login.cluster.certificate_authority;
  tls.insecure_skip_verify = login.cluster.insecure_skip_tls_verify;
  tls.certificate_pem = login.user.client_certificate;
  tls.private_key_pem = login.user.client_key;
  Result<std::shared_ptr<const wire::TlsContext>> context = wire::TlsContext::Client(tls);
  if (!context.ok()) return LocalError(context.status().message());
  options.tls = std::move(context).value();

  std::unique_ptr<Connection> connection(new Connection());
  connection->env_ = std::make_unique<RealEnv>(1, 2);
  connection->transport_ = std::make_unique<HttpTransport>(*connection->env_, std::move(options));
  connection->ns_ = login.ns;
  if (flags.request_timeout && flags.request_timeout->count() > 0)
    connection->request_timeout_ = flags.request_timeout;
  return connection;
}

Result<std::string> Connection::Call(HttpRequest request, int* http_status) {
  Result<HttpReply> reply = InternalError("no answer");
  CancelSource cancel;
  std::unique_ptr<TimerHandle> timer;
  if (request_timeout_) {
    timer =
        env_->CallAt(env_->Steady() + *request_timeout_, [cancel]() mutable { cancel.Cancel(); });
  }
  env_->RunToEnd(FetchInto(*transport_, std::move(request), cancel.token(), &reply));
  if (!reply.ok() && reply.status().code() == Code::kCanceled) {
    return ServerError(
        Unavailable("net/http: request canceled (Client.Timeout exceeded while awaiting headers)"));
  }
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

Status Connection::StreamAll(std::vector<HttpRequest> requests, TakeBytesOf take) {
  std::vector<std::unique_ptr<StreamState>> states;
  Gate gate;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto take_one = [&take, i](std::string_view bytes) { return take(i, bytes); };
    states.push_back(std::unique_ptr<StreamState>(
        new StreamState{*transport_, take_one, CancelSource(), Status()}));
    Spawn(env_->executor(), gate, "answer", StreamInto(*states.back(), std::move(requests[i])));
  }
  env_->RunToEnd(CloseGate(gate, *env_));
  for (const auto& state : states)
    GANTRY_TRY(ServerError(state->status));
  return Status::Ok();
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
