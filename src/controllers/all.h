#pragma once

#include <functional>
#include <string>

#include "client/reconciler.h"
#include "controllers/certificates/certificates.h"
#include "controllers/node/node_lifecycle.h"
#include "controllers/serviceaccount/tokens.h"

namespace gantry::controllers {

struct Options {
  std::string ca_certificate;  // PEM
  std::string cluster_cidr;
  IssueSecretToken issue_token;
  SignCertificate sign;
  ReadRequest read_request;
  MayRequest may_request;
  NodeLifecycleOptions node_lifecycle;
};

// Every controller of the cluster, in the runner. Before its Start.
Status AddAll(const Options& options, client::ReconcilerRunner* runner);

}  // namespace gantry::controllers
