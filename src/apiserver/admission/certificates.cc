#include "apiserver/pki/certificates.h"
#include "api/certificates/v1/signing_request.pb.h"
#include "apiserver/admission/plugins.h"

namespace gantry::apiserver {
namespace {

using Request = api::certificates::v1::CertificateSigningRequest;

constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Authorizer& authorizer) : authorizer_(authorizer) {}
  std::string_view name() const override { return "CertificateSigning"; }

  Status Validate(const AdmissionRequest& request) override {
    if (!request.Is("certificates.k8s.io", "certificatesigningrequests") ||
        request.object == nullptr)
      return {};
    const auto& object = static_cast<const Request&>(*request.object);
    if (request.operation == Operation::kCreate) return CheckSubject(request, object);
    const std::string& signer = object.spec().signer_name();
    if (request.subresource == "approval") return CheckSigner(request, signer, "approve");
    if (request.subresource == "status") {
      const auto& old = static_cast<const Request&>(*request.old);
      if (old.status().certificate() == object.status().certificate()) return {};
      return CheckSigner(request, signer, "sign");
    }
    return {};
  }

 private:
  // Nobody gets to be system:masters by a certificate that an approver overlooked.
  Status CheckSubject(const AdmissionRequest& request, const Request& object) {
    if (object.spec().signer_name() != kClientSigner) return {};
    Result<pki::RequestInfo> subject = pki::ParseRequest(object.spec().request());
    if (!subject.ok()) return {};
    for (const std::string& group : subject->organizations) {
      if (group != kSystemMasters) continue;
      return request.Forbid("use of " + std::string(kClientSigner) +
                            " signer with system:masters group is not allowed");
    }
    return {};
  }

  // The right for the signer itself, or for all of its domain.
  Status CheckSigner(const AdmissionRequest& request, const std::string& signer,
                     const std::string& verb) {
    Access access;
    access.is_resource = true;
    access.verb = verb;
    access.group = "certificates.k8s.io";
    access.version = "*";
    access.resource = "signers";
    access.name = signer;
    if (authorizer_.Authorize(request.call.user, access).allowed()) return {};
    access.name = signer.substr(0, signer.find('/')) + "/*";
    if (authorizer_.Authorize(request.call.user, access).allowed()) return {};
    return request.Forbid("user not permitted to " + verb + " requests with signerName \"" +
                          signer + "\"");
  }

  Authorizer& authorizer_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> CertificateAdmission(Authorizer& authorizer) {
  return std::make_unique<Plugin>(authorizer);
}

}  // namespace gantry::apiserver
