#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/json_value.h"
#include "api/object.h"
#include "apiserver/authn/user.h"
#include "apiserver/pki/keys.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::apiserver {

class Registry;

// The issuer that the tokens of secrets name.
inline constexpr std::string_view kSecretTokenIssuer = "kubernetes/serviceaccount";

// Who a service account is to the authorizer.
UserInfo AccountUser(const std::string& ns, const std::string& name, const std::string& uid);

// Issues and checks the tokens of service accounts. Those that are asked for are JWTs bound to an
// account and, where asked, to a pod, secret or node: such a token is good for as long as all that
// it is bound to exists, and until it expires. Those that secrets of type
// kubernetes.io/service-account-token hold do not expire: they are good for as long as their secret
// holds them. Threading: any thread.
class TokenIssuer {
 public:
  struct Options {
    Options() = default;
    std::string issuer;                  // "https://kubernetes.default.svc.cluster.local"
    std::vector<std::string> audiences;  // the API server's own; the default of a request without
    std::vector<pki::Key> keys;          // the first one signs, all verify
  };

  // `registry` outlives this.
  TokenIssuer(Registry& registry, Options options);

  // serviceaccounts/token: fills the status of a TokenRequest.
  Result<api::ObjectPtr> Issue(const std::string& ns, const std::string& name,
                               const google::protobuf::Message& request);

  // The token that a secret of type kubernetes.io/service-account-token is to hold.
  Result<std::string> IssueForSecret(const api::core::v1::ServiceAccount& account,
                                     const api::core::v1::Secret& secret) const;

  // The account that a token stands for. kUnauthorized with the reason for the log. `audiences`
  // empty: the server's own; `matched` (may be null) gets those of the token that were asked for.
  Result<UserInfo> Verify(std::string_view token, const std::vector<std::string>& audiences,
                          std::vector<std::string>* matched);

  const Options& options() const { return options_; }

 private:
  // The claims of a token with a good signature; remembered, since verifying one costs as much as
  // serving a request.
  Result<std::string> Claims(std::string_view token);
  // Of a token that a secret holds.
  Result<UserInfo> VerifyOfSecret(std::string_view token, const api::JsonValue& claims,
                                  const std::vector<std::string>& audiences,
                                  std::vector<std::string>* matched) const;

  Registry& registry_;
  Options options_;
  absl::Mutex mutex_;
  std::map<std::string, std::string, std::less<>> verified_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::apiserver
