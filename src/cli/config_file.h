#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace gantry::cli {

// The arguments of the program with those of the configuration file added: /etc/gantry/config.yaml
// when it is there, or the file that --config names. The file is a mapping of flags to values, as
// they stand on the command line of `server` and `agent`:
//   data-dir: /srv/gantry
//   no-agent: true
// The command line wins. kBadRequest names the file and what is wrong with it.
Result<std::vector<std::string>> WithConfigFile(
    std::vector<std::string> arguments,
    const std::string& default_file = "/etc/gantry/config.yaml");

}  // namespace gantry::cli
