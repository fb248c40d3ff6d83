#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "apiserver/registry/resource_row.h"
#include "apiserver/registry/strategy.h"

namespace gantry::apiserver {
namespace {

using Verbs = std::vector<std::string>;

struct SubRow {
  std::string_view plural;
  std::string_view name;
  std::string_view kind;
  std::string_view verbs;  // one letter each, see VerbsOf
  std::string_view group = {}, version = {};
};

// c create, d delete, g get, p patch, u update.
Verbs VerbsOf(std::string_view letters) {
  Verbs verbs;
  for (char letter : letters) {
    switch (letter) {
      case 'c':
        verbs.emplace_back("create");
        break;
      case 'd':
        verbs.emplace_back("delete");
        break;
      case 'g':
        verbs.emplace_back("get");
        break;
      case 'p':
        verbs.emplace_back("patch");
        break;
      case 'u':
        verbs.emplace_back("update");
        break;
    }
  }
  return verbs;
}

constexpr SubRow kSubresources[] = {
    {"namespaces", "finalize", "Namespace", "u"},
    {"nodes", "proxy", "NodeProxyOptions", "cdgpu"},
    {"pods", "attach", "PodAttachOptions", "cg"},
    {"pods", "binding", "Binding", "c"},
    {"pods", "ephemeralcontainers", "Pod", "gpu"},
    {"pods", "eviction", "Eviction", "c", "policy", "v1"},
    {"pods", "exec", "PodExecOptions", "cg"},
    {"pods", "log", "Pod", "g"},
    {"pods", "portforward", "PodPortForwardOptions", "cg"},
    {"pods", "proxy", "PodProxyOptions", "cdgpu"},
    {"pods", "resize", "Pod", "gpu"},
    {"replicationcontrollers", "scale", "Scale", "gpu", "autoscaling", "v1"},
    {"serviceaccounts", "token", "TokenRequest", "c", "authentication.k8s.io", "v1"},
    {"services", "proxy", "ServiceProxyOptions", "cdgpu"},
    {"deployments", "scale", "Scale", "gpu", "autoscaling", "v1"},
    {"replicasets", "scale", "Scale", "gpu", "autoscaling", "v1"},
    {"statefulsets", "scale", "Scale", "gpu", "autoscaling", "v1"},
    {"certificatesigningrequests", "approval", "CertificateSigningRequest", "gpu"},
};

ResourceRow MakeRow(const api::KindInfo& kind) {
  ResourceRow row;
  row.kind = &kind;
  row.strategy = &StrategyOf(*kind.storage_kind);
  if (kind.storage_prefix.empty()) {
    row.verbs = {"create"};
    return row;
  }
  row.verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  if (kind.plural == "namespaces") std::erase(row.verbs, "deletecollection");
  for (const SubRow& sub : kSubresources) {
    if (sub.plural != kind.plural) continue;
    ResourceRow::Sub out;
    out.name = std::string(sub.name);
    out.group = std::string(sub.version.empty() ? kind.group : sub.group);
    out.version = std::string(sub.version.empty() ? kind.version : sub.version);
    out.kind = std::string(sub.kind);
    out.verbs = VerbsOf(sub.verbs);
    row.subresources.push_back(std::move(out));
  }
  if (row.strategy->has_status) {
    ResourceRow::Sub status;
    status.name = "status";
    status.group = std::string(kind.group);
    status.version = std::string(kind.version);
    status.kind = std::string(kind.kind);
    status.verbs = VerbsOf("gpu");
    row.subresources.push_back(std::move(status));
  }
  std::sort(row.subresources.begin(), row.subresources.end(),
            [](const ResourceRow::Sub& a, const ResourceRow::Sub& b) { return a.name < b.name; });
  return row;
}

struct Table {
  Table() {
    for (const api::KindInfo& kind : api::AllKinds()) {
      if (kind.plural.empty() || kind.plural == "componentstatuses") continue;
      rows.push_back(MakeRow(kind));
    }
    for (const ResourceRow& row : rows) {
      by_name.emplace(std::tuple(row.kind->plural, row.kind->group, row.kind->version), &row);
      by_kind.emplace(row.kind, &row);
    }
  }

  std::vector<ResourceRow> rows;
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, const ResourceRow*>
      by_name;
  std::map<const api::KindInfo*, const ResourceRow*> by_kind;
};

const Table& TheTable() {
  static const Table* const table = new Table();
  return *table;
}

}  // namespace

bool ResourceRow::Serves(std::string_view verb) const {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

const ResourceRow::Sub* ResourceRow::FindSub(std::string_view name) const {
  for (const Sub& sub : subresources) {
    if (sub.name == name) return &sub;
  }
  return nullptr;
}

std::span<const ResourceRow> AllResources() { return TheTable().rows; }

const ResourceRow* FindResourceRow(std::string_view group, std::string_view version,
                                   std::string_view plural) {
  const auto& rows = TheTable().by_name;
  auto it = rows.find(std::tuple(plural, group, version));
  return it == rows.end() ? nullptr : it->second;
}

const ResourceRow* FindResourceRow(const api::KindInfo& kind) {
  const auto& rows = TheTable().by_kind;
  auto it = rows.find(&kind);
  return it == rows.end() ? nullptr : it->second;
}

}  // namespace gantry::apiserver
