#pragma once

#include "apiserver/api_server.h"
#include "cli/ha/managed_etcd.h"
#include "cli/join_token.h"

namespace gantry::cli {

// What a server with an etcd of its own offers below /apis/gantry/v1/etcd-members:
//   POST            an invitation, to who comes with the servers' token (etcd_invitation.h)
//   GET             the members
//   DELETE ?name=N  takes one out
// The last two are the administrator's. Before the server's first request; `etcd` outlives it.
void AddMemberRoutes(apiserver::ApiServer& api, ManagedEtcd& etcd, const JoinToken& token);

}  // namespace gantry::cli
