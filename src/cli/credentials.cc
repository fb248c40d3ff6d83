#include "cli/credentials.h"

#include <openssl/evp.h>

#include <algorithm>

namespace gantry::cli {
namespace {

namespace pki = apiserver::pki;

constexpr Duration kYear = std::chrono::hours(24 * 365);
constexpr Duration kRenewBefore = std::chrono::hours(24 * 30);

Result<pki::KeyPair> ReadPair(const DataDir& dir, const std::string& name) {
  GANTRY_ASSIGN(std::string certificate, dir.Read("pki/" + name + ".crt"));
  GANTRY_ASSIGN(std::string key, dir.Read("pki/" + name + ".key"));
  return pki::KeyPair{std::move(certificate), std::move(key)};
}

// The key goes first: a certificate that is there has its key.
Status WritePair(const DataDir& dir, const std::string& name, const pki::KeyPair& pair) {
  GANTRY_TRY(dir.Write("pki/" + name + ".key", pair.private_key_pem));
  return dir.Write("pki/" + name + ".crt", pair.certificate_pem);
}

Result<pki::Authority> LoadAuthority(Env& env, const DataDir& dir) {
  Result<pki::KeyPair> pair = ReadPair(dir, "ca");
  if (pair.ok()) return pki::Authority::Load(*pair);
  if (pair.code() != Code::kNotFound) return pair.status();
  GANTRY_ASSIGN(pki::Authority made, pki::Authority::Create(env, "gantry-ca"));
  GANTRY_TRY(WritePair(dir, "ca", made.pair()));
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
  Result<pki::KeyPair> pair = ReadPair(dir, "server");
  Result<std::string> had = dir.Read("pki/server.names");
  if (pair.ok() && had.ok() && *had == wanted && IsFresh(env, pair->certificate_pem)) return pair;
  GANTRY_ASSIGN(pki::KeyPair made, authority.IssueServer(env, "gantry", names, kYear));
  GANTRY_TRY(WritePair(dir, "server", made));
  GANTRY_TRY(dir.Write("pki/server.names", wanted));
  return made;
}

Result<pki::KeyPair> LoadAdmin(Env& env, const DataDir& dir, const pki::Authority& authority) {
  Result<pki::KeyPair> pair = ReadPair(dir, "admin");
  if (pair.ok() && IsFresh(env, pair->certificate_pem)) return pair;
  GANTRY_ASSIGN(pki::KeyPair made,
                authority.IssueClient(env, "kubernetes-admin", {"system:masters"}, kYear));
  GANTRY_TRY(WritePair(dir, "admin", made));
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

Result<std::string> LoadJoinToken(Env& env, const DataDir& dir) {
  Result<std::string> token = dir.Read("token");
  if (token.ok()) {
    while (!token->empty() && token->back() == '\n')
      token->pop_back();
    return token;
  }
  if (token.code() != Code::kNotFound) return token.status();
  // The form of a bootstrap token: a public id of 6, a secret of 16 letters.
  const std::string made = RandomNameSuffix(env, 6) + "." + RandomNameSuffix(env, 16);
  GANTRY_TRY(dir.Write("token", made + "\n"));
  return made;
}

std::string Base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(text.data()),
                  static_cast<int>(text.size()));
  return out;
}

}  // namespace

Result<Credentials> Credentials::LoadOrCreate(Env& env, const DataDir& dir,
                                              const std::vector<std::string>& server_names) {
  GANTRY_ASSIGN(pki::Authority authority, LoadAuthority(env, dir));
  GANTRY_ASSIGN(pki::KeyPair server, LoadServer(env, dir, authority, server_names));
  GANTRY_ASSIGN(pki::KeyPair admin, LoadAdmin(env, dir, authority));
  GANTRY_ASSIGN(pki::Key key, LoadServiceAccountKey(dir));
  GANTRY_ASSIGN(std::string token, LoadJoinToken(env, dir));
  return Credentials{std::move(authority), std::move(server), std::move(admin), std::move(key),
                     std::move(token)};
}

std::string KubeconfigText(const std::string& server_url, const std::string& ca_pem,
                           const pki::KeyPair& client, const std::string& user) {
  return "apiVersion: v1\nkind: Config\nclusters:\n- name: gantry\n  cluster:\n    server: " +
         server_url + "\n    certificate-authority-data: " + Base64(ca_pem) +
         "\ncontexts:\n- name: gantry\n  context:\n    cluster: gantry\n    user: " + user +
         "\ncurrent-context: gantry\nusers:\n- name: " + user +
         "\n  user:\n    client-certificate-data: " + Base64(client.certificate_pem) +
         "\n    client-key-data: " + Base64(client.private_key_pem) + "\n";
}

}  // namespace gantry::cli
