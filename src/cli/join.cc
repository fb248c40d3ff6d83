#include "cli/join.h"

#include "api/certificates/v1/signing_request.pb.h"
#include "api/duration.h"
#include "api/json_value.h"
#include "apiserver/pki/certificates.h"
#include "apiserver/pki/keys.h"
#include "base/env/notifier.h"
#include "base/log.h"
#include "cli/version.h"
#include "client/http/http_client.h"
#include "client/http/reply_status.h"
#include "client/kubeconfig.h"
#include "client/typed.h"

namespace gantry::cli {
namespace {

namespace pki = apiserver::pki;
using CertificateRequest = api::certificates::v1::CertificateSigningRequest;

constexpr Duration kSigningTimeout = std::chrono::seconds(60);
// Certificates begin this long before they are issued (apiserver/pki).
constexpr Duration kBackdate = std::chrono::minutes(5);
constexpr Duration kClockTolerance = std::chrono::seconds(30);
// Certificate and key in one file, so that they are replaced together.
constexpr char kIdentityFile[] = "pki/node.pem";

std::string ClockHint(Env& env) {
  return "; check this machine's clock, which says " + api::FormatTime(env.Now());
}

// A failed connection, with what to do about it.
Status Explain(Env& env, const Status& status) {
  const std::string& message = status.message();
  const bool clock = message.find("not yet valid") != std::string::npos ||
                     message.find("expired") != std::string::npos;
  return clock ? Status(status.code(), message + ClockHint(env)) : status;
}

Result<NodeIdentity> ReadIdentity(const DataDir& dir) {
  NodeIdentity identity;
  GANTRY_ASSIGN(identity.ca_pem, dir.Read("pki/ca.crt"));
  GANTRY_ASSIGN(const std::string both, dir.Read(kIdentityFile));
  const size_t key = both.find("-----BEGIN PRIVATE KEY");
  const size_t begin = key == std::string::npos ? both.find("-----BEGIN EC PRIVATE KEY") : key;
  if (begin == std::string::npos) return DataLoss(dir.File(kIdentityFile) + " holds no key");
  identity.certificate_pem = both.substr(0, begin);
  identity.private_key_pem = both.substr(begin);
  return identity;
}

Status WriteIdentity(const DataDir& dir, const NodeIdentity& identity) {
  GANTRY_TRY(dir.Write("pki/ca.crt", identity.ca_pem));
  return dir.Write(kIdentityFile, identity.certificate_pem + identity.private_key_pem);
}

// kNotFound: there is none that can be used, and a new one has to be asked for.
Result<NodeIdentity> Kept(Env& env, const DataDir& dir, const JoinToken& token,
                          const std::string& node_name) {
  GANTRY_ASSIGN(NodeIdentity identity, ReadIdentity(dir));
  GANTRY_ASSIGN(const pki::CertificateInfo info, pki::ParseCertificate(identity.certificate_pem));
  GANTRY_ASSIGN(const pki::CertificateInfo ca, pki::ParseCertificate(identity.ca_pem));
  if (!token.ca_pin.empty() && ca.public_key_pin != token.ca_pin) {
    return Status(Code::kForbidden,
                  "data directory " + dir.path() + " belongs to a cluster with another CA (" +
                      ca.public_key_pin + ") than the token names (" + token.ca_pin +
                      "): give the token of that cluster, or another --data-dir");
  }
  if (info.common_name != "system:node:" + node_name)
    return Status(Code::kNotFound, "the node's certificate is for another name");
  if (info.not_before > env.Now()) {
    return Status(Code::kForbidden, "the node's certificate is valid only from " +
                                        api::FormatTime(info.not_before) + ClockHint(env));
  }
  if (info.not_after <= env.Now()) {
    log::Warning("join", "the node's certificate has ended; asking for another",
                 {{"ended", api::FormatTime(info.not_after)}});
    return Status(Code::kNotFound, "the node's certificate has ended");
  }
  return identity;
}

Status NoGantry(const std::string& server) {
  return Status(Code::kUnavailable,
                server + " does not say who it is (no cluster-info): is it a gantry server?");
}

// The CA as the server's public cluster-info names it. The connection is not verified: the pin is
// what decides.
Task<Result<std::string>> FetchCaFrom(Env& env, std::string server, std::string pin) {
  wire::TlsClientOptions tls;
  tls.insecure_skip_verify = true;
  client::HttpTransportOptions options;
  options.servers = {server};
  GANTRY_CO_ASSIGN(options.tls, wire::TlsContext::Client(tls));
  client::HttpTransport transport(env, options);
  client::HttpRequest request("GET", "/api/v1/namespaces/kube-public/configmaps/cluster-info");
  request.headers.Set("accept", "application/json");
  Result<client::HttpReply> reply = co_await transport.Fetch(std::move(request));
  co_await transport.Stop();
  if (!reply.ok()) co_return reply.status().WithContext("cannot reach " + server);
  if (reply->status != 200) co_return NoGantry(server);
  GANTRY_CO_ASSIGN(const api::JsonValue info, api::JsonValue::Parse(reply->body));
  const api::JsonValue* data = info.Find("data");
  const api::JsonValue* text = data ? data->Find("kubeconfig") : nullptr;
  if (text == nullptr || !text->is_string()) co_return NoGantry(server);
  GANTRY_CO_ASSIGN(const client::Kubeconfig config,
                   client::ParseKubeconfig(text->as_string(), std::string()));
  if (config.clusters.empty()) co_return DataLoss(server + " has an empty cluster-info");
  std::string ca_pem = config.clusters.front().certificate_authority;
  GANTRY_CO_ASSIGN(const pki::CertificateInfo ca, pki::ParseCertificate(ca_pem));
  if (pin.empty()) {
    log::Warning("join", "the token names no CA: trusting the first server that answers",
                 {{"server", server}, {"ca", ca.public_key_pin}});
  } else if (ca.public_key_pin != pin) {
    co_return Status(Code::kForbidden, server + " has another CA (" + ca.public_key_pin +
                                           ") than the token names (" + pin +
                                           "): wrong server, or a token of another cluster");
  }
  if (ca.not_before > env.Now()) {
    co_return Status(Code::kForbidden, "the cluster's CA is valid only from " +
                                           api::FormatTime(ca.not_before) + ClockHint(env));
  }
  if (ca.not_after <= env.Now()) {
    co_return Status(Code::kForbidden, "the cluster's CA has ended at " +
                                           api::FormatTime(ca.not_after) + ClockHint(env));
  }
  co_return ca_pem;
}

Task<Result<std::string>> AskForCertificate(Env& env, client::Client& client,
                                            std::string request_pem) {
  CertificateRequest request;
  request.mutable_metadata()->set_generate_name("node-csr-");
  request.mutable_spec()->set_request(request_pem);
  request.mutable_spec()->set_signer_name("kubernetes.io/kube-apiserver-client-kubelet");
  request.mutable_spec()->add_usages("digital signature");
  request.mutable_spec()->add_usages("client auth");
  Result<api::Ref<CertificateRequest>> made = co_await client::Create(client, std::move(request));
  if (!made.ok()) co_return made.status().WithContext("cannot ask for the node's certificate");
  const std::string name = (*made)->metadata().name();
  for (const SteadyTime end = env.Steady() + kSigningTimeout; env.Steady() < end;) {
    Result<api::Ref<CertificateRequest>> now =
        co_await client::Get<CertificateRequest>(client, "", name);
    if (now.ok() && !(*now)->status().certificate().empty())
      co_return (*now)->status().certificate();
    co_await SleepFor(env, std::chrono::milliseconds(100));
  }
  co_return Status(Code::kTimeout,
                   "certificate request " + name +
                       " was not approved in time; approve it with: kubectl certificate approve " +
                       name);
}

// A new key, and a certificate for it that `client` asks for.
Task<Result<NodeIdentity>> MakeIdentity(Env& env, client::Client& client, std::string ca_pem,
                                        std::string node_name) {
  NodeIdentity identity;
  identity.ca_pem = std::move(ca_pem);
  GANTRY_CO_ASSIGN(const pki::Key key, pki::Key::Generate());
  GANTRY_CO_ASSIGN(identity.private_key_pem, key.PrivatePem());
  const std::vector<std::string> groups = {"system:nodes"};
  const std::vector<std::string> no_names;
  GANTRY_CO_ASSIGN(std::string request,
                   pki::MakeRequest(key, "system:node:" + node_name, groups, no_names));
  GANTRY_CO_ASSIGN(identity.certificate_pem,
                   co_await AskForCertificate(env, client, std::move(request)));
  co_return identity;
}

}  // namespace

Task<Result<std::string>> FetchCa(Env& env, std::vector<std::string> servers, std::string pin) {
  Status problems;
  for (const std::string& server : servers) {
    Result<std::string> ca = co_await FetchCaFrom(env, server, pin);
    if (ca.ok() || ca.code() == Code::kForbidden) co_return ca;
    problems = problems.ok() ? ca.status()
                             : Status(ca.code(), problems.message() + "; " + ca.status().message());
  }
  co_return problems;
}

Result<client::HttpTransportOptions> TransportFor(const std::vector<std::string>& servers,
                                                  const std::string& ca_pem,
                                                  const JoinToken& token) {
  wire::TlsClientOptions tls;
  tls.ca_pem = ca_pem;
  client::HttpTransportOptions options;
  options.servers = servers;
  options.bearer_token = token.Bearer();
  GANTRY_ASSIGN(options.tls, wire::TlsContext::Client(tls));
  return options;
}

Task<Result<NodeIdentity>> JoinCluster(Env& env, const DataDir& dir,
                                       std::vector<std::string> servers, JoinToken token,
                                       std::string node_name) {
  Result<NodeIdentity> kept = Kept(env, dir, token, node_name);
  if (kept.ok() || kept.code() != Code::kNotFound) co_return kept;
  GANTRY_CO_ASSIGN(std::string ca_pem, co_await FetchCa(env, servers, token.ca_pin));
  GANTRY_CO_ASSIGN(client::HttpTransportOptions options, TransportFor(servers, ca_pem, token));
  auto transport = std::make_shared<client::HttpTransport>(env, options);
  client::HttpClient client(env, transport);
  Result<NodeIdentity> identity = co_await MakeIdentity(env, client, std::move(ca_pem), node_name);
  co_await transport->Stop();
  if (identity.code() == Code::kUnauthorized) {
    co_return Status(Code::kUnauthorized,
                     "the cluster does not know the token, or it has expired: make one on a server "
                     "with: gantry token create");
  }
  if (!identity.ok()) co_return Explain(env, identity.status());
  GANTRY_CO_TRY(WriteIdentity(dir, *identity));
  co_return identity;
}

Task<Result<NodeIdentity>> RenewIdentity(Env& env, const DataDir& dir, client::Client& client,
                                         std::string ca_pem, std::string node_name) {
  GANTRY_CO_ASSIGN(NodeIdentity identity,
                   co_await MakeIdentity(env, client, std::move(ca_pem), std::move(node_name)));
  GANTRY_CO_TRY(WriteIdentity(dir, identity));
  co_return identity;
}

Result<WallTime> RenewalTime(Env& env, const std::string& certificate_pem) {
  GANTRY_ASSIGN(const pki::CertificateInfo info, pki::ParseCertificate(certificate_pem));
  const Duration life = info.not_after - (info.not_before + kBackdate);
  const auto rest = static_cast<int64_t>(100 + RandomBelow(env, 201));  // thousandths
  return info.not_after - life / 1000 * rest;
}

bool HasEnded(Env& env, const std::string& certificate_pem) {
  const Result<pki::CertificateInfo> info = pki::ParseCertificate(certificate_pem);
  return info.ok() && info->not_after <= env.Now();
}

Result<client::HttpTransportOptions> TransportFor(const std::vector<std::string>& servers,
                                                  const NodeIdentity& identity) {
  wire::TlsClientOptions tls;
  tls.ca_pem = identity.ca_pem;
  tls.certificate_pem = identity.certificate_pem;
  tls.private_key_pem = identity.private_key_pem;
  client::HttpTransportOptions options;
  options.servers = servers;
  options.user_agent = "gantry-agent/" + std::string(ProgramVersion());
  options.headers.Add(kVersionHeader, std::string(ProgramVersion()));
  options.dial_timeout = std::chrono::seconds(3);
  options.ping_after = std::chrono::seconds(10);
  options.ping_timeout = std::chrono::seconds(5);
  GANTRY_ASSIGN(options.tls, wire::TlsContext::Client(tls));
  return options;
}

Task<Result<ClusterFacts>> FetchClusterFacts(Env& env, client::HttpTransport& transport,
                                             Duration timeout) {
  client::HttpRequest request("GET", kClusterPath);
  request.headers.Add("Accept", "application/json");
  CancelSource late;
  std::unique_ptr<TimerHandle> timer =
      env.CallAt(env.Steady() + timeout, [late]() mutable { late.Cancel(); });
  Result<client::HttpReply> reply = co_await transport.Fetch(std::move(request), late.token());
  if (reply.code() == Code::kCanceled) co_return Unavailable("no server answers");
  if (!reply.ok()) co_return Explain(env, reply.status());
  if (reply->status == 404) {
    GANTRY_CO_TRY(CheckVersions("0.0", ProgramVersion()));
    co_return ClusterFacts();  // a server from before there was such a page
  }
  if (reply->status != 200) co_return client::StatusOfReply(reply->status, reply->body);
  GANTRY_CO_ASSIGN(ClusterFacts facts, ReadClusterFacts(reply->body));
  const Duration ahead = env.Now() - facts.now;
  if (ahead > kClockTolerance || ahead < -kClockTolerance) {
    log::Warning("join", "this machine's clock and the server's differ; check them",
                 {{"here", api::FormatTime(env.Now())}, {"server", api::FormatTime(facts.now)}});
  }
  co_return facts;
}

}  // namespace gantry::cli
