#include "controllers/job/indexes.h"

#include <algorithm>
#include <charconv>

namespace gantry::controllers {
namespace {

bool ParseNumber(std::string_view text, int* out) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, *out);
  return parsed.ec == std::errc() && parsed.ptr == end && *out >= 0;
}

}  // namespace

IndexSet ParseIndexes(std::string_view text, int completions) {
  IndexSet indexes;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const size_t dash = part.find('-');
    int first = 0, last = 0;
    if (!ParseNumber(part.substr(0, dash), &first)) continue;
    last = first;
    if (dash != std::string_view::npos && !ParseNumber(part.substr(dash + 1), &last)) continue;
    for (int index = first; index <= std::min(last, completions - 1); ++index)
      indexes.insert(index);
  }
  return indexes;
}

std::string FormatIndexes(const IndexSet& indexes) {
  std::string text;
  for (auto it = indexes.begin(); it != indexes.end();) {
    const int first = *it;
    int last = first;
    while (++it != indexes.end() && *it == last + 1)
      ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(first);
    if (last == first + 1) text += ',' + std::to_string(last);
    if (last > first + 1) text += '-' + std::to_string(last);
  }
  return text;
}

}  // namespace gantry::controllers
