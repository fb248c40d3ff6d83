#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"
#include "cli/client/resources.h"

namespace gantry::cli {

struct Manifest {
  api::JsonValue object;
  std::string source;  // for messages: the file's name, or "STDIN"
};

// The objects in files, folders (their .json, .yaml and .yml files, by name) and standard input
// ("-"); Lists are taken apart. Blocks.
Result<std::vector<Manifest>> ReadManifests(const std::vector<std::string>& names, bool recursive);

// Where a manifest's object is to be.
struct Placed {
  Resource resource;
  std::string ns, name;
};

// Worded as kubectl does when the server does not have the kind.
Result<Placed> PlaceManifest(const ResourceMap& map, const Manifest& manifest,
                             const std::string& default_ns);
// A namespace that the line gives and the manifest contradicts is a failure.
Status CheckNamespace(const Placed& placed, const std::string& given_ns);

}  // namespace gantry::cli
