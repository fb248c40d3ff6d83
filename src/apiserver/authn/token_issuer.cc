#include "apiserver/authn/token_issuer.h"

#include <algorithm>

#include "api/authentication/v1/review.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/duration.h"
#include "api/json_value.h"
#include "apiserver/pki/jwt.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;
using api::authentication::v1::TokenRequest;
using api::core::v1::ServiceAccount;

constexpr int64_t kMinSeconds = 600, kDefaultSeconds = 3600;
constexpr int64_t kMaxSeconds = int64_t{1} << 32;
constexpr size_t kMaxRemembered = 4096;
constexpr std::string_view kPrivate = "kubernetes.io";

int64_t SecondsOf(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string TextAt(const JsonValue* value, std::string_view key) {
  const JsonValue* found = value == nullptr ? nullptr : value->Find(key);
  return found != nullptr && found->is_string() ? found->as_string() : std::string();
}

int64_t NumberAt(const JsonValue& value, std::string_view key) {
  const JsonValue* found = value.Find(key);
  if (found == nullptr || !found->is_number()) return 0;
  return found->is_int() ? found->as_int() : static_cast<int64_t>(found->as_double());
}

JsonValue Reference(const std::string& name, const std::string& uid) {
  JsonValue reference = JsonValue::MakeObject();
  reference["name"] = name;
  reference["uid"] = uid;
  return reference;
}

Status Refuse(std::string why) { return Status(Code::kUnauthorized, std::move(why)); }

Status InvalidRequest(std::string field, std::string message) {
  api::FieldErrors errors;
  errors.push_back({api::FieldError::Type::kInvalid, std::move(field), std::move(message)});
  return api::InvalidObject("authentication.k8s.io", "TokenRequest", "", errors);
}

}  // namespace

UserInfo AccountUser(const std::string& ns, const std::string& name, const std::string& uid) {
  UserInfo user(
      "system:serviceaccount:" + ns + ":" + name,
      {"system:serviceaccounts", "system:serviceaccounts:" + ns, std::string(kAuthenticatedGroup)});
  user.uid = uid;
  return user;
}

TokenIssuer::TokenIssuer(Registry& registry, Options options)
    : registry_(registry), options_(std::move(options)) {}

Result<api::ObjectPtr> TokenIssuer::Issue(const std::string& ns, const std::string& name,
                                          const google::protobuf::Message& message) {
  auto request = std::make_unique<TokenRequest>(static_cast<const TokenRequest&>(message));
  api::Ref<ServiceAccount> account = registry_.Peek<ServiceAccount>(ns, name);
  if (!account) return NotFound(api::KindOf<ServiceAccount>(), name);
  auto* spec = request->mutable_spec();
  if (!spec->has_expiration_seconds()) spec->set_expiration_seconds(kDefaultSeconds);
  if (spec->expiration_seconds() < kMinSeconds) {
    return InvalidRequest("spec.expirationSeconds",
                          "Invalid value: " + std::to_string(spec->expiration_seconds()) +
                              ": may not specify a duration less than 10 minutes");
  }
  if (spec->expiration_seconds() > kMaxSeconds) {
    return InvalidRequest("spec.expirationSeconds",
                          "Invalid value: " + std::to_string(spec->expiration_seconds()) +
                              ": may not specify a duration larger than 2^32 seconds");
  }
  if (spec->audiences().empty()) {
    for (const std::string& audience : options_.audiences)
      spec->add_audiences(audience);
  }

  JsonValue bound = JsonValue::MakeObject();
  bound["namespace"] = ns;
  if (spec->has_bound_object_ref()) {
    const auto& reference = spec->bound_object_ref();
    auto check = [&](const api::ObjectPtr& object, const api::KindInfo& kind,
                     const char* key) -> Status {
      if (object == nullptr) return NotFound(kind, reference.name());
      if (!reference.uid().empty() && reference.uid() != object->uid()) {
        return Conflict(kind, reference.name(),
                        "the UID in the bound object reference (" + reference.uid() +
                            ") does not match the UID in record. "
                            "The object might have been deleted and then recreated");
      }
      bound[key] = Reference(object->name(), object->uid());
      return {};
    };
    if (reference.kind() == "Pod") {
      api::Ref<api::core::v1::Pod> pod = registry_.Peek<api::core::v1::Pod>(ns, reference.name());
      GANTRY_TRY(check(pod.object(), api::KindOf<api::core::v1::Pod>(), "pod"));
      if (pod->spec().service_account_name() != name) {
        return BadRequest("cannot bind token for serviceaccount \"" + name +
                          "\" to pod running with different serviceaccount name.");
      }
      if (const std::string& node_name = pod->spec().node_name(); !node_name.empty()) {
        api::Ref<api::core::v1::Node> node = registry_.Peek<api::core::v1::Node>("", node_name);
        bound["node"] = Reference(node_name, node ? node->metadata().uid() : std::string());
      }
    } else if (reference.kind() == "Secret") {
      GANTRY_TRY(check(registry_.Peek(api::KindOf<api::core::v1::Secret>(), ns, reference.name()),
                       api::KindOf<api::core::v1::Secret>(), "secret"));
    } else if (reference.kind() == "Node") {
      GANTRY_TRY(check(registry_.Peek(api::KindOf<api::core::v1::Node>(), "", reference.name()),
                       api::KindOf<api::core::v1::Node>(), "node"));
    } else {
      return BadRequest("cannot bind token to object of type " + reference.api_version() +
                        ", Kind=" + reference.kind());
    }
  }
  bound["serviceaccount"] = Reference(name, account->metadata().uid());

  const int64_t now = SecondsOf(registry_.env().Now());
  const int64_t expires = now + spec->expiration_seconds();
  JsonValue::Array audiences;
  for (const std::string& audience : spec->audiences())
    audiences.emplace_back(audience);
  JsonValue claims = JsonValue::MakeObject();
  claims["aud"] = std::move(audiences);
  claims["exp"] = expires;
  claims["iat"] = now;
  claims["iss"] = options_.issuer;
  claims["jti"] = RandomUuid(registry_.env());
  claims[kPrivate] = std::move(bound);
  claims["nbf"] = now;
  claims["sub"] = "system:serviceaccount:" + ns + ":" + name;
  if (options_.keys.empty()) return InternalError("no key to sign service account tokens with");
  GANTRY_ASSIGN(std::string token, pki::SignJwt(options_.keys.front(), claims.ToString()));
  request->mutable_status()->set_token(std::move(token));
  request->mutable_status()->mutable_expiration_timestamp()->set_seconds(expires);
  auto* meta = request->mutable_metadata();
  meta->set_name(name);
  meta->set_namespace_(ns);
  api::SetTime(registry_.env().Now(), meta->mutable_creation_timestamp());
  return api::Object::FromServer(api::KindOf<TokenRequest>(), std::move(request));
}

