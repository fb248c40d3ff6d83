#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::api {
class JsonValue;
}

namespace gantry::cli {

class Connection;

// One kind of object as the server offers it.
struct Resource {
  std::string group, version, kind;
  std::string plural, singular;
  std::vector<std::string> short_names, categories;
  bool namespaced = false;
  bool listable = false;

  std::string ApiVersion() const { return group.empty() ? version : group + "/" + version; }
  // "deployments.apps", "pods".
  std::string GroupPlural() const { return group.empty() ? plural : plural + "." + group; }
  // "deployment.apps", "pod": what stands before a name in messages.
  std::string GroupSingular() const;
  // "apps/v1, Resource=deployments": kubectl's name of it in some failures.
  std::string Text() const;
  // "/apis/apps/v1/namespaces/NS/deployments/NAME/SUB"; parts that are empty are left out.
  std::string Path(std::string_view ns, std::string_view name = {},
                   std::string_view subresource = {}) const;
};

// All that the server offers. Threading: immutable.
class ResourceMap {
 public:
  static Result<ResourceMap> Load(Connection& connection);
  // From the two answers of aggregated discovery.
  static ResourceMap FromDiscovery(const api::JsonValue& core, const api::JsonValue& groups);

  // "po", "pod", "pods", "Pod", "deployments.apps", "deployments.v1.apps". Worded as kubectl does
  // when there is none.
  Result<Resource> Find(std::string_view name) const;
  const Resource* FindKind(std::string_view api_version, std::string_view kind) const;
  // In the order of the server: of a group, the preferred version first.
  const std::vector<Resource>& all() const { return resources_; }
  // Those of a category ("all"), in the order of the server; empty when there is no such category.
  std::vector<Resource> InCategory(std::string_view category) const;

 private:
  void Add(const api::JsonValue& list);

  std::vector<Resource> resources_;
};

// What a command works on: a type, and a name or nothing for all of them.
struct Target {
  Resource resource;
  std::string name;
  std::string ns;  // where a file names it; empty: the command's
};

// Reads TYPE[,TYPE] [NAME...] and TYPE/NAME...
Result<std::vector<Target>> ParseTargets(const ResourceMap& map,
                                         const std::vector<std::string>& args);
// The one object that a command works on: TYPE NAME or TYPE/NAME; `default_type` is for a name
// alone (empty: none).
Result<Target> ParseTarget(const ResourceMap& map, const std::vector<std::string>& args,
                           const std::string& default_type = "");

// The targets, each with a name: a type alone is replaced by its objects with the labels
// `selector` when `many` is set, and is a failure else.
Result<std::vector<Target>> NamedTargets(Connection& connection, std::vector<Target> targets,
                                         bool many, const std::string& selector);

}  // namespace gantry::cli
