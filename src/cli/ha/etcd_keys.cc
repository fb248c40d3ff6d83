#include "cli/ha/etcd_keys.h"

#include "cli/key_files.h"

namespace gantry::cli {
namespace {

namespace pki = apiserver::pki;

constexpr Duration kLifetime = std::chrono::hours(24 * 3650);

// Members are servers and clients of each other.
Result<pki::KeyPair> IssueMember(Env& env, const pki::Authority& authority,
                                 const std::vector<std::string>& names) {
  GANTRY_ASSIGN(const pki::Key key, pki::Key::Generate());
  GANTRY_ASSIGN(const std::string request, pki::MakeRequest(key, "gantry-etcd", {}, names));
  pki::KeyPair pair;
  GANTRY_ASSIGN(pair.private_key_pem, key.PrivatePem());
  GANTRY_ASSIGN(pair.certificate_pem,
                authority.SignRequest(
                    env, request, {"digital signature", "server auth", "client auth"}, kLifetime));
  return pair;
}

}  // namespace

Status MakeEtcdAuthority(Env& env, const DataDir& dir) {
  if (ReadKeyPair(dir, "etcd/ca").ok()) return Status::Ok();
  GANTRY_ASSIGN(const pki::Authority made, pki::Authority::Create(env, "gantry-etcd-ca"));
  return WriteKeyPair(dir, "etcd/ca", made.pair());
}

Status KeepEtcdAuthority(const DataDir& dir, const pki::KeyPair& authority) {
  GANTRY_TRY(pki::Authority::Load(authority));
  return WriteKeyPair(dir, "etcd/ca", authority);
}

Result<pki::KeyPair> ReadEtcdAuthority(const DataDir& dir) { return ReadKeyPair(dir, "etcd/ca"); }

Status IssueEtcdCertificates(Env& env, const DataDir& dir, const std::vector<std::string>& names) {
  GANTRY_ASSIGN(const pki::KeyPair ca, ReadKeyPair(dir, "etcd/ca"));
  // Certificates of another authority than the one that is there are of no use.
  std::string wanted = ca.certificate_pem;
  for (const std::string& name : names)
    wanted += name + "\n";
  if (dir.Read("etcd/names").value_or("") == wanted && ReadKeyPair(dir, "etcd/member").ok() &&
      ReadKeyPair(dir, "etcd/client").ok())
    return Status::Ok();
  GANTRY_ASSIGN(const pki::Authority authority, pki::Authority::Load(ca));
  GANTRY_ASSIGN(const pki::KeyPair member, IssueMember(env, authority, names));
  GANTRY_ASSIGN(const pki::KeyPair client,
                authority.IssueClient(env, "gantry-server", {}, kLifetime));
  GANTRY_TRY(WriteKeyPair(dir, "etcd/member", member));
  GANTRY_TRY(WriteKeyPair(dir, "etcd/client", client));
  return dir.Write("etcd/names", wanted);
}

Result<store::EtcdOptions> EtcdAccess(const std::string& data_dir) {
  store::EtcdOptions options;
  options.tls = true;
  GANTRY_ASSIGN(options.ca_pem, ReadWholeFile(data_dir + "/etcd/ca.crt"));
  GANTRY_ASSIGN(options.certificate_pem, ReadWholeFile(data_dir + "/etcd/client.crt"));
  GANTRY_ASSIGN(options.private_key_pem, ReadWholeFile(data_dir + "/etcd/client.key"));
  return options;
}

}  // namespace gantry::cli
