#pragma once

#include <string_view>

#include "apiserver/authz/authorizer.h"

namespace gantry::apiserver {

class Registry;

// What the agent of a node (user system:node:NAME, group system:nodes) may do: read what its own
// pods need, write what is its own. Threading: any thread.
class NodeAuthorizer : public Authorizer {
 public:
  explicit NodeAuthorizer(Registry& registry) : registry_(registry) {}
  Decision Authorize(const UserInfo& user, const Access& access) override;

 private:
  // Whether a pod on `node` refers to the object.
  bool Needs(std::string_view node, const Access& access) const;
  Registry& registry_;
};

// The node that a user is the agent of; empty for all others.
std::string_view NodeOf(const UserInfo& user);

}  // namespace gantry::apiserver
