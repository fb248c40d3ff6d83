#pragma once

#include <string>
#include <vector>

#include "api/kinds.h"

namespace gantry::apiserver {

// What one resource offers to clients, as discovery and OpenAPI show it. Threading: a value.
struct ResourceRow {
  struct Sub {
    std::string name;  // "status"
    // The kind that the subresource takes and gives: "Scale" of autoscaling/v1, or the kind of the resource itself.
    std::string group;
    std::string version;
    std::string kind;
    std::vector<std::string> verbs;  // sorted
  };

  const api::KindInfo* kind = nullptr;
  std::vector<std::string> verbs;  // sorted
  std::vector<Sub> subresources;   // sorted by name
};

}  // namespace gantry::apiserver
