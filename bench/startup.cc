// From nothing to a cluster, and what the cluster costs while nothing happens.
//   startup_ready_s   exec of `gantry server` on an empty data directory to /readyz ok and the Node
//                     Ready; median of several
//
//   idle_pss_mb       memory of all that gantry runs, ten seconds after that (two with --short)
//
//   idle_cpu_percent  of one core over 30 s (5 s with --short)
#include <unistd.h>

#include <vector>

#include "common/api_client.h"
#include "common/harness.h"
#include "common/server_process.h"

namespace gantry::bench {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Waits until the server answers "ok" and its node is Ready.
Status AwaitReady(RealEnv& env, ServerProcess& server, SteadyTime begin, std::string* steps) {
  const auto note = [&](const char* what) {
    char text[64];
    std::snprintf(text, sizeof text, "  %s %.3f", what, Seconds(env.Steady() - begin));
    *steps += text;
  };
  GANTRY_ASSIGN(const client::Kubeconfig config, server.AwaitKubeconfig());
  note("kubeconfig");
  GANTRY_ASSIGN(std::unique_ptr<ApiClient> client, ApiClient::Make(env, config));
  Status last;
  for (bool up = false; env.Steady() - begin < std::chrono::minutes(1); usleep(1000)) {
    if (!server.Running()) return InternalError("the server ended: " + server.LastWords());
    if (!up) {
      Result<client::HttpReply> ready = client->Call(client::HttpRequest("GET", "/readyz"));
      last = ready.status();
      up = ready.ok() && ready->body == "ok";
      if (!up) continue;
      note("/readyz");
    }
    Result<api::JsonValue> node = client->Get("/api/v1/nodes/" + std::string(kNodeName));
    last = node.ok() ? InternalError("the node is not Ready") : node.status();
    if (node.ok() && HasCondition(*node, "Ready")) {
      note("Node Ready");
      return Status::Ok();
    }
  }
  return last.WithContext("no cluster after a minute");
}

void MeasureIdle(Bench& bench, ServerProcess& server) {
  sleep(bench.short_run ? 2 : 10);
  const Memory memory = server.MemoryUsed();
  bench.report.Add("idle_pss_mb", memory.megabytes, "MB");
  Say("idle: %.1f MB in %d processes", memory.megabytes, memory.processes);
  const int seconds = bench.short_run ? 5 : 30;
  const Duration before = server.cpu().Used();
  sleep(seconds);
  const double percent = Seconds(server.cpu().Used() - before) * 100 / seconds;
  bench.report.Add("idle_cpu_percent", percent, "%");
  Say("idle: %.3f %% of a core over %d s", percent, seconds);
}

Status Measure(Bench& bench) {
  RealEnv env(1);
  std::vector<double> seconds;
  const int rounds = bench.short_run ? 3 : 9;
  for (int i = 0; i < rounds; ++i) {
    const SteadyTime begin = env.Steady();
    GANTRY_ASSIGN(std::unique_ptr<ServerProcess> server,
                  ServerProcess::Start(bench, "server" + std::to_string(i)));
    std::string steps;
    GANTRY_TRY(AwaitReady(env, *server, begin, &steps));
    seconds.push_back(Seconds(env.Steady() - begin));
    Say("start %d:%s s, %.3f CPU-seconds", i, steps.c_str(), Seconds(server->cpu().Used()));
    if (i == rounds - 1) {
      bench.report.Add("startup_ready_s", Median(seconds), "s");
      MeasureIdle(bench, *server);
    }
    GANTRY_TRY(server->Stop());
  }
  return Status::Ok();
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) {
  return gantry::bench::Main(argc, argv,
                             "How fast a server starts, and what it costs while nothing happens.",
                             gantry::bench::Measure);
}
