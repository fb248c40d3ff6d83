#pragma once

#include <span>
#include <string>
#include <string_view>

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace gantry::api {

// One kind in one version, as the API serves it. Built-in kinds stand in one table (kinds.cc);
// kinds of custom resources are made at run time and have no prototype. Threading: immutable.
struct KindInfo {
  std::string_view group;    // "" for core
  std::string_view version;  // "v1"
  std::string_view kind;     // "Pod"
  std::string_view list_kind;
  std::string_view plural;    // "pods"
  std::string_view singular;  // "pod"
  std::span<const std::string_view> short_names;
  std::span<const std::string_view> categories;
  bool namespaced = false;
  // Below /registry/, as a Kubernetes etcd has it: "pods", "services/specs", "minions". Empty for
  // kinds that are never stored (reviews, bindings).
  std::string_view storage_prefix;
  // The default instance of the message; never null for a built-in kind.
  const google::protobuf::Message* prototype = nullptr;
  // The default instance of the list's message; null where there are no lists (reviews, bindings).
  const google::protobuf::Message* list_prototype = nullptr;
  // The kind in which it is stored: itself, but for the kinds served in several versions.
  const KindInfo* storage_kind = nullptr;

  std::string ApiVersion() const;     // "v1", "apps/v1"
  std::string GroupResource() const;  // "pods", "deployments.apps": how messages name it
};

// All of the built-in kinds, in the order in which discovery lists them.
std::span<const KindInfo> AllKinds();

// Null where there is none. Beside the kinds of AllKinds() these also find the kinds that are no
// resources: lists, Status, Scale, Eviction, TokenRequest, DeleteOptions and the like, which have
// no plural.
const KindInfo* FindKind(std::string_view group, std::string_view version, std::string_view kind);
const KindInfo* FindKindByApiVersion(std::string_view api_version, std::string_view kind);
const KindInfo* FindResource(std::string_view group, std::string_view version,
                             std::string_view plural);

// The kind that a message type stands for. A bug where it stands for none.
const KindInfo& KindOfDescriptor(const google::protobuf::Descriptor* descriptor);
template <class T>
const KindInfo& KindOf() {
  static const KindInfo& kind = KindOfDescriptor(T::descriptor());
  return kind;
}

// "/registry/pods/default/web-1"; for cluster-scoped kinds without the namespace.
std::string StorageKey(const KindInfo& kind, std::string_view ns, std::string_view name);
// "/registry/pods/" or "/registry/pods/default/": what lists read.
std::string StoragePrefix(const KindInfo& kind, std::string_view ns = {});

}  // namespace gantry::api
