#include "apiserver/pki/keys.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "apiserver/pki/openssl_util.h"

namespace gantry::apiserver::pki {
using namespace internal;

Key::Key(evp_pkey_st* owned) : key_(owned, EVP_PKEY_free) {}

Result<Key> Key::Generate(KeyType type) {
  ERR_clear_error();
  EVP_PKEY* key = type == KeyType::kEcdsaP256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
  if (!key) return Failure("generate key");
  return Key(key);
}

Result<Key> Key::FromPrivatePem(std::string_view pem) {
  ERR_clear_error();
  BioPtr bio = ReadBio(pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr);
  if (!key) return Failure("private key");
  return Key(key);
}

Result<Key> Key::FromPublicPem(std::string_view pem) {
  ERR_clear_error();
  BioPtr bio = ReadBio(pem);
  EVP_PKEY* key = nullptr;
  if (pem.find("PRIVATE KEY") != std::string_view::npos) {
    key = PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr);
  } else if (pem.find("CERTIFICATE") != std::string_view::npos) {
    X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate) key = X509_get_pubkey(certificate.get());
  } else {
    key = PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr);
  }
  if (!key) return Failure("public key");
  return Key(key);
}

KeyType Key::type() const {
  return EVP_PKEY_get_base_id(key_.get()) == EVP_PKEY_RSA ? KeyType::kRsa2048 : KeyType::kEcdsaP256;
}

Result<std::string> Key::PrivatePem() const {
  BioPtr bio = WriteBio();
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
      1) {
    return Failure("private key");
  }
  return TextOf(bio.get());
}

Result<std::string> Key::PublicPem() const {
  BioPtr bio = WriteBio();
  if (PEM_write_bio_PUBKEY(bio.get(), key_.get()) != 1) return Failure("public key");
  return TextOf(bio.get());
}

std::string Key::Id() const { return Base64Url(Sha256(PublicDer(key_.get()))); }

}  // namespace gantry::apiserver::pki
