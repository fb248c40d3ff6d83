#include <cstdio>
#include <map>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/print_object.h"
#include "cli/client/print_table.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr const char* kTableAccept =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

struct GetFlags {
  std::string output, selector, field_selector;
  bool all_namespaces = false, watch = false, watch_only = false, no_headers = false,
       show_labels = false;
  bool ignore_not_found = false;
};

void AddQuery(std::string* target, const std::string& name, const std::string& value) {
  if (value.empty()) return;
  *target += (target->find('?') == std::string::npos ? "?" : "&") + name + "=" +
             client::QueryEscape(value);
}

// Prints Tables; remembers the columns from one table to the next, as watches do.
class TablePrinter {
 public:
  TablePrinter(const GetFlags& flags, bool with_namespace, std::string name_prefix)
      : flags_(flags), with_namespace_(with_namespace), name_prefix_(std::move(name_prefix)) {}

  // The number of rows printed.
  size_t Print(const JsonValue& table) {
    const auto& columns = ItemsAt(table, "columnDefinitions");
    if (!columns.empty() && shown_.empty()) ReadColumns(columns);
    const auto& rows = ItemsAt(table, "rows");
    for (const JsonValue& row : rows) {
      if (header_due_) text_.Row(header_);
      header_due_ = false;
      text_.Row(Cells(row));
    }
    std::fputs(text_.Take().c_str(), stdout);
    std::fflush(stdout);
    return rows.size();
  }

 private:
  void ReadColumns(const JsonValue::Array& columns) {
    if (with_namespace_) header_.push_back("NAMESPACE");
    for (size_t i = 0; i < columns.size(); ++i) {
      if (IntAt(columns[i], "priority") > 0 && flags_.output != "wide") continue;
      shown_.push_back(i);
      std::string name = TextAt(columns[i], "name");
      for (char& c : name)
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
      header_.push_back(std::move(name));
    }
    if (flags_.show_labels) header_.push_back("LABELS");
    header_due_ = !flags_.no_headers;
  }

  std::vector<std::string> Cells(const JsonValue& row) const {
    std::vector<std::string> out;
    if (with_namespace_) out.push_back(TextAt(row, "object.metadata.namespace"));
    const auto& cells = ItemsAt(row, "cells");
    for (const size_t i : shown_) {
      std::string cell = i < cells.size() ? ScalarText(cells[i]) : std::string();
      // What follows a line break is left out, as kubectl does.
      if (const size_t end = cell.find_first_of("\n\r\f"); end != std::string::npos)
        cell = cell.substr(0, end) + "...";
      out.push_back(i == shown_.front() ? name_prefix_ + cell : std::move(cell));
    }
    if (flags_.show_labels) {
      std::map<std::string, std::string> labels;
      if (const JsonValue* found = At(row, "object.metadata.labels");
          found != nullptr && found->is_object()) {
        for (const auto& [name, value] : found->as_object())
          labels[name] = ScalarText(value);
      }
      std::string text;
      for (const auto& [name, value] : labels)
        text += (text.empty() ? "" : ",") + name + "=" + value;
      out.push_back(text.empty() ? "<none>" : text);
    }
    return out;
  }

  const GetFlags& flags_;
  bool with_namespace_;
  std::string name_prefix_;
  std::vector<size_t> shown_;
  std::vector<std::string> header_;
  bool header_due_ = false;
  TableText text_;
};

class Get {
 public:
  Get(Connection& connection, const GetFlags& flags) : connection_(connection), flags_(flags) {}

  Result<int> Run(const std::vector<Target>& targets) {
    if (flags_.watch || flags_.watch_only) return WatchOne(targets);
    if (flags_.output.empty() || flags_.output == "wide") return Tables(targets);
    return Objects(targets);
  }

 private:
  std::string ListTarget(const Target& target) const {
    std::string path = target.resource.Path(flags_.all_namespaces ? "" : connection_.ns());
    AddQuery(&path, "labelSelector", flags_.selector);
    AddQuery(&path, "fieldSelector", flags_.field_selector);
    return path;
  }
  std::string GetTarget(const Target& target) const {
    return target.name.empty() ? ListTarget(target)
                               : target.resource.Path(connection_.ns(), target.name);
  }
  bool Forgiven(const Status& status) const {
    return flags_.ignore_not_found && status.code() == Code::kNotFound;
  }
  void Complain(const Status& status) {
    if (Forgiven(status)) return;
    std::fprintf(stderr, "%s\n", status.message().c_str());
    exit_code_ = 1;
  }

  Result<int> Tables(const std::vector<Target>& targets) {
    bool several_types = false;
    for (const Target& target : targets)
      several_types =
          several_types || target.resource.GroupPlural() != targets[0].resource.GroupPlural();
    size_t printed = 0;
    bool named = false;
    bool anything_namespaced = false;
    for (size_t i = 0; i < targets.size();) {
      const Resource& resource = targets[i].resource;
      anything_namespaced = anything_namespaced || resource.namespaced;
      TablePrinter printer(flags_, flags_.all_namespaces && resource.namespaced,
                           several_types ? resource.GroupSingular() + "/" : "");
      const size_t before = printed;
      // Names of one type share a table.
      for (; i < targets.size() && targets[i].resource.GroupPlural() == resource.GroupPlural();
           ++i) {
        named = named || !targets[i].name.empty();
        Result<JsonValue> table = connection_.GetJson(GetTarget(targets[i]), kTableAccept);
        if (!table.ok()) {
          if (targets.size() == 1 && !Forgiven(table.status())) return table.status();
          Complain(table.status());
          continue;
        }
        const bool gap =
            several_types && before == printed && printed > 0 && !ItemsAt(*table, "rows").empty();
        if (gap) std::fputc('\n', stdout);
        printed += printer.Print(*table);
      }
    }
    if (printed == 0 && !named && exit_code_ == 0) {
      if (flags_.all_namespaces || !anything_namespaced) {
        std::fputs("No resources found\n", stderr);
      } else {
        std::fprintf(stderr, "No resources found in %s namespace.\n", connection_.ns().c_str());
      }
    }
    return exit_code_;
  }

