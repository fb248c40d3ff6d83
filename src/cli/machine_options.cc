#include "cli/machine_options.h"

#include <CLI/CLI.hpp>

namespace gantry::cli {
namespace {

struct Row {
  const char* flag;
  const char* type;
  std::string MachineOptions::* value;
  const char* help;
};
constexpr Row kRows[] = {
    {"--data-dir", "DIR", &MachineOptions::data_dir, "Where all state is kept"},
    {"--node-name", "NAME", &MachineOptions::node_name,
     "Name of this machine's node (default: the host's name)"},
    {"--container-log-max-size", "SIZE", &MachineOptions::container_log_max_size,
     "Size at which a container's log is rotated"},
    {"--oci-runtime", "NAME", &MachineOptions::oci_runtime,
     "What runs containers: crun or runc (default: crun where it is installed)"},
    {"--node-labels", "LABELS", &MachineOptions::node_labels,
     "Labels that the node gets when it is new: key=value,key=value"},
    {"--register-with-taints", "TAINTS", &MachineOptions::node_taints,
     "Taints that the node gets when it is new: key=value:Effect,key:Effect"},
};

}  // namespace

void AddTextFlag(CLI::App& command, const char* flag, const char* type, std::string* value,
                 const char* help) {
  CLI::Option* option = command.add_option(flag, *value, help)->type_name(type);
  if (!value->empty()) option->capture_default_str();
}

void AddMachineFlags(CLI::App& command, MachineOptions* options) {
  for (const Row& row : kRows)
    AddTextFlag(command, row.flag, row.type, &(options->*row.value), row.help);
  AddNetworkFlags(command, options);
  command
      .add_option("--container-log-max-files", options->container_log_max_files,
                  "Files that are kept of a container's log")
      ->type_name("NUMBER")
      ->capture_default_str();
  command
      .add_option(
          "--fencing", options->fencing,
          "Whether the node stops pods of which there must be only one (of StatefulSets, or "
          "with ReadWriteOnce volumes) when it reaches no server for most of its lease")
      ->type_name("true|false")
      ->capture_default_str();
}

}  // namespace gantry::cli
