#include "cli/credentials.h"

#include "cli/key_files.h"
#include "client/kubeconfig.h"

namespace gantry::cli {
namespace {

namespace pki = apiserver::pki;

constexpr Duration kYear = std::chrono::hours(24 * 365);
constexpr Duration kRenewBefore = std::chrono::hours(24 * 30);

Result<pki::Authority> LoadAuthority(Env& env, const DataDir& dir) {
  Result<pki::KeyPair> pair = ReadKeyPair(dir, "pki/ca");
  if (pair.ok()) return pki::Authority::Load(*pair);
  if (pair.code() != Code::kNotFound) return pair.status();
  GANTRY_ASSIGN(pki::Authority made, pki::Authority::Create(env, "gantry-ca"));
  GANTRY_TRY(WriteKeyPair(dir, "pki/ca", made.pair()));
  return made;
}

bool IsFresh(Env& env, const std::string& certificate) {
  Result<pki::CertificateInfo> info = pki::ParseCertificate(certificate);
  return info.ok() && info->not_after > env.Now() + kRenewBefore;
}

Result<pki::KeyPair> LoadServer(Env& env, const DataDir& dir, const pki::Authority& authority,
                                const std::vector<std::string>& names) {
  std::string wanted;
  for (const std::string& name : names)
    wanted += name + "\n";
  Result<pki::KeyPair> pair = ReadKeyPair(dir, "pki/server");
  Result<std::string> had = dir.Read("pki/server.names");
  if (pair.ok() && had.ok() && *had == wanted && IsFresh(env, pair->certificate_pem)) return pair;
  GANTRY_ASSIGN(pki::KeyPair made, authority.IssueServer(env, "gantry", names, kYear));
  GANTRY_TRY(WriteKeyPair(dir, "pki/server", made));
  GANTRY_TRY(dir.Write("pki/server.names", wanted));
  return made;
}

Result<pki::KeyPair> LoadAdmin(Env& env, const DataDir& dir, const pki::Authority& authority) {
  Result<pki::KeyPair> pair = ReadKeyPair(dir, "pki/admin");
  if (pair.ok() && IsFresh(env, pair->certificate_pem)) return pair;
  GANTRY_ASSIGN(pki::KeyPair made,
                authority.IssueClient(env, "kubernetes-admin", {"system:masters"}, kYear));
  GANTRY_TRY(WriteKeyPair(dir, "pki/admin", made));
  return made;
}

Result<pki::Key> LoadServiceAccountKey(const DataDir& dir) {
  Result<std::string> pem = dir.Read("pki/service-account.key");
  if (pem.ok()) return pki::Key::FromPrivatePem(*pem);
  if (pem.code() != Code::kNotFound) return pem.status();
  GANTRY_ASSIGN(pki::Key key, pki::Key::Generate());
  GANTRY_ASSIGN(std::string text, key.PrivatePem());
  GANTRY_TRY(dir.Write("pki/service-account.key", text));
  return key;
}

// `wanted`: the token that the user asked for; empty: the one that is kept, or a new one.
Result<JoinToken> LoadJoinToken(Env& env, const DataDir& dir, const pki::Authority& authority,
                                const std::string& wanted) {
  Result<std::string> kept = dir.Read("token");
  if (!kept.ok() && kept.code() != Code::kNotFound) return kept.status();
  JoinToken token;
  if (!wanted.empty()) {
    GANTRY_ASSIGN(token, JoinToken::Parse(wanted));
  } else if (kept.ok()) {
    GANTRY_ASSIGN(token, JoinToken::Parse(*kept));
  } else {
    token.id = RandomNameSuffix(env, 6);
    token.secret = RandomNameSuffix(env, 16);
  }
  token.ca_pin = authority.PublicKeyPin();
  const std::string text = token.ToString() + "\n";
  if (!kept.ok() || *kept != text) GANTRY_TRY(dir.Write("token", text));
  return token;
}

}  // namespace

Result<Credentials> Credentials::LoadOrCreate(Env& env, const DataDir& dir,
                                              const std::vector<std::string>& server_names,
                                              const std::string& join_token) {
  GANTRY_ASSIGN(pki::Authority authority, LoadAuthority(env, dir));
  GANTRY_ASSIGN(pki::KeyPair server, LoadServer(env, dir, authority, server_names));
  GANTRY_ASSIGN(pki::KeyPair admin, LoadAdmin(env, dir, authority));
  GANTRY_ASSIGN(pki::Key key, LoadServiceAccountKey(dir));
  GANTRY_ASSIGN(JoinToken token, LoadJoinToken(env, dir, authority, join_token));
  return Credentials{std::move(authority), std::move(server), std::move(admin), std::move(key),
                     std::move(token)};
}

std::string KubeconfigText(const std::string& server_url, const std::string& ca_pem,
                           const pki::KeyPair& client, const std::string& user_name) {
  client::Kubeconfig::Cluster cluster;
  cluster.server = server_url;
  cluster.certificate_authority = ca_pem;
  client::Kubeconfig::User user;
  user.name = user_name;
  user.client_certificate = client.certificate_pem;
  user.client_key = client.private_key_pem;
  return client::WriteKubeconfig(
      client::Kubeconfig::Single("gantry", std::move(cluster), std::move(user)));
}

}  // namespace gantry::cli
