#include "cli/join.h"

#include "api/certificates/v1/signing_request.pb.h"
#include "api/json_value.h"
#include "apiserver/pki/certificates.h"
#include "apiserver/pki/keys.h"
#include "base/env/notifier.h"
#include "base/log.h"
#include "client/http/http_client.h"
#include "client/kubeconfig.h"
#include "client/typed.h"

namespace gantry::cli {
namespace {

namespace pki = apiserver::pki;
using CertificateRequest = api::certificates::v1::CertificateSigningRequest;

constexpr Duration kRenewBefore = std::chrono::hours(24 * 30);
constexpr Duration kSigningTimeout = std::chrono::seconds(60);

Result<NodeIdentity> Kept(Env& env, const DataDir& dir, const std::string& node_name) {
  NodeIdentity identity;
  GANTRY_ASSIGN(identity.ca_pem, dir.Read("pki/ca.crt"));
  GANTRY_ASSIGN(identity.certificate_pem, dir.Read("pki/node.crt"));
  GANTRY_ASSIGN(identity.private_key_pem, dir.Read("pki/node.key"));
  GANTRY_ASSIGN(const pki::CertificateInfo info, pki::ParseCertificate(identity.certificate_pem));
  if (info.common_name != "system:node:" + node_name || info.not_after < env.Now() + kRenewBefore) {
    return Status(Code::kNotFound, "the node's certificate is for another name or ends soon");
  }
  return identity;
}

// The CA as the server's public cluster-info names it. The connection is not verified: the pin is
// what decides.
Task<Result<std::string>> FetchCa(Env& env, std::string server, std::string pin) {
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
  GANTRY_CO_ASSIGN(const api::JsonValue info, api::JsonValue::Parse(reply->body));
  const api::JsonValue* data = info.Find("data");
  const api::JsonValue* text = data ? data->Find("kubeconfig") : nullptr;
  if (reply->status != 200 || text == nullptr || !text->is_string()) {
    co_return Status(Code::kUnavailable,
                     server + " does not say who it is (no cluster-info): is it a gantry server?");
  }
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

}  // namespace

Task<Result<NodeIdentity>> JoinCluster(Env& env, const DataDir& dir, std::string server,
                                       JoinToken token, std::string node_name) {
  Result<NodeIdentity> kept = Kept(env, dir, node_name);
  if (kept.ok()) co_return kept;
  NodeIdentity identity;
  GANTRY_CO_ASSIGN(identity.ca_pem, co_await FetchCa(env, server, token.ca_pin));
  GANTRY_CO_ASSIGN(const pki::Key key, pki::Key::Generate());
  GANTRY_CO_ASSIGN(identity.private_key_pem, key.PrivatePem());
  const std::vector<std::string> groups = {"system:nodes"};
  const std::vector<std::string> no_names;
  GANTRY_CO_ASSIGN(std::string request,
                   pki::MakeRequest(key, "system:node:" + node_name, groups, no_names));

  wire::TlsClientOptions tls;
  tls.ca_pem = identity.ca_pem;
  client::HttpTransportOptions options;
  options.servers = {server};
  options.bearer_token = token.Bearer();
  GANTRY_CO_ASSIGN(options.tls, wire::TlsContext::Client(tls));
  auto transport = std::make_shared<client::HttpTransport>(env, options);
  client::HttpClient client(env, transport);
  Result<std::string> certificate = co_await AskForCertificate(env, client, std::move(request));
  co_await transport->Stop();
  if (!certificate.ok()) co_return certificate.status();
  identity.certificate_pem = std::move(certificate).value();
  GANTRY_CO_TRY(dir.Write("pki/ca.crt", identity.ca_pem));
  GANTRY_CO_TRY(dir.Write("pki/node.key", identity.private_key_pem));
  GANTRY_CO_TRY(dir.Write("pki/node.crt", identity.certificate_pem));
  co_return identity;
}

Result<client::HttpTransportOptions> TransportFor(const std::string& server,
                                                  const NodeIdentity& identity) {
  wire::TlsClientOptions tls;
  tls.ca_pem = identity.ca_pem;
  tls.certificate_pem = identity.certificate_pem;
  tls.private_key_pem = identity.private_key_pem;
  client::HttpTransportOptions options;
  options.servers = {server};
  GANTRY_ASSIGN(options.tls, wire::TlsContext::Client(tls));
  return options;
}

}  // namespace gantry::cli