  Result<int> Objects(const std::vector<Target>& targets) {
    JsonValue::Array items;
    const bool single = targets.size() == 1 && !targets[0].name.empty();
    for (const Target& target : targets) {
      Result<JsonValue> answer = connection_.GetJson(GetTarget(target));
      if (!answer.ok()) {
        if (targets.size() == 1 && !Forgiven(answer.status())) return answer.status();
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
        item["apiVersion"] = target.resource.ApiVersion();
        item["kind"] = target.resource.kind;
        items.push_back(std::move(item));
      }
    }
    if (flags_.output == "name") {
      for (const JsonValue& item : items)
        PrintName(targets, item);
      return exit_code_;
    }
    if (single && items.empty()) return exit_code_;
    JsonValue object;
    if (single) {
      object = std::move(items[0]);
    } else {
      object["apiVersion"] = "v1";
      object["items"] = std::move(items);
      object["kind"] = "List";
      object["metadata"]["resourceVersion"] = "";
    }
    GANTRY_ASSIGN(const std::string text, PrintObject(flags_.output, std::move(object)));
    std::fwrite(text.data(), 1, text.size(), stdout);
    return exit_code_;
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
    if (targets.size() != 1) return LocalError("you may only specify a single resource type");
    const Target& target = targets[0];
    const bool as_table = flags_.output.empty() || flags_.output == "wide";
    if (!target.name.empty()) {
      GANTRY_TRY(connection_.GetJson(target.resource.Path(connection_.ns(), target.name)));
    }
    std::string path = ListTarget(target);
    if (!target.name.empty()) AddQuery(&path, "fieldSelector", "metadata.name=" + target.name);
    const std::string accept = as_table ? kTableAccept : "application/json";
    GANTRY_ASSIGN(const JsonValue first, connection_.GetJson(path, accept));
    TablePrinter printer(flags_, flags_.all_namespaces && target.resource.namespaced, "");
    Status failure;
    auto show = [&](const JsonValue& object) {
      if (as_table) {
        printer.Print(object);
        return true;
      }
      if (flags_.output == "name") {
        PrintName(targets, object);
      } else {
        Result<std::string> text = PrintObject(flags_.output, object);
        if (!text.ok()) {
          failure = text.status();
          return false;
        }
        std::fputs(text->c_str(), stdout);
      }
      std::fflush(stdout);
      return true;
    };
    if (!flags_.watch_only) {
      if (as_table) {
        show(first);
      } else {
        for (JsonValue item : ItemsAt(first, "items")) {
          item["apiVersion"] = target.resource.ApiVersion();
          item["kind"] = target.resource.kind;
          if (!show(item)) return failure;
        }
      }
    }
    AddQuery(&path, "watch", "true");
    AddQuery(&path, "resourceVersion", TextAt(first, "metadata.resourceVersion"));
    GANTRY_TRY(
        connection_.Watch(path, accept, [&](const std::string& type, const JsonValue& object) {
          return type == "BOOKMARK" || show(object);
        }));
    GANTRY_TRY(failure);
    return 0;
  }

  Connection& connection_;
  const GetFlags& flags_;
  int exit_code_ = 0;
};

}  // namespace

Result<int> RunGet(Invocation call) {
  GetFlags flags;
  FlagSet set("get TYPE[,TYPE] [NAME...] | TYPE/NAME...", &call.globals);
  set.String("output", 'o', &flags.output, "wide, json, yaml, name, jsonpath=TEMPLATE");
  set.String("selector", 'l', &flags.selector, "Only objects with these labels");
  set.String("field-selector", 0, &flags.field_selector, "Only objects with these fields");
  set.Bool("all-namespaces", 'A', &flags.all_namespaces, "In all namespaces");
  set.Bool("watch", 'w', &flags.watch, "Go on with every change");
  set.Bool("watch-only", 0, &flags.watch_only, "Every change, without what is there");
  set.Bool("no-headers", 0, &flags.no_headers, "Without the line of names");
  set.Bool("show-labels", 0, &flags.show_labels, "With a column of labels");
  set.Bool("ignore-not-found", 0, &flags.ignore_not_found,
           "An object that is not there is no failure");
  GANTRY_TRY(set.Parse(call.args));
  const std::string& output = flags.output;
  if (!output.empty() && output != "wide" && output != "name" && !PrintsObjects(output)) {
    return LocalError("unable to match a printer suitable for the output format \"" + output +
                      "\", allowed formats are: json,jsonpath,jsonpath-file,name,wide,yaml");
  }
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(const std::vector<Target> targets, ParseTargets(map, set.args()));
  for (const Target& target : targets) {
    if (!target.name.empty() && !flags.selector.empty()) {
      return LocalError("name cannot be provided when a selector is specified");
    }
    if (!target.name.empty() && flags.all_namespaces && target.resource.namespaced) {
      return LocalError("a resource cannot be retrieved by name across all namespaces");
    }
  }
  return Get(*connection, flags).Run(targets);
}

}  // namespace gantry::cli
