// Priority and runtime classes, leases, certificate requests.
#include <set>

#include "api/certificates/v1/signing_request.pb.h"
#include "api/coordination/v1/lease.pb.h"
#include "api/core/v1/resources.pb.h"
#include "api/node/v1/runtime_class.pb.h"
#include "api/scheduling/v1/priority_class.pb.h"
#include "api/validation/meta.h"
#include "api/validation/resources.h"
#include "api/validation/rules.h"
#include "api/validation/scheduling.h"

namespace gantry::api::validation {
namespace {

using certificates::v1::CertificateSigningRequest;
using coordination::v1::Lease;
using node::v1::RuntimeClass;
using scheduling::v1::PriorityClass;

constexpr int32_t kHighestUserPriority = 1'000'000'000;
constexpr int32_t kSystemClusterCritical = 2'000'000'000;
constexpr int32_t kSystemNodeCritical = 2'000'001'000;
constexpr int32_t kMinCertificateSeconds = 600;

void CheckPreemption(const PriorityClass& priority_class, Errors* errors) {
  if (!priority_class.has_preemption_policy()) return;
  CheckEnum(Path("preemptionPolicy"), priority_class.preemption_policy(),
            {"PreemptLowerPriority", "Never"}, errors);
}

void CreatePriorityClass(const PriorityClass& priority_class, Errors* errors) {
  CheckMeta(priority_class.metadata(), false, NameIsDns1123Subdomain, errors);
  const std::string& name = priority_class.metadata().name();
  if (name.starts_with("system-")) {
    std::string problem;
    int32_t wanted = name == "system-node-critical"      ? kSystemNodeCritical
                     : name == "system-cluster-critical" ? kSystemClusterCritical
                                                         : 0;
    if (wanted == 0) {
      problem = name + " is not a known system priority class";
    } else if (priority_class.value() != wanted) {
      problem = "value of " + name + " PriorityClass must be " + std::to_string(wanted);
    } else if (priority_class.global_default()) {
      problem = "globalDefault of " + name + " PriorityClass must be false";
    }
    if (!problem.empty()) {
      errors->Forbidden(
          Path("metadata.name"),
          "priority class names with 'system-' prefix are reserved for system use only. error: " +
              problem);
    }
  } else if (priority_class.value() > kHighestUserPriority) {
    errors->Forbidden(Path("value"),
                      "maximum allowed value of a user defined priority is 1000000000");
  }
  CheckPreemption(priority_class, errors);
}

void UpdatePriorityClass(const PriorityClass& priority_class, const PriorityClass& old,
                         Errors* errors) {
  CheckMetaUpdate(priority_class.metadata(), old.metadata(), errors);
  if (priority_class.value() != old.value())
    errors->Forbidden(Path("value"), "may not be changed in an update.");
  CheckPreemption(priority_class, errors);
  if (priority_class.preemption_policy() != old.preemption_policy()) {
    errors->Invalid(Path("preemptionPolicy"), priority_class.preemption_policy(), kImmutable);
  }
}

void CreateRuntimeClass(const RuntimeClass& runtime_class, Errors* errors) {
  CheckMeta(runtime_class.metadata(), false, NameIsDns1123Subdomain, errors);
  CheckDns1123Label(Path("handler"), runtime_class.handler(), errors);
  if (runtime_class.has_overhead()) {
    core::v1::ResourceRequirements overhead;
    *overhead.mutable_limits() = runtime_class.overhead().pod_fixed();
    CheckResourceRequirements(Path("overhead.podFixed"), overhead, CheckContainerResourceName, {},
                              errors);
  }
  if (!runtime_class.has_scheduling()) return;
  Path scheduling("scheduling");
  CheckLabels(scheduling.Child("nodeSelector"), runtime_class.scheduling().node_selector(), errors);
  CheckTolerations(scheduling.Child("tolerations"), runtime_class.scheduling().tolerations(),
                   errors);
}

void UpdateRuntimeClass(const RuntimeClass& runtime_class, const RuntimeClass& old,
                        Errors* errors) {
  CheckMetaUpdate(runtime_class.metadata(), old.metadata(), errors);
  CreateRuntimeClass(runtime_class, errors);
  if (runtime_class.handler() != old.handler())
    errors->Invalid(Path("handler"), runtime_class.handler(), kImmutable);
}

void CheckLeaseSpec(const Lease& lease, Errors* errors) {
  const auto& spec = lease.spec();
  Path path("spec");
  if (spec.has_lease_duration_seconds() && spec.lease_duration_seconds() <= 0) {
    errors->Invalid(path.Child("leaseDurationSeconds"), spec.lease_duration_seconds(),
                    "must be greater than 0");
  }
  if (spec.has_lease_transitions() && spec.lease_transitions() < 0) {
    errors->Invalid(path.Child("leaseTransitions"), spec.lease_transitions(),
                    "must be greater than or equal to 0");
  }
  if (spec.has_strategy()) CheckQualifiedName(path.Child("strategy"), spec.strategy(), errors);
  if (!spec.preferred_holder().empty() && spec.strategy().empty()) {
    errors->Forbidden(path.Child("preferredHolder"),
                      "may only be specified if `strategy` is defined");
  }
}

void CreateLease(const Lease& lease, Errors* errors) {
  CheckMeta(lease.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckLeaseSpec(lease, errors);
}

void UpdateLease(const Lease& lease, const Lease& old, Errors* errors) {
  CheckMetaUpdate(lease.metadata(), old.metadata(), errors);
  CheckLeaseSpec(lease, errors);
}

void CheckSignerName(const Path& path, const std::string& signer, Errors* errors) {
  if (signer.empty()) {
    errors->Required(path);
    return;
  }
  size_t slash = signer.find('/');
  if (slash == std::string::npos) {
    errors->Invalid(
        path, signer,
        "must be a fully qualified domain and path of the form \"example.com/signer-name\"");
    return;
  }
  std::string domain = signer.substr(0, slash);
  errors->Complain(path, domain, IsDns1123Subdomain(domain));
  if (domain.find('.') == std::string::npos) {
    errors->Invalid(path, domain,
                    "should be a domain with at least two segments separated by dots");
  }
  std::string name = signer.substr(slash + 1);
  if (name.empty()) errors->Invalid(path, signer, "validating label \"\": must be non-empty");
}

void CreateRequest(const CertificateSigningRequest& request, Errors* errors) {
  CheckMeta(request.metadata(), false, NameIsPathSegment, errors);
  Path path("spec");
  constexpr std::string_view kPem = "-----BEGIN CERTIFICATE REQUEST-----";
  if (request.spec().request().find(kPem) == std::string::npos) {
    errors->Invalid(path.Child("request"), request.spec().request(),
                    "PEM block type must be CERTIFICATE REQUEST");
  }
  if (request.spec().usages().empty()) errors->Required(path.Child("usages"));
  Path usages = path.Child("usages");
  static constexpr std::string_view kUsages[] = {"any",
                                                 "cert sign",
                                                 "client auth",
                                                 "code signing",
                                                 "content commitment",
                                                 "crl sign",
                                                 "data encipherment",
                                                 "decipher only",
                                                 "digital signature",
                                                 "email protection",
                                                 "encipher only",
                                                 "ipsec end system",
                                                 "ipsec tunnel",
                                                 "ipsec user",
                                                 "key agreement",
                                                 "key encipherment",
                                                 "microsoft sgc",
                                                 "netscape sgc",
                                                 "ocsp signing",
                                                 "s/mime",
                                                 "server auth",
                                                 "signing",
                                                 "timestamping"};
  std::set<std::string_view> seen;
  for (int i = 0; i < request.spec().usages_size(); ++i) {
    const std::string& usage = request.spec().usages(i);
    if (!IsOneOf(usage, kUsages)) errors->NotSupported(usages.Index(i), usage, kUsages);
    if (!seen.insert(usage).second) errors->Duplicate(usages.Index(i), usage);
  }
  if (request.spec().signer_name() == "kubernetes.io/legacy-unknown") {
    errors->Invalid(path.Child("signerName"), request.spec().signer_name(),
                    "the legacy signerName is not allowed via this API version");
  } else {
    CheckSignerName(path.Child("signerName"), request.spec().signer_name(), errors);
  }
  if (request.spec().has_expiration_seconds() &&
      request.spec().expiration_seconds() < kMinCertificateSeconds) {
    errors->Invalid(path.Child("expirationSeconds"), request.spec().expiration_seconds(),
                    "may not specify a duration less than 600 seconds (10 minutes)");
  }
}

void UpdateRequest(const CertificateSigningRequest& request, const CertificateSigningRequest& old,
                   Errors* errors) {
  CheckMetaUpdate(request.metadata(), old.metadata(), errors);
  Path conditions("status.conditions");
  bool approved = false;
  bool denied = false;
  std::set<std::string_view> types;
  for (int i = 0; i < request.status().conditions_size(); ++i) {
    const auto& condition = request.status().conditions(i);
    Path item = conditions.Index(i);
    if (condition.type().empty()) errors->Required(item.Child("type"));
    approved |= condition.type() == "Approved";
    denied |= condition.type() == "Denied";
    if (!types.insert(condition.type()).second)
      errors->Duplicate(item.Child("type"), condition.type());
  }
  if (approved && denied)
    errors->Invalid(conditions, "Approved",
                    "Approved and Denied conditions are mutually exclusive");
  // What was decided stays decided.
  for (const auto& before : old.status().conditions()) {
    if (IsOneOf(before.type(), {"Approved", "Denied", "Failed"}) &&
        !types.contains(before.type())) {
      errors->Forbidden(conditions,
                        "updates may not remove a condition of type \"" + before.type() + "\"");
    }
  }
}

void UpdateRequestStatus(const CertificateSigningRequest& request,
                         const CertificateSigningRequest& old, Errors* errors) {
  UpdateRequest(request, old, errors);
  if (!old.status().certificate().empty() &&
      request.status().certificate() != old.status().certificate()) {
    errors->Forbidden(Path("status.certificate"), "updates may not set certificate content");
  }
}

}  // namespace

std::vector<RuleRow> ClusterRules() {
  return {
      Row<CertificateSigningRequest, CreateRequest, UpdateRequest, UpdateRequestStatus>(),
      Row<Lease, CreateLease, UpdateLease>(),
      Row<PriorityClass, CreatePriorityClass, UpdatePriorityClass>(),
      Row<RuntimeClass, CreateRuntimeClass, UpdateRuntimeClass>(),
  };
}

}  // namespace gantry::api::validation
