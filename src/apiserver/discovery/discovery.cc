#include "apiserver/discovery/discovery.h"

#include <algorithm>
#include <utility>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "api/json_text.h"
#include "base/wire/accept.h"
#include "base/wire/headers.h"

namespace gantry::apiserver {
namespace {

using api::AppendJsonString;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kAggregatedGroup = "apidiscovery.k8s.io";

struct Version {
  std::string_view name;
  std::vector<const ResourceRow*> rows;  // sorted by plural
};

struct Group {
  std::string_view name;
  std::vector<Version> versions;
};

std::string GroupVersion(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

// Appends `"name":"value"`, with a comma before it where something precedes.
void Field(std::string_view name, std::string_view value, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->push_back(':');
  AppendJsonString(value, out);
}

template <class Strings>
void List(std::string_view name, const Strings& values, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->append(":[");
  for (const auto& value : values) {
    if (out->back() != '[') out->push_back(',');
    AppendJsonString(value, out);
  }
  out->push_back(']');
}

template <class Strings>
void ListIfAny(std::string_view name, const Strings& values, std::string* out) {
  if (!std::empty(values)) List(name, values, out);
}

// How clients see that the stored form of a resource changed: eight bytes of a hash of the stored
// kind.
std::string StorageVersionHash(const api::KindInfo& kind) {
  const api::KindInfo& stored = kind.storage_kind ? *kind.storage_kind : kind;
  std::string text = std::string(stored.group) + "/" + std::string(stored.version) + "/" +
                     std::string(stored.kind);
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash);
  unsigned char encoded[16];
  EVP_EncodeBlock(encoded, hash, 8);
  return reinterpret_cast<char*>(encoded);
}

std::string QuotedHash(const std::string& body) {
  unsigned char hash[SHA512_DIGEST_LENGTH];
  SHA512(reinterpret_cast<const unsigned char*>(body.data()), body.size(), hash);
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (unsigned char c : hash) {
    out.push_back(kHex[c >> 4]);
    out.push_back(kHex[c & 15]);
  }
  return out + "\"";
}

std::vector<Group> GroupRows(std::span<const ResourceRow> rows) {
  std::vector<Group> groups;
  for (const ResourceRow& row : rows) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.name == row.kind->group; });
    if (group == groups.end()) group = groups.insert(groups.end(), Group{row.kind->group, {}});
    auto version = std::find_if(group->versions.begin(), group->versions.end(),
                                [&](const Version& v) { return v.name == row.kind->version; });
    if (version == group->versions.end())
      version = group->versions.insert(version, Version{row.kind->version, {}});
    version->rows.push_back(&row);
  }
  for (Group& group : groups)
    for (Version& version : group.versions)
      std::sort(version.rows.begin(), version.rows.end(),
                [](const ResourceRow* a, const ResourceRow* b) {
                  return a->kind->plural < b->kind->plural;
                });
  return groups;
}

std::string ResourceList(const Group& group, const Version& version) {
  std::string out = R"({"kind":"APIResourceList")";
  if (!group.name.empty()) Field("apiVersion", "v1", &out);
  Field("groupVersion", GroupVersion(group.name, version.name), &out);
  out.append(R"(,"resources":[)");
  for (const ResourceRow* row : version.rows) {
    const api::KindInfo& kind = *row->kind;
    const char* namespaced = kind.namespaced ? R"(,"namespaced":true)" : R"(,"namespaced":false)";
    if (out.back() != '[') out.push_back(',');
    out.push_back('{');
    Field("name", kind.plural, &out);
    Field("singularName", kind.singular, &out);
    out.append(namespaced);
    Field("kind", kind.kind, &out);
    List("verbs", row->verbs, &out);
    ListIfAny("shortNames", kind.short_names, &out);
    ListIfAny("categories", kind.categories, &out);
    if (!kind.storage_prefix.empty()) Field("storageVersionHash", StorageVersionHash(kind), &out);
    out.push_back('}');
    for (const ResourceRow::Sub& sub : row->subresources) {
      out.append(",{");
      Field("name", std::string(kind.plural) + "/" + sub.name, &out);
      Field("singularName", "", &out);
      out.append(namespaced);
      if (sub.group != kind.group || sub.version != kind.version) {
        if (!sub.group.empty()) Field("group", sub.group, &out);
        Field("version", sub.version, &out);
      }
      Field("kind", sub.kind, &out);
      List("verbs", sub.verbs, &out);
      out.push_back('}');
    }
  }
  return out + "]}\n";
}

void AppendGroupVersion(const Group& group, const Version& version, std::string* out) {
  out->push_back('{');
  Field("groupVersion", GroupVersion(group.name, version.name), out);
  Field("version", version.name, out);
  out->push_back('}');
}

// The members of an APIGroup without its braces.
void AppendGroup(const Group& group, std::string* out) {
  Field("name", group.name, out);
  out->append(R"(,"versions":[)");
  for (const Version& version : group.versions) {
    if (out->back() != '[') out->push_back(',');
    AppendGroupVersion(group, version, out);
  }
  out->append(R"(],"preferredVersion":)");
  AppendGroupVersion(group, group.versions.front(), out);
}

std::string SingleGroup(const Group& group) {
  std::string out = R"({"kind":"APIGroup","apiVersion":"v1")";
  AppendGroup(group, &out);
  return out + "}\n";
}

std::string GroupList(std::span<const Group> groups) {
  std::string out = R"({"kind":"APIGroupList","apiVersion":"v1","groups":[)";
  for (const Group& group : groups) {
    if (group.name.empty()) continue;
    out.append(out.back() == '[' ? "{" : ",{");
    AppendGroup(group, &out);
    out.push_back('}');
  }
  return out + "]}\n";
}

