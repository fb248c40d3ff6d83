#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/kinds.h"

namespace gantry::apiserver {

struct Strategy;

// One resource as it is served: what discovery shows and what requests may do with it. Threading:
// immutable.
struct ResourceRow {
  // A subresource; group, version and kind are those of what it takes and gives.
  struct Sub {
    std::string name;
    std::string group, version, kind;
    std::vector<std::string> verbs;
  };

  const api::KindInfo* kind = nullptr;
  std::vector<std::string> verbs;
  std::vector<Sub> subresources;
  const Strategy* strategy = nullptr;  // never null in the server's own table

  bool Serves(std::string_view verb) const;
  const Sub* FindSub(std::string_view name) const;
};

// Every resource that the server serves, in the order of AllKinds().
std::span<const ResourceRow> AllResources();

// Null where there is none.
const ResourceRow* FindResourceRow(std::string_view group, std::string_view version,
                                   std::string_view plural);
const ResourceRow* FindResourceRow(const api::KindInfo& kind);

}  // namespace gantry::apiserver
