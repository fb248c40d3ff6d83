#include <set>

#include "api/authentication/v1/review.pb.h"
#include "api/coordination/v1/lease.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/node_labels.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/authz/node_authorizer.h"
#include "apiserver/registry/messages.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";

using Labels = google::protobuf::Map<std::string, std::string>;

// The labels that differ and that a node may not change, in order.
std::string ForbiddenLabels(const Labels& before, const Labels& after) {
  std::set<std::string> names;
  auto collect = [&names](const Labels& from, const Labels& other) {
    for (const auto& [name, value] : from) {
      auto held = other.find(name);
      if ((held == other.end() || held->second != value) && !api::IsLabelOfKubelets(name))
        names.insert(name);
    }
  };
  collect(before, after);
  collect(after, before);
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "NodeRestriction"; }

  Status Validate(const AdmissionRequest& request) override {
    const std::string node(NodeOf(request.call.user));
    if (node.empty()) return {};
    auto forbid = [&](const std::string& why) {
      return request.Forbid("node \"" + node + "\" " + why);
    };
    if (request.Is("", "pods")) return CheckPod(request, node);
    if (request.Is("", "nodes")) return CheckNode(request, node);
    if (request.Is("", "serviceaccounts") && request.subresource == "token")
      return CheckToken(request, node);
    if (request.Is("coordination.k8s.io", "leases")) {
      if (request.ns != "kube-node-lease")
        return forbid("can only access leases in the \"kube-node-lease\" system namespace");
      std::string_view name = request.name;
      if (name.empty() && request.object != nullptr) name = MetaOf(*request.object).name();
      if (name != node) return forbid("can only access its own node lease");
    }
    if (request.Is("storage.k8s.io", "csinodes") && request.name != node && !request.name.empty()) {
      return forbid("can only access its own CSINode");
    }
    return {};
  }

 private:
  Status CheckPod(const AdmissionRequest& request, const std::string& node) {
    auto forbid = [&](const std::string& why) {
      return request.Forbid("node \"" + node + "\" " + why);
    };
    if (request.subresource == "eviction" || (request.operation == Operation::kDelete)) {
      api::Ref<Pod> pod = registry_.Peek<Pod>(request.ns, request.name);
      if (pod && pod->spec().node_name() != node)
        return forbid("can only delete pods with spec.nodeName set to itself");
      return {};
    }
    if (request.operation == Operation::kCreate && request.subresource.empty()) {
      const auto& pod = static_cast<const Pod&>(*request.object);
      if (pod.metadata().annotations().count(std::string(kMirror)) == 0) {
        return forbid("can only create mirror pods");
      }
      if (pod.spec().node_name() != node)
        return forbid("can only create pods with spec.nodeName set to itself");
      return {};
    }
    if (request.operation == Operation::kUpdate && request.subresource == "status") {
      const auto& old = static_cast<const Pod&>(*request.old);
      if (old.spec().node_name() != node) {
        return forbid("can only update pod status for pods with spec.nodeName set to itself");
      }
      const auto& labels = MetaOf(*request.object).labels();
      bool same = labels.size() == old.metadata().labels().size();
      for (const auto& [key, value] : old.metadata().labels()) {
        auto it = labels.find(key);
        same = same && it != labels.end() && it->second == value;
      }
      if (!same) return forbid("cannot update labels through pod status");
      return {};
    }
    if (request.subresource.empty() || request.subresource == "status") {
      return forbid("can only update pod status, not the pod");
    }
    return {};
  }

  Status CheckNode(const AdmissionRequest& request, const std::string& node) {
    auto forbid = [&](const std::string& why) {
      return ForbiddenObject(*request.row.kind, request.name, "node \"" + node + "\" " + why);
    };
    if (request.operation == Operation::kDelete) return forbid("is not allowed to delete nodes");
    if (request.operation == Operation::kCreate) {
      const std::string labels = ForbiddenLabels({}, MetaOf(*request.object).labels());
      if (!labels.empty()) return forbid("is not allowed to set the following labels: " + labels);
    }
    if (MetaOf(*request.object).name() != node)
      return forbid("is not allowed to modify node \"" + MetaOf(*request.object).name() + "\"");
    if (request.operation == Operation::kUpdate) {
      const auto& before = static_cast<const Node&>(*request.old);
      const auto& after = static_cast<const Node&>(*request.object);
      bool same = before.spec().taints_size() == after.spec().taints_size();
      for (int i = 0; same && i < before.spec().taints_size(); ++i) {
        same = SameMessage(before.spec().taints(i), after.spec().taints(i));
      }
      if (!same) return forbid("is not allowed to modify taints");
      const std::string labels =
          ForbiddenLabels(before.metadata().labels(), after.metadata().labels());
      if (!labels.empty()) {
        return ForbiddenObject(*request.row.kind, request.name,
                               "is not allowed to modify labels: " + labels);
      }
    }
    return {};
  }

  Status CheckToken(const AdmissionRequest& request, const std::string& node) {
    const auto& wanted = static_cast<const api::authentication::v1::TokenRequest&>(*request.object);
    const auto& reference = wanted.spec().bound_object_ref();
    if (reference.kind() != "Pod" || reference.name().empty()) {
      return request.Forbid("node requested token not bound to a pod");
    }
    if (reference.uid().empty())
      return request.Forbid("node requested token with a pod binding without a uid");
    api::Ref<Pod> pod = registry_.Peek<Pod>(request.ns, reference.name());
    if (!pod) return NotFound(api::KindOf<Pod>(), reference.name());
    if (pod->metadata().uid() != reference.uid()) {
      return request.Forbid("the UID in the bound object reference (" + reference.uid() +
                            ") does not match the UID in record (" + pod->metadata().uid() +
                            "). The object might have been deleted and then recreated");
    }
    if (pod->spec().node_name() != node) {
      return request.Forbid("node requested token bound to a pod scheduled on a different node");
    }
    return {};
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NodeRestriction(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
