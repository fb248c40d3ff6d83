#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace CLI {
class App;
}

namespace gantry::cli {

// Whether this server runs a member of the servers' own etcd.
struct HaFlags {
  bool ha = false;
  bool force_new_cluster = false;  // its others are gone for good
  std::vector<std::string> join;   // "https://10.0.0.1:6443": servers to ask
  uint16_t etcd_client_port = 2379;
  uint16_t etcd_peer_port = 2380;

  bool runs_etcd() const { return ha || !join.empty(); }
};

// `flags` outlives the command.
void AddHaFlags(CLI::App& command, HaFlags* flags);

// Puts the URLs into shape. kBadRequest for flags that do not go together.
Status CheckHaFlags(const std::string& store, HaFlags* flags);

}  // namespace gantry::cli
