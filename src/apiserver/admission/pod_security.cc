#include <optional>

#include "api/apps/v1/daemon_set.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/admission/pod_security_checks.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Namespace;
using api::core::v1::Pod;
using api::core::v1::PodSpec;
using google::protobuf::Message;

constexpr std::string_view kPrefix = "pod-security.kubernetes.io/";

struct Policy {
  SecurityLevel level = SecurityLevel::kPrivileged;
  std::string text;  // "baseline:latest"
};

Policy PolicyOf(const Namespace& ns, std::string_view mode) {
  auto label = [&](const std::string& key) {
    auto it = ns.metadata().labels().find(key);
    return it == ns.metadata().labels().end() ? std::string() : it->second;
  };
  const std::string key = std::string(kPrefix) + std::string(mode);
  Policy policy;
  const std::string level = label(key);
  if (level == "baseline") policy.level = SecurityLevel::kBaseline;
  if (level == "restricted") policy.level = SecurityLevel::kRestricted;
  std::string version = label(key + "-version");
  policy.text = level + ":" + (version.empty() ? "latest" : version);
  return policy;
}

template <class T>
const PodSpec* TemplateOf(const Message& object) {
  return &static_cast<const T&>(object).spec().template_().spec();
}

// The pods that a workload would make; null for what makes none.
const PodSpec* PodsOf(const AdmissionRequest& request) {
  struct Row {
    std::string_view kind;
    const PodSpec* (*of)(const Message& object);
  };
  static constexpr Row kRows[] = {
      {"Deployment", TemplateOf<api::apps::v1::Deployment>},
      {"ReplicaSet", TemplateOf<api::apps::v1::ReplicaSet>},
      {"StatefulSet", TemplateOf<api::apps::v1::StatefulSet>},
      {"DaemonSet", TemplateOf<api::apps::v1::DaemonSet>},
      {"ReplicationController", TemplateOf<api::core::v1::ReplicationController>},
      {"Job", TemplateOf<api::batch::v1::Job>},
      {"CronJob",
       [](const Message& object) {
         return &static_cast<const api::batch::v1::CronJob&>(object)
                     .spec()
                     .job_template()
                     .spec()
                     .template_()
                     .spec();
       }},
      {"PodTemplate",
       [](const Message& object) {
         return &static_cast<const api::core::v1::PodTemplate&>(object).template_().spec();
       }},
  };
  for (const Row& row : kRows) {
    if (row.kind == request.row.kind->kind) return row.of(*request.object);
  }
  return nullptr;
}

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "PodSecurity"; }

  Status Validate(const AdmissionRequest& request) override {
    if (request.object == nullptr || request.operation == Operation::kDelete || request.ns.empty())
      return {};
    const bool pod = request.Is("", "pods");
    const bool containers_added = pod && request.subresource == "ephemeralcontainers";
    if (!request.subresource.empty() && !containers_added) return {};
    if (pod && request.operation == Operation::kUpdate && !containers_added &&
        !ImagesChange(request))
      return {};
    const PodSpec* spec = pod ? &static_cast<const Pod*>(request.object)->spec() : PodsOf(request);
    if (spec == nullptr) return {};
    api::Ref<Namespace> ns = registry_.Peek<Namespace>("", request.ns);
    if (!ns) return {};

    const Policy enforce = PolicyOf(*ns, "enforce"), warn = PolicyOf(*ns, "warn");
    if (pod) {
      std::string violations = SecurityViolations(*spec, enforce.level);
      if (!violations.empty())
        return request.Forbid("violates PodSecurity \"" + enforce.text + "\": " + violations);
    }
    std::string violations = SecurityViolations(*spec, warn.level);
    if (!violations.empty())
      request.Warn("would violate PodSecurity \"" + warn.text + "\": " + violations);
    return {};
  }

 private:
  static bool ImagesChange(const AdmissionRequest& request) {
    const PodSpec& before = static_cast<const Pod*>(request.old)->spec();
    const PodSpec& after = static_cast<const Pod*>(request.object)->spec();
    if (before.containers_size() != after.containers_size()) return true;
    for (int i = 0; i < after.containers_size(); ++i) {
      if (before.containers(i).image() != after.containers(i).image()) return true;
    }
    return false;
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> PodSecurity(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
