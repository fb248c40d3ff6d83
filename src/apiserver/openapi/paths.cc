#include "apiserver/openapi/paths.h"

#include <algorithm>
#include <map>

#include <google/protobuf/message.h>

#include "api/schema.h"

namespace gantry::apiserver::openapi {
namespace {

struct Parameter {
  std::string_view name;
  std::string_view type;
  std::string_view description;
};

constexpr Parameter kListParameters[] = {
    {"allowWatchBookmarks", "boolean", "Whether a watch may send events of type BOOKMARK."},
    {"continue", "string", "The token of an earlier answer to go on behind it."},
    {"fieldSelector", "string", "Which objects, by their fields. Defaults to everything."},
    {"labelSelector", "string", "Which objects, by their labels. Defaults to everything."},
    {"limit", "integer", "How many objects one answer has at most."},
    {"resourceVersion", "string",
     "The version that the answer must have at least, or begin behind."},
    {"resourceVersionMatch", "string",
     "How resourceVersion is applied to lists: Exact or NotOlderThan."},
    {"sendInitialEvents", "boolean", "Whether a watch begins with what there is already."},
    {"timeoutSeconds", "integer", "How long the call may take."},
    {"watch", "boolean", "Whether to send changes as they happen instead of a list."},
};
constexpr Parameter kDryRun = {"dryRun", "string",
                               "All: everything is done but the change is not stored."};
constexpr Parameter kManager = {"fieldManager", "string",
                                "The name of who makes the change, at most 128 characters."};
constexpr Parameter kValidation = {
    "fieldValidation", "string",
    "What to do about unknown or duplicate fields: Ignore, Warn or Strict."};
constexpr Parameter kForce = {"force", "boolean",
                              "Whether to take over fields that others own. Only for apply."};
constexpr Parameter kDeleteParameters[] = {
    kDryRun,
    {"gracePeriodSeconds", "integer", "How long the object may take to end; 0 ends it at once."},
    {"orphanDependents", "boolean", "Deprecated: use propagationPolicy."},
    {"propagationPolicy", "string",
     "What becomes of dependents: Orphan, Background or Foreground."},
};
constexpr Parameter kName = {"name", "string", "Name of the object."};
constexpr Parameter kNamespace = {"namespace", "string", "Namespace of the object."};
constexpr Parameter kPath = {"path", "string", "Path of the request that is passed on."};
constexpr Parameter kPretty = {"pretty", "string", "If 'true', the output is pretty printed."};

constexpr std::string_view kMediaTypes[] = {
    "application/json", "application/vnd.kubernetes.protobuf", "application/yaml"};
constexpr std::string_view kStreamTypes[] = {"application/json;stream=watch",
                                             "application/vnd.kubernetes.protobuf;stream=watch"};
constexpr std::string_view kPatchTypes[] = {
    "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json"};

// One operation before it is written.
struct Operation {
  std::string_view method;  // "get"
  std::string action;       // x-kubernetes-action
  std::string id;
  std::string description;
  std::vector<Parameter> parameters;
  std::string body;      // name of a schema; empty: none
  std::string response;  // name of a schema; empty: text
  std::vector<std::string_view> codes = {"200"};
  bool list = false;
  bool any_type = false;  // connects: everything goes through
};

struct PathItem {
  std::vector<Parameter> path_parameters;
  std::string tag;
  GroupVersionKind kind;
  std::vector<Operation> operations;
};

std::string Capital(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z')
    out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

// "rbac.authorization.k8s.io" -> "RbacAuthorization", "" -> "Core".
std::string GroupName(std::string_view group) {
  if (group.empty()) return "Core";
  constexpr std::string_view kSuffix = ".k8s.io";
  if (group.ends_with(kSuffix)) group.remove_suffix(kSuffix.size());
  std::string out;
  while (!group.empty()) {
    size_t dot = std::min(group.find('.'), group.size());
    out += Capital(group.substr(0, dot));
    group.remove_prefix(std::min(dot + 1, group.size()));
  }
  return out;
}

std::string SchemaName(const google::protobuf::Message* prototype) {
  return prototype ? std::string(api::SchemaOf(prototype->GetDescriptor()).openapi_name())
                   : std::string();
}

bool Serves(const std::vector<std::string>& verbs, std::string_view verb) {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

// The paths of one resource.
class ResourcePaths {
 public:
  ResourcePaths(const ResourceRow& row, std::map<std::string, PathItem>* paths)
      : row_(row), kind_(*row.kind), paths_(*paths) {
    group_ = GroupName(kind_.group) + Capital(kind_.version);
    scope_ = kind_.namespaced ? "Namespaced" : "";
    object_ = SchemaName(kind_.prototype);
    root_ = (kind_.group.empty() ? "/api/" : "/apis/" + std::string(kind_.group) + "/") +
            std::string(kind_.version);
    collection_ =
        root_ + (kind_.namespaced ? "/namespaces/{namespace}/" : "/") + std::string(kind_.plural);
    if (kind_.namespaced) in_namespace_.push_back(kNamespace);
  }

  void Add() {
    AddCollection();
    AddItem();
    for (const ResourceRow::Sub& sub : row_.subresources)
      AddSubresource(sub);
  }

 private:
  PathItem& Path(const std::string& path, std::vector<Parameter> parameters,
                 const GroupVersionKind& kind) {
    PathItem& item = paths_[path];
    item.path_parameters = std::move(parameters);
    item.tag = GroupName(kind_.group) + "_" + std::string(kind_.version);
    item.tag[0] = static_cast<char>(item.tag[0] - 'A' + 'a');
    item.kind = kind;
    return item;
  }
  PathItem& Path(const std::string& path, std::vector<Parameter> parameters) {
    return Path(path, std::move(parameters),
                {std::string(kind_.group), std::string(kind_.version), std::string(kind_.kind)});
  }

  Operation List(const std::string& suffix) const {
    Operation op;
    op.method = "get";
    op.action = "list";
    op.id = "list" + group_ + suffix;
    op.description = "list or watch objects of kind " + std::string(kind_.kind);
    op.parameters.assign(std::begin(kListParameters), std::end(kListParameters));
    op.response = SchemaName(kind_.list_prototype);
    op.list = true;
    return op;
  }

  static Operation Write(std::string_view method, std::string action, const std::string& schema) {
    Operation op;
    op.method = method;
    op.action = std::move(action);
    op.parameters = {kDryRun, kManager, kValidation};
    op.body = schema;
    op.response = schema;
    op.codes = {"200", "201"};
    if (method == "post") op.codes.push_back("202");
    return op;
  }

  void AddCollection() {
    const std::string name(kind_.kind);
    if (kind_.namespaced && Serves(row_.verbs, "list"))
      Path(root_ + "/" + std::string(kind_.plural), {})
          .operations.push_back(List(name + "ForAllNamespaces"));
    PathItem& item = Path(collection_, in_namespace_);
    if (Serves(row_.verbs, "list")) item.operations.push_back(List(scope_ + name));
    if (Serves(row_.verbs, "create")) {
      Operation op = Write("post", "post", object_);
      op.id = "create" + group_ + scope_ + name;
      op.description =
          "create " + std::string(name.find_first_of("AEIO") == 0 ? "an " : "a ") + name;
      item.operations.push_back(std::move(op));
    }
    if (Serves(row_.verbs, "deletecollection")) {
      Operation op;
      op.method = "delete";
      op.action = "deletecollection";
      op.id = "delete" + group_ + "Collection" + scope_ + name;
      op.description = "delete collection of " + name;
      for (const Parameter& parameter : kListParameters)
        if (parameter.name != "watch" && parameter.name != "allowWatchBookmarks")
          op.parameters.push_back(parameter);
      op.parameters.insert(op.parameters.end(), std::begin(kDeleteParameters),
                           std::end(kDeleteParameters));
      op.body = kDeleteOptionsSchema;
      op.response = kStatusSchema;
      item.operations.push_back(std::move(op));
    }
  }

  // get, put and patch of an object or of a part of it.
  void AddVerbs(const std::vector<std::string>& verbs, const std::string& name,
                const std::string& schema, const std::string& what, PathItem* item) const {
    if (Serves(verbs, "get")) {
      Operation op;
      op.method = "get";
      op.action = "get";
      op.id = "read" + group_ + scope_ + name;
      op.description = "read " + what;
      op.response = schema;
      item->operations.push_back(std::move(op));
    }
    if (Serves(verbs, "update")) {
      Operation op = Write("put", "put", schema);
      op.id = "replace" + group_ + scope_ + name;
      op.description = "replace " + what;
      item->operations.push_back(std::move(op));
    }
    if (Serves(verbs, "patch")) {
      Operation op = Write("patch", "patch", schema);
      op.id = "patch" + group_ + scope_ + name;
      op.description = "partially update " + what;
      op.body = kPatchSchema;
      op.parameters.push_back(kForce);
      item->operations.push_back(std::move(op));
    }
  }

  std::vector<Parameter> ItemParameters() const {
    std::vector<Parameter> out = {kName};
    out.insert(out.end(), in_namespace_.begin(), in_namespace_.end());
    return out;
  }

  void AddItem() {
    const std::string name(kind_.kind);
    if (!Serves(row_.verbs, "get") && !Serves(row_.verbs, "delete")) return;
    PathItem& item = Path(collection_ + "/{name}", ItemParameters());
    AddVerbs(row_.verbs, name, object_, "the specified " + name, &item);
    if (!Serves(row_.verbs, "delete")) return;
    Operation op;
    op.method = "delete";
    op.action = "delete";
    op.id = "delete" + group_ + scope_ + name;
    op.description = "delete a " + name;
    op.parameters.assign(std::begin(kDeleteParameters), std::end(kDeleteParameters));
    op.body = kDeleteOptionsSchema;
    op.response = kStatusSchema;
    op.codes = {"200", "202"};
    item.operations.push_back(std::move(op));
  }

  void AddSubresource(const ResourceRow::Sub& sub) {
    std::string name = std::string(kind_.kind) + Capital(sub.name);
    GroupVersionKind kind{sub.group, sub.version, sub.kind};
    const api::KindInfo* taken = api::FindKind(sub.group, sub.version, sub.kind);
    const google::protobuf::Message* prototype = taken ? taken->prototype : nullptr;
    if (sub.kind.ends_with("Options")) return AddConnect(sub, name, kind, prototype);
    PathItem& item = Path(collection_ + "/{name}/" + sub.name, ItemParameters(), kind);
    std::string schema = sub.name == "log" ? std::string() : SchemaName(prototype);
    std::string what = sub.name + " of the specified " + std::string(kind_.kind);
    AddVerbs(sub.verbs, name, schema, what, &item);
    if (sub.name == "log")
      item.operations.front().parameters =
          OptionParameters(api::FindKind("", "v1", "PodLogOptions"));
    if (!Serves(sub.verbs, "create")) return;
    Operation op = Write("post", "post", schema);
    op.id = "create" + group_ + scope_ + name;
    op.description = "create " + what;
    item.operations.push_back(std::move(op));
  }

  static std::vector<Parameter> OptionParameters(const api::KindInfo* options) {
    std::vector<Parameter> out;
    if (!options || !options->prototype) return out;
    for (const api::FieldSchema& field :
         api::SchemaOf(options->prototype->GetDescriptor()).fields()) {
      std::string_view type =
          field.type == api::ValueType::kBool                                            ? "boolean"
          : field.type == api::ValueType::kInt64 || field.type == api::ValueType::kInt32 ? "integer"
                                                                                         : "string";
      if (field.name != "metadata") out.push_back({field.name, type, api::DocOf(field.descriptor)});
    }
    return out;
  }

  void AddConnect(const ResourceRow::Sub& sub, const std::string& name,
                  const GroupVersionKind& kind, const google::protobuf::Message* prototype) {
    constexpr std::pair<std::string_view, std::string_view> kMethods[] = {{"get", "get"},
                                                                          {"put", "update"},
                                                                          {"post", "create"},
                                                                          {"patch", "patch"},
                                                                          {"delete", "delete"}};
    std::vector<Parameter> query =
        OptionParameters(prototype ? api::FindKind(sub.group, sub.version, sub.kind) : nullptr);
    auto add = [&](const std::string& path, std::vector<Parameter> parameters,
                   const std::string& suffix) {
      PathItem& item = Path(path, std::move(parameters), kind);
      for (const auto& [method, verb] : kMethods) {
        if (!Serves(sub.verbs, verb)) continue;
        Operation op;
        op.method = method;
        op.action = "connect";
        op.id = "connect" + group_ + Capital(method) + scope_ + name + suffix;
        op.description = "connect " + std::string(method) + " requests to " + sub.name + " of " +
                         std::string(kind_.kind);
        op.parameters = query;
        op.any_type = true;
        item.operations.push_back(std::move(op));
      }
    };
    std::string base = collection_ + "/{name}/" + sub.name;
    add(base, ItemParameters(), "");
    if (sub.name != "proxy") return;
    std::vector<Parameter> parameters = ItemParameters();
    parameters.push_back(kPath);
    std::erase_if(query, [](const Parameter& parameter) { return parameter.name == "path"; });
    add(base + "/{path}", std::move(parameters), "WithPath");
  }

  const ResourceRow& row_;
  const api::KindInfo& kind_;
  std::map<std::string, PathItem>& paths_;
  std::string group_, scope_, object_, root_, collection_;
  std::vector<Parameter> in_namespace_;
};

void WriteParameter(const Parameter& parameter, std::string_view in, Dialect dialect,
                    JsonWriter* out) {
  out->Object()
      .MemberIfAny("description", parameter.description)
      .Member("in", in)
      .Member("name", parameter.name);
  if (in == "path") out->Key("required").Bool(true);
  if (dialect == Dialect::kV2) {
    out->Member("type", parameter.type).Key("uniqueItems").Bool(true);
  } else {
    out->Key("schema")
        .Object()
        .Member("type", parameter.type)
        .Key("uniqueItems")
        .Bool(true)
        .EndObject();
  }
  out->EndObject();
}

std::string_view CodeText(std::string_view code) {
  return code == "201"   ? "Created"
         : code == "202" ? "Accepted"
         : code == "401" ? "Unauthorized"
                         : "OK";
}

std::vector<std::string_view> Produced(const Operation& operation) {
  if (operation.any_type) return {"*/*"};
  if (operation.response.empty()) return {"text/plain"};
  std::vector<std::string_view> out(std::begin(kMediaTypes), std::end(kMediaTypes));
  if (operation.list) out.insert(out.end(), std::begin(kStreamTypes), std::end(kStreamTypes));
  return out;
}

void WriteSchemaOrText(const std::string& schema, Dialect dialect, JsonWriter* out) {
  if (schema.empty()) {
    out->Raw(R"({"type":"string"})");
  } else {
    WriteReference(dialect, schema, out);
  }
}

void WriteResponses(const Operation& operation, Dialect dialect, JsonWriter* out) {
  out->Key("responses").Object();
  for (std::string_view code : operation.codes) {
    out->Key(code).Object();
    if (dialect == Dialect::kV3) {
      out->Key("content").Object();
      for (std::string_view type : Produced(operation)) {
        out->Key(type).Object().Key("schema");
        WriteSchemaOrText(operation.response, dialect, out);
        out->EndObject();
      }
      out->EndObject();
    }
    out->Member("description", CodeText(code));
    if (dialect == Dialect::kV2) {
      out->Key("schema");
      WriteSchemaOrText(operation.response, dialect, out);
    }
    out->EndObject();
  }
  out->Key("401").Object().Member("description", CodeText("401")).EndObject().EndObject();
}

void WriteBody(const Operation& operation, JsonWriter* out) {
  out->Key("requestBody").Object().Key("content").Object();
  auto write = [&](std::string_view type) {
    out->Key(type).Object().Key("schema");
    WriteReference(Dialect::kV3, operation.body, out);
    out->EndObject();
  };
  if (operation.body == kPatchSchema) {
    for (std::string_view type : kPatchTypes)
      write(type);
  } else {
    write("*/*");
  }
  out->EndObject();
  if (operation.body != kDeleteOptionsSchema) out->Key("required").Bool(true);
  out->EndObject();
}

void WriteOperation(const Operation& operation, const PathItem& item, Dialect dialect,
                    JsonWriter* out) {
  out->Key(operation.method).Object();
  if (dialect == Dialect::kV2) {
    out->Key("consumes");
    if (operation.body == kPatchSchema) {
      out->Texts(kPatchTypes);
    } else {
      out->Raw(R"(["*/*"])");
    }
  }
  out->Member("description", operation.description).Member("operationId", operation.id);
  bool body_parameter = dialect == Dialect::kV2 && !operation.body.empty();
  if (!operation.parameters.empty() || body_parameter) {
    out->Key("parameters").Array();
    if (body_parameter) {
      out->Object().Member("in", "body").Member("name", "body");
      if (operation.body != kDeleteOptionsSchema) out->Key("required").Bool(true);
      out->Key("schema");
      WriteReference(dialect, operation.body, out);
      out->EndObject();
    }
    for (const Parameter& parameter : operation.parameters)
      WriteParameter(parameter, "query", dialect, out);
    out->EndArray();
  }
  if (dialect == Dialect::kV2) out->Key("produces").Texts(Produced(operation));
  if (dialect == Dialect::kV3 && !operation.body.empty()) WriteBody(operation, out);
  WriteResponses(operation, dialect, out);
  if (dialect == Dialect::kV2) out->Key("schemes").Raw(R"(["https"])");
  out->Key("tags").Array().Text(item.tag).EndArray();
  out->Member("x-kubernetes-action", operation.action).Key("x-kubernetes-group-version-kind");
  WriteKind(item.kind, out);
  out->EndObject();
}

}  // namespace

void WritePaths(std::span<const ResourceRow* const> rows, Dialect dialect, JsonWriter* out) {
  std::map<std::string, PathItem> paths;
  for (const ResourceRow* row : rows)
    ResourcePaths(*row, &paths).Add();
  for (auto& [path, item] : paths) {
    if (item.operations.empty()) continue;
    out->Key(path).Object();
    std::sort(item.operations.begin(), item.operations.end(),
              [](const Operation& a, const Operation& b) { return a.method < b.method; });
    for (const Operation& operation : item.operations)
      WriteOperation(operation, item, dialect, out);
    out->Key("parameters").Array();
    for (const Parameter& parameter : item.path_parameters)
      WriteParameter(parameter, "path", dialect, out);
    WriteParameter(kPretty, "query", dialect, out);
    out->EndArray().EndObject();
  }
}

}  // namespace gantry::apiserver::openapi
