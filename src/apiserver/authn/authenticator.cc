#include "apiserver/authn/authenticator.h"

#include <algorithm>

#include "api/core/v1/secret.pb.h"
#include "api/duration.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

Status Unauthorized() { return Status(Code::kUnauthorized, "Unauthorized"); }

bool IsBootstrapToken(std::string_view token) {
  constexpr size_t kIdSize = 6, kSecretSize = 16;
  if (token.size() != kIdSize + 1 + kSecretSize || token[kIdSize] != '.') return false;
  for (size_t i = 0; i < token.size(); ++i) {
    char c = token[i];
    if (i != kIdSize && !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) return false;
  }
  return true;
}

// The token of the Authorization header, or of the WebSocket protocol in which browsers must send
// it.
std::string BearerToken(const Headers& headers) {
  std::string_view header = headers.Get("authorization");
  if (header.size() > 7 && (header.starts_with("Bearer ") || header.starts_with("bearer "))) {
    header.remove_prefix(7);
    while (!header.empty() && header.front() == ' ')
      header.remove_prefix(1);
    return std::string(header.substr(0, header.find(' ')));
  }
  return {};
}

}  // namespace

bool SameSecret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

Authenticator::Authenticator(Registry& registry, TokenIssuer& tokens, Options options)
    : registry_(registry), tokens_(tokens), options_(std::move(options)) {}

Result<UserInfo> Authenticator::Authenticate(const Request& request) {
  if (!request.peer.certificate_common_name.empty() && !request.peer.certificate_expired) {
    UserInfo user(request.peer.certificate_common_name, request.peer.certificate_organizations);
    if (!user.InGroup(kAuthenticatedGroup)) user.groups.emplace_back(kAuthenticatedGroup);
    return user;
  }
  std::string token = BearerToken(request.headers);
  if (!token.empty()) {
    Result<UserInfo> user = AuthenticateToken(token, {}, nullptr);
    if (!user.ok()) return Unauthorized();
    return user;
  }
  const bool bad_certificate =
      request.peer.certificate_expired || !request.peer.certificate_error.empty();
  // Another scheme, or a token that is not there, counts as nothing said.
  if (bad_certificate || !options_.anonymous) return Unauthorized();
  return UserInfo(std::string(kAnonymousUser), {std::string(kUnauthenticatedGroup)});
}

Result<UserInfo> Authenticator::AuthenticateToken(std::string_view token,
                                                  const std::vector<std::string>& audiences,
                                                  std::vector<std::string>* matched) {
  auto own_audience = [&] {
    if (matched != nullptr) *matched = audiences.empty() ? tokens_.options().audiences : audiences;
  };
  for (const auto& [secret, user] : options_.static_tokens) {
    if (!SameSecret(secret, token)) continue;
    own_audience();
    UserInfo known = user;
    if (!known.InGroup(kAuthenticatedGroup)) known.groups.emplace_back(kAuthenticatedGroup);
    return known;
  }
  if (IsBootstrapToken(token)) {
    own_audience();
    return Bootstrap(token);
  }
  return tokens_.Verify(token, audiences, matched);
}

Result<UserInfo> Authenticator::Bootstrap(std::string_view token) const {
  const std::string id(token.substr(0, 6));
  api::Ref<api::core::v1::Secret> secret =
      registry_.Peek<api::core::v1::Secret>("kube-system", "bootstrap-token-" + id);
  auto refuse = [](const char* why) { return Status(Code::kUnauthorized, why); };
  if (!secret || secret->type() != "bootstrap.kubernetes.io/token" ||
      secret->metadata().has_deletion_timestamp()) {
    return refuse("no such bootstrap token");
  }
  auto field = [&](const char* key) {
    auto it = secret->data().find(key);
    return it == secret->data().end() ? std::string() : it->second;
  };
  if (field("token-id") != id || !SameSecret(field("token-secret"), token.substr(7)))
    return refuse("wrong secret");
  if (std::string expiration = field("expiration"); !expiration.empty()) {
    Result<WallTime> until = api::ParseTime(expiration);
    if (!until.ok() || *until <= registry_.env().Now())
      return refuse("the bootstrap token has expired");
  }
  if (field("usage-bootstrap-authentication") != "true")
    return refuse("the bootstrap token is not for authentication");
  UserInfo user("system:bootstrap:" + id, {"system:bootstrappers"});
  std::string groups = field("auth-extra-groups");
  std::string_view rest = groups;
  while (!rest.empty()) {
    size_t end = rest.find(',');
    std::string_view group = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (group.starts_with("system:bootstrappers:")) user.groups.emplace_back(group);
  }
  user.groups.emplace_back(kAuthenticatedGroup);
  return user;
}

}  // namespace gantry::apiserver
