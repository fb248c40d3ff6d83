#include <array>
#include <map>
#include <set>

#include "api/apps/v1/daemon_set.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/core/v1/endpoints.pb.h"
#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/kinds.h"
#include "api/networking/v1/ingress.pb.h"
#include "api/quote.h"
#include "api/validation.h"
#include "api/validation/check.h"
#include "api/validation/meta.h"
#include "api/validation/resources.h"

namespace gantry::api {
namespace {

using core::v1::Container;
using core::v1::PodSpec;
using core::v1::Service;
using google::protobuf::Message;
using meta::v1::ObjectMeta;
using validation::Path;

struct Deprecation {
  std::string_view name;
  std::string_view text;
};
constexpr std::array<Deprecation, 5> kNodeLabels = {{
    {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
    {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
    {"failure-domain.beta.kubernetes.io/region",
     "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
    {"failure-domain.beta.kubernetes.io/zone",
     "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
    {"beta.kubernetes.io/instance-type",
     "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
}};
constexpr std::array<Deprecation, 3> kPodAnnotations = {{
    {"scheduler.alpha.kubernetes.io/critical-pod",
     "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
    {"security.alpha.kubernetes.io/sysctls",
     "non-functional in v1.11+; use the \"sysctls\" field instead"},
    {"security.alpha.kubernetes.io/unsafe-sysctls",
     "non-functional in v1.11+; use the \"sysctls\" field instead"},
}};
constexpr char kNullSelector[] = "a null labelSelector results in matching no pod";

const Deprecation* FindDeprecated(std::string_view label) {
  for (const Deprecation& deprecation : kNodeLabels) {
    if (deprecation.name == label) return &deprecation;
  }
  return nullptr;
}

// Warnings of one pod or template, in the order in which kube-apiserver gives them.
class PodWarnings {
 public:
  PodWarnings(const ObjectMeta& meta, const PodSpec& spec, std::vector<std::string>* out)
      : meta_(meta), spec_(spec), out_(out) {}

  // `prefix` is where the pod stands: "" or "spec.template.".
  void Collect(const std::string& prefix) {
    std::string spec_text = prefix + "spec";
    std::string meta_text = prefix + "metadata.annotations";
    Path spec(spec_text);
    Path annotations(meta_text);
    NodeLabels(spec);
    Spreading(spec);
    for (const Deprecation& deprecation : kPodAnnotations) {
      if (meta_.annotations().contains(std::string(deprecation.name))) {
        Add(annotations.Key(deprecation.name), deprecation.text);
      }
    }
    Volumes(spec.Child("volumes"));
    Duplicates(spec);
    Bytes(spec.Child("overhead"), spec_.overhead());
    ForEachContainer(spec, [&](const Path& path, const Container& container) {
      Resources(path, container);
      Env(path.Child("env"), container);
    });
    Ports(spec);
    if (spec_.termination_grace_period_seconds() < 0) {
      Add(spec.Child("terminationGracePeriodSeconds"),
          "must be >= 0; negative values are invalid and will be treated as 1");
    }
    Affinity(spec.Child("affinity.podAffinity"), spec_.affinity().pod_affinity());
    Affinity(spec.Child("affinity.podAntiAffinity"), spec_.affinity().pod_anti_affinity());
  }

 private:
  void Add(const Path& path, std::string_view text) {
    out_->push_back(path.ToString() + ": " + std::string(text));
  }

  template <class Visit>
  void ForEachContainer(const Path& spec, Visit visit) {
    Path init = spec.Child("initContainers");
    for (int i = 0; i < spec_.init_containers_size(); ++i)
      visit(init.Index(i), spec_.init_containers(i));
    Path containers = spec.Child("containers");
    for (int i = 0; i < spec_.containers_size(); ++i)
      visit(containers.Index(i), spec_.containers(i));
  }

  void Term(const Path& path, const core::v1::NodeSelectorTerm& term) {
    Path expressions = path.Child("matchExpressions");
    for (int i = 0; i < term.match_expressions_size(); ++i) {
      const std::string& key = term.match_expressions(i).key();
      const Deprecation* deprecation = FindDeprecated(key);
      if (deprecation == nullptr) continue;
      Path item = expressions.Index(i);
      Add(item.Child("key"), key + " is " + std::string(deprecation->text));
    }
  }

  void NodeLabels(const Path& spec) {
    Path selector = spec.Child("nodeSelector");
    for (const Deprecation& deprecation : kNodeLabels) {
      std::string label(deprecation.name);
      if (spec_.node_selector().contains(label)) Add(selector.Key(label), deprecation.text);
    }
    const auto& affinity = spec_.affinity().node_affinity();
    Path required = spec.Child(
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    const auto& terms =
        affinity.required_during_scheduling_ignored_during_execution().node_selector_terms();
    for (int i = 0; i < terms.size(); ++i)
      Term(required.Index(i), terms[i]);
    Path preferred =
        spec.Child("affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution");
    for (int i = 0; i < affinity.preferred_during_scheduling_ignored_during_execution_size(); ++i) {
      Path item = preferred.Index(i);
      Term(item.Child("preference"),
           affinity.preferred_during_scheduling_ignored_during_execution(i).preference());
    }
  }

  void Spreading(const Path& spec) {
    Path constraints = spec.Child("topologySpreadConstraints");
    for (int i = 0; i < spec_.topology_spread_constraints_size(); ++i) {
      const auto& constraint = spec_.topology_spread_constraints(i);
      Path item = constraints.Index(i);
      if (const Deprecation* deprecation = FindDeprecated(constraint.topology_key())) {
        Add(item.Child("topologyKey"),
            constraint.topology_key() + " is " + std::string(deprecation->text));
      }
      if (!constraint.has_label_selector()) Add(item.Child("labelSelector"), kNullSelector);
    }
  }

  void Volumes(const Path& volumes) {
    for (int i = 0; i < spec_.volumes_size(); ++i) {
      const auto& source = spec_.volumes(i).volume_source();
      Path item = volumes.Index(i);
      struct {
        bool has;
        std::string_view name;
        std::string_view text;
      } old_types[] = {
          {source.has_photon_persistent_disk(), "photonPersistentDisk",
           "deprecated in v1.11, non-functional in v1.16+"},
          {source.has_git_repo(), "gitRepo",
           "deprecated in v1.11, and disabled by default in v1.33+"},
          {source.has_scale_io(), "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
          {source.has_flocker(), "flocker", "deprecated in v1.22, non-functional in v1.25+"},
          {source.has_storageos(), "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
          {source.has_quobyte(), "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
          {source.has_glusterfs(), "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
          {source.has_cephfs(), "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
          {source.has_rbd(), "rbd", "deprecated in v1.28, non-functional in v1.31+"},
      };
      for (const auto& type : old_types) {
        if (type.has) Add(item.Child(type.name), type.text);
      }
    }
  }

  void Duplicates(const Path& spec) {
    Path aliases = spec.Child("hostAliases");
    std::set<std::string_view> ips;
    for (int i = 0; i < spec_.host_aliases_size(); ++i) {
      const std::string& ip = spec_.host_aliases(i).ip();
      if (ips.insert(ip).second) continue;
      Path item = aliases.Index(i);
      Add(item.Child("ip"), "duplicate ip " + GoQuote(ip));
    }
    Path secrets = spec.Child("imagePullSecrets");
    std::set<std::string_view> names;
    for (int i = 0; i < spec_.image_pull_secrets_size(); ++i) {
      const std::string& name = spec_.image_pull_secrets(i).name();
      Path item = secrets.Index(i);
      if (!names.insert(name).second) Add(item.Child("name"), "duplicate name " + GoQuote(name));
      if (name.empty()) Add(item.Child("name"), "invalid empty name \"\"");
    }
  }

  void Bytes(const Path& path, const validation::QuantityMap& list) {
    for (const char* name : {"memory", "ephemeral-storage"}) {
      Quantity amount = validation::Amount(list, name);
      if (amount.MilliValue() % 1000 == 0) continue;
      Add(path.Key(name), "fractional byte value " + GoQuote(amount.ToString()) +
                              " is invalid, must be an integer");
    }
  }

  void Resources(const Path& path, const Container& container) {
    Bytes(path.Child("resources.limits"), container.resources().limits());
    Bytes(path.Child("resources.requests"), container.resources().requests());
  }

  void Env(const Path& path, const Container& container) {
    std::set<std::string_view> names;
    for (int i = 0; i < container.env_size(); ++i) {
      const auto& env = container.env(i);
      if (names.insert(env.name()).second) continue;
      // A value that extends the former one hides nothing.
      std::string reference = "$(" + env.name() + ")";
      bool extends = !env.has_value_from() && env.value() != reference &&
                     env.value().find(reference) != std::string::npos;
      if (extends) continue;
      Add(path.Index(i), "hides previous definition of " + GoQuote(env.name()) +
                             ", which may be dropped when using apply");
    }
  }

  void Ports(const Path& spec) {
    struct Seen {
      std::string place;
      const core::v1::ContainerPort* port;
    };
    std::map<std::pair<int32_t, std::string>, std::vector<Seen>> all;
    ForEachContainer(spec, [&](const Path& path, const Container& container) {
      if (container.ports().empty()) return;
      Path ports = path.Child("ports");
      for (int i = 0; i < container.ports_size(); ++i) {
        const auto& port = container.ports(i);
        Path item = ports.Index(i);
        auto& others = all[{port.container_port(), port.protocol()}];
        for (const Seen& other : others) {
          bool same_host = port.host_port() == other.port->host_port();
          if (same_host && port.host_ip() == other.port->host_ip()) {
            Add(item, "duplicate port definition with " + other.place);
          } else if (port.host_port() == 0 || other.port->host_port() == 0) {
            Add(item, "overlapping port definition with " + other.place);
          } else if (same_host && port.host_ip().empty() != other.port->host_ip().empty()) {
            Add(item, "dangerously ambiguous port definition with " + other.place);
          }
        }
        others.push_back({item.ToString(), &port});
      }
    });
  }

  template <class T>
  void Affinity(const Path& path, const T& affinity) {
    Path required = path.Child("requiredDuringSchedulingIgnoredDuringExecution");
    for (int i = 0; i < affinity.required_during_scheduling_ignored_during_execution_size(); ++i) {
      if (affinity.required_during_scheduling_ignored_during_execution(i).has_label_selector())
        continue;
      Path item = required.Index(i);
      Add(item.Child("labelSelector"), kNullSelector);
    }
    Path preferred = path.Child("preferredDuringSchedulingIgnoredDuringExecution");
    for (int i = 0; i < affinity.preferred_during_scheduling_ignored_during_execution_size(); ++i) {
      const auto& term =
          affinity.preferred_during_scheduling_ignored_during_execution(i).pod_affinity_term();
      if (term.has_label_selector()) continue;
      Path item = preferred.Index(i);
      Add(item.Child("podAffinityTerm.labelSelector"), kNullSelector);
    }
  }

  const ObjectMeta& meta_;
  const PodSpec& spec_;
  std::vector<std::string>* out_;
};

void WarnOfName(const ObjectMeta& meta, std::string_view use, std::vector<std::string>* out) {
  Complaints complaints = IsDns1123Label(meta.name());
  if (complaints.empty()) return;
  std::string joined;
  for (const std::string& complaint : complaints)
    joined += (joined.empty() ? "" : " ") + complaint;
  out->push_back("metadata.name: this is used in " + std::string(use) +
                 ", which can result in surprising behavior; a DNS label is recommended: [" +
                 joined + "]");
}

// Kinds with a template at spec.template.
template <class T>
void WarnOfWorkload(const T& object, bool named, std::vector<std::string>* out) {
  if (named) WarnOfName(object.metadata(), "Pod names and hostnames", out);
  const auto& pod_template = object.spec().template_();
  PodWarnings(pod_template.metadata(), pod_template.spec(), out).Collect("spec.template.");
}

void WarnOfService(const Service& service, std::vector<std::string>* out) {
  const auto& spec = service.spec();
  if (service.metadata().annotations().contains("service.kubernetes.io/topology-aware-hints")) {
    out->push_back(
        "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
        "service.kubernetes.io/topology-mode instead");
  }
  bool headless = spec.type() == "ClusterIP" && spec.cluster_ip() == "None";
  if (headless) {
    if (!spec.load_balancer_ip().empty())
      out->push_back("spec.loadBalancerIP is ignored for headless services");
    if (!spec.external_ips().empty())
      out->push_back("spec.externalIPs is ignored for headless services");
    if (spec.session_affinity() != "None")
      out->push_back("spec.SessionAffinity is ignored for headless services");
  }
  bool external_name = spec.type() == "ExternalName";
  if (!spec.external_ips().empty() && !headless && !external_name) {
    out->push_back(
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  }
  if (external_name && !spec.external_ips().empty()) {
    out->push_back("spec.externalIPs is ignored when spec.type is \"ExternalName\"");
  }
  if (!external_name && !spec.external_name().empty()) {
    out->push_back("spec.externalName is ignored when spec.type is not \"ExternalName\"");
  }
  if (spec.traffic_distribution() == "PreferClose") {
    out->push_back(
        "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
  }
}

void WarnOfClaim(const core::v1::PersistentVolumeClaim& claim, std::vector<std::string>* out) {
  if (claim.metadata().annotations().contains("volume.beta.kubernetes.io/storage-class")) {
    out->push_back(
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "
        "\"storageClassName\" attribute instead");
  }
  Quantity storage = validation::Amount(claim.spec().resources().requests(), "storage");
  if (storage.MilliValue() % 1000 != 0) {
    out->push_back("spec.resources.requests[storage]: fractional byte value " +
                   GoQuote(storage.ToString()) + " is invalid, must be an integer");
  }
}

void WarnOfVolume(const core::v1::PersistentVolume& volume, std::vector<std::string>* out) {
  if (volume.spec().persistent_volume_reclaim_policy() == "Recycle") {
    out->push_back(
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, "
        "the "
        "recommended approach is to use dynamic provisioning.");
  }
}

template <class T>
const T* As(const Message& object) {
  return object.GetDescriptor() == T::descriptor() ? static_cast<const T*>(&object) : nullptr;
}

}  // namespace

std::vector<std::string> WarningsOnWrite(const KindInfo& kind, const Message& object) {
  std::vector<std::string> out;
  if (const auto* pod = As<core::v1::Pod>(object)) {
    WarnOfName(pod->metadata(), "the Pod's hostname", &out);
    PodWarnings(pod->metadata(), pod->spec(), &out).Collect("");
  } else if (const auto* pod_template = As<core::v1::PodTemplate>(object)) {
    PodWarnings(pod_template->template_().metadata(), pod_template->template_().spec(), &out)
        .Collect("template.");
  } else if (const auto* deployment = As<apps::v1::Deployment>(object)) {
    WarnOfWorkload(*deployment, true, &out);
  } else if (const auto* replica_set = As<apps::v1::ReplicaSet>(object)) {
    WarnOfWorkload(*replica_set, true, &out);
  } else if (const auto* controller = As<core::v1::ReplicationController>(object)) {
    WarnOfWorkload(*controller, true, &out);
  } else if (const auto* daemon_set = As<apps::v1::DaemonSet>(object)) {
    WarnOfWorkload(*daemon_set, true, &out);
  } else if (const auto* stateful_set = As<apps::v1::StatefulSet>(object)) {
    WarnOfWorkload(*stateful_set, false, &out);
  } else if (const auto* job = As<batch::v1::Job>(object)) {
    WarnOfWorkload(*job, true, &out);
  } else if (const auto* cron_job = As<batch::v1::CronJob>(object)) {
    const auto& inner = cron_job->spec().job_template().spec().template_();
    PodWarnings(inner.metadata(), inner.spec(), &out).Collect("spec.jobTemplate.spec.template.");
  } else if (const auto* service = As<Service>(object)) {
    WarnOfService(*service, &out);
  } else if (const auto* claim = As<core::v1::PersistentVolumeClaim>(object)) {
    WarnOfClaim(*claim, &out);
  } else if (const auto* volume = As<core::v1::PersistentVolume>(object)) {
    WarnOfVolume(*volume, &out);
  } else if (const auto* ingress = As<networking::v1::Ingress>(object)) {
    if (ingress->metadata().annotations().contains("kubernetes.io/ingress.class")) {
      out.push_back(
          "annotation \"kubernetes.io/ingress.class\" is deprecated, please use "
          "'spec.ingressClassName' "
          "instead");
    }
  } else if (const auto* account = As<core::v1::ServiceAccount>(object)) {
    if (account->metadata().annotations().contains("kubernetes.io/enforce-mountable-secrets")) {
      out.push_back(
          "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; "
          "prefer "
          "separate namespaces to isolate access to mounted secrets");
    }
  } else if (object.GetDescriptor() == core::v1::Endpoints::descriptor()) {
    out.push_back("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
  }
  return out;
}

}  // namespace gantry::api
