#pragma once

#include <memory>

#include "api/kinds.h"
#include "apiserver/authn/authenticator.h"
#include "apiserver/authz/authorizer.h"
#include "apiserver/authz/rbac.h"
#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace gantry::apiserver {

// The kinds that are questions: TokenReview, SelfSubjectReview, the SubjectAccessReviews and
// SelfSubjectRulesReview. A create answers with the same object, its status filled in. Threading:
// any thread.
class Reviews {
 public:
  Reviews(Authenticator& authenticator, Authorizer& authorizer, RbacAuthorizer& rbac, Env& env);

  Result<std::unique_ptr<google::protobuf::Message>> Answer(
      const api::KindInfo& kind, const UserInfo& user, std::string_view ns,
      std::unique_ptr<google::protobuf::Message> question);

 private:
  Authenticator& authenticator_;
  Authorizer& authorizer_;
  RbacAuthorizer& rbac_;
  Env& env_;
};

}  // namespace gantry::apiserver
