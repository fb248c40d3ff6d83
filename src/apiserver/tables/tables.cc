#include "apiserver/tables/tables.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "api/duration.h"
#include "api/json.h"
#include "api/json_text.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver {
namespace tables {

void Cells::Separate() {
  if (!first_) out_->push_back(',');
  first_ = false;
}

void Cells::Add(std::string_view text) {
  Separate();
  api::AppendJsonString(text, out_);
}

void Cells::Add(int64_t number) {
  Separate();
  out_->append(std::to_string(number));
}

void Cells::Add(bool value) {
  Separate();
  out_->append(value ? "true" : "false");
}

void Cells::Age(const api::meta::v1::ObjectMeta& meta) {
  Add(AgeOf(meta.creation_timestamp(), now_));
}

void Cells::Completed(std::string_view reason, std::string_view message) {
  completed_reason_ = reason;
  completed_message_ = message;
}

}  // namespace tables

namespace {

using tables::Cells;
using tables::Column;
using tables::Printer;

// Kinds without columns of their own.
constexpr Column kDefaultColumns[] = {
    tables::kName,
    {"Created At", "date", "", "Time at which the object was created", 0},
};

const Printer* FindPrinter(const google::protobuf::Descriptor* type) {
  static const auto* printers = [] {
    auto* all = new std::unordered_map<const google::protobuf::Descriptor*, const Printer*>;
    for (auto family : {tables::AdmissionPrinters(), tables::ClusterPrinters(),
                        tables::CorePrinters(), tables::NetworkPrinters(), tables::PodPrinters(),
                        tables::StoragePrinters(), tables::WorkloadPrinters()})
      for (const Printer& printer : family)
        all->emplace(printer.type, &printer);
    return all;
  }();
  auto found = printers->find(type);
  return found == printers->end() ? nullptr : found->second;
}

void AppendColumns(std::span<const Column> columns, std::string* out) {
  out->push_back('[');
  for (const Column& column : columns) {
    if (out->back() != '[') out->push_back(',');
    out->append("{\"name\":");
    api::AppendJsonString(column.name, out);
    out->append(",\"type\":");
    api::AppendJsonString(column.type, out);
    out->append(",\"format\":");
    api::AppendJsonString(column.format, out);
    out->append(",\"description\":");
    api::AppendJsonString(column.description, out);
    out->append(",\"priority\":");
    out->append(std::to_string(column.priority));
    out->push_back('}');
  }
  out->push_back(']');
}

void AppendListMeta(int64_t revision, std::string_view continue_token,
                    std::optional<int64_t> remaining, std::string* out) {
  const char* separator = "";
  out->append("\"metadata\":{");
  if (revision > 0) {
    out->append("\"resourceVersion\":\"");
    out->append(std::to_string(revision));
    out->push_back('"');
    separator = ",";
  }
  if (!continue_token.empty()) {
    out->append(separator).append("\"continue\":");
    api::AppendJsonString(continue_token, out);
    separator = ",";
  }
  if (remaining) {
    out->append(separator).append("\"remainingItemCount\":");
    out->append(std::to_string(*remaining));
  }
  out->push_back('}');
}

void AppendHead(std::span<const Column> columns, int64_t revision, std::string_view continue_token,
                std::optional<int64_t> remaining, const TableOptions& options, std::string* out) {
  out->append(R"({"kind":"Table","apiVersion":"meta.k8s.io/v1",)");
  AppendListMeta(revision, continue_token, remaining, out);
  out->append(",\"columnDefinitions\":");
  if (options.no_headers) {
    out->append("null");
  } else {
    AppendColumns(columns, out);
  }
  out->append(",\"rows\":[");
}

void AppendConditions(const Cells& cells, std::string* out) {
  if (cells.completed_reason().empty()) return;
  out->append(R"(,"conditions":[{"type":"Completed","status":"True","reason":)");
  api::AppendJsonString(cells.completed_reason(), out);
  out->append(",\"message\":");
  api::AppendJsonString(cells.completed_message(), out);
  out->append("}]");
}

void AppendRow(const Printer* printer, const api::Object& object, const TableOptions& options,
               WallTime now, std::string* out) {
  out->append("{\"cells\":[");
  Cells cells(now, out);
  if (printer) {
    printer->row(object.message(), cells);
  } else {
    cells.Add(object.name());
    cells.Add(api::FormatTime(api::ToWallTime(object.meta().creation_timestamp())));
  }
  out->push_back(']');
  AppendConditions(cells, out);
  out->append(",\"object\":");
  switch (options.include) {
    case TableOptions::Include::kNone:
      out->append("null");
      break;
    case TableOptions::Include::kMetadata:
      AppendPartialMetadata(object, out);
      break;
    case TableOptions::Include::kObject:
      out->append(*object.json());
      break;
  }
  out->push_back('}');
}

}  // namespace

void AppendTable(const api::KindInfo& kind, std::span<const api::ObjectPtr> objects,
                 int64_t revision, std::string_view continue_token,
                 std::optional<int64_t> remaining, const TableOptions& options, WallTime now,
                 std::string* out) {
  const google::protobuf::Message* prototype =
      objects.empty() ? kind.prototype : objects.front()->kind().prototype;
  const Printer* printer = prototype ? FindPrinter(prototype->GetDescriptor()) : nullptr;
  std::vector<api::ObjectPtr> sorted;
  if (printer && printer->less && objects.size() > 1) {
    sorted.assign(objects.begin(), objects.end());
    std::sort(sorted.begin(), sorted.end(), [&](const api::ObjectPtr& a, const api::ObjectPtr& b) {
      return printer->less(a->message(), b->message());
    });
    objects = sorted;
  }
  AppendHead(printer ? printer->columns : std::span<const Column>(kDefaultColumns), revision,
             continue_token, remaining, options, out);
  for (const api::ObjectPtr& object : objects) {
    if (out->back() != '[') out->push_back(',');
    AppendRow(printer, *object, options, now, out);
  }
  out->append("]}");
}

void AppendTable(const google::protobuf::Message& message, int64_t revision,
                 const TableOptions& options, WallTime now, std::string* out) {
  const Printer* printer = FindPrinter(message.GetDescriptor());
  AppendHead(printer ? printer->columns : std::span<const Column>(), revision, "", std::nullopt,
             options, out);
  out->append("{\"cells\":[");
  Cells cells(now, out);
  if (printer) printer->row(message, cells);
  out->append("],\"object\":");
  if (options.include == TableOptions::Include::kNone) {
    out->append("null");
  } else {
    api::WriteJson(message, out);
  }
  out->append("}]}");
}

void AppendPartialMetadata(const api::Object& object, std::string* out) {
  out->append(R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":)");
  api::WriteJson(object.meta(), out);
  out->push_back('}');
}

void AppendPartialMetadataList(std::span<const api::ObjectPtr> objects, int64_t revision,
                               std::string_view continue_token, std::optional<int64_t> remaining,
                               std::string* out) {
  out->append(R"({"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",)");
  AppendListMeta(revision, continue_token, remaining, out);
  out->append(",\"items\":[");
  for (const api::ObjectPtr& object : objects) {
    if (out->back() != '[') out->push_back(',');
    AppendPartialMetadata(*object, out);
  }
  out->append("]}");
}

}  // namespace gantry::apiserver
