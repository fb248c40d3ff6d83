#include <cstdio>
#include <optional>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/manifests.h"
#include "cli/client/print_object.h"
#include "cli/client/resources.h"
#include "cli/client/sort_by.h"
#include "cli/client/table_printer.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "get (-f FILE | TYPE[,TYPE] [NAME... | -l LABELS] | TYPE/NAME...)",
    "Show objects, as a table or in full. Types have their plural, singular and short names.",
    "# All pods of the namespace, with more columns\n"
    "gantry get pods -o wide\n"
    "# Pods and services of all namespaces\n"
    "gantry get po,svc -A\n"
    "# One deployment as YAML\n"
    "gantry get deploy/web -o yaml\n"
    "# Pods with a label, and what happens to them from now on\n"
    "gantry get pods -l app=web -w\n"
    "# One field\n"
    "gantry get pod web -o jsonpath='{.status.podIP}'\n"
    "# Columns of one's own, sorted\n"
    "gantry get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP "
    "--sort-by=.metadata.creationTimestamp"};

constexpr const char* kTableAccept =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
constexpr const char* kAccept = "application/json";

struct GetFlags {
  std::string output, selector, field_selector, sort_by, raw, subresource;
  std::vector<std::string> label_columns, files;
  int64_t chunk_size = 500;
  bool all_namespaces = false, watch = false, watch_only = false, watch_events = false;
  bool no_headers = false, show_labels = false, show_kind = false, managed_fields = false;
  bool ignore_not_found = false, recursive = false;
};

void AddQuery(std::string* target, const std::string& name, const std::string& value) {
  if (value.empty()) return;
  *target += (target->find('?') == std::string::npos ? "?" : "&") + name + "=" +
             client::QueryEscape(value);
}

class Get {
 public:
  Get(Connection& connection, const GetFlags& flags) : connection_(connection), flags_(flags) {}

  Result<int> Run(const std::vector<Target>& targets) {
    if (flags_.watch || flags_.watch_only) return WatchOne(targets);
    return AsTable() ? Tables(targets) : Objects(targets);
  }

 private:
  bool AsTable() const { return flags_.output.empty() || flags_.output == "wide"; }
  std::string NamespaceOf(const Target& target) const {
    return target.ns.empty() ? connection_.ns() : target.ns;
  }
  std::string ListTarget(const Target& target) const {
    std::string path = target.resource.Path(flags_.all_namespaces ? "" : NamespaceOf(target));
    AddQuery(&path, "labelSelector", flags_.selector);
    AddQuery(&path, "fieldSelector", flags_.field_selector);
    return path;
  }
  TablePrinter::Options TableOptions(const Resource& resource, bool with_kind) const {
    TablePrinter::Options options;
    options.wide = flags_.output == "wide";
    options.no_headers = flags_.no_headers;
    options.show_labels = flags_.show_labels;
    options.label_columns = flags_.label_columns;
    options.with_namespace = flags_.all_namespaces && resource.namespaced;
    options.with_event = flags_.watch_events;
    if (with_kind) options.name_prefix = resource.GroupSingular() + "/";
    return options;
  }

  // An object, or a whole list put together from its chunks.
  Result<JsonValue> Fetch(const Target& target, const char* accept) {
    if (!target.name.empty()) {
      std::string path = target.resource.Path(NamespaceOf(target), target.name, flags_.subresource);
      if (!flags_.sort_by.empty()) AddQuery(&path, "includeObject", "Object");
      return connection_.GetJson(path, accept);
    }
    std::string path = ListTarget(target);
    if (!flags_.sort_by.empty()) AddQuery(&path, "includeObject", "Object");
    if (flags_.chunk_size > 0) AddQuery(&path, "limit", std::to_string(flags_.chunk_size));
    std::optional<JsonValue> whole;
    std::string rest;
    do {
      std::string chunk_path = path;
      AddQuery(&chunk_path, "continue", rest);
      Result<JsonValue> chunk = connection_.GetJson(chunk_path, accept);
      if (!chunk.ok())
        return ListError(chunk.status(), target.resource.Text(), flags_.selector,
                         flags_.field_selector);
      rest = TextAt(*chunk, "metadata.continue");
      if (!whole) {
        whole = std::move(*chunk);
        continue;
      }
      for (const char* field : {"items", "rows"}) {
        JsonValue* to = whole->Find(field);
        JsonValue* from = chunk->Find(field);
        if (to == nullptr || from == nullptr || !to->is_array() || !from->is_array()) continue;
        for (JsonValue& item : from->as_array())
          to->as_array().push_back(std::move(item));
      }
    } while (!rest.empty());
    return *std::move(whole);
  }

  // What is not found does not keep the others from being shown.
  void Complain(const Status& status) {
    if (flags_.ignore_not_found && status.code() == Code::kNotFound) return;
    failures_.push_back(status.message());
  }
  int Finish() {
    std::fflush(stdout);
    for (const std::string& failure : failures_)
      std::fprintf(stderr, "%s\n", failure.c_str());
    return failures_.empty() ? 0 : 1;
  }

