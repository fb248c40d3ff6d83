#pragma once

#include <memory>

#include "common/api_client.h"
#include "common/server_process.h"

namespace gantry::bench {

// A server that is ready to be used, and a client of it.
struct Cluster {
  std::unique_ptr<ServerProcess> server;
  client::Kubeconfig kubeconfig;
  std::unique_ptr<ApiClient> client;
};

// Waits for /readyz, the service account of the namespace default and, unless `extra` has
// --no-agent, the Node to be Ready.
Result<Cluster> StartCluster(Bench& bench, RealEnv& env, const std::vector<std::string>& extra);

// The image of the pods here: the machine's static busybox.
inline constexpr const char* kImage = "bench.local/busybox:1";
// Makes it (scripts/make-busybox-image) in `bench.dir`; the archive's path.
Result<std::string> MakeImage(Bench& bench);
Status ImportImage(Bench& bench, ServerProcess& server, const std::string& archive);

// Runs a program to its end. The failure says which and how.
Status RunProgram(const std::vector<std::string>& argv);

}  // namespace gantry::bench
