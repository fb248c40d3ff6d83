#pragma once

#include <memory>
#include <string>

#include "base/env/env.h"
#include "base/status.h"
#include "cli/data_dir.h"
#include "cli/join_token.h"
#include "client/http/transport.h"

namespace gantry::cli {

// A node's identity: the cluster's CA and a client certificate for system:node:NAME.
struct NodeIdentity {
  std::string ca_pem;
  std::string certificate_pem;
  std::string private_key_pem;
};

// The identity kept in the data directory, or a new one: the CA from the server (checked against
// the token's pin), the certificate by a signing request that the cluster approves. Errors say what
// to do.
Task<Result<NodeIdentity>> JoinCluster(Env& env, const DataDir& dir, std::string server,
                                       JoinToken token, std::string node_name);

// How a client with this identity talks to the server.
Result<client::HttpTransportOptions> TransportFor(const std::string& server,
                                                  const NodeIdentity& identity);

}  // namespace gantry::cli
