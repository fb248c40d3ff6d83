#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

struct ssl_ctx_st;

namespace gantry::wire {

struct TlsServerOptions {
  TlsServerOptions() = default;
  std::string certificate_pem;  // the server's certificate, then intermediates
  std::string private_key_pem;
  // Certificates are asked for and checked against these; empty: none is asked for. A certificate
  // that does not verify does not end the handshake: Socket::peer() says what was wrong.
  std::string client_ca_pem;
};

struct TlsClientOptions {
  TlsClientOptions() = default;
  std::string ca_pem;  // empty: the system's
  std::string certificate_pem;
  std::string private_key_pem;
  bool insecure_skip_verify = false;
  bool http2 = true;  // offer h2 before http/1.1
};

// Keys, certificates and rules of one end of TLS connections (1.2 and up, AEAD ciphers only,
// session tickets). Threading: immutable; shared by any number of connections.
class TlsContext {
 public:
  static Result<std::shared_ptr<const TlsContext>> Server(const TlsServerOptions& options);
  static Result<std::shared_ptr<const TlsContext>> Client(const TlsClientOptions& options);

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* native() const { return context_; }
  bool server() const { return server_; }
  bool verifies_peer() const { return verifies_peer_; }

 private:
  TlsContext(ssl_ctx_st* context, bool server) : context_(context), server_(server) {}

  ssl_ctx_st* context_;
  bool server_;
  bool verifies_peer_ = false;
};

// What the other end proved with its certificate. Times are seconds since 1970.
struct TlsPeer {
  bool certificate_shown = false;
  std::string error;  // why the certificate does not verify; empty when it does
  std::string common_name;
  std::vector<std::string> organizations;
  int64_t not_before = 0;
  int64_t not_after = 0;
};

// The newest entries of OpenSSL's error queue as one line; empties the queue.
std::string TlsErrorText();

}  // namespace gantry::wire
