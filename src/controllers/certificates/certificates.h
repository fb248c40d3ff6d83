#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/reconciler.h"

namespace gantry::controllers {

// Signs a PEM certificate request with the cluster's CA; gives the certificate as PEM.
using SignCertificate = std::function<Result<std::string>(
    const std::string& request, const std::vector<std::string>& usages, Duration lifetime)>;
// The subject of a PEM request, or why it cannot be read.
struct RequestSubject {
  std::string common_name;
  std::vector<std::string> organizations;
  bool has_alternative_names = false;
};
using ReadRequest = std::function<Result<RequestSubject>(const std::string& request)>;

// Approves what a node asks for itself: client certificates of joining nodes (bootstrap tokens) and
// their renewal.
std::unique_ptr<client::Reconciler> MakeNodeApprovalController(ReadRequest read);

// Issues certificates for approved requests of the signers kubernetes.io/kube-apiserver-client,
// kubernetes.io/kube-apiserver-client-kubelet and kubernetes.io/kubelet-serving.
std::unique_ptr<client::Reconciler> MakeSigningController(SignCertificate sign);

// Forgets requests: denied, failed and signed ones an hour after that, others after a day.
std::unique_ptr<client::Reconciler> MakeRequestCleaner();

}  // namespace gantry::controllers
