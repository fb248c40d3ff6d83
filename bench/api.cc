// The API under load: a server without an agent, this program's clients on the same machine.
//
//   create_per_s    pods of 2 KB, each acknowledged when it is on disk; 64 connections, HTTP/1.1,
//   TLS
//
//   get_per_s       single pods, the same way
//
//   list_mb_per_s   JSON of a list of 10,000 pods, the same way
//
//   watch_10k_ms    one change until the last of 10,000 watchers has it; 100 connections, HTTP/2,
//   TLS
//
//   idle_watcher_kb memory of the server per watcher while nothing happens
//
// The pods name a scheduler that does not exist, so that only the API works on them. With --only
// NAME (create, get, list, watch) the others are left out.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <mutex>
#include <vector>

#include "base/env/spawn.h"
#include "common/cluster.h"
#include "common/raw_connection.h"
#include "common/raw_http2.h"

namespace gantry::bench {
namespace {

constexpr int kConnections = 64;
constexpr int kListedPods = 10'000;
constexpr int kWatchConnections = 100;
constexpr int kWatchersPerConnection = 100;
constexpr int kWatchers = kWatchConnections * kWatchersPerConnection;
constexpr size_t kPodBytes = 2048;

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

double OwnCpuSeconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

std::string PodsOf(const std::string& ns) { return "/api/v1/namespaces/" + ns + "/pods"; }

std::string NamespaceJson(const std::string& name) {
  return R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":")" + name + R"("}})";
}

// A pod as users write them, brought to 2 KB by its environment.
std::string PodJson(const std::string& name) {
  const std::string head =
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
      R"(","labels":{"app":"web","app.kubernetes.io/name":"web","app.kubernetes.io/version":"1.2.3","tier":"front"},)"
      R"("annotations":{"example.com/owner":"team-web","example.com/runbook":"https://example.com/runbooks/web"}},)"
      R"("spec":{"schedulerName":"nobody","nodeSelector":{"kubernetes.io/os":"linux"},"containers":[{"name":"main",)"
      R"("image":"registry.example.com/web:1.2.3","ports":[{"name":"http","containerPort":8080}],)"
      R"("resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"128Mi"}},)"
      R"("readinessProbe":{"httpGet":{"path":"/ready","port":"http"},"periodSeconds":5},"env":[)";
  const std::string tail = R"({"name":"LAST","value":"1"}]}]}})";
  std::string body = head;
  for (int i = 0;; ++i) {
    const std::string entry = R"({"name":"SETTING_)" + std::to_string(i) +
                              R"(","value":"some value that an application reads"},)";
    if (body.size() + entry.size() + tail.size() > kPodBytes) break;
    body += entry;
  }
  return body + tail;
}

// What 64 connections share while they work.
struct Work {
  explicit Work(RealEnv& env, RawTarget target) : env(env), target(std::move(target)) {}

  RealEnv& env;
  RawTarget target;
  SteadyTime end{};  // no request begins after this
  std::atomic<long> next = 0;
  long limit = 0;  // of requests; 0: none
  std::atomic<long> done = 0;
  std::atomic<uint64_t> bytes = 0;
  std::function<std::string(long)> request;  // the text of request number n; called by many threads
  std::mutex mutex;
  Status failure;  // the first

  void Fail(Status status) {
    const std::lock_guard lock(mutex);
    if (failure.ok()) failure = std::move(status);
  }
};

Task<> RunConnection(Work& work) {
  Result<std::unique_ptr<RawConnection>> connection =
      co_await RawConnection::Open(work.env, work.target);
  if (!connection.ok()) {
    work.Fail(connection.status());
    co_return;
  }
  while (work.env.Steady() < work.end) {
    const long number = work.next++;
    if (work.limit > 0 && number >= work.limit) co_return;
    const std::string request = work.request(number);
    std::string body;
    Result<int> status = co_await (*connection)->RoundTrip(request, &work.bytes, &body);
    if (!status.ok() || *status >= 400) {
      work.Fail(status.ok() ? InternalError("HTTP " + std::to_string(*status) + ": " + body)
                            : status.status());
      co_return;
    }
    ++work.done;
  }
}

struct Outcome {
  double per_second = 0, bytes_per_second = 0;
};

class ApiBench {
 public:
  ApiBench(Bench& bench, RealEnv& env, Cluster cluster, std::shared_ptr<const wire::TlsContext> tls)
      : bench_(bench), env_(env), cluster_(std::move(cluster)), target_{kApiPort, std::move(tls)} {}

