#include "base/wire/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstring>

namespace gantry::wire {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* value) const {
    Free(value);
  }
};
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

constexpr unsigned char kHttp2AndHttp1[] = "\x02h2\x08http/1.1";

BioPtr BioOf(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Status TlsFailure(const std::string& what) { return BadRequest(what + ": " + TlsErrorText()); }

Status UseCertificate(SSL_CTX* context, const std::string& certificate_pem,
                      const std::string& key_pem) {
  BioPtr bio = BioOf(certificate_pem);
  X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) return TlsFailure("certificate");
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add_extra_chain_cert(context, next) != 1) {  // takes ownership on success
      X509_free(next);
      return TlsFailure("certificate chain");
    }
  }
  ERR_clear_error();
  bio = BioOf(key_pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1) return TlsFailure("private key");
  if (SSL_CTX_check_private_key(context) != 1) {
    return TlsFailure("the private key does not belong to the certificate");
  }
  return Status::Ok();
}

Status TrustAuthorities(SSL_CTX* context, const std::string& ca_pem, bool announce) {
  BioPtr bio = BioOf(ca_pem);
  int count = 0;
  while (X509* raw = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    X509Ptr authority(raw);
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1) {
      return TlsFailure("certificate authority");
    }
    if (announce && SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      return TlsFailure("certificate authority");
    }
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return BadRequest("certificate authority: no certificate in the PEM text");
  return Status::Ok();
}

Status SetCommon(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(
          context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") !=
          1 ||
      SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
    return TlsFailure("TLS settings");
  }
  return Status::Ok();
}

int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_length,
                   const unsigned char* offered, unsigned int offered_length, void*) {
  // No protocol in common: go on without one, that is, with HTTP/1.1.
  if (SSL_select_next_proto(const_cast<unsigned char**>(out), out_length, kHttp2AndHttp1,
                            sizeof kHttp2AndHttp1 - 1, offered,
                            offered_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  return SSL_TLSEXT_ERR_OK;
}

// Checks the chain but lets the handshake go on: SSL_get_verify_result keeps what was found.
int VerifyButAccept(X509_STORE_CTX* store, void*) {
  if (X509_verify_cert(store) != 1 && X509_STORE_CTX_get_error(store) == X509_V_OK) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
  }
  return 1;
}

}  // namespace

std::string TlsErrorText() {
  std::string text;
  while (unsigned long error = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(error);
    if (!text.empty()) text += ": ";
    text += reason ? reason : "unknown TLS error";
  }
  return text.empty() ? "not valid" : text;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Result<std::shared_ptr<const TlsContext>> TlsContext::Server(const TlsServerOptions& options) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (!context) return TlsFailure("TLS");
  std::shared_ptr<TlsContext> out(new TlsContext(context, true));
  GANTRY_TRY(SetCommon(context));
  GANTRY_TRY(UseCertificate(context, options.certificate_pem, options.private_key_pem));
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_alpn_select_cb(context, SelectProtocol, nullptr);
  static constexpr unsigned char kSessionContext[] = "gantry";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  if (!options.client_ca_pem.empty()) {
    GANTRY_TRY(TrustAuthorities(context, options.client_ca_pem, true));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT);
    SSL_CTX_set_cert_verify_callback(context, VerifyButAccept, nullptr);
    out->verifies_peer_ = true;
  }
  return std::shared_ptr<const TlsContext>(std::move(out));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::Client(const TlsClientOptions& options) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (!context) return TlsFailure("TLS");
  std::shared_ptr<TlsContext> out(new TlsContext(context, false));
  GANTRY_TRY(SetCommon(context));
  if (!options.certificate_pem.empty()) {
    GANTRY_TRY(UseCertificate(context, options.certificate_pem, options.private_key_pem));
  }
  const unsigned char* protocols = options.http2 ? kHttp2AndHttp1 : kHttp2AndHttp1 + 3;
  const unsigned int length = sizeof kHttp2AndHttp1 - 1 - (options.http2 ? 0 : 3);
  SSL_CTX_set_alpn_protos(context, protocols, length);
  if (!options.insecure_skip_verify) {
    if (options.ca_pem.empty()) {
      SSL_CTX_set_default_verify_paths(context);
    } else {
      GANTRY_TRY(TrustAuthorities(context, options.ca_pem, false));
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    out->verifies_peer_ = true;
  }
  return std::shared_ptr<const TlsContext>(std::move(out));
}

}  // namespace gantry::wire
