#pragma once

#include <string>

#include "base/status.h"
#include "store/etcd/etcd_store.h"

namespace CLI {
class App;
}

namespace gantry::cli {

// Where a cluster's etcd is, and what is needed to be let in.
struct EtcdFlags {
  std::string store = "sqlite";  // or "etcd://HOST:PORT,..."
  std::string etcd_cafile, etcd_certfile, etcd_keyfile;
};

// The three files' flags. `flags` outlives the command.
void AddEtcdFlags(CLI::App& command, EtcdFlags* flags);

// With the contents of the files; with any of them the connection is encrypted. kBadRequest for
// what is neither sqlite nor etcd://..., and for files that do not belong together.
Result<store::EtcdOptions> EtcdOptionsOf(const EtcdFlags& flags);

}  // namespace gantry::cli
