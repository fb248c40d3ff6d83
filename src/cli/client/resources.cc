#include "cli/client/resources.h"

#include <algorithm>

#include "api/json_value.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "client/http/transport.h"

namespace gantry::cli {
namespace {

constexpr const char* kDiscoveryAccept =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return out;
}

bool Named(const Resource& resource, const std::string& name) {
  return resource.plural == name || resource.singular == name || Lower(resource.kind) == name ||
         std::find(resource.short_names.begin(), resource.short_names.end(), name) !=
             resource.short_names.end();
}

std::vector<std::string> Texts(const api::JsonValue& value, std::string_view path) {
  std::vector<std::string> out;
  for (const api::JsonValue& item : ItemsAt(value, path))
    out.push_back(ScalarText(item));
  return out;
}

Status TypeTwice() {
  return LocalError(
      "there is no need to specify a resource type as a separate argument when passing arguments "
      "in resource/name form (e.g. 'gantry get resource/<resource_name>' instead of 'gantry get "
      "resource resource/<resource_name>'");
}

}  // namespace

std::string Resource::GroupSingular() const {
  const std::string name = singular.empty() ? Lower(kind) : singular;
  return group.empty() ? name : name + "." + group;
}

std::string Resource::Text() const { return group + "/" + version + ", Resource=" + plural; }

std::string Resource::Path(std::string_view ns, std::string_view name,
                           std::string_view subresource) const {
  std::string path = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (namespaced && !ns.empty()) path += "/namespaces/" + std::string(ns);
  path += "/" + plural;
  if (!name.empty()) path += "/" + std::string(name);
  if (!subresource.empty()) path += "/" + std::string(subresource);
  return path;
}

Result<ResourceMap> ResourceMap::Load(Connection& connection) {
  GANTRY_ASSIGN(const api::JsonValue core, connection.GetJson("/api", kDiscoveryAccept));
  GANTRY_ASSIGN(const api::JsonValue groups, connection.GetJson("/apis", kDiscoveryAccept));
  return FromDiscovery(core, groups);
}

ResourceMap ResourceMap::FromDiscovery(const api::JsonValue& core, const api::JsonValue& groups) {
  ResourceMap map;
  map.Add(core);
  map.Add(groups);
  return map;
}

void ResourceMap::Add(const api::JsonValue& list) {
  for (const api::JsonValue& group : ItemsAt(list, "items")) {
    for (const api::JsonValue& version : ItemsAt(group, "versions")) {
      for (const api::JsonValue& entry : ItemsAt(version, "resources")) {
        Resource resource;
        resource.group = TextAt(group, "metadata.name");
        resource.version = TextAt(version, "version");
        resource.kind = TextAt(entry, "responseKind.kind");
        resource.plural = TextAt(entry, "resource");
        resource.singular = TextAt(entry, "singularResource");
        resource.short_names = Texts(entry, "shortNames");
        resource.categories = Texts(entry, "categories");
        resource.namespaced = TextAt(entry, "scope") == "Namespaced";
        const std::vector<std::string> verbs = Texts(entry, "verbs");
        resource.listable = std::find(verbs.begin(), verbs.end(), "list") != verbs.end();
        resources_.push_back(std::move(resource));
      }
    }
  }
}

Result<Resource> ResourceMap::Find(std::string_view name) const {
  const std::string wanted = Lower(name);
  for (const Resource& resource : resources_) {
    if (Named(resource, wanted)) return resource;
  }
  // "deployments.apps", "deployments.v1.apps"
  const size_t dot = wanted.find('.');
  if (dot != std::string::npos) {
    const std::string type = wanted.substr(0, dot);
    const std::string rest = wanted.substr(dot + 1);
    for (const Resource& resource : resources_) {
      if (!Named(resource, type)) continue;
      if (rest == resource.group || rest == resource.version + "." + resource.group)
        return resource;
    }
  }
  // Of "TYPE.VERSION.GROUP" kubectl names the type.
  return LocalError("the server doesn't have a resource type \"" +
                    std::string(name.substr(0, name.find('.'))) + "\"");
}

