#include "cli/ha/member_routes.h"

#include <utility>

#include "apiserver/rest/resource_handler.h"
#include "apiserver/status_body.h"
#include "cli/client/members_path.h"

namespace gantry::cli {
namespace {

using apiserver::ErrorResponse;
using apiserver::ResourceRequest;
using apiserver::Response;

Task<Response> Invite(ManagedEtcd& etcd, std::string bootstrap_user, ResourceRequest request) {
  if (request.user.name != bootstrap_user) {
    co_return ErrorResponse(
        Status(Code::kForbidden,
               "this token lets machines join as agents; servers join with the one that stands in "
               "DIR/token of the cluster's servers"));
  }
  Result<InvitationRequest> wanted = ReadInvitationRequest(request.http.body);
  if (!wanted.ok()) co_return ErrorResponse(wanted.status());
  Result<Invitation> invitation = co_await etcd.Admit(std::move(*wanted));
  if (!invitation.ok()) co_return ErrorResponse(invitation.status());
  co_return apiserver::JsonResponse(200, WriteInvitation(*invitation));
}

Task<Response> List(ManagedEtcd& etcd) {
  Result<std::vector<ManagedEtcd::State>> states = co_await etcd.List();
  if (!states.ok()) co_return ErrorResponse(states.status());
  api::JsonValue::Array members;
  for (const ManagedEtcd::State& state : *states) {
    api::JsonValue member = api::JsonValue::MakeObject();
    member["name"] = state.peer.name;
    member["peerURL"] = state.peer.peer_url;
    member["clientURL"] = state.peer.client_url;
    member["votes"] = !state.learner;
    member["answers"] = state.answers;
    members.push_back(std::move(member));
  }
  api::JsonValue json = api::JsonValue::MakeObject();
  json["members"] = api::JsonValue(std::move(members));
  co_return apiserver::JsonResponse(200, json.ToString());
}

Task<Response> Remove(ManagedEtcd& etcd, std::string name) {
  Status removed = co_await etcd.Remove(std::move(name));
  if (!removed.ok()) co_return ErrorResponse(removed);
  co_return apiserver::JsonResponse(200, "{}");
}

Task<Response> Handle(ManagedEtcd& etcd, std::string bootstrap_user, ResourceRequest request) {
  const std::string& method = request.http.method;
  if (method == "POST")
    co_return co_await Invite(etcd, std::move(bootstrap_user), std::move(request));
  if (method == "GET") co_return co_await List(etcd);
  if (method == "DELETE") {
    std::string name(request.query.Get("name"));
    co_return co_await Remove(etcd, std::move(name));
  }
  co_return ErrorResponse(Status(
      Code::kMethodNotAllowed, "the server does not allow this method on the requested resource"));
}

}  // namespace

void AddMemberRoutes(apiserver::ApiServer& api, ManagedEtcd& etcd, const JoinToken& token) {
  api.AddRoute(kEtcdMembersPath,
               [&etcd, user = "system:bootstrap:" + token.id](ResourceRequest request) {
                 return Handle(etcd, user, std::move(request));
               });
}

}  // namespace gantry::cli
