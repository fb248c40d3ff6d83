#include "network_services.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "apiserver/api_server.h"
#include "base/env/spawn.h"
#include "client/typed.h"
#include "net/netlink/route.h"
#include "net/service_proxy.h"
#include "net/testing/objects.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::bench {
namespace {

using Clock = std::chrono::steady_clock;
using api::core::v1::Service;
using api::discovery::v1::EndpointSlice;
using net::testing::TestEndpoint;
using net::testing::TestPort;

constexpr int kServices = 10'000;
constexpr int kWriters = 50;
constexpr int kRounds = 31;

void Expect(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "bench/network: %s\n", status.message().c_str());
  std::exit(1);
}

const std::vector<TestPort>& Ports() {
  static const auto* const ports = new std::vector<TestPort>{{"http", 80, 8080, "TCP", 0}};
  return *ports;
}

Task<> Write(client::Client& client, std::string name, std::string ip,
             std::vector<TestEndpoint> endpoints) {
  EndpointSlice slice = net::testing::MakeSlice(name, Ports(), endpoints);
  Result<api::Ref<EndpointSlice>> sliced = co_await client::Create(client, std::move(slice));
  Expect(sliced.status());
  Service service = net::testing::MakeService(name, ip, Ports());
  if (ip.empty()) service.mutable_spec()->clear_cluster_ips();
  Result<api::Ref<Service>> made = co_await client::Create(client, std::move(service));
  Expect(made.status());
}

Task<> WriteMany(client::Client& client, int first) {
  for (int i = first; i < kServices; i += kWriters) {
    std::vector<TestEndpoint> endpoints;
    for (uint32_t e = 0; e < 3; ++e) {
      endpoints.push_back(
          {IpAddress::V4(0x0a2a0000 + (static_cast<uint32_t>(i) * 3 + e) % 60000 + 2).ToString()});
    }
    co_await Write(client, "svc-" + std::to_string(i), "", std::move(endpoints));
  }
}

Task<> WriteAll(RealEnv& env, client::Client& client) {
  Gate gate;
  for (int writer = 0; writer < kWriters; ++writer)
    Spawn(env.executor(), gate, "writer", WriteMany(client, writer));
  co_await gate.Close(env);
}

}  // namespace

double ServiceToKernelMs(net::testing::TestHost& host) {
  RealEnv env(2, 4);
  auto store = store::OpenSqliteStore(env, store::SqliteOptions(host.data_dir() + "/state.db"));
  Expect(store.status());
  apiserver::ApiServer server(env, **store, apiserver::ApiServerOptions());
  auto start = [](apiserver::ApiServer& api) -> Task<> {
    Status started = co_await api.Start();
    Expect(started);
  };
  env.RunToEnd(start(server));
  auto client = server.ClientFor(apiserver::UserInfo("bench", {"system:masters"}));
  env.RunToEnd(WriteAll(env, *client));

  client::InformerSet informers(env, *client);
  net::ServiceProxyOptions options;
  options.data_dir = host.data_dir();
  options.node_name = "node-1";
  options.cluster_cidrs = {*net::Cidr::Parse("10.42.0.0/16")};
  options.service_cidrs = {*net::Cidr::Parse("10.43.0.0/16")};
  net::ServiceProxy proxy(env, informers, options);
  informers.Start();
  proxy.Start();
  auto wait = [](net::ServiceProxy& services) -> Task<> {
    Status synced = co_await services.WaitForSync(CancelToken());
    Expect(synced);
  };
  env.RunToEnd(wait(proxy));

  // As the bridge does it: so that the machine may ask for a service's address at all.
  Result<net::RouteSocket> routes = net::RouteSocket::Open();
  Expect(routes.status());
  Result<net::Link> uplink = routes->FindLink("uplink");
  Expect(uplink.status());
  Expect(routes->EnsureRoute(net::Route(uplink->index, options.service_cidrs[0])));

  net::testing::TestServer endpoint(nullptr, "endpoint", 8080);
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    const std::string ip = "10.43.0." + std::to_string(round + 16);
    std::vector<TestEndpoint> endpoints = {{"192.168.77.1"}};
    auto begin = Clock::now();
    env.RunToEnd(Write(*client, "new-" + std::to_string(round), ip, std::move(endpoints)));
    while (net::testing::Ask(ip, 80).error != 0) {
      if (Clock::now() - begin > std::chrono::seconds(10))
        Expect(InternalError("the service does not answer"));
    }
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  auto stop = [](net::ServiceProxy& services, client::InformerSet& set, apiserver::ApiServer& api,
                 store::Store& data) -> Task<> {
    co_await services.Stop();
    co_await set.Stop();
    co_await api.Stop();
    co_await data.Stop();
  };
  env.RunToEnd(stop(proxy, informers, server, **store));
  std::ranges::sort(times);
  return times[times.size() / 2];
}

}  // namespace gantry::bench
