#include "apiserver/rest/reviews.h"

#include "api/authentication/v1/review.pb.h"
#include "api/authorization/v1/review.pb.h"
#include "api/duration.h"
#include "api/field_error.h"

namespace gantry::apiserver {
namespace {

namespace authn = api::authentication::v1;
namespace authz = api::authorization::v1;
using google::protobuf::Message;

void Describe(const UserInfo& user, authn::UserInfo* out) {
  out->set_username(user.name);
  if (!user.uid.empty()) out->set_uid(user.uid);
  for (const std::string& group : user.groups)
    out->add_groups(group);
  for (const auto& [key, values] : user.extra) {
    for (const std::string& value : values)
      (*out->mutable_extra())[key].add_items(value);
  }
}

Access AccessOfAttributes(const authz::ResourceAttributes& attributes) {
  Access access;
  access.is_resource = true;
  access.verb = attributes.verb();
  access.group = attributes.group();
  access.version = attributes.version();
  access.resource = attributes.resource();
  access.subresource = attributes.subresource();
  access.ns = attributes.namespace_();
  access.name = attributes.name();
  return access;
}

template <class Spec>
Access AccessOfSpec(const Spec& spec) {
  if (spec.has_resource_attributes()) return AccessOfAttributes(spec.resource_attributes());
  Access access;
  access.verb = spec.non_resource_attributes().verb();
  access.path = spec.non_resource_attributes().path();
  return access;
}

Status InvalidSpec(std::string_view kind, std::string field, std::string message) {
  api::FieldErrors errors;
  errors.push_back({api::FieldError::Type::kInvalid, std::move(field), std::move(message)});
  return api::InvalidObject("authorization.k8s.io", kind, "", errors);
}

template <class Spec>
Status CheckSpec(std::string_view kind, const Spec& spec) {
  if (spec.has_resource_attributes() == spec.has_non_resource_attributes()) {
    const bool both = spec.has_resource_attributes();
    return InvalidSpec(
        kind, both ? "spec.nonResourceAttributes" : "spec.resourceAttributes",
        both ? "Invalid value: {}: cannot be specified in combination with resourceAttributes"
             : "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes "
               "must be specified");
  }
  return {};
}

void Fill(const Decision& decision, authz::SubjectAccessReviewStatus* status) {
  status->set_allowed(decision.allowed());
  if (decision.verdict == Decision::Verdict::kDeny) status->set_denied(true);
  if (!decision.reason.empty()) status->set_reason(decision.reason);
}

template <class Spec>
UserInfo UserOf(const Spec& spec) {
  UserInfo user(spec.user());
  user.uid = spec.uid();
  for (const std::string& group : spec.groups())
    user.groups.push_back(group);
  for (const auto& [key, value] : spec.extra()) {
    user.extra.emplace_back(key,
                            std::vector<std::string>(value.items().begin(), value.items().end()));
  }
  return user;
}

template <class T>
T& As(Message& message) {
  return static_cast<T&>(message);
}

}  // namespace

Reviews::Reviews(Authenticator& authenticator, Authorizer& authorizer, RbacAuthorizer& rbac,
                 Env& env)
    : authenticator_(authenticator), authorizer_(authorizer), rbac_(rbac), env_(env) {}

Result<std::unique_ptr<Message>> Reviews::Answer(const api::KindInfo& kind, const UserInfo& user,
                                                 std::string_view ns,
                                                 std::unique_ptr<Message> question) {
  if (kind.kind == "TokenReview") {
    auto& review = As<authn::TokenReview>(*question);
    if (review.spec().token().empty())
      return BadRequest("token is required for TokenReview in authentication");
    std::vector<std::string> audiences(review.spec().audiences().begin(),
                                       review.spec().audiences().end());
    std::vector<std::string> matched;
    Result<UserInfo> found =
        authenticator_.AuthenticateToken(review.spec().token(), audiences, &matched);
    auto* status = review.mutable_status();
    status->Clear();
    if (found.ok()) {
      status->set_authenticated(true);
      Describe(*found, status->mutable_user());
      for (const std::string& audience : matched)
        status->add_audiences(audience);
    } else {
      status->mutable_user();
      status->set_error("[invalid bearer token, " + found.status().message() + "]");
    }
    return question;
  }
  if (kind.kind == "SelfSubjectReview") {
    auto& review = As<authn::SelfSubjectReview>(*question);
    review.clear_status();
    Describe(user, review.mutable_status()->mutable_user_info());
    api::SetTime(env_.Now(), review.mutable_metadata()->mutable_creation_timestamp());
    return question;
  }
  if (kind.kind == "SelfSubjectAccessReview") {
    auto& review = As<authz::SelfSubjectAccessReview>(*question);
    GANTRY_TRY(CheckSpec(kind.kind, review.spec()));
    Fill(authorizer_.Authorize(user, AccessOfSpec(review.spec())), review.mutable_status());
    return question;
  }
  if (kind.kind == "SubjectAccessReview" || kind.kind == "LocalSubjectAccessReview") {
    auto check = [&](auto& review) -> Status {
      GANTRY_TRY(CheckSpec(kind.kind, review.spec()));
      if (review.spec().user().empty() && review.spec().groups().empty()) {
        return InvalidSpec(kind.kind, "spec.user",
                           "Invalid value: \"\": at least one of user or group must be specified");
      }
      Fill(authorizer_.Authorize(UserOf(review.spec()), AccessOfSpec(review.spec())),
           review.mutable_status());
      return {};
    };
    if (kind.kind == "SubjectAccessReview") {
      GANTRY_TRY(check(As<authz::SubjectAccessReview>(*question)));
      return question;
    }
    auto& review = As<authz::LocalSubjectAccessReview>(*question);
    if (review.spec().resource_attributes().namespace_() != ns) {
      return BadRequest("spec.resourceAttributes.namespace must match namespace: " +
                        std::string(ns));
    }
    GANTRY_TRY(check(review));
    return question;
  }
  if (kind.kind == "SelfSubjectRulesReview") {
    auto& review = As<authz::SelfSubjectRulesReview>(*question);
    if (review.spec().namespace_().empty()) return BadRequest("no namespace on request");
    auto* status = review.mutable_status();
    status->Clear();
    status->set_incomplete(false);
    auto take = [&](const api::rbac::v1::PolicyRule& rule) {
      if (rule.non_resource_urls_size() > 0) {
        auto* out = status->add_non_resource_rules();
        *out->mutable_verbs() = rule.verbs();
        *out->mutable_non_resource_urls() = rule.non_resource_urls();
      } else {
        auto* out = status->add_resource_rules();
        *out->mutable_verbs() = rule.verbs();
        *out->mutable_api_groups() = rule.api_groups();
        *out->mutable_resources() = rule.resources();
        *out->mutable_resource_names() = rule.resource_names();
      }
      return true;
    };
    if (user.InGroup(kSystemMasters)) {
      auto* all = status->add_resource_rules();
      all->add_verbs("*");
      all->add_api_groups("*");
      all->add_resources("*");
      auto* paths = status->add_non_resource_rules();
      paths->add_verbs("*");
      paths->add_non_resource_urls("*");
    }
    rbac_.VisitRules(user, review.spec().namespace_(), take);
    return question;
  }
  return Status(Code::kNotFound, "the server could not find the requested resource");
}

}  // namespace gantry::apiserver
