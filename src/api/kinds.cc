#include "api/kinds.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/admission/v1/admission.pb.h"
#include "api/apidiscovery/v2/apidiscovery.pb.h"
#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/daemon_set.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/authentication/v1/review.pb.h"
#include "api/authorization/v1/review.pb.h"
#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/autoscaling/v1/scale.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/certificates/v1/signing_request.pb.h"
#include "api/coordination/v1/lease.pb.h"
#include "api/core/v1/binding.pb.h"
#include "api/core/v1/component_status.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/endpoints.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/limit_range.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_options.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/events/v1/event.pb.h"
#include "api/meta/v1/discovery.pb.h"
#include "api/meta/v1/object.pb.h"
#include "api/meta/v1/options.pb.h"
#include "api/meta/v1/status.pb.h"
#include "api/meta/v1/table.pb.h"
#include "api/networking/v1/ingress.pb.h"
#include "api/networking/v1/ip_address.pb.h"
#include "api/networking/v1/network_policy.pb.h"
#include "api/node/v1/runtime_class.pb.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "api/rbac/v1/rbac.pb.h"
#include "api/scheduling/v1/priority_class.pb.h"
#include "api/storage/v1/csi.pb.h"
#include "api/storage/v1/storage_class.pb.h"
#include "api/storage/v1/volume_attachment.pb.h"
#include "base/check.h"

namespace gantry::api {
namespace {

using google::protobuf::Descriptor;

constexpr bool kNamespaced = true;
constexpr bool kCluster = false;

struct Names {
  std::string_view plural;
  std::string_view singular;
  std::string_view short_name = {};
  std::string_view category = {};
};

class Table {
 public:
  Table() {
    AddCore();
    AddApps();
    AddReviews();
    AddScalingAndBatch();
    AddNetworkingAndPolicy();
    AddStorageAndNode();
    served_count_ = kinds_.size();
    AddOtherKinds();
    Index();
  }

  std::span<const KindInfo> Served() const { return {kinds_.data(), served_count_}; }

  const KindInfo* FindKind(std::string_view group, std::string_view version,
                           std::string_view kind) const {
    auto [it, end] = by_kind_.equal_range(kind);
    for (; it != end; ++it)
      if (it->second->version == version && it->second->group == group) return it->second;
    return nullptr;
  }
  const KindInfo* FindResource(std::string_view group, std::string_view version,
                               std::string_view plural) const {
    auto [it, end] = by_plural_.equal_range(plural);
    for (; it != end; ++it)
      if (it->second->version == version && it->second->group == group) return it->second;
    return nullptr;
  }
  const KindInfo* FindDescriptor(const Descriptor* descriptor) const {
    auto it = by_descriptor_.find(descriptor);
    return it == by_descriptor_.end() ? nullptr : it->second;
  }

 private:
  void Group(std::string_view group, std::string_view version) {
    group_ = group;
    version_ = version;
  }

  // A stored kind: its message, its list's message, and where a Kubernetes etcd keeps it.
  template <class T, class L>
  void Add(bool namespaced, Names names, std::string_view storage_prefix) {
    KindInfo& kind = AddUnstored<T>(namespaced, names, &L::default_instance());
    kind.storage_prefix = storage_prefix;
  }
  template <class T, class L>
  void Add(bool namespaced, Names names) {
    Add<T, L>(namespaced, names, names.plural);
  }
  template <class T>
  KindInfo& AddUnstored(bool namespaced, Names names,
                        const google::protobuf::Message* list = nullptr) {
    KindInfo& kind = AddType<T>();
    kind.plural = names.plural;
    kind.singular = names.singular;
    kind.short_names = Span(names.short_name);
    kind.categories = Span(names.category);
    kind.namespaced = namespaced;
    kind.list_prototype = list;
    if (list != nullptr) kind.list_kind = list->GetDescriptor()->name();
    return kind;
  }
  // A type with apiVersion and kind that is no resource.
  template <class T>
  KindInfo& AddType() {
    KindInfo& kind = kinds_.emplace_back();
    kind.group = group_;
    kind.version = version_;
    kind.kind = T::descriptor()->name();
    kind.prototype = &T::default_instance();
    return kind;
  }

  std::span<const std::string_view> Span(std::string_view name) {
    if (name.empty()) return {};
    return {&names_.emplace_back(name), 1};
  }

