#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/pki/certificates.h"
#include "base/env/env.h"
#include "base/status.h"
#include "cli/cluster_keys.h"
#include "cli/ha/membership.h"
#include "cli/join_token.h"

namespace gantry::cli {

// How a server that joins becomes a member of the others' etcd: it asks one of them, with the
// cluster's token, and is told all that its own etcd needs. Over TLS, checked against the token's
// pin (join.h).
struct InvitationRequest {
  InvitationRequest() = default;
  std::string name;
  std::string peer_url, client_url;
  std::string version;       // of the program
  ClusterSettings settings;  // what all servers have to be told alike
};
std::string WriteInvitationRequest(const InvitationRequest& request);
Result<InvitationRequest> ReadInvitationRequest(std::string_view json);

struct Invitation {
  Invitation() = default;
  uint64_t id = 0;                    // of the new member
  apiserver::pki::KeyPair authority;  // of etcd's certificates
  std::vector<Peer> peers;            // the new member with them
};
std::string WriteInvitation(const Invitation& invitation);
Result<Invitation> ReadInvitation(std::string_view json);

// Asks `servers` ("https://HOST:6443"), and again while they say "not just now". Errors are one
// line that says what to do.
Task<Result<Invitation>> AskForInvitation(Env& env, std::vector<std::string> servers,
                                          JoinToken token, InvitationRequest request);

}  // namespace gantry::cli
