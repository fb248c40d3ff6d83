#include <algorithm>
#include <charconv>
#include <map>
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
#include "api/field_error.h"
#include "api/quote.h"
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
  int minor = kLatestRules;
  std::string text;  // "baseline:latest"
};

std::optional<SecurityLevel> ParseLevel(std::string_view text) {
  if (text == "privileged") return SecurityLevel::kPrivileged;
  if (text == "baseline") return SecurityLevel::kBaseline;
  if (text == "restricted") return SecurityLevel::kRestricted;
  return std::nullopt;
}

// "latest" or "v1.MINOR".
std::optional<int> ParseVersion(std::string_view text) {
  if (text == "latest") return kLatestRules;
  if (!text.starts_with("v1.")) return std::nullopt;
  text.remove_prefix(3);
  int minor = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), minor);
  const bool canonical = !text.empty() && (text.size() == 1 || text[0] != '0');
  if (error != std::errc() || end != text.data() + text.size() || !canonical || minor < 0)
    return std::nullopt;
  return minor;
}

// Labels that cannot be read ask for the strictest: who wrote them wanted some security.
Policy PolicyOf(const Namespace& ns, std::string_view mode, api::FieldErrors* errors = nullptr) {
  const std::string key = std::string(kPrefix) + std::string(mode);
  auto label = [&](const std::string& name) {
    auto it = ns.metadata().labels().find(name);
    return it == ns.metadata().labels().end() ? nullptr : &it->second;
  };
  auto complain = [&](const std::string& name, const std::string& value, const char* what) {
    if (errors == nullptr) return;
    errors->push_back({api::FieldError::Type::kInvalid, "metadata.labels[" + name + "]",
                       "Invalid value: " + api::GoQuote(value) + ": " + what});
  };
  Policy policy;
  std::string level = "privileged", version = "latest";
  if (const std::string* text = label(key)) {
    std::optional<SecurityLevel> parsed = ParseLevel(*text);
    if (!parsed) complain(key, *text, "must be one of privileged, baseline, restricted");
    policy.level = parsed.value_or(mode == "enforce" ? SecurityLevel::kRestricted
                                                     : SecurityLevel::kPrivileged);
    level = parsed ? *text : mode == "enforce" ? "restricted" : "privileged";
  }
  const std::string version_key = key + "-version";
  if (const std::string* text = label(version_key)) {
    std::optional<int> parsed = ParseVersion(*text);
    if (!parsed) complain(version_key, *text, "must be \"latest\" or \"v1.x\"");
    policy.minor = parsed.value_or(kLatestRules);
    if (parsed) version = *text;
  }
  policy.text = level + ":" + version;
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
    if (request.Is("", "namespaces")) return CheckNamespace(request);
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
      std::string violations = SecurityViolations(*spec, enforce.level, enforce.minor);
      if (!violations.empty())
        return request.Forbid("violates PodSecurity \"" + enforce.text + "\": " + violations);
    }
    std::string violations = SecurityViolations(*spec, warn.level, warn.minor);
    if (!violations.empty())
      request.Warn("would violate PodSecurity \"" + warn.text + "\": " + violations);
    return {};
  }

 private:
  // Labels must be readable; who asks for a stricter level is told which pods break it.
  Status CheckNamespace(const AdmissionRequest& request) const {
    if (request.object == nullptr || !request.subresource.empty()) return {};
    const auto& ns = static_cast<const Namespace&>(*request.object);
    const auto* old = static_cast<const Namespace*>(request.old);
    api::FieldErrors errors, before;
    Policy enforce;
    for (const char* mode : {"enforce", "audit", "warn"}) {
      Policy policy = PolicyOf(ns, mode, &errors);
      if (std::string_view(mode) == "enforce") enforce = std::move(policy);
      if (old != nullptr) PolicyOf(*old, mode, &before);
    }
    // What was wrong already does not keep others from changing the namespace.
    if (!errors.empty() && (old == nullptr || api::JoinErrors(errors) != api::JoinErrors(before))) {
      return api::InvalidObject(*request.row.kind, ns.metadata().name(), errors);
    }
    if (old == nullptr || enforce.level == SecurityLevel::kPrivileged) return {};
    const Policy was = PolicyOf(*old, "enforce");
    const bool relaxed = was.minor == enforce.minor && enforce.level < was.level;
    if (was.text != enforce.text && !relaxed) WarnOfPods(request, ns.metadata().name(), enforce);
    return {};
  }

  void WarnOfPods(const AdmissionRequest& request, const std::string& ns,
                  const Policy& enforce) const {
    store::Selection selection;
    selection.ns = ns;
    std::map<std::string, std::vector<std::string>> names;  // by what they break
    for (const api::ObjectPtr& pod :
         registry_.CacheOf(api::KindOf<Pod>()).List(selection).objects) {
      std::string broken =
          SecurityViolations(pod->As<Pod>().spec(), enforce.level, enforce.minor, false);
      if (!broken.empty()) names[std::move(broken)].push_back(pod->name());
    }
    if (names.empty()) return;
    request.Warn("existing pods in namespace \"" + ns +
                 "\" violate the new PodSecurity enforce level \"" + enforce.text + "\"");
    std::vector<std::string> lines;
    for (const auto& [broken, pods] : names) {
      std::string line = pods[0];
      if (pods.size() == 2) line += " (and 1 other pod)";
      if (pods.size() > 2) line += " (and " + std::to_string(pods.size() - 1) + " other pods)";
      lines.push_back(line + ": " + broken);
    }
    std::sort(lines.begin(), lines.end());
    for (std::string& line : lines)
      request.Warn(std::move(line));
  }

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
