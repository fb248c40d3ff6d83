#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/status.h"
#include "cli/data_dir.h"
#include "cli/join_token.h"
#include "cli/node_gateway.h"
#include "client/client.h"
#include "client/http/transport.h"

namespace gantry::cli {

// A node's identity: the cluster's CA and a client certificate for system:node:NAME.
struct NodeIdentity {
  std::string ca_pem;
  std::string certificate_pem;
  std::string private_key_pem;
};

// The identity kept in the data directory, or a new one: the CA from the first server that answers
// (checked against the token's pin), the certificate by a signing request that the cluster
// approves. A kept certificate that has ended is replaced by a new one in the same way. Errors say
// what to do.
Task<Result<NodeIdentity>> JoinCluster(Env& env, const DataDir& dir,
                                       std::vector<std::string> servers, JoinToken token,
                                       std::string node_name);

// The cluster's CA from the first server that answers, checked against the token's pin. An empty
// pin trusts it, and says so in the log.
Task<Result<std::string>> FetchCa(Env& env, std::vector<std::string> servers, std::string pin);

// How one who has no more than a token talks to the servers of that CA.
Result<client::HttpTransportOptions> TransportFor(const std::vector<std::string>& servers,
                                                  const std::string& ca_pem,
                                                  const JoinToken& token);

// Another certificate for the node, asked for by `client`, which acts as that node; kept in the
// data directory.
Task<Result<NodeIdentity>> RenewIdentity(Env& env, const DataDir& dir, client::Client& client,
                                         std::string ca_pem, std::string node_name);

// When a certificate is to be renewed: at a random time between 70 and 90 percent of its life.
Result<WallTime> RenewalTime(Env& env, const std::string& certificate_pem);

bool HasEnded(Env& env, const std::string& certificate_pem);

// How a client with this identity talks to the servers.
Result<client::HttpTransportOptions> TransportFor(const std::vector<std::string>& servers,
                                                  const NodeIdentity& identity);

// What the cluster says of itself. kBadRequest when server and agent do not fit together. Warns
// when the clocks differ. kUnavailable when no server answers in time.
Task<Result<ClusterFacts>> FetchClusterFacts(Env& env, client::HttpTransport& transport,
                                             Duration timeout);

}  // namespace gantry::cli
