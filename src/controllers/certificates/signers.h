#pragma once

#include <string_view>

#include "api/certificates/v1/signing_request.pb.h"
#include "base/status.h"
#include "controllers/certificates/certificates.h"

namespace gantry::controllers {

// What the signers of kubernetes.io admit: subject, usages, alternative names. A failure says why a
// request is not one of theirs, worded as kube-controller-manager does.

inline constexpr char kNodeClientSigner[] = "kubernetes.io/kube-apiserver-client-kubelet";

struct SignerRule {
  const char* name;
  Status (*check)(const RequestSubject& subject,
                  const api::certificates::v1::CertificateSigningRequest& request);
};

// Null where the name is not one of ours to sign for.
const SignerRule* FindSigner(std::string_view name);

Status CheckNodeClient(const RequestSubject& subject,
                       const api::certificates::v1::CertificateSigningRequest& request);

}  // namespace gantry::controllers
