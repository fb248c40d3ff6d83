// What the network costs: throughput between hosts, memory of a joined agent, attaching a pod, a
// change among 10,000 services in the kernel and from the API to the kernel, questions to DNS
// (asked by dnsperf).
//
// Prints one line of JSON per figure.

#include <arpa/inet.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/service.pb.h"
#include "base/env/real/real_env.h"
#include "client/testing/fake_client.h"
#include "net/bridge_network.h"
#include "net/cleanup.h"
#include "net/dns_server.h"
#include "net/service/service_rules.h"
#include "net/testing/netns.h"
#include "network_hosts.h"
#include "network_policies.h"
#include "network_services.h"

namespace {

using gantry::net::Backend;
using gantry::net::Cidr;
using gantry::net::Frontend;
using gantry::net::IpAddress;
using gantry::net::testing::TestHost;
using gantry::net::testing::TestNetns;
using Clock = std::chrono::steady_clock;

void Print(const char* name, double value, const char* unit) {
  std::printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", name, value, unit);
}

double Milliseconds(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

void BenchAttach(TestHost& host) {
  gantry::net::BridgeOptions options;
  options.data_dir = host.data_dir();
  options.cluster_cidrs = {*Cidr::Parse("10.42.0.0/16")};
  gantry::net::BridgeNetwork network(host.env(), options);
  std::vector<std::string> cidrs = {"10.42.0.0/24"};
  if (!host.Await(network.Start()).ok() || !host.Await(network.SetPodCidrs(cidrs)).ok())
    std::exit(1);
  std::vector<std::unique_ptr<TestNetns>> pods;
  std::vector<double> attach, detach;
  for (int i = 0; i < 200; ++i) {
    pods.push_back(std::make_unique<TestNetns>());
    gantry::net::PodAttachment pod;
    pod.uid = std::to_string(i);
    pod.netns_path = pods.back()->path();
    auto begin = Clock::now();
    if (!host.Await(network.Attach(pod)).ok()) std::exit(1);
    attach.push_back(Milliseconds(begin));
  }
  for (int i = 0; i < 200; ++i) {
    auto begin = Clock::now();
    if (!host.Await(network.Detach(std::to_string(i))).ok()) std::exit(1);
    detach.push_back(Milliseconds(begin));
  }
  Print("attach_p50_ms", Percentile(attach, 0.5), "ms");
  Print("attach_p99_ms", Percentile(attach, 0.99), "ms");
  Print("detach_p50_ms", Percentile(detach, 0.5), "ms");
}

Frontend MakeFrontend(uint32_t i, uint32_t endpoints) {
  Frontend frontend;
  frontend.key = {IpAddress::V4(0x0a2b0000 + i), IPPROTO_TCP, 80};
  frontend.kind = Frontend::Kind::kInternal;
  for (uint32_t e = 0; e < endpoints; ++e) {
    frontend.backends.push_back(
        Backend{IpAddress::V4(0x0a2a0000 + (i * 3 + e) % 30000), 8080, false});
  }
  std::sort(frontend.backends.begin(), frontend.backends.end());
  return frontend;
}

void BenchServices(TestHost& host) {
  gantry::net::ServiceRules rules(gantry::net::InstanceNames::ForDataDir(host.data_dir()),
                                  {*Cidr::Parse("10.42.0.0/16")}, {*Cidr::Parse("10.43.0.0/16")});
  std::vector<Frontend> frontends;
  for (uint32_t i = 0; i < 10'000; ++i)
    frontends.push_back(MakeFrontend(i, 3));
  auto begin = Clock::now();
  gantry::Status status = rules.Replace(frontends);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::exit(1);
  }
  Print("services_10k_replace_ms", Milliseconds(begin), "ms");
  std::vector<double> changes;
  for (uint32_t round = 0; round < 400; ++round) {
    Frontend changed = MakeFrontend(round * 17 % 10'000, 3 + round % 2);
    gantry::net::ServiceRules::Change change;
    change.key = changed.key;
    change.after = &changed;
    begin = Clock::now();
    if (!rules.Apply({&change, 1}).ok()) std::exit(1);
    changes.push_back(Milliseconds(begin));
  }
  Print("service_change_p50_ms", Percentile(changes, 0.5), "ms");
  Print("service_change_p99_ms", Percentile(changes, 0.99), "ms");
  if (std::getenv("GANTRY_BENCH_LIST") != nullptr) {
    std::vector<Frontend> few(frontends.begin(), frontends.begin() + 2);
    few.push_back(few[0]);
    few[2].key = {IpAddress(), IPPROTO_UDP, 30053};
    few[2].kind = Frontend::Kind::kExternalLocal;
    few[2].affinity_seconds = 60;
    if (!rules.Replace(few).ok()) std::exit(1);
    if (std::system("nft list ruleset") != 0) std::exit(1);
  }
}

// Has dnsperf ask for one name for some seconds, with 100 questions in flight; how many were
// answered.
double Question(const std::string& directory, const std::string& name, int seconds) {
  const std::string file = directory + "/questions";
  std::ofstream(file) << name << " A\n";
  const std::string command = "dnsperf -d " + file + " -s 127.0.0.10 -c 4 -T 1 -q 100 -l " +
                              std::to_string(seconds) +
                              " 2>&1 | awk '/Queries completed/ {print $3}'";
  FILE* pipe = popen(command.c_str(), "r");
  double answered = 0;
  const bool read = pipe != nullptr && std::fscanf(pipe, "%lf", &answered) == 1;
  if (pipe == nullptr || pclose(pipe) != 0 || !read) {
    std::fprintf(stderr, "bench/network: dnsperf did not work (package dnsperf)\n");
    std::exit(1);
  }
  return answered;
}

gantry::Task<> ThreadSeconds(double* seconds) {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  *seconds = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  co_return;
}

void BenchDns(TestHost& host) {
  gantry::RealEnv env(1, 1);
  gantry::client::FakeClient client(env);
  gantry::api::core::v1::Namespace ns;
  ns.mutable_metadata()->set_name("default");
  client.Put(ns);
  for (uint32_t i = 0; i < 10'000; ++i) {
    gantry::api::core::v1::Service service;
    service.mutable_metadata()->set_name("svc-" + std::to_string(i));
    service.mutable_metadata()->set_namespace_("default");
    service.mutable_spec()->set_cluster_ip(IpAddress::V4(0x0a2b0000 + i).ToString());
    client.Put(service);
  }
  gantry::api::core::v1::Service web;
  web.mutable_metadata()->set_name("web");
  web.mutable_metadata()->set_namespace_("default");
  web.mutable_spec()->set_cluster_ip("10.43.200.1");
  web.mutable_spec()->add_ports()->set_port(80);
  client.Put(web);
  gantry::client::InformerSet informers(env, client);
  gantry::net::DnsOptions options;
  options.addresses = {*IpAddress::Parse("127.0.0.10")};
  gantry::net::DnsServer server(env, informers, options);
  informers.Start();
  auto start = [](gantry::client::InformerSet& set, gantry::net::DnsServer& dns) -> gantry::Task<> {
    gantry::Status synced = co_await set.WaitForSync(gantry::CancelToken());
    gantry::Status started = co_await dns.Start();
    if (!synced.ok() || !started.ok()) std::exit(1);
  };
  env.RunToEnd(start(informers, server));
  for (auto [name, text] : {std::pair("dns_per_s", "web.default.svc.cluster.local"),
                            std::pair("dns_missing_per_s", "nothing.default.svc.cluster.local")}) {
    constexpr int kSeconds = 3;
    double before = 0, after = 0;
    env.RunToEnd(ThreadSeconds(&before));
    const double answered = Question(host.data_dir(), text, kSeconds);
    env.RunToEnd(ThreadSeconds(&after));
    Print(name, answered / kSeconds, "1/s");
    // What one core would answer that does nothing else.
    Print((std::string(name) + "_of_a_core").c_str(), answered / (after - before), "1/s");
  }
  env.RunToEnd(server.Stop());
  env.RunToEnd(informers.Stop());
}

// The parts that need no cluster, in a namespace of their own.
void MeasureOne(const gantry::bench::Bench& bench) {
  TestHost host;
  if (!host.Ready()) {
    std::fprintf(stderr, "bench/network: %s\n", host.problem().c_str());
    std::exit(1);
  }
  auto wanted = [&](const char* part) { return bench.only.empty() || bench.only == part; };
  if (wanted("attach")) BenchAttach(host);
  if (wanted("services")) BenchServices(host);
  if (wanted("service")) Print("service_10001_ms", gantry::bench::ServiceToKernelMs(host), "ms");
  if (wanted("policies")) BenchPolicies(host);
  if (wanted("dns")) BenchDns(host);
}

gantry::Status Measure(gantry::bench::Bench& bench) {
  auto wanted = [&](const char* part) { return bench.only.empty() || bench.only == part; };
  if (wanted("vxlan")) GANTRY_TRY(gantry::bench::MeasureVxlan(bench));
  if (wanted("agent")) GANTRY_TRY(gantry::bench::MeasureAgentIdle(bench));
  MeasureOne(bench);
  return gantry::Status::Ok();
}

}  // namespace

int main(int argc, char** argv) {
  return gantry::bench::Main(argc, argv,
                             "What the network of a node and between nodes costs. Parts: vxlan, "
                             "agent, attach, services, service, policies, dns.",
                             Measure);
}