  void AddCore() {
    using namespace core::v1;
    Group("", "v1");
    AddUnstored<Binding>(kNamespaced, {"bindings", "binding"});
    AddUnstored<ComponentStatus>(kCluster, {"componentstatuses", "componentstatus", "cs"},
                                 &ComponentStatusList::default_instance());
    Add<ConfigMap, ConfigMapList>(kNamespaced, {"configmaps", "configmap", "cm"});
    Add<Endpoints, EndpointsList>(kNamespaced, {"endpoints", "endpoints", "ep"},
                                  "services/endpoints");
    Add<Event, EventList>(kNamespaced, {"events", "event", "ev"});
    Add<LimitRange, LimitRangeList>(kNamespaced, {"limitranges", "limitrange", "limits"});
    Add<Namespace, NamespaceList>(kCluster, {"namespaces", "namespace", "ns"});
    Add<Node, NodeList>(kCluster, {"nodes", "node", "no"}, "minions");
    Add<PersistentVolumeClaim, PersistentVolumeClaimList>(
        kNamespaced, {"persistentvolumeclaims", "persistentvolumeclaim", "pvc"});
    Add<PersistentVolume, PersistentVolumeList>(kCluster,
                                                {"persistentvolumes", "persistentvolume", "pv"});
    Add<Pod, PodList>(kNamespaced, {"pods", "pod", "po", "all"});
    Add<PodTemplate, PodTemplateList>(kNamespaced, {"podtemplates", "podtemplate"});
    Add<ReplicationController, ReplicationControllerList>(
        kNamespaced, {"replicationcontrollers", "replicationcontroller", "rc", "all"},
        "controllers");
    Add<ResourceQuota, ResourceQuotaList>(kNamespaced,
                                          {"resourcequotas", "resourcequota", "quota"});
    Add<Secret, SecretList>(kNamespaced, {"secrets", "secret"});
    Add<ServiceAccount, ServiceAccountList>(kNamespaced,
                                            {"serviceaccounts", "serviceaccount", "sa"});
    Add<Service, ServiceList>(kNamespaced, {"services", "service", "svc", "all"}, "services/specs");
  }

  void AddApps() {
    using namespace apps::v1;
    Group("apps", "v1");
    Add<ControllerRevision, ControllerRevisionList>(kNamespaced,
                                                    {"controllerrevisions", "controllerrevision"});
    Add<DaemonSet, DaemonSetList>(kNamespaced, {"daemonsets", "daemonset", "ds", "all"});
    Add<Deployment, DeploymentList>(kNamespaced, {"deployments", "deployment", "deploy", "all"});
    Add<ReplicaSet, ReplicaSetList>(kNamespaced, {"replicasets", "replicaset", "rs", "all"});
    Add<StatefulSet, StatefulSetList>(kNamespaced, {"statefulsets", "statefulset", "sts", "all"});
    Group("events.k8s.io", "v1");
    Add<events::v1::Event, events::v1::EventList>(kNamespaced, {"events", "event", "ev"});
  }

  void AddReviews() {
    Group("authentication.k8s.io", "v1");
    AddUnstored<authentication::v1::SelfSubjectReview>(kCluster,
                                                       {"selfsubjectreviews", "selfsubjectreview"});
    AddUnstored<authentication::v1::TokenReview>(kCluster, {"tokenreviews", "tokenreview"});
    Group("authorization.k8s.io", "v1");
    using namespace authorization::v1;
    AddUnstored<LocalSubjectAccessReview>(
        kNamespaced, {"localsubjectaccessreviews", "localsubjectaccessreview"});
    AddUnstored<SelfSubjectAccessReview>(kCluster,
                                         {"selfsubjectaccessreviews", "selfsubjectaccessreview"});
    AddUnstored<SelfSubjectRulesReview>(kCluster,
                                        {"selfsubjectrulesreviews", "selfsubjectrulesreview"});
    AddUnstored<SubjectAccessReview>(kCluster, {"subjectaccessreviews", "subjectaccessreview"});
  }