const Resource* ResourceMap::FindKind(std::string_view api_version, std::string_view kind) const {
  for (const Resource& resource : resources_) {
    if (resource.kind == kind && resource.ApiVersion() == api_version) return &resource;
  }
  return nullptr;
}

std::vector<Resource> ResourceMap::InCategory(std::string_view category) const {
  std::vector<Resource> out;
  for (const Resource& resource : resources_) {
    const auto& all = resource.categories;
    if (std::find(all.begin(), all.end(), category) == all.end()) continue;
    const bool seen = std::any_of(out.begin(), out.end(), [&](const Resource& other) {
      return other.group == resource.group && other.plural == resource.plural;
    });
    if (!seen) out.push_back(resource);
  }
  return out;
}

Result<std::vector<Target>> ParseTargets(const ResourceMap& map,
                                         const std::vector<std::string>& args) {
  std::vector<Target> targets;
  if (args.empty())
    return LocalError("You must provide one or more resources by argument or filename.");
  const bool slashes = args[0].find('/') != std::string::npos;
  if (slashes) {
    for (const std::string& arg : args) {
      const size_t slash = arg.find('/');
      if (slash == std::string::npos) {
        return TypeTwice();
      }
      if (arg.find('/', slash + 1) != std::string::npos)
        return LocalError("arguments in resource/name form may not have more than one slash");
      if (slash == 0 || slash + 1 == arg.size()) {
        return LocalError("arguments in resource/name form must have a single resource and name");
      }
      GANTRY_ASSIGN(Resource resource, map.Find(arg.substr(0, slash)));
      targets.push_back({std::move(resource), arg.substr(slash + 1), ""});
    }
    return targets;
  }
  std::vector<Resource> types;
  for (const std::string& type : SplitText(args[0], ',')) {
    std::vector<Resource> category = map.InCategory(type);
    if (!category.empty()) {
      types.insert(types.end(), category.begin(), category.end());
      continue;
    }
    GANTRY_ASSIGN(Resource resource, map.Find(type));
    types.push_back(std::move(resource));
  }
  for (const Resource& type : types) {
    if (args.size() == 1) targets.push_back({type, "", ""});
    for (size_t i = 1; i < args.size(); ++i) {
      if (args[i].find('/') != std::string::npos) {
        return TypeTwice();
      }
      targets.push_back({type, args[i], ""});
    }
  }
  return targets;
}

Result<Target> ParseTarget(const ResourceMap& map, const std::vector<std::string>& args,
                           const std::string& default_type) {
  std::vector<std::string> words = args;
  if (!default_type.empty() && words.size() == 1 && words[0].find('/') == std::string::npos) {
    words.insert(words.begin(), default_type);
  }
  GANTRY_ASSIGN(std::vector<Target> targets, ParseTargets(map, words));
  if (targets.size() != 1 || targets[0].name.empty())
    return LocalError("exactly one object is needed, as TYPE/NAME or TYPE NAME");
  return targets[0];
}

Result<std::vector<Target>> NamedTargets(Connection& connection, std::vector<Target> targets,
                                         bool many, const std::string& selector) {
  std::vector<Target> out;
  for (Target& target : targets) {
    if (!target.name.empty()) {
      if (!selector.empty())
        return LocalError("name cannot be provided when a selector is specified");
      out.push_back(std::move(target));
      continue;
    }
    if (!many) return LocalError("resource(s) were provided, but no name was specified");
    std::string path = target.resource.Path(connection.ns());
    if (!selector.empty()) path += "?labelSelector=" + client::QueryEscape(selector);
    Result<api::JsonValue> list = connection.GetJson(path);
    if (!list.ok()) return ListError(list.status(), target.resource.Text(), selector, "");
    for (const api::JsonValue& item : ItemsAt(*list, "items"))
      out.push_back({target.resource, TextAt(item, "metadata.name"), ""});
  }
  return out;
}

}  // namespace gantry::cli
