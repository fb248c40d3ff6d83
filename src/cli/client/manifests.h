#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"

namespace gantry::cli {

struct Manifest {
  api::JsonValue object;
  std::string source;  // for messages: the file's name, or "STDIN"
};

// The objects in files, folders (their .json, .yaml and .yml files, by name) and standard input
// ("-"); Lists are taken apart. Blocks.
Result<std::vector<Manifest>> ReadManifests(const std::vector<std::string>& names, bool recursive);

}  // namespace gantry::cli
