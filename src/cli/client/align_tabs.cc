#include "cli/client/align_tabs.h"

#include <algorithm>
#include <vector>

namespace gantry::cli {
namespace {

using Line = std::vector<std::string_view>;

std::vector<Line> LinesOf(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view rest = text.substr(0, end);
    Line line;
    for (size_t tab; (tab = rest.find('\t')) != std::string_view::npos;) {
      line.push_back(rest.substr(0, tab));
      rest.remove_prefix(tab + 1);
    }
    line.push_back(rest);
    lines.push_back(std::move(line));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// The widths of column `column` in lines [from, to), one for each line; 0 where it has none.
void AddColumn(const std::vector<Line>& lines, size_t from, size_t to, size_t column,
               size_t padding, std::vector<std::vector<size_t>>* widths) {
  for (size_t i = from; i < to;) {
    if (lines[i].size() <= column + 1) {
      ++i;
      continue;
    }
    size_t end = i;
    size_t width = 0;
    for (; end < to && lines[end].size() > column + 1; ++end)
      width = std::max(width, TextWidth(lines[end][column]) + padding);
    for (size_t line = i; line < end; ++line)
      (*widths)[line].push_back(width);
    AddColumn(lines, i, end, column + 1, padding, widths);
    i = end;
  }
}

}  // namespace

size_t TextWidth(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string AlignTabs(std::string_view text, size_t padding) {
  const std::vector<Line> lines = LinesOf(text);
  std::vector<std::vector<size_t>> widths(lines.size());
  AddColumn(lines, 0, lines.size(), 0, padding, &widths);
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t cell = 0; cell < lines[i].size(); ++cell) {
      out += lines[i][cell];
      if (cell + 1 < lines[i].size()) out.append(widths[i][cell] - TextWidth(lines[i][cell]), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace gantry::cli
