#include "common/cluster.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "node/os/process.h"

namespace gantry::bench {

Status RunProgram(const std::vector<std::string>& argv) {
  node::ProcessOptions options;
  options.argv = argv;
  options.fds = {{2, 2}};
  GANTRY_ASSIGN(const node::Process process, node::StartProcess(options));
  int state = 0;
  if (waitpid(process.pid, &state, 0) < 0) return FromErrno(errno, "wait for " + argv[0]);
  if (state == 0) return Status::Ok();
  std::string words;
  for (const std::string& word : argv)
    words += (words.empty() ? "" : " ") + word;
  return InternalError(words + " failed");
}

Result<Cluster> StartCluster(Bench& bench, RealEnv& env, const std::vector<std::string>& extra) {
  Cluster cluster;
  GANTRY_ASSIGN(cluster.server, ServerProcess::Start(bench, "server", extra));
  GANTRY_ASSIGN(cluster.kubeconfig, cluster.server->AwaitKubeconfig());
  GANTRY_ASSIGN(cluster.client, ApiClient::Make(env, cluster.kubeconfig));
  Status ready = cluster.client->AwaitFound("/readyz");
  if (!ready.ok()) return ready.WithContext(cluster.server->LastWords());
  GANTRY_TRY(cluster.client->AwaitFound("/api/v1/namespaces/default/serviceaccounts/default"));
  if (std::find(extra.begin(), extra.end(), "--no-agent") != extra.end()) return cluster;
  for (int i = 0; i < 3000; ++i) {
    Result<api::JsonValue> node = cluster.client->Get("/api/v1/nodes/" + std::string(kNodeName));
    if (node.ok() && HasCondition(*node, "Ready")) return cluster;
    usleep(10'000);
  }
  return InternalError("the node is not Ready after 30 s: " + cluster.server->LastWords());
}

Result<std::string> MakeImage(Bench& bench) {
  const std::string archive = bench.dir + "/busybox.tar";
  GANTRY_TRY(RunProgram({GANTRY_SCRIPTS "/make-busybox-image", kImage, archive}));
  return archive;
}

Status ImportImage(Bench& bench, ServerProcess& server, const std::string& archive) {
  return RunProgram({bench.gantry, "image", "import", "--data-dir", server.data_dir(), archive});
}

}  // namespace gantry::bench
