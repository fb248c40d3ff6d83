#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/pki/keys.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::apiserver::pki {

// A certificate with its private key, both as PEM.
struct KeyPair {
  std::string certificate_pem;
  std::string private_key_pem;
};

// A certificate authority. Threading: immutable.
class Authority {
 public:
  // Makes a new one (ECDSA P-256, ten years).
  static Result<Authority> Create(Env& env, std::string common_name);
  static Result<Authority> Load(const KeyPair& pair);

  const std::string& certificate_pem() const { return pair_.certificate_pem; }
  const KeyPair& pair() const { return pair_; }
  // "sha256:..." over the certificate's public key, as `kubeadm` tokens pin it.
  std::string PublicKeyPin() const;

  // A server's certificate for these names and addresses.
  Result<KeyPair> IssueServer(Env& env, std::string common_name, std::vector<std::string> names,
                              Duration lifetime) const;
  // A client's: user name and groups.
  Result<KeyPair> IssueClient(Env& env, std::string user, std::vector<std::string> groups,
                              Duration lifetime) const;
  // Signs a request as it stands (its subject and its names) for `usages` as certificates.k8s.io/v1
  // has them
  // ("client auth", "server auth", "digital signature", "key encipherment"). The certificate never
  // outlives the authority's. What may be asked for at all is the caller's decision.
  Result<std::string> SignRequest(Env& env, std::string_view request_pem,
                                  const std::vector<std::string>& usages, Duration lifetime) const;

 private:
  Authority(KeyPair pair, Key key) : pair_(std::move(pair)), key_(std::move(key)) {}

  KeyPair pair_;
  Key key_;
};

// What a certificate signing request asks for.
struct RequestInfo {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;
  std::vector<std::string> emails;
  std::vector<std::string> uris;
};
// kBadRequest when it is no PKCS #10 request or its signature does not match its key.
Result<RequestInfo> ParseRequest(std::string_view request_pem);
// A request to be signed by somebody else.
Result<std::string> MakeRequest(const Key& key, const std::string& common_name,
                                const std::vector<std::string>& organizations,
                                const std::vector<std::string>& names);

struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> organizations;
  WallTime not_before;
  WallTime not_after;
  std::string public_key_pin;  // as Authority::PublicKeyPin
};
Result<CertificateInfo> ParseCertificate(std::string_view certificate_pem);

}  // namespace gantry::apiserver::pki
