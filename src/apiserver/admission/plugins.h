#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "apiserver/admission/admission.h"
#include "apiserver/authz/rbac.h"

namespace gantry::apiserver {

// The built-in plug-ins, each in a file of its own. `registry` outlives them.

// Nothing new in namespaces that are missing or going; the system's own namespaces stay.
std::unique_ptr<AdmissionPlugin> NamespaceLifecycle(Registry& registry);
// Pods get a service account, its token's volume and its pull secrets.
std::unique_ptr<AdmissionPlugin> ServiceAccountAdmission(Registry& registry);
// Pods that say nothing else stay for so long on nodes that are not ready or not reachable.
std::unique_ptr<AdmissionPlugin> DefaultTolerationSeconds(int64_t seconds);
// Pods get the priority of their class; one class at most is the default.
std::unique_ptr<AdmissionPlugin> PriorityAdmission(Registry& registry);
// Pods keep to the security level that their namespace asks for.
std::unique_ptr<AdmissionPlugin> PodSecurity(Registry& registry);
// Nodes write their own Node, Lease and pods only.
std::unique_ptr<AdmissionPlugin> NodeRestriction(Registry& registry);
// Pods and claims keep to the limit ranges of their namespace, which also give defaults.
std::unique_ptr<AdmissionPlugin> LimitRanger(Registry& registry);
// Objects keep to the quotas of their namespace, which are charged in the same commit.
std::unique_ptr<AdmissionPlugin> ResourceQuotaAdmission(Registry& registry);
// Claims without a storage class get the default one; a claim grows only where its class allows it.
std::unique_ptr<AdmissionPlugin> StorageAdmission(Registry& registry);
// Volumes and claims get the finalizer that keeps them for as long as they are used.
std::unique_ptr<AdmissionPlugin> StorageProtection();
// Pods get the overhead and the placement of their runtime class.
std::unique_ptr<AdmissionPlugin> RuntimeClassAdmission(Registry& registry);
// Who approves or signs certificates must be allowed to for the signer; nobody asks for
// system:masters.
std::unique_ptr<AdmissionPlugin> CertificateAdmission(Authorizer& authorizer);
// Nobody grants rights that they do not have, unless they may escalate or bind.
std::unique_ptr<AdmissionPlugin> RbacEscalation(Registry& registry, RbacAuthorizer& rbac,
                                                Authorizer& authorizer);

}  // namespace gantry::apiserver