  Status Create();
  Status Get();
  Status List();
  Status Watch();
  Status Stop() {
    cluster_.client.reset();
    return cluster_.server->Stop();
  }

 private:
  // Runs requests on all connections for `seconds`, or until `limit` of them are done.
  Result<Outcome> Run(const char* what, double seconds, long limit,
                      std::function<std::string(long)> request);
  // A namespace with `count` pods in it.
  Status Fill(const std::string& ns, int count);
  int Rounds() const { return bench_.short_run ? 1 : 3; }
  double RoundSeconds() const { return bench_.short_run ? 2 : 5; }

  Bench& bench_;
  RealEnv& env_;
  Cluster cluster_;
  RawTarget target_;
};

Result<Outcome> ApiBench::Run(const char* what, double seconds, long limit,
                              std::function<std::string(long)> request) {
  Work work(env_, target_);
  work.limit = limit;
  work.request = std::move(request);
  const double own = OwnCpuSeconds();
  const Duration server = cluster_.server->cpu().Used();
  const SteadyTime begin = env_.Steady();
  work.end = begin + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
  Gate gate;
  for (int i = 0; i < kConnections; ++i)
    Spawn(env_.MakeStrand(), gate, what, RunConnection(work));
  env_.RunToEnd(gate.Close(env_));
  const double elapsed = Seconds(env_.Steady() - begin);
  if (!work.failure.ok()) return work.failure.WithContext(what);
  const double done = std::max<double>(1, static_cast<double>(work.done));
  Outcome outcome;
  outcome.per_second = static_cast<double>(work.done) / elapsed;
  outcome.bytes_per_second = static_cast<double>(work.bytes) / elapsed;
  Say("%s: %ld in %.1f s, %.0f/s, %.1f MB/s; CPU per request: server %.1f us, this client %.1f us; "
      "server memory %.0f MB",
      what, work.done.load(), elapsed, outcome.per_second, outcome.bytes_per_second / 1e6,
      Seconds(cluster_.server->cpu().Used() - server) * 1e6 / done,
      (OwnCpuSeconds() - own) * 1e6 / done, ProcessMegabytes(cluster_.server->pid()));
  return outcome;
}

Status ApiBench::Fill(const std::string& ns, int count) {
  if (cluster_.client->Get("/api/v1/namespaces/" + ns).ok()) return Status::Ok();
  GANTRY_TRY(cluster_.client->Post("/api/v1/namespaces", NamespaceJson(ns)));
  GANTRY_TRY(cluster_.client->AwaitFound("/api/v1/namespaces/" + ns + "/serviceaccounts/default"));
  return Run(("fill " + ns).c_str(), 300, count,
             [ns](long number) {
               return EncodeRequest("POST", PodsOf(ns), PodJson("pod-" + std::to_string(number)));
             })
      .status();
}

Status ApiBench::Create() {
  std::vector<double> rates;
  for (int round = 0; round < Rounds(); ++round) {
    const std::string prefix = "round-" + std::to_string(round) + "-";
    GANTRY_ASSIGN(const Outcome outcome, Run("create", RoundSeconds(), 0, [prefix](long number) {
                    return EncodeRequest("POST", PodsOf("default"),
                                         PodJson(prefix + std::to_string(number)));
                  }));
    rates.push_back(outcome.per_second);
  }
  bench_.report.Add("create_per_s", Median(rates), "1/s");
  return Status::Ok();
}

Status ApiBench::Get() {
  GANTRY_TRY(Fill("listed", kListedPods));
  std::vector<double> rates;
  for (int round = 0; round < Rounds(); ++round) {
    GANTRY_ASSIGN(const Outcome outcome, Run("get", RoundSeconds(), 0, [](long number) {
                    const long pod = number * 7919 % kListedPods;
                    return EncodeRequest("GET", PodsOf("listed") + "/pod-" + std::to_string(pod),
                                         "");
                  }));
    rates.push_back(outcome.per_second);
  }
  bench_.report.Add("get_per_s", Median(rates), "1/s");
  return Status::Ok();
}

Status ApiBench::List() {
  GANTRY_TRY(Fill("listed", kListedPods));
  std::vector<double> rates;
  for (int round = 0; round < Rounds(); ++round) {
    GANTRY_ASSIGN(const Outcome outcome, Run("list", RoundSeconds(), 0, [](long) {
                    return EncodeRequest("GET", PodsOf("listed"), "");
                  }));
    rates.push_back(outcome.bytes_per_second / 1e6);
  }
  bench_.report.Add("list_mb_per_s", Median(rates), "MB/s");
  return Status::Ok();
}

