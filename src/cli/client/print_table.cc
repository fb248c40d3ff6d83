#include "cli/client/print_table.h"

#include <algorithm>

namespace gantry::cli {
namespace {

// Characters, not bytes.
size_t WidthOf(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

std::string TableText::Take(std::string_view indent) {
  for (const auto& row : rows_) {
    if (widths_.size() < row.size()) widths_.resize(row.size(), min_width_);
    for (size_t i = 0; i + 1 < row.size(); ++i)
      widths_[i] = std::max(widths_[i], WidthOf(row[i]) + padding_);
  }
  std::string out;
  for (const auto& row : rows_) {
    out += indent;
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths_[i] - WidthOf(row[i]), ' ');
    }
    out += '\n';
  }
  rows_.clear();
  return out;
}

}  // namespace gantry::cli
