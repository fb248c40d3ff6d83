#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "cli/client/print_table.h"

namespace gantry::cli {

// Lays out the Tables that a server makes of objects. Remembers the columns from one table to the
// next, as watches leave them out. Threading: one user.
class TablePrinter {
 public:
  struct Options {
    bool wide = false, no_headers = false, show_labels = false;
    bool with_namespace = false, with_event = false;
    std::vector<std::string> label_columns;
    std::string name_prefix;  // "pod/"
  };

  explicit TablePrinter(Options options) : options_(std::move(options)) {}

  // The number of rows added. `event` is for with_event.
  size_t Add(const api::JsonValue& table, const std::string& event = "ADDED");
  // Writes what was added to standard output.
  void Flush();

 private:
  void ReadColumns(const api::JsonValue::Array& columns);
  std::vector<std::string> Cells(const api::JsonValue& row, const std::string& event) const;

  const Options options_;
  std::vector<size_t> shown_;
  std::vector<std::string> header_;
  bool header_due_ = false;
  TableText text_;
};

}  // namespace gantry::cli