Task<> AwaitAll(Env& env, Watched& watched, std::atomic<int>& counter, int wanted, Status* result) {
  const SteadyTime end = env.Steady() + std::chrono::seconds(120);
  while (counter < wanted) {
    if (watched.broken > 0) {
      *result = InternalError("watchers were refused or ended");
      co_return;
    }
    if (co_await watched.progress.Wait(env, CancelToken(), end) == Wake::kTimeout) {
      *result = InternalError("only " + std::to_string(counter) + " of " + std::to_string(wanted) +
                              " after two minutes");
      co_return;
    }
  }
}

Status ApiBench::Watch() {
  const std::string ns = "watched";
  GANTRY_TRY(Fill(ns, 1));
  GANTRY_ASSIGN(const api::JsonValue list, cluster_.client->Get(PodsOf(ns)));
  const std::string target =
      PodsOf(ns) + "?watch=true&resourceVersion=" + StringAt(list, {"metadata", "resourceVersion"});
  GANTRY_ASSIGN(std::shared_ptr<const wire::TlsContext> tls, TlsOf(cluster_.kubeconfig));
  const double before = ProcessMegabytes(cluster_.server->pid());
  Watched watched;
  watched.wanted = kWatchers;
  Gate gate;
  CancelSource cancel;
  const RawTarget server{kApiPort, tls};
  for (int i = 0; i < kWatchConnections; ++i) {
    Spawn(env_.MakeStrand(), gate, "watch",
          RunWatches(env_, server, target, kWatchersPerConnection, watched, cancel.token()));
  }
  Status result;
  env_.RunToEnd(AwaitAll(env_, watched, watched.open, kWatchers, &result));
  std::vector<double> rounds;
  if (result.ok()) {
    sleep(2);
    const double each =
        (ProcessMegabytes(cluster_.server->pid()) - before) * 1e6 / 1024 / kWatchers;
    bench_.report.Add("idle_watcher_kb", each, "KiB");
    Say("10,000 watchers: %.1f KiB of the server's memory each", each);
  }
  for (int round = 1; result.ok() && round <= (bench_.short_run ? 3 : 9); ++round) {
    watched.wanted = kWatchers * round;
    const double own = OwnCpuSeconds();
    const Duration server = cluster_.server->cpu().Used();
    client::HttpRequest change("PATCH", PodsOf(ns) + "/pod-0");
    change.headers.Add("Content-Type", "application/merge-patch+json");
    change.body = R"({"metadata":{"labels":{"round":")" + std::to_string(round) + R"("}}})";
    const SteadyTime begin = env_.Steady();
    if (Result<client::HttpReply> reply = cluster_.client->Call(std::move(change)); !reply.ok()) {
      result = reply.status();
      break;
    }
    env_.RunToEnd(AwaitAll(env_, watched, watched.events, watched.wanted, &result));
    rounds.push_back(Seconds(env_.Steady() - begin) * 1000);
    Say("a change to 10,000 watchers: %.1f ms; CPU: server %.1f ms, this client %.1f ms",
        rounds.back(), Seconds(cluster_.server->cpu().Used() - server) * 1000,
        (OwnCpuSeconds() - own) * 1000);
  }
  cancel.Cancel();
  env_.RunToEnd(gate.Close(env_));
  if (result.ok()) bench_.report.Add("watch_10k_ms", Median(rounds), "ms");
  return result.WithContext("watch");
}

Status Measure(Bench& bench) {
  RealEnv env(2);
  GANTRY_ASSIGN(Cluster cluster,
                StartCluster(bench, env, {"--no-agent", "--bind-address", "127.0.0.1"}));
  GANTRY_ASSIGN(std::shared_ptr<const wire::TlsContext> tls, TlsOf(cluster.kubeconfig, false));
  ApiBench api(bench, env, std::move(cluster), std::move(tls));
  struct Part {
    const char* name;
    Status (ApiBench::*measure)();
  };
  constexpr Part kParts[] = {{"get", &ApiBench::Get},
                             {"list", &ApiBench::List},
                             {"watch", &ApiBench::Watch},
                             {"create", &ApiBench::Create}};
  for (const Part& part : kParts) {
    if (bench.only.empty() || bench.only == part.name) GANTRY_TRY((api.*part.measure)());
  }
  return api.Stop();
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) {
  return gantry::bench::Main(argc, argv, "The API under load. --only create|get|list|watch.",
                             gantry::bench::Measure);
}
