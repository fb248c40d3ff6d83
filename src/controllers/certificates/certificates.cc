#include "controllers/certificates/certificates.h"

#include <algorithm>

#include "api/duration.h"
#include "api/owners.h"
#include "controllers/certificates/signers.h"

namespace gantry::controllers {
namespace {

using CertificateRequest = api::certificates::v1::CertificateSigningRequest;
using client::Plan;

bool HasCondition(const CertificateRequest& request, std::string_view type) {
  return std::any_of(request.status().conditions().begin(), request.status().conditions().end(),
                     [&](const auto& condition) { return condition.type() == type; });
}

bool IsDecided(const CertificateRequest& request) {
  return HasCondition(request, "Approved") || HasCondition(request, "Denied");
}

void AddCondition(const char* type, const char* reason, std::string message, WallTime now,
                  CertificateRequest* request) {
  auto* condition = request->mutable_status()->add_conditions();
  condition->set_type(type);
  condition->set_status("True");
  condition->set_reason(reason);
  condition->set_message(std::move(message));
  api::SetTime(now, condition->mutable_last_update_time());
  api::SetTime(now, condition->mutable_last_transition_time());
}

class RequestController : public client::Reconciler {
 public:
  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    requests_ = &informers.For<CertificateRequest>();
    requests_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after) enqueue({"", after->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    api::Ref<CertificateRequest> request =
        client::GetFrom<CertificateRequest>(*requests_, "", key.name);
    if (!request || api::IsBeingDeleted(request->metadata())) return Plan();
    return Handle(*request, now);
  }

 protected:
  virtual Result<Plan> Handle(const CertificateRequest& request, WallTime now) = 0;

 private:
  client::Informer* requests_ = nullptr;
};

class NodeApprovalController : public RequestController {
 public:
  NodeApprovalController(ReadRequest read, MayRequest may_request)
      : read_(std::move(read)), may_request_(std::move(may_request)) {}
  std::string_view name() const override { return "certificatesigningrequest-approving"; }

 protected:
  Result<Plan> Handle(const CertificateRequest& request, WallTime now) override {
    Plan plan;
    if (request.spec().signer_name() != kNodeClientSigner || IsDecided(request) ||
        !request.status().certificate().empty())
      return plan;
    Result<RequestSubject> subject = read_(request.spec().request());
    if (!subject.ok() || !CheckNodeClient(*subject, request).ok()) return plan;
    std::string message;
    if (request.spec().username() == subject->common_name &&
        may_request_(request.spec(), "selfnodeclient")) {
      message = "Auto approving self kubelet client certificate after SubjectAccessReview.";
    } else if (may_request_(request.spec(), "nodeclient")) {
      message = "Auto approving kubelet client certificate after SubjectAccessReview.";
    } else {
      return plan;
    }
    CertificateRequest approved = request;
    AddCondition("Approved", "AutoApproved", std::move(message), now, &approved);
    client::Action action = client::WriteAction(client::Action::Verb::kUpdate, std::move(approved));
    action.subresource = "approval";
    plan.actions.push_back(std::move(action));
    return plan;
  }

 private:
  const ReadRequest read_;
  const MayRequest may_request_;
};

class SigningController : public RequestController {
 public:
  SigningController(SignCertificate sign, ReadRequest read, Duration lifetime)
      : sign_(std::move(sign)), read_(std::move(read)), lifetime_(lifetime) {}
  std::string_view name() const override { return "certificatesigningrequest-signing"; }

 protected:
  Result<Plan> Handle(const CertificateRequest& request, WallTime now) override {
    Plan plan;
    const SignerRule* rule = FindSigner(request.spec().signer_name());
    if (rule == nullptr || !HasCondition(request, "Approved") || HasCondition(request, "Denied") ||
        HasCondition(request, "Failed") || !request.status().certificate().empty()) {
      return plan;
    }
    GANTRY_ASSIGN(const RequestSubject subject, read_(request.spec().request()));
    CertificateRequest next = request;
    if (Status checked = rule->check(subject, request); !checked.ok()) {
      AddCondition("Failed", "SignerValidationFailure", checked.message(), now, &next);
      plan.UpdateStatus(std::move(next));
      return plan;
    }
    Duration lifetime = lifetime_;
    if (request.spec().has_expiration_seconds()) {
      lifetime =
          std::min<Duration>(lifetime, std::chrono::seconds(request.spec().expiration_seconds()));
    }
    const std::vector<std::string> usages(request.spec().usages().begin(),
                                          request.spec().usages().end());
    GANTRY_ASSIGN(std::string certificate, sign_(request.spec().request(), usages, lifetime));
    next.mutable_status()->set_certificate(std::move(certificate));
    plan.UpdateStatus(std::move(next));
    return plan;
  }

 private:
  const SignCertificate sign_;
  const ReadRequest read_;
  const Duration lifetime_;
};

class RequestCleaner : public RequestController {
 public:
  std::string_view name() const override { return "certificatesigningrequest-cleaner"; }

 protected:
  Result<Plan> Handle(const CertificateRequest& request, WallTime now) override {
    Plan plan;
    // An approved request that nobody has signed yet waits as long as an undecided one.
    WallTime end =
        api::ToWallTime(request.metadata().creation_timestamp()) + std::chrono::hours(24);
    for (const auto& condition : request.status().conditions()) {
      if (condition.type() == "Approved" && request.status().certificate().empty()) continue;
      end = std::min<WallTime>(
          end, api::ToWallTime(condition.last_update_time()) + std::chrono::hours(1));
    }
    if (end <= now) {
      plan.Delete(request);
    } else {
      plan.requeue_after = end - now;
    }
    return plan;
  }
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeNodeApprovalController(ReadRequest read,
                                                               MayRequest may_request) {
  return std::make_unique<NodeApprovalController>(std::move(read), std::move(may_request));
}
std::unique_ptr<client::Reconciler> MakeSigningController(SignCertificate sign, ReadRequest read,
                                                          Duration lifetime) {
  return std::make_unique<SigningController>(std::move(sign), std::move(read), lifetime);
}
std::unique_ptr<client::Reconciler> MakeRequestCleaner() {
  return std::make_unique<RequestCleaner>();
}

}  // namespace gantry::controllers
