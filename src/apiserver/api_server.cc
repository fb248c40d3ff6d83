#include "apiserver/api_server.h"

#include "api/core/v1/event.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/duration.h"
#include "api/json_value.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/authn/authenticator.h"
#include "apiserver/authn/token_issuer.h"
#include "apiserver/authz/masters.h"
#include "apiserver/authz/node_authorizer.h"
#include "apiserver/authz/rbac.h"
#include "apiserver/bootstrap/bootstrap.h"
#include "apiserver/bootstrap/server_endpoints.h"
#include "apiserver/discovery/discovery.h"
#include "apiserver/health.h"
#include "apiserver/local_client.h"
#include "apiserver/openapi/openapi.h"
#include "apiserver/pki/jwt.h"
#include "apiserver/registry/allocators.h"
#include "apiserver/registry/expiry.h"
#include "apiserver/request_chain.h"
#include "apiserver/rest/reviews.h"
#include "apiserver/status_body.h"
#include "apiserver/subresources/node_connector.h"
#include "base/env/spawn.h"
#include "base/ip.h"
#include "base/metrics.h"

namespace gantry::apiserver {
namespace {

// The level of the API that is spoken (docs name where its facts come from).
constexpr const char* kMajor = "1";
constexpr const char* kMinor = "36";
constexpr const char* kGitVersion = "v1.36.0+gantry";

std::string IssuerOf(const ApiServerOptions& options) {
  return "https://kubernetes.default.svc." + options.cluster_domain;
}

TokenIssuer::Options TokenOptions(const ApiServerOptions& options) {
  TokenIssuer::Options tokens;
  tokens.issuer = IssuerOf(options);
  tokens.audiences = {tokens.issuer, "gantry"};
  tokens.keys = options.service_account_keys;
  return tokens;
}

Authenticator::Options AuthenticatorOptions(const ApiServerOptions& options) {
  Authenticator::Options out;
  out.static_tokens = options.static_tokens;
  out.anonymous = options.anonymous;
  return out;
}

std::string VersionJson() {
  api::JsonValue version = api::JsonValue::MakeObject();
  version["major"] = kMajor;
  version["minor"] = kMinor;
  version["gitVersion"] = kGitVersion;
  version["gitCommit"] = "";
  version["gitTreeState"] = "clean";
  version["buildDate"] = "1970-01-01T00:00:00Z";
  version["goVersion"] = "";
  version["compiler"] = "clang";
  version["platform"] = "linux/amd64";
  return version.ToString();
}

// A handler of a path whose answer needs no waiting.
using Answer = std::function<Response(const ResourceRequest& request)>;

Task<Response> AnswerNow(std::shared_ptr<const Answer> answer,
                         std::shared_ptr<ResourceRequest> request) {
  const std::string& method = request->http.method;
  if (method != "GET" && method != "HEAD") {
    co_return ErrorResponse(
        Status(Code::kMethodNotAllowed,
               "the server does not allow this method on the requested resource"));
  }
  co_return (*answer)(*request);
}

PathHandler Plain(Answer answer) {
  auto shared = std::make_shared<const Answer>(std::move(answer));
  return [shared](ResourceRequest request) {
    return AnswerNow(shared, std::make_shared<ResourceRequest>(std::move(request)));
  };
}

Response AnswerDiscovery(const Discovery& discovery, const ResourceRequest& request) {
  Result<DiscoveryDocument> document =
      discovery.Get(request.info.path, request.http.headers.Get("accept"));
  if (document.code() == Code::kNotFound) return TextResponse(404, "404 page not found\n");
  if (!document.ok()) return ErrorResponse(document.status());
  Response response;
  response.headers.Set("Content-Type", document->content_type);
  response.headers.Set("Vary", "Accept");
  if (!document->etag.empty()) {
    response.headers.Set("ETag", document->etag);
    response.headers.Set("Cache-Control", "public");
    if (request.http.headers.Get("if-none-match") == document->etag) {
      response.status = 304;
      return response;
    }
  }
  response.pieces.push_back(document->body);
  return response;
}

// "Mon, 02 Jan 2026 15:04:05 UTC"
std::string LongTime(WallTime time) {
  const time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  return std::string(text, strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S UTC", &parts));
}

Response AnswerOpenApi(OpenApi& open_api, const ResourceRequest& request, WallTime now) {
  const bool gzip = request.http.headers.HasToken("accept-encoding", "gzip");
  Result<OpenApiDocument> document =
      open_api.Get(request.info.path, request.http.headers.Get("accept"), gzip);
  if (document.code() == Code::kNotFound) return TextResponse(404, "404 page not found\n");
  if (!document.ok()) return ErrorResponse(document.status());
  Response response;
  response.headers.Set("Content-Type", document->content_type);
  response.headers.Set("Vary", "Accept-Encoding, Accept");
  if (!document->content_encoding.empty())
    response.headers.Set("Content-Encoding", document->content_encoding);
  response.headers.Set("ETag", document->etag);
  response.headers.Set("Cache-Control", "no-cache, private");
  // Who names a document by its hash may keep it for ever; who names an old one is sent to the new.
  if (const std::string_view hash = request.query.Get("hash"); !hash.empty()) {
    const std::string current = document->etag.substr(1, document->etag.size() - 2);
    if (hash != current) {
      Response moved = TextResponse(301, "Moved Permanently\n");
      moved.headers.Set("Location", request.info.path + "?hash=" + current);
      return moved;
    }
    response.headers.Set("Cache-Control", "public, immutable");
    response.headers.Set("Expires", LongTime(now + std::chrono::hours(24 * 365)));
  }
  if (request.http.headers.Get("if-none-match") == document->etag) {
    response.status = 304;
    return response;
  }
  response.pieces.push_back(document->body);
  return response;
}

}  // namespace

struct ApiServer::Parts {
  Parts(Env& env_, store::Store& store_, ApiServerOptions options_)
      : env(env_),
        store(store_),
        options(std::move(options_)),
        caches(env_, store_),
        allocators(env_, caches),
        registry(env_, store_, caches, admission, allocators),
        tokens(registry, TokenOptions(options)),
        authenticator(registry, tokens, AuthenticatorOptions(options)),
        rbac(registry),
        node_authorizer(registry),
        authorizer({&masters, &node_authorizer, &rbac}),
        verbs(registry, admission, &tokens),
        reviews(authenticator, authorizer, rbac, env_),
        connector(registry, admission, options.nodes),
        resources(verbs, authorizer, &reviews, &connector),
        chain(authenticator, authorizer, resources, env_),
        discovery(AllResources(),
                  options.advertise_address + ":" + std::to_string(options.advertise_port)),
        open_api(AllResources(), kGitVersion) {}

