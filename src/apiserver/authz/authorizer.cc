#include "apiserver/authz/authorizer.h"

namespace gantry::apiserver {
namespace {

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

}  // namespace

Decision UnionAuthorizer::Authorize(const UserInfo& user, const Access& access) {
  Decision all;
  for (Authorizer* part : parts_) {
    Decision one = part->Authorize(user, access);
    if (one.verdict != Decision::Verdict::kNoOpinion) return one;
    if (one.reason.empty()) continue;
    all.reason += (all.reason.empty() ? "" : "\n") + one.reason;
  }
  return all;
}

Status Forbidden(const UserInfo& user, const Access& access, std::string_view reason) {
  std::string message = "User " + Quoted(user.name) + " cannot " + access.verb;
  StatusDetails details;
  std::string subject;
  if (!access.is_resource) {
    message += " path " + Quoted(access.path);
  } else {
    std::string resource = access.resource;
    if (!access.subresource.empty()) resource += "/" + access.subresource;
    message += " resource " + Quoted(resource) + " in API group " + Quoted(access.group);
    message +=
        access.ns.empty() ? " at the cluster scope" : " in the namespace " + Quoted(access.ns);
    subject = access.resource + (access.group.empty() ? "" : "." + access.group);
    if (!access.name.empty()) subject += " " + Quoted(access.name);
    subject += " is ";
    details.group = access.group;
    details.kind = access.resource;
    details.name = access.name;
  }
  message = subject + "forbidden: " + message;
  if (!reason.empty()) message += ": " + std::string(reason);
  return Status(Code::kForbidden, std::move(message), std::move(details));
}

}  // namespace gantry::apiserver