std::string CoreVersions(std::span<const Group> groups, std::string_view server_address) {
  std::vector<std::string_view> versions;
  for (const Group& group : groups) {
    if (!group.name.empty()) continue;
    for (const Version& version : group.versions)
      versions.push_back(version.name);
  }
  std::string out = R"({"kind":"APIVersions")";
  List("versions", versions, &out);
  out.append(R"(,"serverAddressByClientCIDRs":[{)");
  Field("clientCIDR", "0.0.0.0/0", &out);
  Field("serverAddress", server_address, &out);
  return out + "}]}\n";
}

void AppendKind(std::string_view member, std::string_view group, std::string_view version,
                std::string_view kind, std::string* out) {
  out->append(",");
  AppendJsonString(member, out);
  out->append(":{");
  Field("group", group, out);
  Field("version", version, out);
  Field("kind", kind, out);
  out->push_back('}');
}

void AppendAggregatedResource(const ResourceRow& row, std::string* out) {
  const api::KindInfo& kind = *row.kind;
  out->push_back('{');
  Field("resource", kind.plural, out);
  AppendKind("responseKind", kind.group, kind.version, kind.kind, out);
  Field("scope", kind.namespaced ? "Namespaced" : "Cluster", out);
  Field("singularResource", kind.singular, out);
  List("verbs", row.verbs, out);
  ListIfAny("shortNames", kind.short_names, out);
  ListIfAny("categories", kind.categories, out);
  if (!row.subresources.empty()) {
    out->append(R"(,"subresources":[)");
    for (const ResourceRow::Sub& sub : row.subresources) {
      out->append(out->back() == '[' ? "{" : ",{");
      Field("subresource", sub.name, out);
      AppendKind("responseKind", sub.group, sub.version, sub.kind, out);
      List("verbs", sub.verbs, out);
      out->push_back('}');
    }
    out->push_back(']');
  }
  out->push_back('}');
}

std::string Aggregated(std::span<const Group> groups, bool core, std::string_view version_name) {
  std::string out = R"({"kind":"APIGroupDiscoveryList")";
  Field("apiVersion", std::string(kAggregatedGroup) + "/" + std::string(version_name), &out);
  out.append(R"(,"metadata":{},"items":[)");
  for (const Group& group : groups) {
    if (group.name.empty() != core) continue;
    out.append(out.back() == '[' ? R"({"metadata":{)" : R"(,{"metadata":{)");
    if (!core) Field("name", group.name, &out);
    out.append(R"(},"versions":[)");
    for (const Version& version : group.versions) {
      out.append(out.back() == '[' ? "{" : ",{");
      Field("version", version.name, &out);
      out.append(R"(,"resources":[)");
      for (const ResourceRow* row : version.rows) {
        if (out.back() != '[') out.push_back(',');
        AppendAggregatedResource(*row, &out);
      }
      out.push_back(']');
      Field("freshness", "Current", &out);
      out.push_back('}');
    }
    out.append("]}");
  }
  return out + "]}\n";
}

DiscoveryDocument Document(std::string body, std::string_view version) {
  DiscoveryDocument document;
  document.content_type = kJson;
  if (!version.empty()) {
    document.content_type.append(";g=").append(kAggregatedGroup).append(";v=").append(version);
    document.content_type.append(";as=APIGroupDiscoveryList");
    document.etag = QuotedHash(body);
  }
  document.body = std::make_shared<const std::string>(std::move(body));
  return document;
}

bool AdmitsJson(std::string_view type) {
  return type == kJson || type == "*/*" || type == "application/*";
}

}  // namespace

Discovery::Discovery(std::span<const ResourceRow> rows, std::string_view server_address) {
  std::vector<Group> groups = GroupRows(rows);
  for (bool core : {true, false}) {
    Entry& entry = documents_[core ? "/api" : "/apis"];
    entry.forms[kLegacy] =
        Document(core ? CoreVersions(groups, server_address) : GroupList(groups), "");
    entry.forms[kV2] = Document(Aggregated(groups, core, "v2"), "v2");
    entry.forms[kV2Beta1] = Document(Aggregated(groups, core, "v2beta1"), "v2beta1");
  }
  for (const Group& group : groups) {
    std::string base = group.name.empty() ? "/api" : "/apis/" + std::string(group.name);
    if (!group.name.empty()) documents_[base].forms[kLegacy] = Document(SingleGroup(group), "");
    for (const Version& version : group.versions)
      documents_[base + "/" + std::string(version.name)].forms[kLegacy] =
          Document(ResourceList(group, version), "");
  }
}

Result<DiscoveryDocument> Discovery::Get(std::string_view path, std::string_view accept) const {
  while (path.size() > 1 && path.back() == '/')
    path.remove_suffix(1);
  auto found = documents_.find(path);
  if (found == documents_.end())
    return Status(Code::kNotFound, "the server could not find the requested resource");
  const Entry& entry = found->second;
  if (wire::Trim(accept).empty()) return entry.forms[kLegacy];
  for (const wire::MediaRange& range : wire::ParseAccept(accept)) {
    if (range.quality <= 0) continue;
    if (!AdmitsJson(range.type)) continue;
    const std::string_view as = range.Parameter("as"), version = range.Parameter("v");
    if (as.empty()) return entry.forms[kLegacy];
    if (as != "APIGroupDiscoveryList" || range.Parameter("g") != kAggregatedGroup) continue;
    Form form = version == "v2" ? kV2 : version == "v2beta1" ? kV2Beta1 : kLegacy;
    if (form != kLegacy && entry.forms[form].body) return entry.forms[form];
  }
  return Status(Code::kNotAcceptable,
                "only the following media types are accepted: application/json");
}

}  // namespace gantry::apiserver