  Result<int> Tables(const std::vector<Target>& targets) {
    bool several_types = flags_.show_kind;
    for (const Target& target : targets)
      several_types =
          several_types || target.resource.GroupPlural() != targets[0].resource.GroupPlural();
    size_t printed = 0;
    bool named = false, anything_namespaced = false;
    for (size_t i = 0; i < targets.size();) {
      const Resource& resource = targets[i].resource;
      anything_namespaced = anything_namespaced || resource.namespaced;
      TablePrinter printer(TableOptions(resource, several_types));
      size_t rows = 0;
      // Names of one type share a table.
      for (; i < targets.size() && targets[i].resource.GroupPlural() == resource.GroupPlural();
           ++i) {
        named = named || !targets[i].name.empty();
        Result<JsonValue> table = Fetch(targets[i], kTableAccept);
        if (!table.ok()) {
          Complain(table.status());
          continue;
        }
        if (JsonValue* found = table->Find("rows");
            !flags_.sort_by.empty() && found != nullptr && found->is_array())
          GANTRY_TRY(SortBy(flags_.sort_by, "object", &found->as_array()));
        rows += printer.Add(*table);
      }
      if (rows > 0 && printed > 0) std::fputc('\n', stdout);
      printer.Flush();
      printed += rows;
    }
    if (printed == 0 && !named && failures_.empty() && !flags_.ignore_not_found) {
      if (flags_.all_namespaces || !anything_namespaced) {
        std::fputs("No resources found\n", stderr);
      } else {
        std::fprintf(stderr, "No resources found in %s namespace.\n", connection_.ns().c_str());
      }
    }
    return Finish();
  }

  static void Stamp(const Resource& resource, JsonValue* object) {
    (*object)["apiVersion"] = resource.ApiVersion();
    (*object)["kind"] = resource.kind;
  }

  Result<int> Objects(const std::vector<Target>& targets) {
    JsonValue::Array items;
    const bool single = targets.size() == 1 && !targets[0].name.empty();
    for (const Target& target : targets) {
      Result<JsonValue> answer = Fetch(target, kAccept);
      if (!answer.ok()) {
        Complain(answer.status());
        continue;
      }
      JsonValue* list = answer->Find("items");
      if (!target.name.empty() || list == nullptr) {
        items.push_back(std::move(*answer));
        continue;
      }
      if (!list->is_array()) continue;
      for (JsonValue& item : list->as_array()) {
        Stamp(target.resource, &item);
        items.push_back(std::move(item));
      }
    }
    if (!flags_.sort_by.empty()) GANTRY_TRY(SortBy(flags_.sort_by, "", &items));
    if (flags_.output == "name") {
      for (const JsonValue& item : items)
        PrintName(targets, item);
      return Finish();
    }
    if (single && items.empty()) return Finish();
    JsonValue object;
    if (single) {
      object = std::move(items[0]);
    } else {
      object["apiVersion"] = "v1";
      object["items"] = std::move(items);
      object["kind"] = "List";
      object["metadata"]["resourceVersion"] = "";
    }
    GANTRY_TRY(Show(std::move(object), flags_.no_headers));
    return Finish();
  }

  Status Show(JsonValue object, bool no_headers) {
    PrintOptions options;
    options.managed_fields = flags_.managed_fields;
    options.no_headers = no_headers;
    GANTRY_ASSIGN(const std::string text, PrintObject(flags_.output, std::move(object), options));
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    return Status::Ok();
  }

  static void PrintName(const std::vector<Target>& targets, const JsonValue& item) {
    for (const Target& target : targets) {
      if (target.resource.kind != TextAt(item, "kind")) continue;
      std::printf("%s/%s\n", target.resource.GroupSingular().c_str(),
                  TextAt(item, "metadata.name").c_str());
      return;
    }
  }

  // What is there, then every change.
  Result<int> WatchOne(const std::vector<Target>& targets) {
    if (targets.size() != 1)
      return LocalError("watch is only supported on individual resources and resource collections");
    const Target& target = targets[0];
    if (!target.name.empty())
      GANTRY_TRY(connection_.GetJson(target.resource.Path(NamespaceOf(target), target.name)));
    std::string path = ListTarget(target);
    if (!target.name.empty()) AddQuery(&path, "fieldSelector", "metadata.name=" + target.name);
    const std::string accept = AsTable() ? kTableAccept : kAccept;
    Result<JsonValue> first = connection_.GetJson(path, accept);
    if (!first.ok())
      return ListError(first.status(), target.resource.Text(), flags_.selector,
                       flags_.field_selector);
    TablePrinter printer(TableOptions(target.resource, flags_.show_kind));
    bool no_headers = flags_.no_headers;
    auto show = [&](const JsonValue& object, const std::string& type) -> Status {
      if (AsTable()) {
        printer.Add(object, type);
        printer.Flush();
        return Status::Ok();
      }
      if (flags_.output == "name") {
        PrintName(targets, object);
        std::fflush(stdout);
        return Status::Ok();
      }
      const Status shown = Show(object, no_headers);
      no_headers = true;
      return shown;
    };
    if (!flags_.watch_only) {
      if (AsTable()) {
        GANTRY_TRY(show(*first, "ADDED"));
      } else {
        for (JsonValue item : ItemsAt(*first, "items")) {
          Stamp(target.resource, &item);
          GANTRY_TRY(show(item, "ADDED"));
        }
      }
    }
    AddQuery(&path, "watch", "true");
    AddQuery(&path, "resourceVersion", TextAt(*first, "metadata.resourceVersion"));
    Status failure;
    GANTRY_TRY(
        connection_.Watch(path, accept, [&](const std::string& type, const JsonValue& object) {
          if (type != "BOOKMARK") failure = show(object, type);
          return failure.ok();
        }));
    GANTRY_TRY(failure);
    return 0;
  }

