#include "cli/client/table_printer.h"

#include <cstdio>
#include <map>

#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

std::string Upper(std::string text) {
  for (char& c : text)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
  return text;
}

std::string LabelsOf(const JsonValue& row) {
  std::map<std::string, std::string> labels;
  if (const JsonValue* found = At(row, "object.metadata.labels");
      found != nullptr && found->is_object()) {
    for (const auto& [name, value] : found->as_object())
      labels[name] = ScalarText(value);
  }
  std::string text;
  for (const auto& [name, value] : labels)
    text += (text.empty() ? "" : ",") + name + "=" + value;
  return text.empty() ? "<none>" : text;
}

}  // namespace

size_t TablePrinter::Add(const JsonValue& table, const std::string& event) {
  const auto& columns = ItemsAt(table, "columnDefinitions");
  if (!columns.empty() && shown_.empty()) ReadColumns(columns);
  const auto& rows = ItemsAt(table, "rows");
  for (const JsonValue& row : rows) {
    if (header_due_) text_.Row(header_);
    header_due_ = false;
    text_.Row(Cells(row, event));
  }
  return rows.size();
}

void TablePrinter::Flush() {
  std::fputs(text_.Take().c_str(), stdout);
  std::fflush(stdout);
}

void TablePrinter::ReadColumns(const JsonValue::Array& columns) {
  if (options_.with_event) header_.emplace_back("EVENT");
  if (options_.with_namespace) header_.emplace_back("NAMESPACE");
  for (size_t i = 0; i < columns.size(); ++i) {
    if (IntAt(columns[i], "priority") > 0 && !options_.wide) continue;
    shown_.push_back(i);
    header_.push_back(Upper(TextAt(columns[i], "name")));
  }
  for (const std::string& label : options_.label_columns)
    header_.push_back(Upper(label.substr(label.rfind('/') + 1)));
  if (options_.show_labels) header_.emplace_back("LABELS");
  header_due_ = !options_.no_headers;
}

std::vector<std::string> TablePrinter::Cells(const JsonValue& row, const std::string& event) const {
  std::vector<std::string> out;
  if (options_.with_event) out.push_back(event);
  if (options_.with_namespace) out.push_back(TextAt(row, "object.metadata.namespace"));
  const auto& cells = ItemsAt(row, "cells");
  for (const size_t i : shown_) {
    std::string cell = i < cells.size() ? ScalarText(cells[i]) : std::string();
    // What follows a line break is left out, as kubectl does.
    if (const size_t end = cell.find_first_of("\n\r\f"); end != std::string::npos)
      cell = cell.substr(0, end) + "...";
    out.push_back(i == shown_.front() ? options_.name_prefix + cell : std::move(cell));
  }
  for (const std::string& label : options_.label_columns)
    out.push_back(MemberAt(row, "object.metadata.labels", label));
  if (options_.show_labels) out.push_back(LabelsOf(row));
  return out;
}

}  // namespace gantry::cli
