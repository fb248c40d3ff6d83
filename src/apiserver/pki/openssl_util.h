#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

// Owners of OpenSSL's objects, for this folder's .cc files.
namespace gantry::apiserver::pki::internal {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* value) const {
    Free(value);
  }
};
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;

inline BioPtr ReadBio(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
inline BioPtr WriteBio() { return BioPtr(BIO_new(BIO_s_mem())); }
std::string TextOf(BIO* bio);

// kBadRequest with OpenSSL's reason; empties its queue.
Status Failure(std::string_view what);

std::string Base64Url(std::string_view bytes);
// Without padding; false when malformed.
bool FromBase64Url(std::string_view text, std::string* out);
std::string Sha256(std::string_view bytes);
std::string PublicDer(EVP_PKEY* key);

}  // namespace gantry::apiserver::pki::internal