  Connection& connection_;
  const GetFlags& flags_;
  std::vector<std::string> failures_;
};

Status CheckTargets(const GetFlags& flags, const std::vector<Target>& targets) {
  for (const Target& target : targets) {
    if (target.name.empty()) continue;
    if (!flags.selector.empty())
      return LocalError("name cannot be provided when a selector is specified");
    if (flags.all_namespaces && target.resource.namespaced && target.ns.empty())
      return LocalError("a resource cannot be retrieved by name across all namespaces");
  }
  return Status::Ok();
}

Result<std::vector<Target>> FindTargets(Connection& connection, const GetFlags& flags,
                                        const std::vector<std::string>& args) {
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(connection));
  if (flags.files.empty()) return ParseTargets(map, args);
  GANTRY_ASSIGN(const std::vector<Manifest> manifests, ReadManifests(flags.files, flags.recursive));
  std::vector<Target> targets;
  for (const Manifest& manifest : manifests) {
    GANTRY_ASSIGN(Placed placed, PlaceManifest(map, manifest, connection.ns()));
    targets.push_back({std::move(placed.resource), placed.name, placed.ns});
  }
  return targets;
}

}  // namespace

Result<int> RunGet(Invocation call) {
  GetFlags flags;
  std::vector<std::string> label_columns;
  FlagSet set(kHelp, &call.globals);
  set.Bool("all-namespaces", 'A', &flags.all_namespaces, "In all namespaces");
  set.Int("chunk-size", 0, &flags.chunk_size, "Fetch long lists in chunks of this size (0: whole)");
  set.String("field-selector", 0, &flags.field_selector, "Only objects with these fields");
  set.Strings("filename", 'f', &flags.files, "File, directory or - with the objects");
  set.Bool("ignore-not-found", 0, &flags.ignore_not_found,
           "An object that is not there is no failure");
  set.Strings("label-columns", 'L', &label_columns, "Labels that get a column each: a,b");
  set.Bool("no-headers", 0, &flags.no_headers, "Without the line of names");
  set.String("output", 'o', &flags.output,
             "wide, yaml, json, name, jsonpath=, jsonpath-file=, jsonpath-as-json=, "
             "custom-columns=, custom-columns-file=");
  set.Bool("output-watch-events", 0, &flags.watch_events,
           "With -w: a column that says what happened");
  set.String("raw", 0, &flags.raw, "The answer of this path of the server, as it is");
  set.Bool("recursive", 'R', &flags.recursive, "Directories with all that is below them");
  set.String("selector", 'l', &flags.selector, "Only objects with these labels");
  set.Bool("show-kind", 0, &flags.show_kind, "Names with their type");
  set.Bool("show-labels", 0, &flags.show_labels, "With a column of labels");
  set.Bool("show-managed-fields", 0, &flags.managed_fields, "With metadata.managedFields");
  set.String("sort-by", 0, &flags.sort_by, "Sort by this field: .metadata.name");
  set.String("subresource", 0, &flags.subresource, "status or scale instead of the object");
  set.Bool("watch", 'w', &flags.watch, "Go on with every change");
  set.Bool("watch-only", 0, &flags.watch_only, "Every change, without what is there");
  GANTRY_TRY(set.Parse(call.args));
  for (const std::string& list : label_columns) {
    for (const std::string& label : SplitText(list, ','))
      flags.label_columns.push_back(label);
  }
  if (set.args().empty() && flags.files.empty() && flags.raw.empty()) {
    std::fputs("You must specify the type of resource to get, as in \"gantry get pods\".\n\n",
               stderr);
    return set.Misused("Required resource not specified.");
  }
  GANTRY_TRY(CheckFormat(flags.output, {"name", "wide"}));
  if (flags.watch_events && !flags.watch && !flags.watch_only)
    return LocalError("--output-watch-events option can only be used with --watch or --watch-only");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  if (!flags.raw.empty()) {
    GANTRY_ASSIGN(const std::string body, connection->Call(client::HttpRequest("GET", flags.raw)));
    std::fwrite(body.data(), 1, body.size(), stdout);
    return 0;
  }
  GANTRY_ASSIGN(const std::vector<Target> targets, FindTargets(*connection, flags, set.args()));
  GANTRY_TRY(CheckTargets(flags, targets));
  return Get(*connection, flags).Run(targets);
}

}  // namespace gantry::cli
