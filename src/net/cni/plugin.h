#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace gantry::net::cni {

using Variables = std::vector<std::pair<std::string, std::string>>;

// The path of plug-in `type` in the first of the directories that has it. kNotFound, worded as
// libcni words it.
Result<std::string> FindPlugin(const std::string& type,
                               const std::vector<std::string>& directories);

// Runs a plug-in to its end with `input` on its standard input, and gives what it wrote. A plug-in
// that fails is kUnknown with the message that it wrote as JSON, or else with its output; one of
// which nothing is heard for longer than `silence_ms` is killed. Blocks.
Result<std::string> RunPlugin(const std::string& path, const Variables& environment,
                              const std::string& input, int silence_ms);

}  // namespace gantry::net::cni