  void AddScalingAndBatch() {
    constexpr Names kHpa = {"horizontalpodautoscalers", "horizontalpodautoscaler", "hpa", "all"};
    Group("autoscaling", "v2");
    Add<autoscaling::v2::HorizontalPodAutoscaler, autoscaling::v2::HorizontalPodAutoscalerList>(
        kNamespaced, kHpa);
    Group("autoscaling", "v1");
    Add<autoscaling::v1::HorizontalPodAutoscaler, autoscaling::v1::HorizontalPodAutoscalerList>(
        kNamespaced, kHpa);
    Group("batch", "v1");
    Add<batch::v1::CronJob, batch::v1::CronJobList>(kNamespaced,
                                                    {"cronjobs", "cronjob", "cj", "all"});
    Add<batch::v1::Job, batch::v1::JobList>(kNamespaced, {"jobs", "job", "", "all"});
    Group("certificates.k8s.io", "v1");
    Add<certificates::v1::CertificateSigningRequest,
        certificates::v1::CertificateSigningRequestList>(
        kCluster, {"certificatesigningrequests", "certificatesigningrequest", "csr"});
  }

  void AddNetworkingAndPolicy() {
    {
      using namespace networking::v1;
      Group("networking.k8s.io", "v1");
      Add<IngressClass, IngressClassList>(kCluster, {"ingressclasses", "ingressclass"});
      Add<Ingress, IngressList>(kNamespaced, {"ingresses", "ingress", "ing"}, "ingress");
      Add<IPAddress, IPAddressList>(kCluster, {"ipaddresses", "ipaddress", "ip"});
      Add<NetworkPolicy, NetworkPolicyList>(kNamespaced,
                                            {"networkpolicies", "networkpolicy", "netpol"});
      Add<ServiceCIDR, ServiceCIDRList>(kCluster, {"servicecidrs", "servicecidr"});
    }
    {
      using namespace policy::v1;
      Group("policy", "v1");
      Add<PodDisruptionBudget, PodDisruptionBudgetList>(
          kNamespaced, {"poddisruptionbudgets", "poddisruptionbudget", "pdb"});
    }
    using namespace rbac::v1;
    Group("rbac.authorization.k8s.io", "v1");
    Add<ClusterRoleBinding, ClusterRoleBindingList>(kCluster,
                                                    {"clusterrolebindings", "clusterrolebinding"});
    Add<ClusterRole, ClusterRoleList>(kCluster, {"clusterroles", "clusterrole"});
    Add<RoleBinding, RoleBindingList>(kNamespaced, {"rolebindings", "rolebinding"});
    Add<Role, RoleList>(kNamespaced, {"roles", "role"});
  }

  void AddStorageAndNode() {
    using namespace storage::v1;
    Group("storage.k8s.io", "v1");
    Add<CSIDriver, CSIDriverList>(kCluster, {"csidrivers", "csidriver"});
    Add<CSINode, CSINodeList>(kCluster, {"csinodes", "csinode"});
    Add<CSIStorageCapacity, CSIStorageCapacityList>(kNamespaced,
                                                    {"csistoragecapacities", "csistoragecapacity"});
    Add<StorageClass, StorageClassList>(kCluster, {"storageclasses", "storageclass", "sc"});
    Add<VolumeAttachment, VolumeAttachmentList>(kCluster,
                                                {"volumeattachments", "volumeattachment"});
    Add<VolumeAttributesClass, VolumeAttributesClassList>(
        kCluster, {"volumeattributesclasses", "volumeattributesclass", "vac"});
    Group("scheduling.k8s.io", "v1");
    Add<scheduling::v1::PriorityClass, scheduling::v1::PriorityClassList>(
        kCluster, {"priorityclasses", "priorityclass", "pc"});
    Group("coordination.k8s.io", "v1");
    Add<coordination::v1::Lease, coordination::v1::LeaseList>(kNamespaced, {"leases", "lease"});
    Group("node.k8s.io", "v1");
    Add<api::node::v1::RuntimeClass, api::node::v1::RuntimeClassList>(
        kCluster, {"runtimeclasses", "runtimeclass"});
    Group("discovery.k8s.io", "v1");
    Add<discovery::v1::EndpointSlice, discovery::v1::EndpointSliceList>(
        kNamespaced, {"endpointslices", "endpointslice"});
  }

