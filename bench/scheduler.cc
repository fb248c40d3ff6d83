// How many pods the scheduler places a second on 5,000 nodes: the real scheduler with its informers
// and queue over an API server that is a map in this process, from the moment it starts to the last
// binding. Prints one line of JSON per figure. Usage: scheduler [--short]
#include <sys/resource.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/testing/from_yaml.h"
#include "base/env/real/real_env.h"
#include "client/testing/fake_client.h"
#include "scheduler/scheduler.h"

namespace gantry {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::testing::FromYaml;

constexpr int kNodes = 5000;
constexpr int kZones = 5;
constexpr int kTemplates = 100;  // of the pods that run already
constexpr int kRunningPerNode = 4;

// Tells when so many bindings are written.
class CountingClient : public client::FakeClient {
 public:
  CountingClient(Env& env, int bindings) : FakeClient(env), left_(bindings) {}

  Task<Result<api::ObjectPtr>> Create(const api::KindInfo& kind, std::string ns, std::string name,
                                      std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      client::WriteOptions options) override {
    const bool binding = subresource == "binding";
    Result<api::ObjectPtr> made =
        co_await FakeClient::Create(kind, std::move(ns), std::move(name), std::move(subresource),
                                    std::move(object), std::move(options));
    if (binding && made.ok() && --left_ == 0) done_.Notify();
    co_return made;
  }

  Notifier& done() { return done_; }

