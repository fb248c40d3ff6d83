#include "apiserver/authz/node_authorizer.h"

#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "apiserver/authz/rbac.h"
#include "apiserver/bootstrap/default_roles.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;
using api::core::v1::PodSpec;

constexpr std::string_view kNodeUser = "system:node:";
constexpr std::string_view kNodesGroup = "system:nodes";

bool EnvRefers(const auto& container, bool secret, std::string_view name) {
  for (const auto& variable : container.env()) {
    const auto& from = variable.value_from();
    const auto& reference = secret ? from.secret_key_ref().local_object_reference()
                                   : from.config_map_key_ref().local_object_reference();
    if (reference.name() == name) return true;
  }
  for (const auto& source : container.env_from()) {
    const auto& reference = secret ? source.secret_ref().local_object_reference()
                                   : source.config_map_ref().local_object_reference();
    if (reference.name() == name) return true;
  }
  return false;
}

bool ContainersRefer(const PodSpec& spec, bool secret, std::string_view name) {
  for (const auto& container : spec.containers()) {
    if (EnvRefers(container, secret, name)) return true;
  }
  for (const auto& container : spec.init_containers()) {
    if (EnvRefers(container, secret, name)) return true;
  }
  for (const auto& container : spec.ephemeral_containers()) {
    if (EnvRefers(container.ephemeral_container_common(), secret, name)) return true;
  }
  return false;
}

bool RefersToSecret(const PodSpec& spec, std::string_view name) {
  for (const auto& reference : spec.image_pull_secrets()) {
    if (reference.name() == name) return true;
  }
  for (const auto& volume : spec.volumes()) {
    const auto& source = volume.volume_source();
    if (source.secret().secret_name() == name && source.has_secret()) return true;
    if (source.csi().node_publish_secret_ref().name() == name && source.has_csi()) return true;
    for (const auto& part : source.projected().sources()) {
      if (part.has_secret() && part.secret().local_object_reference().name() == name) return true;
    }
  }
  return ContainersRefer(spec, true, name);
}

bool RefersToConfigMap(const PodSpec& spec, std::string_view name) {
  for (const auto& volume : spec.volumes()) {
    const auto& source = volume.volume_source();
    if (source.has_config_map() && source.config_map().local_object_reference().name() == name)
      return true;
    for (const auto& part : source.projected().sources()) {
      if (part.has_config_map() && part.config_map().local_object_reference().name() == name)
        return true;
    }
  }
  return ContainersRefer(spec, false, name);
}

bool RefersToClaim(const PodSpec& spec, std::string_view name) {
  for (const auto& volume : spec.volumes()) {
    if (volume.volume_source().persistent_volume_claim().claim_name() == name) return true;
  }
  return false;
}

Decision Allow() {
  Decision decision;
  decision.verdict = Decision::Verdict::kAllow;
  return decision;
}

Decision NoOpinion(std::string reason) {
  Decision decision;
  decision.reason = std::move(reason);
  return decision;
}

// What every node may do: the role "system:node" as it is in the table, of which the careful kinds
// are cut out below.
bool RoleAllows(const Access& access) {
  static const auto* const rules = [] {
    for (const DefaultRole& role : DefaultRoles()) {
      if (role.name == "system:node") {
        return new google::protobuf::RepeatedPtrField<api::rbac::v1::PolicyRule>(
            ParseRules(role.rules));
      }
    }
    return new google::protobuf::RepeatedPtrField<api::rbac::v1::PolicyRule>();
  }();
  for (const auto& rule : *rules) {
    if (RuleAllows(rule, access)) return true;
  }
  return false;
}

}  // namespace

std::string_view NodeOf(const UserInfo& user) {
  std::string_view name = user.name;
  if (!name.starts_with(kNodeUser) || !user.InGroup(kNodesGroup)) return {};
  return name.substr(kNodeUser.size());
}

