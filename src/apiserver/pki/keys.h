#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct evp_pkey_st;

namespace gantry::apiserver::pki {

enum class KeyType : uint8_t { kEcdsaP256, kRsa2048 };

// A private key, or the public half of one. Threading: immutable; a value that shares.
class Key {
 public:
  static Result<Key> Generate(KeyType type = KeyType::kEcdsaP256);
  static Result<Key> FromPrivatePem(std::string_view pem);
  // A public key, or the one of a certificate or private key.
  static Result<Key> FromPublicPem(std::string_view pem);

  KeyType type() const;
  Result<std::string> PrivatePem() const;  // PKCS #8
  Result<std::string> PublicPem() const;
  // What identifies the public half: the base64url of SHA-256 over its DER form, as Kubernetes
  // makes `kid`.
  std::string Id() const;

  evp_pkey_st* native() const { return key_.get(); }
  explicit Key(evp_pkey_st* owned);

 private:
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace gantry::apiserver::pki
