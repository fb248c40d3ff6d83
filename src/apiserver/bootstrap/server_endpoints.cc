#include "apiserver/bootstrap/server_endpoints.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "api/core/v1/endpoints.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/kinds.h"
#include "api/service_families.h"
#include "apiserver/bootstrap/ensure.h"
#include "base/log.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Endpoints;
using api::discovery::v1::EndpointSlice;

constexpr std::string_view kPrefix = "/registry/masterleases/";
constexpr int kTries = 10;
constexpr Duration kRetry = std::chrono::milliseconds(200);
constexpr Duration kPatience = std::chrono::seconds(10);

using ByPort = std::map<int, std::vector<std::string>>;

std::string KeyOf(const ServerAddress& server) {
  return std::string(kPrefix) + server.address + ":" + std::to_string(server.port);
}

std::optional<ServerAddress> ServerOf(std::string_view key) {
  key.remove_prefix(kPrefix.size());
  const size_t colon = key.rfind(':');
  ServerAddress server;
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view port = key.substr(colon + 1);
  if (std::from_chars(port.data(), port.data() + port.size(), server.port).ec != std::errc())
    return std::nullopt;
  server.address = key.substr(0, colon);
  return server;
}

Endpoints MakeEndpoints(const ByPort& servers) {
  auto endpoints = Named<Endpoints>("default", "kubernetes");
  (*endpoints.mutable_metadata()->mutable_labels())["endpointslice.kubernetes.io/skip-mirror"] =
      "true";
  for (const auto& [number, addresses] : servers) {
    auto* subset = endpoints.add_subsets();
    for (const std::string& address : addresses)
      subset->add_addresses()->set_ip(address);
    auto* port = subset->add_ports();
    port->set_name("https");
    port->set_port(number);
    port->set_protocol("TCP");
  }
  return endpoints;
}

EndpointSlice MakeSlice(std::string name, int number, const std::vector<std::string>& addresses) {
  auto slice = Named<EndpointSlice>("default", std::move(name));
  (*slice.mutable_metadata()->mutable_labels())["kubernetes.io/service-name"] = "kubernetes";
  slice.mutable_metadata()->set_generation(1);
  slice.set_address_type(addresses.empty() ? "IPv4"
                                           : std::string(api::IpFamilyOf(addresses.front())));
  for (const std::string& address : addresses) {
    auto* endpoint = slice.add_endpoints();
    endpoint->add_addresses(address);
    endpoint->mutable_conditions()->set_ready(true);
  }
  auto* port = slice.add_ports();
  port->set_name("https");
  port->set_port(number);
  port->set_protocol("TCP");
  return slice;
}

}  // namespace

void AddServerEndpoints(Registry& registry, const std::vector<ServerAddress>& all, Batch* batch) {
  ByPort servers;
  for (const ServerAddress& server : all)
    servers[server.port].push_back(server.address);
  for (auto& [port, addresses] : servers)
    std::sort(addresses.begin(), addresses.end());
  batch->Reconcile(MakeEndpoints(servers), [](auto* live, const auto& wanted) {
    *live->mutable_subsets() = wanted.subsets();
  });
  std::vector<std::string> names;
  for (const auto& [number, addresses] : servers) {
    names.push_back(names.empty() ? "kubernetes" : "kubernetes-" + std::to_string(number));
    batch->Reconcile(MakeSlice(names.back(), number, addresses),
                     [](auto* live, const auto& wanted) {
                       *live->mutable_endpoints() = wanted.endpoints();
                       *live->mutable_ports() = wanted.ports();
                     });
  }
  // Slices of ports that no server has any more.
  store::Selection selection;
  selection.ns = "default";
  const api::KindInfo& kind = api::KindOf<EndpointSlice>();
  for (const api::ObjectPtr& slice : registry.CacheOf(kind).List(selection).objects) {
    if (slice->name().starts_with("kubernetes-") &&
        std::find(names.begin(), names.end(), slice->name()) == names.end() &&
        slice->As<EndpointSlice>().metadata().owner_references().empty()) {
      const auto& labels = slice->meta().labels();
      auto service = labels.find("kubernetes.io/service-name");
      if (service != labels.end() && service->second == "kubernetes") batch->Remove(*slice);
    }
  }
}

