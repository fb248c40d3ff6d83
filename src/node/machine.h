#pragma once

#include <cstdint>
#include <string>

namespace gantry::node {

// What this machine is, for its Node object.
struct MachineFacts {
  int64_t cpus = 1;
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;  // of the file system of the data directory
  int64_t disk_free_bytes = 0;
  int64_t inodes = 0, inodes_free = 0;
  int64_t swap_bytes = 0;
  std::string machine_id, system_uuid, boot_id, kernel_version, os_image, architecture;
};

// Blocks for a moment. Any thread.
MachineFacts ReadMachine(const std::string& data_dir);

// The address of the interface with the default route, else of the first that is up; "127.0.0.1"
// when there is none.
std::string DefaultNodeAddress();

// The host's name as a node's name: lower case.
std::string DefaultNodeName();

}  // namespace gantry::node
