// The tokens of secrets: older than TokenRequest, without an end and without an audience.
#include <algorithm>

#include "apiserver/authn/authenticator.h"
#include "apiserver/authn/token_issuer.h"
#include "apiserver/pki/jwt.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;
using api::core::v1::Secret;
using api::core::v1::ServiceAccount;

constexpr std::string_view kNamespace = "kubernetes.io/serviceaccount/namespace";
constexpr std::string_view kSecret = "kubernetes.io/serviceaccount/secret.name";
constexpr std::string_view kName = "kubernetes.io/serviceaccount/service-account.name";
constexpr std::string_view kUid = "kubernetes.io/serviceaccount/service-account.uid";
// A cleaner marks tokens that nobody has used for long.
constexpr char kInvalidSince[] = "kubernetes.io/legacy-token-invalid-since";

std::string Claim(const JsonValue& claims, std::string_view key) {
  const JsonValue* found = claims.Find(key);
  return found != nullptr && found->is_string() ? found->as_string() : std::string();
}

Status Refuse(const char* why) { return Status(Code::kUnauthorized, why); }

}  // namespace

Result<std::string> TokenIssuer::IssueForSecret(const ServiceAccount& account,
                                                const Secret& secret) const {
  if (options_.keys.empty()) return InternalError("no key to sign service account tokens with");
  const auto& meta = account.metadata();
  JsonValue claims = JsonValue::MakeObject();
  claims["iss"] = std::string(kSecretTokenIssuer);
  claims[kNamespace] = meta.namespace_();
  claims[kSecret] = secret.metadata().name();
  claims[kName] = meta.name();
  claims[kUid] = meta.uid();
  claims["sub"] = "system:serviceaccount:" + meta.namespace_() + ":" + meta.name();
  return pki::SignJwt(options_.keys.front(), claims.ToString());
}

Result<UserInfo> TokenIssuer::VerifyOfSecret(std::string_view token, const JsonValue& claims,
                                             const std::vector<std::string>& audiences,
                                             std::vector<std::string>* matched) const {
  // It is meant for the API server, whatever it calls itself, and for nobody else.
  std::vector<std::string> common;
  for (const std::string& own : options_.audiences) {
    if (audiences.empty() ||
        std::find(audiences.begin(), audiences.end(), own) != audiences.end()) {
      common.push_back(own);
    }
  }
  if (common.empty()) return Refuse("token audiences is invalid for the target audiences");

  const std::string ns = Claim(claims, kNamespace), name = Claim(claims, kName);
  api::Ref<Secret> secret = registry_.Peek<Secret>(ns, Claim(claims, kSecret));
  if (!secret || secret->metadata().has_deletion_timestamp())
    return Refuse("service account token has been invalidated");
  auto held = secret->data().find("token");
  if (held == secret->data().end() || !SameSecret(held->second, token))
    return Refuse("the secret holds another token");
  if (secret->metadata().labels().contains(kInvalidSince))
    return Refuse("the token was marked invalid, since nobody used it");
  api::Ref<ServiceAccount> account = registry_.Peek<ServiceAccount>(ns, name);
  if (!account || account->metadata().has_deletion_timestamp() ||
      account->metadata().uid() != Claim(claims, kUid)) {
    return Refuse("service account token has been invalidated");
  }
  if (matched != nullptr) *matched = std::move(common);
  return AccountUser(ns, name, account->metadata().uid());
}

}  // namespace gantry::apiserver
