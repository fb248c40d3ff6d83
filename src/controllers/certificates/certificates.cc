#include "controllers/certificates/certificates.h"

#include <algorithm>

#include "api/certificates/v1/signing_request.pb.h"
#include "api/duration.h"
#include "api/owners.h"

namespace gantry::controllers {
namespace {

using CertificateRequest = api::certificates::v1::CertificateSigningRequest;
using client::Plan;

constexpr char kNodeClientSigner[] = "kubernetes.io/kube-apiserver-client-kubelet";
constexpr char kClientSigner[] = "kubernetes.io/kube-apiserver-client";
constexpr char kNodeServingSigner[] = "kubernetes.io/kubelet-serving";
constexpr char kNodesGroup[] = "system:nodes";
constexpr char kNodePrefix[] = "system:node:";
constexpr char kBootstrappers[] = "system:bootstrappers";
constexpr Duration kDefaultLifetime = std::chrono::hours(24 * 365);

bool HasCondition(const CertificateRequest& request, std::string_view type) {
  return std::any_of(request.status().conditions().begin(), request.status().conditions().end(),
                     [&](const auto& condition) { return condition.type() == type; });
}

// The usages are `purpose`, "digital signature" and perhaps "key encipherment", nothing else.
bool HasExactUsages(const CertificateRequest& request, std::string_view purpose) {
  bool signs = false, serves = false;
  for (const std::string& usage : request.spec().usages()) {
    if (usage == "digital signature") {
      signs = true;
    } else if (usage == purpose) {
      serves = true;
    } else if (usage != "key encipherment") {
      return false;
    }
  }
  return signs && serves;
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
  explicit NodeApprovalController(ReadRequest read) : read_(std::move(read)) {}
  std::string_view name() const override { return "certificatesigningrequest-approving"; }

 protected:
  Result<Plan> Handle(const CertificateRequest& request, WallTime now) override {
    Plan plan;
    if (request.spec().signer_name() != kNodeClientSigner || IsDecided(request)) return plan;
    Result<RequestSubject> subject = read_(request.spec().request());
    if (!subject.ok() || !IsNodeClient(request, *subject)) return plan;
    const auto& groups = request.spec().groups();
    const bool self = request.spec().username() == subject->common_name &&
                      std::find(groups.begin(), groups.end(), kNodesGroup) != groups.end();
    const bool joining = std::any_of(groups.begin(), groups.end(), [](const std::string& group) {
      return group == kBootstrappers || group.starts_with(std::string(kBootstrappers) + ":");
    });
    if (!self && !joining) return plan;
    CertificateRequest approved = request;
    AddCondition("Approved", "AutoApproved",
                 self ? "Auto approving self kubelet client certificate after SubjectAccessReview."
                      : "Auto approving kubelet client certificate after SubjectAccessReview.",
                 now, &approved);
    client::Action action = client::WriteAction(client::Action::Verb::kUpdate, std::move(approved));
    action.subresource = "approval";
    plan.actions.push_back(std::move(action));
    return plan;
  }

 private:
  static bool IsNodeClient(const CertificateRequest& request, const RequestSubject& subject) {
    return HasExactUsages(request, "client auth") && !subject.has_alternative_names &&
           subject.organizations == std::vector<std::string>{kNodesGroup} &&
           subject.common_name.starts_with(kNodePrefix);
  }

  const ReadRequest read_;
};

class SigningController : public RequestController {
 public:
  explicit SigningController(SignCertificate sign) : sign_(std::move(sign)) {}
  std::string_view name() const override { return "certificatesigningrequest-signing"; }

 protected:
  Result<Plan> Handle(const CertificateRequest& request, WallTime now) override {
    Plan plan;
    const std::string& signer = request.spec().signer_name();
    if (signer != kNodeClientSigner && signer != kClientSigner && signer != kNodeServingSigner)
      return plan;
    if (!HasCondition(request, "Approved") || HasCondition(request, "Denied") ||
        HasCondition(request, "Failed") || !request.status().certificate().empty()) {
      return plan;
    }
    Duration lifetime = kDefaultLifetime;
    if (request.spec().has_expiration_seconds()) {
      lifetime =
          std::min<Duration>(lifetime, std::chrono::seconds(request.spec().expiration_seconds()));
    }
    const std::vector<std::string> usages(request.spec().usages().begin(),
                                          request.spec().usages().end());
    Result<std::string> certificate = sign_(request.spec().request(), usages, lifetime);
    CertificateRequest next = request;
    if (certificate.ok()) {
      next.mutable_status()->set_certificate(*certificate);
    } else {
      AddCondition("Failed", "SignerValidationFailure", certificate.status().message(), now, &next);
    }
    plan.UpdateStatus(std::move(next));
    return plan;
  }

 private:
  const SignCertificate sign_;
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

std::unique_ptr<client::Reconciler> MakeNodeApprovalController(ReadRequest read) {
  return std::make_unique<NodeApprovalController>(std::move(read));
}
std::unique_ptr<client::Reconciler> MakeSigningController(SignCertificate sign) {
  return std::make_unique<SigningController>(std::move(sign));
}
std::unique_ptr<client::Reconciler> MakeRequestCleaner() {
  return std::make_unique<RequestCleaner>();
}

}  // namespace gantry::controllers
