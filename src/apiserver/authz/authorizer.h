#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authn/user.h"
#include "base/status.h"

namespace gantry::apiserver {

// What is to be allowed. Threading: a value.
struct Access {
  Access() = default;
  std::string verb;
  bool is_resource = false;
  std::string group, version, resource, subresource, ns,
      name;          // of a resource; `resource` may be "*"
  std::string path;  // of anything else
};

struct Decision {
  enum class Verdict : unsigned char { kAllow, kDeny, kNoOpinion } verdict = Verdict::kNoOpinion;
  std::string reason;
  bool allowed() const { return verdict == Verdict::kAllow; }
};

// One way to decide. The first that has an opinion wins. Threading: any thread; never waits.
class Authorizer {
 public:
  virtual ~Authorizer() = default;
  virtual Decision Authorize(const UserInfo& user, const Access& access) = 0;
};

// Asks several in order.
class UnionAuthorizer : public Authorizer {
 public:
  explicit UnionAuthorizer(std::vector<Authorizer*> parts) : parts_(std::move(parts)) {}
  Decision Authorize(const UserInfo& user, const Access& access) override;

 private:
  std::vector<Authorizer*> parts_;
};

// kForbidden as kube-apiserver words it.
Status Forbidden(const UserInfo& user, const Access& access, std::string_view reason);

}  // namespace gantry::apiserver
