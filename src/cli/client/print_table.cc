#include "cli/client/print_table.h"

#include <algorithm>

#include "cli/client/align_tabs.h"

namespace gantry::cli {
std::string TableText::Take(std::string_view indent) {
  for (const auto& row : rows_) {
    if (widths_.size() < row.size()) widths_.resize(row.size(), min_width_);
    for (size_t i = 0; i + 1 < row.size(); ++i)
      widths_[i] = std::max(widths_[i], TextWidth(row[i]) + padding_);
  }
  std::string out;
  for (const auto& row : rows_) {
    out += indent;
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths_[i] - TextWidth(row[i]), ' ');
    }
    out += '\n';
  }
  rows_.clear();
  return out;
}

}  // namespace gantry::cli