bool NodeAuthorizer::Needs(std::string_view node, const Access& access) const {
  store::Selection selection;
  selection.index = "spec.nodeName";
  selection.index_value = std::string(node);
  store::WatchCache& pods = registry_.CacheOf(api::KindOf<Pod>());
  if (access.resource == "persistentvolumes") {
    selection.matches = [&](const api::Object& object) {
      for (const auto& volume : object.As<Pod>().spec().volumes()) {
        const std::string& claim = volume.volume_source().persistent_volume_claim().claim_name();
        if (claim.empty()) continue;
        auto live = registry_.Peek<api::core::v1::PersistentVolumeClaim>(object.ns(), claim);
        if (live && live->spec().volume_name() == access.name) return true;
      }
      return false;
    };
    return !pods.List(selection, {}, 1).objects.empty();
  }
  selection.ns = access.ns;
  selection.matches = [&](const api::Object& object) {
    const PodSpec& spec = object.As<Pod>().spec();
    if (access.resource == "secrets") return RefersToSecret(spec, access.name);
    if (access.resource == "configmaps") return RefersToConfigMap(spec, access.name);
    if (access.resource == "persistentvolumeclaims") return RefersToClaim(spec, access.name);
    return spec.service_account_name() == access.name;
  };
  return !pods.List(selection, {}, 1).objects.empty();
}

Decision NodeAuthorizer::Authorize(const UserInfo& user, const Access& access) {
  const std::string_view node = NodeOf(user);
  if (node.empty()) return {};
  if (!access.is_resource) return {};
  const bool core = access.group.empty();
  const bool reads = access.verb == "get" || access.verb == "list" || access.verb == "watch";
  const std::string& resource = access.resource;

  const bool careful =
      core && (resource == "secrets" || resource == "configmaps" || resource == "serviceaccounts" ||
               resource == "persistentvolumeclaims" || resource == "persistentvolumes");
  if (careful) {
    if (resource == "serviceaccounts" && access.subresource == "token") {
      if (access.verb != "create")
        return NoOpinion("can only create tokens for individual service accounts");
    } else if (!reads || !access.subresource.empty()) {
      return NoOpinion("can only read resources of this type");
    }
    if (access.name.empty()) return NoOpinion("No Object name found");
    if (!Needs(node, access)) {
      return NoOpinion("no relationship found between node '" + std::string(node) +
                       "' and this object");
    }
    return Allow();
  }
  if (access.group == "coordination.k8s.io" && resource == "leases") {
    if (access.ns != "kube-node-lease") {
      return NoOpinion("can only access leases in the \"kube-node-lease\" system namespace");
    }
    if (access.verb != "create" && access.name != node)
      return NoOpinion("can only access node lease with the same name as the requesting node");
    return RoleAllows(access) ? Allow() : Decision();
  }
  if (access.group == "storage.k8s.io" && resource == "csinodes") {
    if (access.verb != "create" && access.name != node)
      return NoOpinion("can only access CSINode with the same name as the requesting node");
    return RoleAllows(access) ? Allow() : Decision();
  }
  if (core && resource == "nodes" && access.verb == "get" && access.name != node &&
      !access.name.empty()) {
    return NoOpinion("node '" + std::string(node) + "' cannot read '" + access.name +
                     "', only its own Node object");
  }
  // Beyond a kubelet: the agent runs the node's part of the network, and keeps a tunnel to the
  // server open.
  struct Extra {
    std::string_view group, resource;
    bool writes;
  };
  static constexpr Extra kExtra[] = {{"", "nodes", false},
                                     {"", "namespaces", false},
                                     {"discovery.k8s.io", "endpointslices", false},
                                     {"networking.k8s.io", "networkpolicies", false},
                                     {"events.k8s.io", "events", true},
                                     {"gantry", "cluster", false},
                                     {"gantry", "drain", true},
                                     {"gantry", "tunnel", false}};
  for (const Extra& extra : kExtra) {
    if (extra.group == access.group && extra.resource == resource && access.subresource.empty() &&
        (extra.writes ? !reads : reads)) {
      return Allow();
    }
  }
  return RoleAllows(access) ? Allow() : Decision();
}

}  // namespace gantry::apiserver
