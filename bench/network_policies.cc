#include "network_policies.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "net/bridge_network.h"
#include "net/policy/policy_index.h"
#include "net/policy/policy_rules.h"
#include "net/policy/testing/policy_cluster.h"

namespace {

using gantry::net::Cidr;
using gantry::net::IpAddress;
using gantry::net::PolicyIndex;
using gantry::net::PolicyKey;
using gantry::net::PolicyRules;
using gantry::net::testing::PolicyCluster;
using gantry::net::testing::TestHost;
using gantry::net::testing::TestNetns;
using Clock = std::chrono::steady_clock;

constexpr int kPolicies = 1000, kNamespaces = 10, kPodsHere = 100, kPods = 1000;

void Print(const char* name, double value, const char* unit) {
  std::printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", name, value, unit);
}

double Milliseconds(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

void Must(const gantry::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

// Each selects a tenth of the pods of its namespace; clients are a group of their own.
gantry::api::networking::v1::NetworkPolicy MakePolicy(int number, int port) {
  gantry::api::networking::v1::NetworkPolicy policy;
  policy.mutable_metadata()->set_namespace_("ns" + std::to_string(number % kNamespaces));
  policy.mutable_metadata()->set_name("policy" + std::to_string(number));
  auto* spec = policy.mutable_spec();
  const std::string group = std::to_string(number / kNamespaces % 10);
  (*spec->mutable_pod_selector()->mutable_match_labels())["group"] = group;
  spec->add_policy_types("Ingress");
  auto* rule = spec->add_ingress();
  (*rule->add_from()->mutable_pod_selector()->mutable_match_labels())["client"] =
      std::to_string(number / kNamespaces);
  rule->add_ports()->mutable_port()->set_int_val(port);
  return policy;
}

// Processor nanoseconds that one datagram takes from one pod to another.
double PacketNanoseconds(const TestNetns& from, const std::string& to) {
  double nanoseconds = 0;
  from.Run([&] {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    inet_pton(AF_INET, to.c_str(), &address.sin_addr);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) std::exit(1);
    constexpr int kPackets = 200'000;
    auto seconds = [] {
      rusage usage{};
      getrusage(RUSAGE_THREAD, &usage);
      return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    };
    const double begin = seconds();
    for (int i = 0; i < kPackets; ++i)
      send(fd, "x", 1, MSG_NOSIGNAL);
    nanoseconds = (seconds() - begin) * 1e9 / kPackets;
    close(fd);
  });
  return nanoseconds;
}

}  // namespace

void BenchPolicies(TestHost& host) {
  gantry::net::BridgeOptions options;
  options.data_dir = host.data_dir() + "/policies";
  options.cluster_cidrs = {*Cidr::Parse("10.44.0.0/16")};
  gantry::net::BridgeNetwork network(host.env(), options);
  std::vector<std::string> cidrs = {"10.44.0.0/24"};
  Must(host.Await(network.Start()));
  Must(host.Await(network.SetPodCidrs(cidrs)));
  TestNetns pods[2];
  std::vector<std::string> addresses;
  for (int i = 0; i < 2; ++i) {
    gantry::net::PodAttachment pod;
    pod.uid = "pod" + std::to_string(i);
    pod.netns_path = pods[i].path();
    auto attached = host.Await(network.Attach(pod));
    Must(attached.status());
    addresses.push_back(attached->at(0));
  }
  // The receiver takes what comes: an answer "nobody is here" would be a second packet.
  int sink = -1;
  pods[1].Run([&] {
    sink = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(9);
    if (bind(sink, reinterpret_cast<sockaddr*>(&any), sizeof(any)) != 0) std::exit(1);
  });
  const double plain = PacketNanoseconds(pods[0], addresses[1]);

  PolicyCluster cluster;
  PolicyIndex index;
  auto put_pod = [&](int number, const std::string& ns, const std::string& client) {
    const std::string uid = "pod" + std::to_string(number);
    const IpAddress ip = IpAddress::V4(0x0a2c0002 + static_cast<uint32_t>(number));
    gantry::net::PolicyPod pod;
    pod.object = gantry::api::Ref<gantry::api::core::v1::Pod>::Of(PolicyCluster::MakePod(
        ns, uid, {{"group", std::to_string(number / kNamespaces % 10)}, {"client", client}},
        {ip.ToString()}));
    pod.addresses = {ip};
    pod.here = number < kPodsHere;
    index.SetPod(uid, std::move(pod));
  };
  for (int i = 0; i < kPods; ++i)
    put_pod(i, "ns" + std::to_string(i % kNamespaces), std::to_string(i / kNamespaces));
  for (int i = 0; i < kPolicies; ++i)
    index.SetPolicy(gantry::net::Policy::From(MakePolicy(i, 80)));
  PolicyRules rules(network.names());
  auto begin = Clock::now();
  index.TakeChange();
  Must(rules.Replace(index.ruleset()));
  Print("policies_1000_replace_ms", Milliseconds(begin), "ms");

  auto each = [&](const char* name, auto change) {
    std::vector<double> times;
    for (int round = 0; round < 200; ++round) {
      begin = Clock::now();
      change(round);
      const auto difference = index.TakeChange();
      Must(rules.Apply(index.ruleset(), difference));
      times.push_back(Milliseconds(begin));
    }
    std::sort(times.begin(), times.end());
    Print(name, times[times.size() / 2], "ms");
  };
  each("policy_update_ms", [&](int round) {
    index.SetPolicy(gantry::net::Policy::From(MakePolicy(round * 7 % kPolicies, 81 + round)));
  });
  each("policy_peer_update_ms", [&](int round) {
    put_pod(kPods - 1, "ns" + std::to_string(round % kNamespaces), std::to_string(round % 100));
  });

  // One more lets the two pods of this node talk: theirs are the last of ten that are looked at.
  auto open = MakePolicy(0, 9);
  open.mutable_metadata()->set_namespace_("ns1");
  open.mutable_metadata()->set_name("zz");
  open.mutable_spec()->mutable_pod_selector()->clear_match_labels();
  open.mutable_spec()->mutable_ingress(0)->clear_from();
  open.mutable_spec()->mutable_ingress(0)->mutable_ports(0)->set_protocol("UDP");
  index.SetPolicy(gantry::net::Policy::From(open));
  Must(rules.Apply(index.ruleset(), index.TakeChange()));
  Print("policy_packet_ns", PacketNanoseconds(pods[0], addresses[1]) - plain, "ns");
  Print("packet_without_policies_ns", plain, "ns");
  close(sink);
}
