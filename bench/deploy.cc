// A hundred replicas at once, and a new version behind a service while it is asked all the time.
//
//   deploy_100_s             apply of 100 replicas until a watcher has seen all Running
//
//   pss_per_pod_mb           memory per pod of all but the containers: monitors, server's growth
//
//   rollout_failed_requests  to the cluster address, during a rolling update of 10 replicas
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "common/cluster.h"
#include "common/pod_watch.h"
#include "node/os/fs.h"

namespace gantry::bench {
namespace {

using api::JsonValue;

constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";
constexpr const char* kServices = "/api/v1/namespaces/default/services";

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string DeploymentJson(const std::string& name, int replicas, const std::string& container) {
  return R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":")" + name +
         R"("},"spec":{"replicas":)" + std::to_string(replicas) +
         R"(,"selector":{"matchLabels":{"app":")" + name +
         R"("}},"template":{"metadata":{"labels":{"app":")" + name +
         R"("}},"spec":{"containers":[{"name":"main","image":")" + kImage + R"(",)" + container +
         R"(}]}}}})";
}

// A web server that, told to stop, takes no more connections, finishes what it has and ends: there
// is no pause in which it would go on to serve those who come too late.
std::string WebServer(int version) {
  return R"("command":["sh","-c","echo $VERSION > /www/index.html; httpd -f -p 8080 -h /www & )"
         R"(child=$!; trap 'kill $child; sleep 1; exit 0' TERM; wait $child"],)"
         R"("env":[{"name":"VERSION","value":")" +
         std::to_string(version) +
         R"("}],"ports":[{"containerPort":8080}],)"
         R"("readinessProbe":{"httpGet":{"path":"/","port":8080},"periodSeconds":1})";
}

constexpr const char* kService =
    R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},)"
    R"("spec":{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":8080}]}})";

// Clients that open a connection per request, from threads of their own with blocking calls.
class Load {
 public:
  Load(const std::string& address, int clients) {
    target_.sin_family = AF_INET;
    target_.sin_port = htons(80);
    inet_pton(AF_INET, address.c_str(), &target_.sin_addr);
    for (int i = 0; i < clients; ++i)
      threads_.emplace_back([this] { Run(); });
  }
  ~Load() { Stop(); }

  void Stop() {
    stopping_ = true;
    for (std::thread& thread : threads_)
      thread.join();
    threads_.clear();
  }
  long sent() const { return sent_; }
  long failed() const { return failed_; }
  std::map<std::string, int> failures() {
    const std::lock_guard lock(mutex_);
    return failures_;
  }
  std::map<std::string, int> answers() {
    const std::lock_guard lock(mutex_);
    return answers_;
  }

 private:
  void Run() {
    while (!stopping_) {
      std::string answer;
      const std::string failure = Ask(&answer);
      ++sent_;
      {
        const std::lock_guard lock(mutex_);
        if (failure.empty()) {
          ++answers_[answer];
        } else {
          ++failed_;
          ++failures_[failure];
        }
      }
      usleep(5000);
    }
  }

  // Empty, or what failed.
  std::string Ask(std::string* answer) const {
    const node::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    timeval limit{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&target_), sizeof target_) != 0)
      return std::string("connect: ") + std::strerror(errno);
    constexpr std::string_view kRequest = "GET / HTTP/1.0\r\nHost: web\r\n\r\n";
    if (send(fd.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0)
      return std::string("send: ") + std::strerror(errno);
    std::string text;
    char buffer[1024];
    ssize_t got = 0;
    while ((got = recv(fd.get(), buffer, sizeof buffer, 0)) > 0)
      text.append(buffer, static_cast<size_t>(got));
    if (got < 0) return std::string("recv: ") + std::strerror(errno);
    const size_t body = text.find("\r\n\r\n");
    if (body == std::string::npos) return "the answer was cut short";
    if (text.find(" 200 ") > text.find('\r')) return text.substr(0, text.find('\r'));
    *answer = text.substr(body + 4, text.find_last_not_of('\n') - body - 3);
    return {};
  }

  sockaddr_in target_{};
  std::atomic<bool> stopping_ = false;
  std::atomic<long> sent_ = 0, failed_ = 0;
  std::mutex mutex_;
  std::map<std::string, int> failures_, answers_;
  std::vector<std::thread> threads_;
};