  void AddOtherKinds() {
    for (size_t i = 0; i < served_count_; ++i) {
      if (kinds_[i].list_prototype == nullptr) continue;
      KindInfo list;
      list.group = kinds_[i].group;
      list.version = kinds_[i].version;
      list.kind = kinds_[i].list_kind;
      list.prototype = kinds_[i].list_prototype;
      kinds_.push_back(list);
    }
    {
      using namespace meta::v1;
      Group("", "v1");
      AddType<Status>();
      AddType<APIGroup>();
      AddType<APIGroupList>();
      AddType<APIResourceList>();
      AddType<APIVersions>();
      AddType<CreateOptions>();
      AddType<DeleteOptions>();
      AddType<GetOptions>();
      AddType<ListOptions>();
      AddType<PatchOptions>();
      AddType<UpdateOptions>();
      Group("meta.k8s.io", "v1");
      AddType<PartialObjectMetadata>();
      AddType<PartialObjectMetadataList>();
      AddType<meta::v1::Table>();
      AddType<TableOptions>();
    }
    {
      using namespace core::v1;
      Group("", "v1");
      AddType<List>();
      AddType<NodeProxyOptions>();
      AddType<PodAttachOptions>();
      AddType<PodExecOptions>();
      AddType<PodLogOptions>();
      AddType<PodPortForwardOptions>();
      AddType<PodProxyOptions>();
      AddType<ServiceProxyOptions>();
    }
    Group("autoscaling", "v1");
    AddType<autoscaling::v1::Scale>();
    Group("authentication.k8s.io", "v1");
    AddType<authentication::v1::TokenRequest>();
    Group("policy", "v1");
    AddType<policy::v1::Eviction>();
    Group("admission.k8s.io", "v1");
    AddType<admission::v1::AdmissionReview>();
    Group("apidiscovery.k8s.io", "v2");
    AddType<apidiscovery::v2::APIGroupDiscoveryList>();
    AddType<apidiscovery::v2::APIGroupDiscovery>();
  }

  // kinds_ no longer moves from here on.
  void Index() {
    for (KindInfo& kind : kinds_) {
      kind.storage_kind = &kind;
      by_kind_.emplace(kind.kind, &kind);
      if (!kind.plural.empty()) by_plural_.emplace(kind.plural, &kind);
      by_descriptor_.emplace(kind.prototype->GetDescriptor(), &kind);
    }
    for (KindInfo& kind : kinds_) {
      if (kind.kind == "Event") kind.storage_kind = FindKind("", "v1", "Event");
      if (kind.kind == "HorizontalPodAutoscaler")
        kind.storage_kind = FindKind("autoscaling", "v2", "HorizontalPodAutoscaler");
    }
  }

  std::string_view group_, version_;
  std::vector<KindInfo> kinds_;
  size_t served_count_ = 0;
  std::deque<std::string_view> names_;
  std::unordered_multimap<std::string_view, const KindInfo*> by_kind_, by_plural_;
  std::unordered_map<const Descriptor*, const KindInfo*> by_descriptor_;
};

const Table& Kinds() {
  static const Table* table = new Table;
  return *table;
}

}  // namespace

std::string KindInfo::ApiVersion() const {
  if (group.empty()) return std::string(version);
  std::string out(group);
  out += '/';
  out += version;
  return out;
}

std::string KindInfo::GroupResource() const {
  std::string out(plural);
  if (!group.empty()) {
    out += '.';
    out += group;
  }
  return out;
}

std::span<const KindInfo> AllKinds() { return Kinds().Served(); }

const KindInfo* FindKind(std::string_view group, std::string_view version, std::string_view kind) {
  return Kinds().FindKind(group, version, kind);
}

const KindInfo* FindKindByApiVersion(std::string_view api_version, std::string_view kind) {
  const size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return FindKind("", api_version, kind);
  return FindKind(api_version.substr(0, slash), api_version.substr(slash + 1), kind);
}

const KindInfo* FindResource(std::string_view group, std::string_view version,
                             std::string_view plural) {
  return Kinds().FindResource(group, version, plural);
}

const KindInfo& KindOfDescriptor(const Descriptor* descriptor) {
  const KindInfo* kind = Kinds().FindDescriptor(descriptor);
  GANTRY_CHECK(kind != nullptr, descriptor->full_name());
  return *kind;
}

std::string StorageKey(const KindInfo& kind, std::string_view ns, std::string_view name) {
  std::string key = StoragePrefix(kind, kind.namespaced ? ns : std::string_view());
  key += name;
  return key;
}

std::string StoragePrefix(const KindInfo& kind, std::string_view ns) {
  static constexpr std::string_view kRoot = "/registry/";
  std::string key;
  key.reserve(kRoot.size() + kind.storage_prefix.size() + ns.size() + 64);
  key += kRoot;
  key += kind.storage_prefix;
  key += '/';
  if (!ns.empty()) {
    key += ns;
    key += '/';
  }
  return key;
}

}  // namespace gantry::api