 private:
  std::atomic<int> left_;
  Notifier done_;
};

Node MakeNode(int i) {
  const std::string name = "node-" + std::to_string(i);
  std::string taints;
  if (i % 20 == 0) taints = "{key: dedicated, value: gpu, effect: NoSchedule}";
  if (i % 20 == 1) taints = "{key: busy, effect: PreferNoSchedule}";
  return FromYaml<Node>("{metadata: {name: " + name + ", labels: {kubernetes.io/hostname: " + name +
                        ", topology.kubernetes.io/zone: zone-" + std::to_string(i % kZones) +
                        ", pool: " + (i % 2 == 0 ? "even" : "odd") + "}}, spec: {taints: [" +
                        taints +
                        "]}, status: {allocatable: {cpu: \"64\", memory: 256Gi, pods: \"110\"}}}");
}

// A pod of a ReplicaSet's, as the API server shows it.
Pod MakePod(const std::string& name, const std::string& app, const std::string& spec) {
  return FromYaml<Pod>("{metadata: {name: " + name + ", namespace: ns-" +
                       std::to_string(app.size() % 7) + ", labels: {app: " + app +
                       ", pod-template-hash: 5d4f8}}, spec: {schedulerName: default-scheduler, "
                       "containers: [{name: c, image: \"registry.example/web:1\", resources: "
                       "{requests: {cpu: 100m, memory: 128Mi}}}]" +
                       spec + "}, status: {phase: Pending}}");
}

std::string SpreadOver(const std::string& key, const std::string& when, const std::string& app) {
  return "{maxSkew: 1, topologyKey: " + key + ", whenUnsatisfiable: " + when +
         ", labelSelector: {matchLabels: {app: " + app + "}}}";
}
const char* const kZone = "topology.kubernetes.io/zone";
const char* const kHost = "kubernetes.io/hostname";

// Soft spread over zones and hosts, preferred and required node affinity, a preference for pods of
// another application, and tolerations.
std::string EverythingInUse(const std::string& app) {
  return ", tolerations: [{key: dedicated, operator: Equal, value: gpu, effect: NoSchedule}], "
         "topologySpreadConstraints: [" +
         SpreadOver(kZone, "ScheduleAnyway", app) + ", " +
         SpreadOver(kHost, "ScheduleAnyway", app) +
         "], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
         "{nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: Exists}]}]}, "
         "preferredDuringSchedulingIgnoredDuringExecution: [{weight: 10, preference: "
         "{matchExpressions: [{key: pool, operator: In, values: [even]}]}}]}, podAffinity: "
         "{preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5, podAffinityTerm: "
         "{topologyKey: " +
         std::string(kZone) + ", labelSelector: {matchLabels: {app: running-1}}}}]}}";
}
std::string HardZoneSpread(const std::string& app) {
  return ", topologySpreadConstraints: [" + SpreadOver(kZone, "DoNotSchedule", app) + "]";
}
std::string Affinity(const std::string& kind, const std::string& key, const std::string& app,
                     const std::string& more) {
  return ", affinity: {" + kind +
         ": {requiredDuringSchedulingIgnoredDuringExecution: " + "[{topologyKey: " + key +
         ", labelSelector: {matchLabels: {app: " + app + "}}" + more + "}]}}";
}

struct Case {
  const char* name;
  int pods;
  int templates;
  std::string (*spec)(const std::string& app);
};
const Case kCases[] = {
    {"placements_like_pods_per_s", 20000, 1, EverythingInUse},
    {"placements_required_affinity_per_s", 10000, 1,
     [](const std::string& app) { return Affinity("podAffinity", kZone, app, ""); }},
    {"placements_anti_affinity_per_s", 4000, 1,
     [](const std::string& app) {
       return Affinity("podAntiAffinity", kHost, app, ", namespaceSelector: {matchLabels: {}}");
     }},
    {"placements_hard_zone_spread_per_s", 10000, 1, HardZoneSpread},
    {"placements_100_templates_per_s", 10000, 100, EverythingInUse},
};

double ProcessorSeconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

double Measure(const Case& row, int pods) {
  RealEnv env;
  CountingClient client(env, pods);
  for (int i = 0; i < 7; ++i)
    client.Put(FromYaml<api::core::v1::Namespace>("{metadata: {name: ns-" + std::to_string(i) +
                                                  ", labels: {team: t" + std::to_string(i) +
                                                  "}}}"));
  for (int i = 0; i < kNodes; ++i)
    client.Put(MakeNode(i));
  std::vector<Pod> running, waiting;
  for (int i = 0; i < kTemplates; ++i)
    running.push_back(MakePod("x", "running-" + std::to_string(i), ""));
  for (int i = 0; i < kNodes * kRunningPerNode; ++i) {
    Pod pod = running[static_cast<size_t>(i % kTemplates)];
    pod.mutable_metadata()->set_name("running-" + std::to_string(i));
    pod.mutable_spec()->set_node_name("node-" + std::to_string(i % kNodes));
    pod.mutable_status()->set_phase("Running");
    client.Put(std::move(pod));
  }
  for (int i = 0; i < row.templates; ++i) {
    const std::string app = "web-" + std::to_string(i);
    waiting.push_back(MakePod("x", app, row.spec(app)));
  }
  for (int i = 0; i < pods; ++i) {
    Pod pod = waiting[static_cast<size_t>(i % row.templates)];
    pod.mutable_metadata()->set_name("web-" + std::to_string(i));
    client.Put(std::move(pod));
  }
  client::InformerSet informers(env, client);
  const auto scheduler = *scheduler::Scheduler::Make(env, client, informers, {});
  informers.Start();
  env.RunToEnd([](client::InformerSet& set) -> Task<> {
    (void)co_await set.WaitForSync(CancelToken());
  }(informers));
  const SteadyTime start = env.Steady();
  const double used = ProcessorSeconds();
  scheduler->Start();
  env.RunToEnd([](Env& env, CountingClient& client) -> Task<> {
    (void)co_await client.done().Wait(env);
  }(env, client));
  const double seconds = std::chrono::duration<double>(env.Steady() - start).count();
  std::printf("%s: %.1f us of processor time for a pod, the API server in memory included\n",
              row.name, (ProcessorSeconds() - used) / pods * 1e6);
  env.RunToEnd(scheduler->Stop());
  env.RunToEnd(informers.Stop());
  return pods / seconds;
}

}  // namespace
}  // namespace gantry

int main(int argc, char** argv) {
  const bool brief = argc > 1 && std::strcmp(argv[1], "--short") == 0;
  for (const auto& row : gantry::kCases) {
    const double rate = gantry::Measure(row, brief ? row.pods / 4 : row.pods);
    std::printf("{\"name\": \"%s\", \"value\": %.0f, \"unit\": \"1/s\"}\n", row.name, rate);
    std::fflush(stdout);
  }
  return 0;
}
