#pragma once

#include <memory>
#include <string>

#include "client/reconciler.h"

namespace gantry::controllers {

// The service account "default" in every active namespace.
std::unique_ptr<client::Reconciler> MakeServiceAccountController();

// The config map "kube-root-ca.crt" in every active namespace, with the cluster's CA certificate
// (PEM).
std::unique_ptr<client::Reconciler> MakeRootCaPublisher(std::string ca_certificate);

}  // namespace gantry::controllers
