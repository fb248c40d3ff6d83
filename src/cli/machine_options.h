#pragma once

#include <string>

#include "cli/network_options.h"

namespace gantry::cli {

// What a server and an agent are told alike: where their state is, and what the machine's node and
// its network are.
struct MachineOptions : NetworkOptions {
  std::string data_dir = "/var/lib/gantry";
  std::string node_name;  // empty: the host's name
  std::string container_log_max_size = "10Mi";
  int container_log_max_files = 5;
  std::string oci_runtime;               // empty: crun where it is installed, else runc
  std::string node_labels, node_taints;  // as the flags have them
  bool fencing = true;
};

// Adds their flags to a command. `options` outlives it.
void AddMachineFlags(CLI::App& command, MachineOptions* options);

// One flag that takes text. `type` stands for the value in the help; a default is shown there.
void AddTextFlag(CLI::App& command, const char* flag, const char* type, std::string* value,
                 const char* help);

}  // namespace gantry::cli
