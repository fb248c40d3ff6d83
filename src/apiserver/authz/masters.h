#pragma once

#include "apiserver/authz/authorizer.h"

namespace gantry::apiserver {

// system:masters may do anything. Threading: any thread.
class MastersAuthorizer : public Authorizer {
 public:
  Decision Authorize(const UserInfo& user, const Access&) override {
    Decision decision;
    if (user.InGroup(kSystemMasters)) decision.verdict = Decision::Verdict::kAllow;
    return decision;
  }
};

}  // namespace gantry::apiserver
