#include "base/wire/accept.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>

#include <algorithm>
#include <cmath>

#include "base/wire/headers.h"

namespace gantry::wire {
namespace {

// The next part up to `separator`, which is taken off `rest`.
std::string_view NextPart(std::string_view* rest, char separator) {
  const size_t end = rest->find(separator);
  const std::string_view part = rest->substr(0, end);
  *rest = end == std::string_view::npos ? std::string_view() : rest->substr(end + 1);
  return Trim(part);
}

// From 0 to 1; what is no number is worth nothing.
double QualityOf(std::string_view text) {
  double quality = 0;
  if (!absl::SimpleAtod(std::string(text), &quality) || std::isnan(quality)) return 0;
  return std::clamp(quality, 0.0, 1.0);
}

}  // namespace

std::string MediaTypeOf(std::string_view content_type) {
  std::string type(Trim(content_type.substr(0, content_type.find(';'))));
  absl::AsciiStrToLower(&type);
  return type;
}

std::string_view MediaRange::Parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return {};
}

std::vector<MediaRange> ParseAccept(std::string_view header) {
  std::vector<MediaRange> ranges;
  while (!header.empty()) {
    std::string_view clause = NextPart(&header, ',');
    MediaRange range;
    range.type = MediaTypeOf(NextPart(&clause, ';'));
    if (range.type.empty()) continue;
    while (!clause.empty()) {
      std::string_view value = NextPart(&clause, ';');
      const std::string_view name = NextPart(&value, '=');
      if (name == "q") {
        range.quality = QualityOf(value);
      } else {
        range.parameters.emplace_back(name, Trim(value));
      }
    }
    ranges.push_back(std::move(range));
  }
  std::stable_sort(ranges.begin(), ranges.end(),
                   [](const MediaRange& a, const MediaRange& b) { return a.quality > b.quality; });
  return ranges;
}

}  // namespace gantry::wire