  Env& env;
  store::Store& store;
  const ApiServerOptions options;
  store::WatchCaches caches;
  AdmissionChain admission;
  Allocators allocators;
  Registry registry;
  TokenIssuer tokens;
  Authenticator authenticator;
  MastersAuthorizer masters;
  RbacAuthorizer rbac;
  NodeAuthorizer node_authorizer;
  UnionAuthorizer authorizer;
  Verbs verbs;
  Reviews reviews;
  NodeConnector connector;
  ResourceHandler resources;
  RequestChain chain;
  Discovery discovery;
  OpenApi open_api;
  Health health;
  std::unique_ptr<ServerEndpoints> endpoints;  // where several servers share the store
  std::atomic<bool> started = false;
  CancelSource stopping;
  Gate gate;
};

namespace {

void AddIndexes(store::WatchCaches* caches) {
  caches->AddIndex(
      api::KindOf<api::core::v1::Pod>(), "spec.nodeName", [](const api::Object& object) {
        return std::vector<std::string>{object.As<api::core::v1::Pod>().spec().node_name()};
      });
  caches->AddIndex(api::KindOf<api::core::v1::Service>(), "spec.nodePort",
                   [](const api::Object& object) {
                     std::vector<std::string> ports;
                     for (int32_t port : NodePortsOf(object.As<api::core::v1::Service>()))
                       ports.push_back(std::to_string(port));
                     return ports;
                   });
}

void AddAdmission(ApiServer::Parts& parts) {
  AdmissionChain& chain = parts.admission;
  chain.Add(NamespaceLifecycle(parts.registry));
  chain.Add(LimitRanger(parts.registry));
  chain.Add(ServiceAccountAdmission(parts.registry));
  chain.Add(DefaultTolerationSeconds(parts.options.default_toleration_seconds));
  chain.Add(PriorityAdmission(parts.registry));
  chain.Add(RuntimeClassAdmission(parts.registry));
  chain.Add(NodeRestriction(parts.registry));
  chain.Add(PodSecurity(parts.registry));
  chain.Add(CertificateAdmission(parts.authorizer));
  chain.Add(RbacEscalation(parts.registry, parts.rbac, parts.authorizer));
  chain.Add(StorageAdmission(parts.registry));
  chain.Add(StorageProtection());
  // Last: what is refused for another reason is not charged.
  chain.Add(ResourceQuotaAdmission(parts.registry));
}

void AddPaths(ApiServer::Parts& parts) {
  parts.health.Add("ping", [] { return Status(); }, false);
  parts.health.Add("log", [] { return Status(); }, false);
  parts.health.Add(
      "etcd",
      [&parts] {
        const Status fed = parts.caches.health();
        store::SharedStore* const shared = parts.store.shared();
        return fed.ok() && shared != nullptr ? shared->health() : fed;
      },
      false);
  parts.health.Add(
      "poststarthook/rbac/bootstrap-roles",
      [&parts] { return parts.started ? Status() : Unavailable("not finished"); }, false);
  parts.health.Add(
      "informer-sync", [&parts] { return parts.started ? Status() : Unavailable("not synced"); },
      true);
  parts.health.Add(
      "shutdown",
      [&parts] { return parts.stopping.token().cancelled() ? Unavailable("stopping") : Status(); },
      true);
  for (const char* path : {"/livez", "/readyz", "/healthz"}) {
    PathHandler handler = Plain([&parts](const ResourceRequest& request) {
      return parts.health.Answer(request.info.path, request.query);
    });
    parts.chain.AddRoute(path, handler);
    parts.chain.AddRoute(std::string(path) + "/", handler);
  }
  PathHandler version =
      Plain([](const ResourceRequest&) { return JsonResponse(200, PrettyJson(VersionJson())); });
  parts.chain.AddRoute("/version", version);
  parts.chain.AddRoute("/version/", version);
  PathHandler discovery = Plain([&parts](const ResourceRequest& request) {
    return AnswerDiscovery(parts.discovery, request);
  });
  for (const char* path : {"/api", "/apis"}) {
    parts.chain.AddRoute(path, discovery);
    parts.chain.AddRoute(std::string(path) + "/", discovery);
  }
  PathHandler open_api = Plain([&parts](const ResourceRequest& request) {
    return AnswerOpenApi(parts.open_api, request, parts.env.Now());
  });
  parts.chain.AddRoute("/openapi/v2", open_api);
  parts.chain.AddRoute("/openapi/v3", open_api);
  parts.chain.AddRoute("/openapi/v3/", open_api);
  parts.chain.AddRoute("/metrics", Plain([](const ResourceRequest&) {
                         Response response = TextResponse(200, MetricRegistry::Default().Text());
                         response.headers.Set("Content-Type",
                                              "text/plain; version=0.0.4; charset=utf-8");
                         return response;
                       }));
  parts.chain.AddRoute("/openid/v1/jwks", Plain([&parts](const ResourceRequest&) {
                         Response response =
                             JsonResponse(200, pki::JwkSet(parts.options.service_account_keys));
                         response.headers.Set("Content-Type", "application/jwk-set+json");
                         return response;
                       }));
  parts.chain.AddRoute(
      "/.well-known/openid-configuration", Plain([&parts](const ResourceRequest&) {
        api::JsonValue document = api::JsonValue::MakeObject();
        const std::string issuer = IssuerOf(parts.options);
        document["issuer"] = issuer;
        document["jwks_uri"] = "https://" + UrlHost(parts.options.advertise_address) + ":" +
                               std::to_string(parts.options.advertise_port) + "/openid/v1/jwks";
        document["response_types_supported"] = api::JsonValue::Array{"id_token"};
        document["subject_types_supported"] = api::JsonValue::Array{"public"};
        document["id_token_signing_alg_values_supported"] = api::JsonValue::Array{"ES256", "RS256"};
        return JsonResponse(200, document.ToString());
      }));
  parts.chain.AddRoute("/", Plain([&parts](const ResourceRequest&) {
                         api::JsonValue::Array paths;
                         for (const std::string& path : parts.chain.Paths())
                           paths.emplace_back(path);
                         api::JsonValue document = api::JsonValue::MakeObject();
                         document["paths"] = std::move(paths);
                         return JsonResponse(200, PrettyJson(document.ToString()));
                       }));
}

std::vector<const api::KindInfo*> StoredKinds() {
  std::vector<const api::KindInfo*> kinds;
  for (const ResourceRow& row : AllResources()) {
    if (row.kind == row.kind->storage_kind && !row.kind->storage_prefix.empty())
      kinds.push_back(row.kind);
  }
  return kinds;
}

}  // namespace

ApiServer::ApiServer(Env& env, store::Store& store, ApiServerOptions options)
    : parts_(std::make_unique<Parts>(env, store, std::move(options))) {
  Parts& parts = *parts_;
  AddIndexes(&parts.caches);
  AddAdmission(parts);
  AddPaths(parts);
}

ApiServer::~ApiServer() = default;

Task<Status> ApiServer::Start() {
  Parts& parts = *parts_;
  Status configured = parts.allocators.Configure(parts.options.service_cidr);
  if (!configured.ok()) co_return configured;
  Status loaded = co_await parts.caches.Start(StoredKinds());
  if (!loaded.ok()) co_return loaded;
  BootstrapOptions bootstrap;
  bootstrap.advertise_address = parts.options.advertise_address;
  bootstrap.advertise_port = parts.options.advertise_port;
  bootstrap.ca_pem = parts.options.ca_pem;
  Status written =
      co_await WriteBootstrapObjects(parts.registry, parts.allocators, std::move(bootstrap));
  if (!written.ok()) co_return written;
  if (store::SharedStore* shared = parts.store.shared()) {
    ServerAddress own(parts.options.advertise_address, parts.options.advertise_port);
    parts.endpoints = std::make_unique<ServerEndpoints>(parts.registry, *shared, std::move(own));
    Status listed = co_await parts.endpoints->Start();
    if (!listed.ok()) co_return listed;
  }
  Spawn(parts.env.executor(), parts.gate, "expiry",
        ExpireObjects(parts.registry, parts.stopping.token()));
  parts.started = true;
  co_return Status();
}

Task<> ApiServer::Stop() {
  parts_->started = false;
  parts_->stopping.Cancel();
  if (parts_->endpoints) co_await parts_->endpoints->Stop();
  co_await parts_->gate.Close(parts_->env);
  co_await parts_->caches.Stop();
}

void ApiServer::AddRoute(std::string path, PathHandler handler) {
  parts_->chain.AddRoute(std::move(path), std::move(handler));
}

void ApiServer::AddReadyCheck(std::string name, std::function<Status()> check) {
  parts_->health.Add(std::move(name), std::move(check), true);
}

Result<std::string> ApiServer::IssueSecretToken(const api::core::v1::ServiceAccount& account,
                                                const api::core::v1::Secret& secret) const {
  return parts_->tokens.IssueForSecret(account, secret);
}

Handler& ApiServer::handler() { return parts_->chain; }
Registry& ApiServer::registry() { return parts_->registry; }
Authorizer& ApiServer::authorizer() { return parts_->authorizer; }
store::WatchCaches& ApiServer::caches() { return parts_->caches; }

std::unique_ptr<client::Client> ApiServer::ClientFor(UserInfo user) {
  return std::make_unique<LocalClient>(parts_->verbs, parts_->authorizer, std::move(user));
}

}  // namespace gantry::apiserver
