// One pod after another, from the create request until a watcher sees it Running, with the image
// present; and what the machine's container runtime takes for a bare container, in the same run.
//
//   pod_start_p50_ms, pod_start_p99_ms
//
//   pod_cpu_ms      processor time per pod of all but the container: server, monitor, crun
//
//   crun_floor_ms   median of `crun run` of /bin/true: create, start, exit, delete
//
// Pods stay until their batch is complete, since a node takes 110; removing them is not measured.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "common/cluster.h"
#include "common/pod_watch.h"
#include "node/os/child.h"
#include "node/os/fs.h"
#include "node/os/process.h"
#include "node/runtime/cgroup.h"
#include "node/runtime/oci_config.h"

namespace gantry::bench {
namespace {

constexpr const char* kPods = "/api/v1/namespaces/default/pods";

double Milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string PodJson(const std::string& name) {
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
         R"("},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"main","image":")" +
         kImage + R"(","command":["sleep","100000"]}]}})";
}

// A bundle whose root is the image's one layer.
Result<std::string> MakeBundle(Bench& bench, const std::string& archive) {
  const std::string bundle = bench.dir + "/floor";
  GANTRY_TRY(node::MakeDirs(bundle + "/rootfs"));
  GANTRY_TRY(RunProgram({"sh", "-c",
                         "tar -xOf '" + archive + "' --wildcards '*/layer.tar' | tar -x -C '" +
                             bundle + "/rootfs'"}));
  node::ContainerSpec spec;
  spec.args = {"/bin/true"};
  spec.env = {"PATH=/bin"};
  spec.capabilities = node::DefaultCapabilities();
  for (const char* kind : {"pid", "ipc", "uts", "mount", "network"})
    spec.namespaces.emplace_back(kind, "");
  spec.mounts = node::StandardMounts(false, false);
  spec.cgroups_path = "/" + bench.instance + "-floor";
  GANTRY_TRY(node::WriteFile(bundle + "/config.json", node::BuildOciConfig(spec)));
  return bundle;
}

// crun refuses a hybrid of cgroup v1 and v2; there it runs where the v2 part does not show.
Status MeasureFloor(Bench& bench, RealEnv& env, const std::string& archive,
                    std::vector<double>* ms) {
  GANTRY_ASSIGN(const std::string bundle, MakeBundle(bench, archive));
  node::ProcessOptions options;
  options.argv = {"crun", "--root", "/run/gantry/" + bench.instance, "run", "--bundle",
                  bundle, "floor"};
  options.fds = {{2, 2}};
  GANTRY_ASSIGN(const node::Cgroups cgroups, node::Cgroups::Detect());
  node::UniqueFd mounts;
  if (!cgroups.hybrid_mount().empty()) {
    Say("cgroup v1 and v2 both: crun runs in a mount namespace of its own without %s",
        cgroups.hybrid_mount().c_str());
    GANTRY_ASSIGN(const int fd, node::MakeMountNamespaceWithout(cgroups.hybrid_mount()));
    mounts.reset(fd);
    options.mount_namespace = fd;
  }
  for (int i = 0; i < (bench.short_run ? 10 : 50); ++i) {
    const SteadyTime begin = env.Steady();
    GANTRY_ASSIGN(const node::Process process, node::StartProcess(options));
    int state = 0;
    waitpid(process.pid, &state, 0);
    if (state != 0) return InternalError("crun run failed");
    ms->push_back(Milliseconds(env.Steady() - begin));
  }
  return Status::Ok();
}

struct Figures {
  std::vector<double> ms;
  std::vector<double> request_ms;  // the create request alone
  Duration cpu{};
};

Status MeasureBatch(Cluster& cluster, PodWatch& watch, int first, int count, Figures* figures) {
  RealEnv& env = cluster.client->env();
  const Duration cpu = cluster.server->cpu().Used();
  std::vector<std::string> names;
  for (int i = first; i < first + count; ++i) {
    const std::string name = "bench-" + std::to_string(i);
    const SteadyTime begin = env.Steady();
    GANTRY_TRY(cluster.client->Post(kPods, PodJson(name)));
    figures->request_ms.push_back(Milliseconds(env.Steady() - begin));
    SteadyTime running{};
    GANTRY_TRY(watch.Until(name + " Running", std::chrono::seconds(30), [&](const SeenPods& pods) {
      auto pod = pods.find(name);
      if (pod != pods.end()) running = pod->second.running_at;
      return running != SteadyTime();
    }));
    figures->ms.push_back(Milliseconds(running - begin));
    if (figures->ms.back() > 200) Say("  %s took %.0f ms", name.c_str(), figures->ms.back());
    names.push_back(name);
  }
  usleep(200'000);  // what is still done for the last one
  figures->cpu += cluster.server->cpu().Used() - cpu;
  for (const std::string& name : names)
    GANTRY_TRY(cluster.client->Delete(kPods + ("/" + name), 0));
  return watch.Until("pods gone", std::chrono::seconds(120),
                     [](const SeenPods& pods) { return pods.empty(); });
}

Status Measure(Bench& bench) {
  RealEnv env(1);
  GANTRY_ASSIGN(const std::string archive, MakeImage(bench));
  std::vector<double> floor;
  GANTRY_TRY(MeasureFloor(bench, env, archive, &floor));
  Say("crun run: median %.1f ms, p99 %.1f ms", Median(floor), Percentile(floor, 0.99));

  GANTRY_ASSIGN(Cluster cluster, StartCluster(bench, env, {}));
  GANTRY_TRY(ImportImage(bench, *cluster.server, archive));
  const int pods = bench.short_run ? 20 : 200, batch = bench.short_run ? 10 : 50;
  Figures figures;
  {
    PodWatch watch(*cluster.client);
    Figures warm_up;
    GANTRY_TRY(MeasureBatch(cluster, watch, 1'000'000, 3, &warm_up));
    for (int first = 0; first < pods; first += batch)
      GANTRY_TRY(MeasureBatch(cluster, watch, first, batch, &figures));
  }
  Say("%d pods: p50 %.1f, p90 %.1f, p99 %.1f, worst %.1f ms; of this the create request %.1f ms",
      pods, Median(figures.ms), Percentile(figures.ms, 0.9), Percentile(figures.ms, 0.99),
      Percentile(figures.ms, 1), Median(figures.request_ms));
  bench.report.Add("pod_start_p50_ms", Median(figures.ms), "ms");
  bench.report.Add("pod_start_p99_ms", Percentile(figures.ms, 0.99), "ms");
  bench.report.Add("pod_cpu_ms", Milliseconds(figures.cpu) / pods, "ms");
  bench.report.Add("crun_floor_ms", Median(floor), "ms");
  cluster.client.reset();
  return cluster.server->Stop();
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) {
  return gantry::bench::Main(argc, argv, "How long a pod takes from its creation until it runs.",
                             gantry::bench::Measure);
}
