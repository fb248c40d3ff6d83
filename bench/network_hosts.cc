#include "network_hosts.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "api/json_value.h"
#include "common/cluster.h"
#include "net/bridge_network.h"
#include "net/netlink/route.h"
#include "net/overlay/overlay.h"
#include "net/testing/netns.h"
#include "node/os/fs.h"

namespace gantry::bench {
namespace {

using net::Cidr;
using net::IpAddress;
using net::testing::TestNetns;

constexpr const char* kSwitch = "machine";  // the bridge that the harness has made

// A namespace with an eth0 on the switch.
class WiredHost {
 public:
  static Result<std::unique_ptr<WiredHost>> Make(int number, const std::string& address) {
    auto host = std::make_unique<WiredHost>();
    host->address = *IpAddress::Parse(address);
    GANTRY_ASSIGN(net::RouteSocket here, net::RouteSocket::Open());
    GANTRY_ASSIGN(const net::Link wire, here.FindLink(kSwitch));
    net::UniqueFd netns(open(host->netns.path().c_str(), O_RDONLY | O_CLOEXEC));
    const net::MacAddress mac = {2, 0, 0, 0, 1, static_cast<uint8_t>(number)};
    GANTRY_TRY(here.CreateVeth("wire" + std::to_string(number), wire.index, netns.get(), "eth0",
                               mac, 1500, /*hairpin=*/false));
    GANTRY_ASSIGN(net::RouteSocket inside, net::RouteSocket::OpenIn(host->netns.path()));
    for (const char* name : {"lo", "eth0"}) {
      GANTRY_ASSIGN(const net::Link link, inside.FindLink(name));
      GANTRY_TRY(inside.SetUp(link.index));
    }
    GANTRY_ASSIGN(const net::Link eth, inside.FindLink("eth0"));
    GANTRY_TRY(inside.EnsureAddress(eth.index, host->address, 24));
    GANTRY_TRY(inside.EnsureRoute(
        net::Route(eth.index, *Cidr::Parse("0.0.0.0/0"), IpAddress::Parse(kMachineAddress))));
    return host;
  }