Result<std::string> TokenIssuer::Claims(std::string_view token) {
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = verified_.find(token); it != verified_.end()) return it->second;
  }
  GANTRY_ASSIGN(std::string claims, pki::VerifyJwt(options_.keys, token));
  absl::MutexLock lock(&mutex_);
  if (verified_.size() >= kMaxRemembered) verified_.clear();
  verified_.emplace(std::string(token), claims);
  return claims;
}

Result<UserInfo> TokenIssuer::Verify(std::string_view token,
                                     const std::vector<std::string>& audiences,
                                     std::vector<std::string>* matched) {
  GANTRY_ASSIGN(std::string text, Claims(token));
  Result<JsonValue> parsed = JsonValue::Parse(text);
  if (!parsed.ok()) return Refuse("the claims are no JSON");
  const JsonValue& claims = *parsed;
  const std::string issuer = TextAt(&claims, "iss");
  if (issuer == kSecretTokenIssuer) return VerifyOfSecret(token, claims, audiences, matched);
  if (issuer != options_.issuer) return Refuse("the token is of another issuer");
  const int64_t now = SecondsOf(registry_.env().Now());
  if (NumberAt(claims, "exp") <= now) return Refuse("service account token has expired");
  if (NumberAt(claims, "nbf") > now) return Refuse("the token is not valid yet");

  const std::vector<std::string>& wanted = audiences.empty() ? options_.audiences : audiences;
  std::vector<std::string> common;
  if (const JsonValue* held = claims.Find("aud"); held != nullptr && held->is_array()) {
    for (const JsonValue& audience : held->as_array()) {
      if (audience.is_string() &&
          std::find(wanted.begin(), wanted.end(), audience.as_string()) != wanted.end()) {
        common.push_back(audience.as_string());
      }
    }
  }
  if (common.empty()) return Refuse("token audiences is invalid for the target audiences");
  if (matched != nullptr) *matched = std::move(common);

  const JsonValue* bound = claims.Find(kPrivate);
  const std::string ns = TextAt(bound, "namespace");
  const JsonValue* account = bound == nullptr ? nullptr : bound->Find("serviceaccount");
  const std::string name = TextAt(account, "name");
  api::ObjectPtr live = registry_.Peek(api::KindOf<ServiceAccount>(), ns, name);
  if (live == nullptr || live->uid() != TextAt(account, "uid"))
    return Refuse("service account token has been invalidated");

  UserInfo user = AccountUser(ns, name, live->uid());
  user.extra.emplace_back("authentication.kubernetes.io/credential-id",
                          std::vector<std::string>{"JTI=" + TextAt(&claims, "jti")});
  struct Binding {
    const char* key;
    const api::KindInfo* kind;
    bool namespaced;
  };
  const Binding bindings[] = {{"node", &api::KindOf<api::core::v1::Node>(), false},
                              {"pod", &api::KindOf<api::core::v1::Pod>(), true},
                              {"secret", &api::KindOf<api::core::v1::Secret>(), true}};
  const bool has_pod = bound->Find("pod") != nullptr;
  for (const Binding& binding : bindings) {
    const JsonValue* reference = bound->Find(binding.key);
    if (reference == nullptr) continue;
    const std::string bound_name = TextAt(reference, "name"), uid = TextAt(reference, "uid");
    // The node of a pod's token is told, and checked only where the token is bound to it alone.
    const bool checked = std::string_view(binding.key) != "node" || !has_pod;
    if (checked) {
      api::ObjectPtr object =
          registry_.Peek(*binding.kind, binding.namespaced ? ns : std::string(), bound_name);
      if (object == nullptr || object->uid() != uid)
        return Refuse("service account token has been invalidated");
    }
    if (std::string_view(binding.key) == "secret") continue;
    std::string prefix = "authentication.kubernetes.io/" + std::string(binding.key);
    user.extra.emplace_back(prefix + "-name", std::vector<std::string>{bound_name});
    if (!uid.empty()) user.extra.emplace_back(prefix + "-uid", std::vector<std::string>{uid});
  }
  return user;
}

}  // namespace gantry::apiserver
