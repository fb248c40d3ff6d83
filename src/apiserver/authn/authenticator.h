#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/authn/token_issuer.h"
#include "apiserver/authn/user.h"
#include "apiserver/http/handler.h"
#include "base/status.h"

namespace gantry::apiserver {

class Registry;

// Finds out who sends a request: client certificate, static token, service account token, bootstrap
// token, or nobody (system:anonymous). Threading: any thread.
class Authenticator {
 public:
  struct Options {
    Options() = default;
    std::vector<std::pair<std::string, UserInfo>> static_tokens;
    bool anonymous = true;
  };

  // All outlive this.
  Authenticator(Registry& registry, TokenIssuer& tokens, Options options);

  // kUnauthorized ("Unauthorized") for credentials that are not good; no credentials at all give
  // the anonymous user.
  Result<UserInfo> Authenticate(const Request& request);

  // Who a bearer token stands for; kUnauthorized with the reason.
  Result<UserInfo> AuthenticateToken(std::string_view token,
                                     const std::vector<std::string>& audiences,
                                     std::vector<std::string>* matched);

 private:
  Result<UserInfo> Bootstrap(std::string_view token) const;

  Registry& registry_;
  TokenIssuer& tokens_;
  Options options_;
};

// Compares secrets in a time that tells nothing about them.
bool SameSecret(std::string_view a, std::string_view b);

}  // namespace gantry::apiserver