  TestNetns netns;
  IpAddress address;
};

// One host's pod network with one pod, and the tunnel to the others.
struct Node {
  std::unique_ptr<WiredHost> host;
  std::unique_ptr<RealEnv> env;  // its threads are on the host
  std::unique_ptr<net::BridgeNetwork> pods;
  TestNetns pod;
  std::string pod_ip;
};

template <class T>
Task<> Keep(Task<T> task, std::optional<T>* into) {
  T value = co_await std::move(task);
  into->emplace(std::move(value));
}
template <class T>
T Await(RealEnv& env, Task<T> task) {
  std::optional<T> result;
  env.RunToEnd(Keep(std::move(task), &result));
  return std::move(*result);
}

Result<std::unique_ptr<Node>> MakeNode(Bench& bench, int number) {
  auto node = std::make_unique<Node>();
  GANTRY_ASSIGN(node->host, WiredHost::Make(number, "192.0.2." + std::to_string(100 + number)));
  const std::string name = "node-" + std::to_string(number);
  net::BridgeOptions options;
  options.data_dir = bench.dir + "/" + name;
  GANTRY_TRY(node::MakeDirs(options.data_dir + "/net"));
  options.cluster_cidrs = {*Cidr::Parse("10.42.0.0/16")};
  options.node_ip = node->host->address;
  options.overhead = net::OverlaySettings().Overhead(options.node_ip);
  node->host->netns.Run([&] { node->env = std::make_unique<RealEnv>(1, 1); });
  node->pods = std::make_unique<net::BridgeNetwork>(*node->env, options);
  GANTRY_TRY(Await(*node->env, node->pods->Start()));
  std::vector<std::string> cidrs = {"10.42." + std::to_string(number) + ".0/24"};
  GANTRY_TRY(Await(*node->env, node->pods->SetPodCidrs(std::move(cidrs))));
  net::PodAttachment pod;
  pod.uid = "pod";
  pod.netns_path = node->pod.path();
  GANTRY_ASSIGN(const auto ips, Await(*node->env, node->pods->Attach(pod)));
  node->pod_ip = ips.front();
  return node;
}

Status Connect(Bench& bench, const std::vector<std::unique_ptr<Node>>& nodes) {
  net::OverlayNodes all;
  for (size_t i = 0; i < nodes.size(); ++i) {
    net::OverlayNode& node = all["node-" + std::to_string(i + 1)];
    node.name = "node-" + std::to_string(i + 1);
    node.pod_cidrs = {*Cidr::Parse("10.42." + std::to_string(i + 1) + ".0/24")};
    node.addresses = {nodes[i]->host->address};
  }
  Status status;
  for (size_t i = 0; i < nodes.size(); ++i) {
    net::Overlay::Options options;
    options.node_name = "node-" + std::to_string(i + 1);
    options.names = nodes[i]->pods->names();
    options.underlay = nodes[i]->host->address;
    options.routes_file = net::Overlay::RoutesFile(bench.dir + "/" + options.node_name);
    const net::OverlayPlan plan =
        PlanOverlay(options.settings, options.node_name, options.underlay, all);
    net::Overlay overlay(options);
    nodes[i]->host->netns.Run([&] {
      if (status.ok())
        status = overlay.Apply(plan, all[options.node_name].pod_cidrs, nodes[i]->pods->mtu());
    });
  }
  return status;
}

// What somebody would type to have a tunnel between the two hosts themselves.
Status ConnectByHand(const std::vector<std::unique_ptr<Node>>& nodes) {
  for (size_t i = 0; i < 2; ++i) {
    const std::string script = "ip link add hand type vxlan id 9 dstport 4790 local " +
                               nodes[i]->host->address.ToString() + " remote " +
                               nodes[1 - i]->host->address.ToString() +
                               " && ip address add 10.9.0." + std::to_string(i + 1) +
                               "/24 dev hand && ip link set hand up";
    int failed = -1;
    nodes[i]->host->netns.Run([&] { failed = std::system(script.c_str()); });
    if (failed != 0) return InternalError("cannot make a VXLAN by hand");
  }
  return Status::Ok();
}

// Gigabits a second from one namespace to a server in another.
Result<double> Throughput(const TestNetns& client, const TestNetns& server, const std::string& ip,
                          int seconds) {
  server.Run([] {
    if (std::system("iperf3 -s -1 -D > /dev/null") != 0) std::perror("iperf3");
  });
  std::string output;
  int state = -1;
  client.Run([&] {
    const std::string command = "for i in 1 2 3 4 5 6 7 8 9 10; do iperf3 -J -c " + ip + " -t " +
                                std::to_string(seconds) + " && exit; sleep 0.1; done";
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer;
    for (size_t got; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
      output.append(buffer.data(), got);
    state = pclose(pipe);
  });
  // A try before the server listened has left a line of its own.
  const size_t last = output.rfind("\n{");
  Result<api::JsonValue> report =
      api::JsonValue::Parse(last == std::string::npos ? output : output.substr(last));
  if (state != 0 || !report.ok()) return InternalError("iperf3 to " + ip + ": " + output);
  const api::JsonValue* rate = At(*report, {"end", "sum_received", "bits_per_second"});
  if (rate == nullptr || !rate->is_number())
    return InternalError("iperf3 to " + ip + ": " + output);
  return rate->as_double() / 1e9;
}

// A `gantry agent` in a namespace. It dies with this process; the harness cleans up after it.
Result<pid_t> StartAgent(Bench& bench, const WiredHost& host, const std::string& data_dir,
                         const std::string& token) {
  const std::string netns = "--net=/proc/" + std::to_string(getpid()) +
                            host.netns.path().substr(std::string("/proc/self").size());
  const std::string log = data_dir + ".log";
  std::vector<std::string> words = {
      "setpriv",     "--pdeathsig",
      "KILL",        "nsenter",
      netns,         "--",
      bench.gantry,  "agent",
      "--server",    std::string("https://") + kMachineAddress + ":" + std::to_string(kApiPort),
      "--token",     token,
      "--data-dir",  data_dir,
      "--node-name", "joined"};
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  if (child < 0) return FromErrno(errno, "start an agent");
  return child;
}

}  // namespace

Status MeasureVxlan(Bench& bench) {
  std::vector<std::unique_ptr<Node>> nodes;
  for (int number : {1, 2}) {
    GANTRY_ASSIGN(auto node, MakeNode(bench, number));
    nodes.push_back(std::move(node));
  }
  GANTRY_TRY(Connect(bench, nodes));
  GANTRY_TRY(ConnectByHand(nodes));
  const int rounds = bench.short_run ? 3 : 7, seconds = bench.short_run ? 1 : 2;
  std::vector<double> ours, by_hand;
  for (int round = 0; round < rounds; ++round) {
    GANTRY_ASSIGN(const double hand,
                  Throughput(nodes[0]->host->netns, nodes[1]->host->netns, "10.9.0.2", seconds));
    GANTRY_ASSIGN(const double pods,
                  Throughput(nodes[0]->pod, nodes[1]->pod, nodes[1]->pod_ip, seconds));
    by_hand.push_back(hand);
    ours.push_back(pods);
    Say("vxlan round %d: pods %.2f Gbit/s, by hand %.2f Gbit/s", round, pods, hand);
  }
  bench.report.Add("vxlan_gbit_per_s", Median(ours), "Gbit/s");
  bench.report.Add("vxlan_ratio", Median(ours) / Median(by_hand), "");
  return Status::Ok();
}

Status MeasureAgentIdle(Bench& bench) {
  RealEnv env(1);
  GANTRY_ASSIGN(Cluster cluster, StartCluster(bench, env, {"--no-agent"}));
  GANTRY_ASSIGN(auto host, WiredHost::Make(9, "192.0.2.109"));
  GANTRY_ASSIGN(std::string token, node::ReadFile(cluster.server->data_dir() + "/token"));
  while (!token.empty() && token.back() == '\n')
    token.pop_back();
  const std::string data_dir = bench.dir + "/agent";
  GANTRY_ASSIGN(const pid_t agent, StartAgent(bench, *host, data_dir, token));
  bool ready = false;
  for (int i = 0; i < 3000 && !ready; ++i, usleep(10'000)) {
    Result<api::JsonValue> node = cluster.client->Get("/api/v1/nodes/joined");
    ready = node.ok() && HasCondition(*node, "Ready");
  }
  if (!ready)
    return InternalError("the agent's node is not ready: " +
                         node::ReadFile(data_dir + ".log").value_or(""));
  sleep(bench.short_run ? 2 : 10);
  const Memory memory = MemoryOf(agent, data_dir);
  bench.report.Add("agent_idle_pss_mb", memory.megabytes, "MB");
  Say("agent: %.1f MB in %d processes", memory.megabytes, memory.processes);
  kill(agent, SIGTERM);
  return cluster.server->Stop();
}

}  // namespace gantry::bench
