#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gantry::wire {

// The media type alone, in lower case: "application/json" of "Application/JSON; charset=utf-8".
std::string MediaTypeOf(std::string_view content_type);

// One clause of an Accept header: "application/json;as=Table;g=meta.k8s.io;v=v1;q=0.9".
struct MediaRange {
  std::string type;  // in lower case; may be "*/*" or "application/*"
  double quality = 1;
  std::vector<std::pair<std::string_view, std::string_view>> parameters;

  // Empty when absent.
  std::string_view Parameter(std::string_view name) const;
};

// The best first, alike ones in the order in which they stand; empty when the header says nothing.
// The parameters are views of `header`.
std::vector<MediaRange> ParseAccept(std::string_view header);

}  // namespace gantry::wire
