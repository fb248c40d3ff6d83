#include "apiserver/bootstrap/bootstrap.h"

#include <absl/strings/escaping.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/defaults.h"
#include "api/duration.h"
#include "api/networking/v1/ip_address.pb.h"
#include "api/scheduling/v1/priority_class.pb.h"
#include "apiserver/bootstrap/default_roles.h"
#include "apiserver/bootstrap/ensure.h"
#include "apiserver/bootstrap/server_endpoints.h"
#include "apiserver/registry/messages.h"
#include "base/ip.h"

namespace gantry::apiserver {
namespace {

using api::rbac::v1::PolicyRule;
using Rules = google::protobuf::RepeatedPtrField<PolicyRule>;

constexpr int kTries = 5;
constexpr std::string_view kAutoUpdate = "rbac.authorization.kubernetes.io/autoupdate";

void AddNamespaces(Batch* batch) {
  for (const char* name : {"default", "kube-node-lease", "kube-public", "kube-system"}) {
    auto ns = Named<api::core::v1::Namespace>("", name);
    (*ns.mutable_metadata()->mutable_labels())["kubernetes.io/metadata.name"] = name;
    ns.mutable_spec()->add_finalizers("kubernetes");
    ns.mutable_status()->set_phase("Active");
    batch->Ensure(std::move(ns));
  }
}

const char* FamilyOf(const IpAddress& ip) { return ip.is_v6() ? "IPv6" : "IPv4"; }

void AddServiceRange(Batch* batch, const Allocators& allocators) {
  auto range = Named<api::networking::v1::ServiceCIDR>("", "kubernetes");
  for (const Cidr& cidr : allocators.service_cidrs())
    range.mutable_spec()->add_cidrs(cidr.ToString());
  // A cluster that has got a second family has a range of it from then on.
  batch->Reconcile(std::move(range), [](auto* live, const auto& wanted) {
    auto* cidrs = live->mutable_spec()->mutable_cidrs();
    const auto& want = wanted.spec().cidrs();
    if (cidrs->size() == 1 && want.size() == 2 && want[0] == (*cidrs)[0]) *cidrs->Add() = want[1];
  });
}

void AddKubernetesService(Batch* batch, const Allocators& allocators,
                          const BootstrapOptions& options) {
  const IpAddress first = allocators.first_address();
  const std::string address = first.ToString();
  auto service = Named<api::core::v1::Service>("default", "kubernetes");
  auto& labels = *service.mutable_metadata()->mutable_labels();
  labels["component"] = "apiserver";
  labels["provider"] = "kubernetes";
  auto* spec = service.mutable_spec();
  spec->set_type("ClusterIP");
  spec->set_cluster_ip(address);
  spec->add_cluster_ips(address);
  spec->add_ip_families(FamilyOf(first));
  spec->set_ip_family_policy("SingleStack");
  auto* port = spec->add_ports();
  port->set_name("https");
  port->set_protocol("TCP");
  port->set_port(443);
  port->mutable_target_port()->set_type(0);
  port->mutable_target_port()->set_int_val(options.advertise_port);
  service.mutable_status()->mutable_load_balancer();
  batch->Ensure(std::move(service));

  auto claim = Named<api::networking::v1::IPAddress>("", address);
  (*claim.mutable_metadata()->mutable_labels())["ipaddress.kubernetes.io/ip-family"] =
      FamilyOf(first);
  (*claim.mutable_metadata()->mutable_labels())["ipaddress.kubernetes.io/managed-by"] =
      "ipallocator.k8s.io";
  auto* parent = claim.mutable_spec()->mutable_parent_ref();
  parent->set_resource("services");
  parent->set_namespace_("default");
  parent->set_name("kubernetes");
  batch->Ensure(std::move(claim));
}

void AddPriorityClasses(Batch* batch) {
  struct Row {
    const char* name;
    int32_t value;
    const char* description;
  };
  constexpr Row kRows[] = {
      {"system-cluster-critical", 2000000000,
       "Used for system critical pods that must run in the cluster, but can be moved to another "
       "node if necessary."},
      {"system-node-critical", 2000001000,
       "Used for system critical pods that must not be moved from their current node."}};
  for (const Row& row : kRows) {
    auto priority = Named<api::scheduling::v1::PriorityClass>("", row.name);
    priority.mutable_metadata()->set_generation(1);
    priority.set_value(row.value);
    priority.set_description(row.description);
    batch->Ensure(std::move(priority));
  }
}

template <class T>
void MarkDefault(T* object) {
  (*object->mutable_metadata()->mutable_labels())["kubernetes.io/bootstrapping"] = "rbac-defaults";
  (*object->mutable_metadata()->mutable_annotations())[std::string(kAutoUpdate)] = "true";
}

template <class T>
bool UpdatesItself(const T& live) {
  auto it = live.metadata().annotations().find(std::string(kAutoUpdate));
  return it != live.metadata().annotations().end() && it->second == "true";
}

// Rules of the table that a live role lacks are added; what else it has stays.
template <class T>
void AddMissingRules(T* live, const T& wanted) {
  if (!UpdatesItself(*live)) return;
  for (const PolicyRule& rule : wanted.rules()) {
    bool found = false;
    for (const PolicyRule& held : live->rules())
      found = found || SameMessage(held, rule);
    if (!found) *live->add_rules() = rule;
  }
}

template <class T>
void AddMissingSubjects(T* live, const T& wanted) {
  if (!UpdatesItself(*live)) return;
  for (const auto& subject : wanted.subjects()) {
    bool found = false;
    for (const auto& held : live->subjects())
      found = found || SameMessage(held, subject);
    if (!found) *live->add_subjects() = subject;
  }
}

std::string AggregationLabel(std::string_view role) {
  return "rbac.authorization.k8s.io/aggregate-to-" + std::string(role);
}

Rules RulesOf(const DefaultRole& row);

// The rules of every table role that is aggregated to `role`, as the controller that keeps them so
// puts them together: in the order of the roles' names, none twice.
Rules AggregatedRules(std::string_view role) {
  std::map<std::string_view, const DefaultRole*> parts;
  for (const DefaultRole& row : DefaultRoles()) {
    if (row.aggregate_to == role) parts[row.name] = &row;
  }
  Rules rules;
  for (const auto& [name, row] : parts) {
    for (const PolicyRule& rule : RulesOf(*row)) {
      bool held = false;
      for (const PolicyRule& other : rules)
        held = held || SameMessage(other, rule);
      if (!held) *rules.Add() = rule;
    }
  }
  return rules;
}

Rules RulesOf(const DefaultRole& row) {
  return row.aggregated_from.empty() ? ParseRules(row.rules) : AggregatedRules(row.aggregated_from);
}

void AddRoles(Batch* batch) {
  for (const DefaultRole& row : DefaultRoles()) {
    if (!row.ns.empty()) {
      auto role = Named<api::rbac::v1::Role>(row.ns, row.name);
      MarkDefault(&role);
      *role.mutable_rules() = ParseRules(row.rules);
      batch->Reconcile(std::move(role), AddMissingRules<api::rbac::v1::Role>);
      continue;
    }
    auto role = Named<api::rbac::v1::ClusterRole>("", row.name);
    MarkDefault(&role);
    if (!row.aggregate_to.empty()) {
      (*role.mutable_metadata()->mutable_labels())[AggregationLabel(row.aggregate_to)] = "true";
    }
    *role.mutable_rules() = RulesOf(row);
    if (!row.aggregated_from.empty()) {
      auto* selector = role.mutable_aggregation_rule()->add_cluster_role_selectors();
      (*selector->mutable_match_labels())[AggregationLabel(row.aggregated_from)] = "true";
    }
    batch->Reconcile(std::move(role), AddMissingRules<api::rbac::v1::ClusterRole>);
  }
}

template <class T>
void FillBinding(const DefaultBinding& row, T* binding) {
  MarkDefault(binding);
  binding->mutable_role_ref()->set_api_group("rbac.authorization.k8s.io");
  binding->mutable_role_ref()->set_kind(row.cluster_role ? "ClusterRole" : "Role");
  binding->mutable_role_ref()->set_name(std::string(row.role));
  std::string_view rest = row.subjects;
  while (!rest.empty()) {
    size_t end = rest.find(',');
    std::string_view text = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    size_t colon = text.find(':');
    std::string_view type = text.substr(0, colon), name = text.substr(colon + 1);
    auto* subject = binding->add_subjects();
    if (type == "account") {
      size_t slash = name.find('/');
      subject->set_kind("ServiceAccount");
      subject->set_namespace_(std::string(name.substr(0, slash)));
      subject->set_name(std::string(name.substr(slash + 1)));
      continue;
    }
    subject->set_kind(type == "group" ? "Group" : "User");
    subject->set_api_group("rbac.authorization.k8s.io");
    subject->set_name(std::string(name));
  }
}

void AddBindings(Batch* batch) {
  for (const DefaultBinding& row : DefaultBindings()) {
    if (row.ns.empty()) {
      auto binding = Named<api::rbac::v1::ClusterRoleBinding>("", row.name);
      FillBinding(row, &binding);
      batch->Reconcile(std::move(binding), AddMissingSubjects<api::rbac::v1::ClusterRoleBinding>);
    } else {
      auto binding = Named<api::rbac::v1::RoleBinding>(row.ns, row.name);
      FillBinding(row, &binding);
      batch->Reconcile(std::move(binding), AddMissingSubjects<api::rbac::v1::RoleBinding>);
    }
  }
}

void AddControllerRoles(Batch* batch) {
  for (const ControllerRole& row : ControllerRoles()) {
    const std::string name = "system:controller:" + std::string(row.name);
    auto role = Named<api::rbac::v1::ClusterRole>("", name);
    MarkDefault(&role);
    *role.mutable_rules() = ParseRules(row.rules);
    if (row.events)
      role.mutable_rules()->MergeFrom(ParseRules("create,patch,update; -,events.k8s.io; events"));
    batch->Reconcile(std::move(role), AddMissingRules<api::rbac::v1::ClusterRole>);
    const std::string subject = "account:kube-system/" + std::string(row.name);
    const DefaultBinding bound{"", name, name, subject};
    auto binding = Named<api::rbac::v1::ClusterRoleBinding>("", name);
    FillBinding(bound, &binding);
    batch->Reconcile(std::move(binding), AddMissingSubjects<api::rbac::v1::ClusterRoleBinding>);
  }
}

void AddClusterInfo(Batch* batch, const BootstrapOptions& options) {
  if (options.ca_pem.empty()) return;
  auto info = Named<api::core::v1::ConfigMap>("kube-public", "cluster-info");
  (*info.mutable_data())["kubeconfig"] =
      "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: " +
      absl::Base64Escape(options.ca_pem) + "\n    server: https://" +
      UrlHost(options.advertise_address) + ":" + std::to_string(options.advertise_port) +
      "\n  name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\nusers: null\n";
  batch->Reconcile(std::move(info), [](auto* live, const auto& wanted) {
    for (const auto& [key, value] : wanted.data())
      (*live->mutable_data())[key] = value;
  });
  auto clients =
      Named<api::core::v1::ConfigMap>("kube-system", "extension-apiserver-authentication");
  (*clients.mutable_data())["client-ca-file"] = options.ca_pem;
  batch->Reconcile(std::move(clients), [](auto* live, const auto& wanted) {
    for (const auto& [key, value] : wanted.data())
      (*live->mutable_data())[key] = value;
  });
}

}  // namespace

Task<Status> WriteBootstrapObjects(Registry& registry, const Allocators& allocators,
                                   BootstrapOptions options) {
  for (int tries = 1;; ++tries) {
    Batch batch(registry);
    AddNamespaces(&batch);
    AddServiceRange(&batch, allocators);
    AddKubernetesService(&batch, allocators, options);
    if (!registry.store().shared()) {
      const std::vector<ServerAddress> alone{
          ServerAddress(options.advertise_address, options.advertise_port)};
      AddServerEndpoints(registry, alone, &batch);
    }
    AddPriorityClasses(&batch);
    AddRoles(&batch);
    AddBindings(&batch);
    AddControllerRoles(&batch);
    AddClusterInfo(&batch, options);
    std::vector<store::Write> writes = batch.Take();
    if (writes.empty()) co_return Status();
    bool all = true;
    const size_t step = registry.store().shared() ? store::kMaxWrites : writes.size();
    for (size_t begin = 0; begin < writes.size() && all; begin += step) {
      auto first = writes.begin() + static_cast<ptrdiff_t>(begin);
      auto last = writes.begin() + static_cast<ptrdiff_t>(std::min(begin + step, writes.size()));
      std::vector<store::Write> part(std::make_move_iterator(first), std::make_move_iterator(last));
      Result<store::CommitResult> result = co_await registry.store().Commit(std::move(part));
      if (!result.ok()) co_return result.status();
      all = result->committed();
    }
    Status seen = co_await registry.caches().WaitFor(registry.store().revision());
    if (all || !seen.ok()) co_return seen;
    // Another server was quicker with a part of it.
    if (tries == kTries)
      co_return InternalError("the objects that every cluster has could not be written");
    if (store::SharedStore* shared = registry.store().shared()) {
      Result<int64_t> latest = co_await shared->LatestRevision();
      if (!latest.ok()) co_return latest.status();
      seen = co_await registry.caches().WaitFor(*latest);
      if (!seen.ok()) co_return seen;
    }
  }
}

}  // namespace gantry::apiserver
