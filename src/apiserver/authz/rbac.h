#pragma once

#include <absl/synchronization/mutex.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/rbac/v1/rbac.pb.h"
#include "apiserver/authz/authorizer.h"

namespace gantry::apiserver {

class Registry;

// Role-based access control over the roles and bindings in the cache. An index by subject is
// rebuilt when one of them has changed, at the next question. Threading: any thread.
class RbacAuthorizer : public Authorizer {
 public:
  explicit RbacAuthorizer(Registry& registry);
  ~RbacAuthorizer() override;

  Decision Authorize(const UserInfo& user, const Access& access) override;

  // Every rule that `user` has in `ns` (empty: cluster-wide ones only), until `visit` returns
  // false.
  void VisitRules(const UserInfo& user, std::string_view ns,
                  const std::function<bool(const api::rbac::v1::PolicyRule& rule)>& visit);

 private:
  struct Index;
  std::shared_ptr<const Index> Current();
  std::shared_ptr<const Index> Build() const;

  Registry& registry_;
  absl::Mutex mutex_;
  std::shared_ptr<const Index> index_ ABSL_GUARDED_BY(mutex_);
};

bool RuleAllows(const api::rbac::v1::PolicyRule& rule, const Access& access);

}  // namespace gantry::apiserver