Status MeasureDeploy(Bench& bench, Cluster& cluster) {
  RealEnv& env = cluster.client->env();
  constexpr int kReplicas = 100;
  std::vector<double> seconds, per_pod;
  for (int round = 0; round < (bench.short_run ? 1 : 3); ++round) {
    const std::string name = "many-" + std::to_string(round);
    sleep(2);
    const Memory before = cluster.server->MemoryUsed();
    const Duration cpu = cluster.server->cpu().Used();
    {
      PodWatch watch(*cluster.client);
      const SteadyTime begin = env.Steady();
      GANTRY_TRY(cluster.client->Apply(
          std::string(kDeployments) + "/" + name,
          DeploymentJson(name, kReplicas, R"("command":["sleep","100000"])")));
      GANTRY_TRY(
          watch.Until("100 pods Running", std::chrono::seconds(180), [](const SeenPods& pods) {
            long running = 0;
            for (const auto& [pod, seen] : pods)
              running += seen.phase == "Running";
            return running >= kReplicas;
          }));
      seconds.push_back(Seconds(env.Steady() - begin));
      const double cpu_ms = Seconds(cluster.server->cpu().Used() - cpu) * 1000 / kReplicas;
      sleep(3);
      const Memory after = cluster.server->MemoryUsed();
      per_pod.push_back((after.megabytes - before.megabytes) / kReplicas);
      Say("100 replicas: %.2f s, %.1f CPU-ms a pod; memory %.1f MB in %d processes before, %.1f MB "
          "in %d after "
          "(server alone %.1f MB)",
          seconds.back(), cpu_ms, before.megabytes, before.processes, after.megabytes,
          after.processes, ProcessMegabytes(cluster.server->pid()));
      GANTRY_TRY(cluster.client->Delete(std::string(kDeployments) + "/" + name, 0));
    }
    // The pods go with the ordinary grace, of which sleep as a first process needs all: no waiting
    // for that.
    GANTRY_TRY(cluster.client
                   ->Call(client::HttpRequest(
                       "DELETE", "/api/v1/namespaces/default/pods?gracePeriodSeconds=0"))
                   .status());
    GANTRY_TRY(cluster.client->AwaitEmpty("/api/v1/namespaces/default/pods"));
  }
  bench.report.Add("deploy_100_s", Median(seconds), "s");
  bench.report.Add("pss_per_pod_mb", Median(per_pod), "MB");
  return Status::Ok();
}

// Until the newest version, and nothing else, is there and available.
Status AwaitRollout(ApiClient& client, const std::string& name, int replicas) {
  for (int i = 0; i < 1200; ++i) {
    GANTRY_ASSIGN(const JsonValue deployment, client.Get(std::string(kDeployments) + "/" + name));
    if (IntAt(deployment, {"status", "observedGeneration"}) ==
            IntAt(deployment, {"metadata", "generation"}) &&
        IntAt(deployment, {"status", "updatedReplicas"}) == replicas &&
        IntAt(deployment, {"status", "availableReplicas"}) == replicas &&
        IntAt(deployment, {"status", "replicas"}) == replicas) {
      return Status::Ok();
    }
    usleep(100'000);
  }
  return InternalError("the rollout of " + name + " is not complete after two minutes");
}

Status MeasureRollout(Bench& bench, Cluster& cluster) {
  RealEnv& env = cluster.client->env();
  constexpr int kReplicas = 10;
  const std::string path = std::string(kDeployments) + "/web";
  GANTRY_TRY(cluster.client->Apply(path, DeploymentJson("web", kReplicas, WebServer(1))));
  GANTRY_TRY(cluster.client->Post(kServices, kService));
  GANTRY_TRY(AwaitRollout(*cluster.client, "web", kReplicas));
  GANTRY_ASSIGN(const JsonValue service, cluster.client->Get(std::string(kServices) + "/web"));
  sleep(1);
  Load load(StringAt(service, {"spec", "clusterIP"}), 8);
  sleep(2);
  const long warm = load.sent(), warm_failed = load.failed();
  const SteadyTime begin = env.Steady();
  GANTRY_TRY(cluster.client->Apply(path, DeploymentJson("web", kReplicas, WebServer(2))));
  GANTRY_TRY(AwaitRollout(*cluster.client, "web", kReplicas));
  const double seconds = Seconds(env.Steady() - begin);
  sleep(5);  // the last of the old ones end
  load.Stop();
  for (const auto& [failure, count] : load.failures())
    Say("%d requests failed: %s", count, failure.c_str());
  for (const auto& [answer, count] : load.answers())
    Say("%d requests answered by version %s", count, answer.c_str());
  Say("rollout of 10 replicas: %.1f s; %ld requests, %ld failed; before it %ld, %ld failed",
      seconds, load.sent() - warm, load.failed() - warm_failed, warm, warm_failed);
  bench.report.Add("rollout_failed_requests", static_cast<double>(load.failed()), "requests");
  return Status::Ok();
}

Status Measure(Bench& bench) {
  RealEnv env(1);
  GANTRY_ASSIGN(const std::string archive, MakeImage(bench));
  GANTRY_ASSIGN(Cluster cluster, StartCluster(bench, env, {}));
  GANTRY_TRY(ImportImage(bench, *cluster.server, archive));
  GANTRY_TRY(MeasureDeploy(bench, cluster));
  GANTRY_TRY(MeasureRollout(bench, cluster));
  cluster.client.reset();
  return cluster.server->Stop();
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) {
  return gantry::bench::Main(argc, argv,
                             "A hundred replicas at once, and a new version under load.",
                             gantry::bench::Measure);
}
