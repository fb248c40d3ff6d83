#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/reconciler.h"
#include "controllers/certificates/certificates.h"
#include "controllers/node/node_lifecycle.h"
#include "controllers/nodeipam/node_ipam.h"
#include "controllers/serviceaccount/tokens.h"

namespace gantry::controllers {

struct Options {
  std::string ca_certificate;  // PEM
  NodeIpamOptions node_ipam;
  IssueSecretToken issue_token;
  SignCertificate sign;
  ReadRequest read_request;
  MayRequest may_request;
  NodeLifecycleOptions node_lifecycle;
  Duration certificate_lifetime = std::chrono::hours(24 * 365);
  // LoadBalancer services without a class get the addresses of nodes.
  bool balance_without_class = true;
};

struct Controller {
  std::unique_ptr<client::Reconciler> reconciler;
  int workers = 8;  // keys at a time
};

// Every controller of the cluster.
Result<std::vector<Controller>> MakeAll(const Options& options);
// All of them, in the runner. Before its Start.
Status AddAll(const Options& options, client::ReconcilerRunner* runner);

}  // namespace gantry::controllers
