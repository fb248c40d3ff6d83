#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/certificates/v1/signing_request.pb.h"
#include "client/reconciler.h"

namespace gantry::controllers {

// Signs a PEM certificate request with the cluster's CA; gives the certificate as PEM.
using SignCertificate = std::function<Result<std::string>(
    const std::string& request, const std::vector<std::string>& usages, Duration lifetime)>;
// What a PEM request asks for, or why it cannot be read.
struct RequestSubject {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names, addresses, emails, uris;
};
using ReadRequest = std::function<Result<RequestSubject>(const std::string& request)>;
// Whether who made the request may create certificatesigningrequests/`subresource`.
using MayRequest =
    std::function<bool(const api::certificates::v1::CertificateSigningRequestSpec& who,
                       const std::string& subresource)>;

// Approves what a node asks for itself: client certificates of joining nodes ("nodeclient") and
// their renewal ("selfnodeclient"), where who asks is authorized to.
std::unique_ptr<client::Reconciler> MakeNodeApprovalController(ReadRequest read,
                                                               MayRequest may_request);

// Issues certificates for approved requests of the signers kubernetes.io/kube-apiserver-client,
// kubernetes.io/kube-apiserver-client-kubelet, kubernetes.io/kubelet-serving and
// kubernetes.io/legacy-unknown, for `lifetime` or the shorter time that is asked for. Requests that
// their signer does not admit fail.
std::unique_ptr<client::Reconciler> MakeSigningController(
    SignCertificate sign, ReadRequest read, Duration lifetime = std::chrono::hours(24 * 365));

// Forgets requests: denied, failed and signed ones an hour after that, others after a day.
std::unique_ptr<client::Reconciler> MakeRequestCleaner();

}  // namespace gantry::controllers