namespace {

Task<Status> WriteServerEndpoints(Registry& registry, std::vector<ServerAddress> servers) {
  for (int tries = 1;; ++tries) {
    Batch batch(registry);
    AddServerEndpoints(registry, servers, &batch);
    std::vector<store::Write> writes = batch.Take();
    if (writes.empty()) co_return Status();
    Result<store::CommitResult> result = co_await registry.store().Commit(std::move(writes));
    if (!result.ok()) co_return result.status();
    if (result->committed()) co_return co_await registry.caches().WaitFor(result->revision);
    // Another server did the same.
    if (tries == kTries) co_return InternalError("the servers' endpoints could not be written");
    co_await SleepFor(registry.env(), kRetry);
  }
}

}  // namespace

ServerEndpoints::ServerEndpoints(Registry& registry, store::SharedStore& store, ServerAddress own)
    : registry_(registry), store_(store), own_(std::move(own)) {}

Task<Status> ServerEndpoints::Start() {
  ByPort alone;
  alone[own_.port].push_back(own_.address);
  std::shared_ptr<api::Object> value = api::Object::FromMessage(
      api::KindOf<Endpoints>(), std::make_unique<Endpoints>(MakeEndpoints(alone)));
  store_.Announce(KeyOf(own_), value->stored());
  Spawn(registry_.env().MakeStrand(), gate_, "server endpoints", Follow());
  const SteadyTime end = registry_.env().Steady() + kPatience;
  while (!is_listed_) {
    if (co_await listed_.Wait(registry_.env(), stopped_.token(), end) == Wake::kNotified) continue;
    co_return Unavailable("this server could not be made known to the others in time");
  }
  co_return Status();
}

Task<> ServerEndpoints::Stop() {
  stopped_.Cancel();
  co_await gate_.Close(registry_.env());
}

Task<> ServerEndpoints::Follow() {
  const CancelToken stopped = stopped_.token();
  while (!stopped.cancelled()) {
    Status ended = co_await FollowOnce();
    if (!stopped.cancelled() && ended.code() != Code::kExpired)
      log::Warning("apiserver", "the servers' endpoints may be old", {{"error", ended.message()}});
    co_await SleepFor(registry_.env(), kRetry, stopped);
  }
}

Task<Status> ServerEndpoints::FollowOnce() {
  GANTRY_CO_ASSIGN(store::ListPage page, co_await store_.List(std::string(kPrefix)));
  std::map<std::string, ServerAddress> alive;
  for (const store::Record& record : page.records) {
    if (std::optional<ServerAddress> server = ServerOf(record.key)) alive[record.key] = *server;
  }
  GANTRY_CO_ASSIGN(auto stream, store_.Watch(std::string(kPrefix), page.revision));
  while (true) {
    // Nobody is alive only when etcd itself was away: better the old ones than none.
    if (!alive.empty()) {
      std::vector<ServerAddress> servers;
      for (const auto& [key, server] : alive)
        servers.push_back(server);
      GANTRY_CO_TRY(co_await WriteServerEndpoints(registry_, std::move(servers)));
      if (alive.contains(KeyOf(own_)) && !is_listed_.exchange(true)) listed_.Notify();
    }
    GANTRY_CO_ASSIGN(const std::vector<store::Event> events,
                     co_await stream->Next(stopped_.token()));
    for (const store::Event& event : events) {
      std::optional<ServerAddress> server = ServerOf(event.record.key);
      if (!server) continue;
      if (event.type == store::Event::Type::kPut) {
        alive[event.record.key] = *server;
      } else {
        alive.erase(event.record.key);
      }
    }
  }
}

}  // namespace gantry::apiserver
