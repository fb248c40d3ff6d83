#include "net/service_proxy.h"

#include <netinet/in.h>

#include <algorithm>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "base/env/blocking.h"
#include "base/log.h"

namespace gantry::net {
namespace {

namespace core = api::core::v1;
namespace discovery = api::discovery::v1;

constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";
constexpr char kServiceIndex[] = "service";
constexpr char kZoneLabel[] = "topology.kubernetes.io/zone";
// An idle proxy applies a change at once; a busy one no more often than this.
constexpr Duration kBusyInterval = std::chrono::milliseconds(10);
constexpr Duration kRetryInterval = std::chrono::seconds(1);
// What was on its way to an endpoint when that went has been answered after this time, or never is.
constexpr Duration kAnswerTime = std::chrono::milliseconds(200);
constexpr Duration kDrainLook = std::chrono::milliseconds(20);
constexpr uint16_t kDnsPort = 53;

std::string ServiceOf(const api::Object& slice) {
  const auto& labels = slice.meta().labels();
  auto found = labels.find(kServiceNameLabel);
  return found == labels.end() ? std::string() : found->second;
}

client::ListOptions OnlyNode(const std::string& name) {
  client::ListOptions options;
  options.field_selector = "metadata.name=" + name;
  return options;
}

}  // namespace

ServiceProxy::ServiceProxy(Env& env, client::InformerSet& informers, ServiceProxyOptions options)
    : env_(env),
      services_(informers.For<core::Service>()),
      slices_(informers.For<discovery::EndpointSlice>()),
      node_(informers.For(api::KindOf<core::Node>(), OnlyNode(options.node_name))),
      health_(env) {
  place_.name = options.node_name;
  for (const IpAddress& ip : options.dns_addresses) {
    for (uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP})
      reserved_.push_back({ip, protocol, kDnsPort});
  }
  for (NftFamily family : {NftFamily::kIp, NftFamily::kIp6}) {
    const bool used = std::ranges::any_of(options.service_cidrs, [family](const Cidr& cidr) {
      return NftFamilyOf(cidr.address) == family;
    });
    if (!used) continue;
    rules_.push_back(std::make_unique<ServiceRules>(InstanceNames::ForDataDir(options.data_dir),
                                                    options.cluster_cidrs, options.service_cidrs,
                                                    family));
  }
  slices_.AddIndex(kServiceIndex, [](const api::Object& slice) {
    return std::vector<std::string>{slice.ns() + "/" + ServiceOf(slice)};
  });
  services_.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    const api::ObjectPtr& service = after ? after : before;
    MarkDirty({service->ns(), service->name()});
  });
  slices_.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    for (const api::ObjectPtr& slice : {before, after}) {
      if (slice) MarkDirty({slice->ns(), ServiceOf(*slice)});
    }
  });
  node_.AddHandler([this](const api::ObjectPtr&, const api::ObjectPtr& after) {
    if (after) FollowNode(after);
  });
}

ServiceProxy::~ServiceProxy() = default;

void ServiceProxy::Start() { Spawn(env_.MakeStrand(), gate_, "service proxy", Run()); }

Task<> ServiceProxy::Stop() {
  cancel_.Cancel();
  co_await gate_.Close(env_);
  co_await health_.Stop();
}

void ServiceProxy::FollowNode(const api::ObjectPtr& node) {
  NodePlace place;
  place.name = node->name();
  auto zone = node->meta().labels().find(kZoneLabel);
  if (zone != node->meta().labels().end()) place.zone = zone->second;
  for (const core::NodeAddress& address : node->As<core::Node>().status().addresses()) {
    if (std::optional<IpAddress> ip = IpAddress::Parse(address.address()))
      place.addresses.push_back(*ip);
  }
  {
    absl::MutexLock lock(&mutex_);
    if (place == place_) return;
    place_ = std::move(place);
  }
  dirty_notifier_.Notify();
}

void ServiceProxy::MarkDirty(ServiceKey key) {
  {
    absl::MutexLock lock(&mutex_);
    dirty_.insert(std::move(key));
  }
  dirty_notifier_.Notify();
}

Task<> ServiceProxy::Run() {
  CancelToken cancel = cancel_.token();
  for (client::Informer* informer : {&services_, &slices_, &node_}) {
    Status status = co_await informer->WaitForSync(cancel);
    if (!status.ok()) co_return;
  }
  bool all = true;
  std::set<ServiceKey> dirty;
  std::optional<SteadyTime> forget_at;
  while (!cancel.cancelled()) {
    bool moved;
    {
      absl::MutexLock lock(&mutex_);
      dirty.clear();
      std::swap(dirty, dirty_);
      moved = synced_place_ != place_;
      synced_place_ = place_;
    }
    if (moved && !all) {
      for (const api::ObjectPtr& service : services_.List())
        dirty.emplace(service->ns(), service->name());
    }
    if (forget_at && env_.Steady() >= *forget_at) {
      forget_at.reset();
      auto call = [this] { return ForgetUnanswered(); };
      Status status = co_await RunBlocking(env_, std::move(call));
      if (!status.ok()) {
        log::Warning("net", "cannot forget connections to removed endpoints",
                     {{"error", status.message()}});
      }
    }
    if (!all && dirty.empty()) {
      if (co_await dirty_notifier_.Wait(env_, cancel, forget_at) == Wake::kCanceled) co_return;
      continue;
    }
    auto call = [this, all, &dirty] { return all ? SyncAll() : SyncSome(dirty); };
    Status status = co_await RunBlocking(env_, std::move(call));
    {
      absl::MutexLock lock(&mutex_);
      if (!status.ok() && problem_ != status.message()) {
        log::Error("net", "cannot program services", {{"error", status.message()}});
      }
      problem_ = status.message();
      if (status.ok()) synced_ = true;
    }
    UpdateHealthChecks(status.ok());
    if (ForgetDue() && !forget_at) forget_at = env_.Steady() + kAnswerTime;
    // After a failure the kernel's tables are made anew.
    all = !status.ok();
    applied_notifier_.Notify();
    Wake wake = co_await SleepFor(env_, all ? kRetryInterval : kBusyInterval, cancel);
    if (wake == Wake::kCanceled) co_return;
  }
}

std::vector<Frontend> ServiceProxy::Build(const ServiceKey& key) {
  health_checks_.erase(key);
  auto service = client::GetFrom<core::Service>(services_, key.first, key.second);
  if (!service) return {};
  auto slices = client::Typed<discovery::EndpointSlice>(
      slices_.ByIndex(kServiceIndex, key.first + "/" + key.second));
  if (std::optional<HealthCheck> check = BuildHealthCheck(*service, slices, synced_place_))
    health_checks_.emplace(key, *check);
  std::vector<Frontend> frontends = BuildFrontends(*service, slices, synced_place_);
  std::erase_if(frontends, [this](const Frontend& frontend) {
    return std::ranges::find(reserved_, frontend.key) != reserved_.end() ||
           RulesOf(frontend.key.ip) == nullptr;
  });
  return frontends;
}

ServiceRules* ServiceProxy::RulesOf(const IpAddress& ip) const {
  for (const auto& rules : rules_) {
    if (rules->family() == NftFamilyOf(ip)) return rules.get();
  }
  return nullptr;
}

bool ServiceProxy::ForgetDue() const {
  return std::ranges::any_of(rules_, &ServiceRules::ForgetDue);
}

Status ServiceProxy::ForgetUnanswered() {
  for (const auto& rules : rules_) {
    if (rules->ForgetDue()) GANTRY_TRY(rules->ForgetUnanswered());
  }
  return Status::Ok();
}

void ServiceProxy::UpdateHealthChecks(bool healthy) {
  std::map<uint16_t, HealthCheckState> states;
  for (const auto& [key, check] : health_checks_)
    states.insert_or_assign(check.port,
                            HealthCheckState{key.first, key.second, check.local_endpoints});
  health_.Update(std::move(states), healthy);
}

void ServiceProxy::Claim(const ServiceKey& key, std::vector<Frontend> frontends,
                         std::map<FrontendKey, Frontend>* claimed) {
  std::vector<FrontendKey>& claims = claims_[key];
  claims.clear();
  for (Frontend& frontend : frontends) {
    const ServiceKey& owner = owners_.try_emplace(frontend.key, key).first->second;
    if (owner != key) {
      log::Warning("net", "two services want one address and port",
                   {{"service", key.first + "/" + key.second},
                    {"other", owner.first + "/" + owner.second},
                    {"at", frontend.key.ToString()}});
      contested_.insert(key);
      continue;
    }
    claims.push_back(frontend.key);
    claimed->insert_or_assign(frontend.key, std::move(frontend));
  }
  if (claims.empty()) claims_.erase(key);
}

Status ServiceProxy::SyncAll() {
  claims_.clear();
  owners_.clear();
  contested_.clear();
  health_checks_.clear();
  std::map<FrontendKey, Frontend> claimed;
  for (const api::ObjectPtr& service : services_.List()) {
    ServiceKey key(service->ns(), service->name());
    Claim(key, Build(key), &claimed);
  }
  for (const auto& rules : rules_) {
    std::vector<Frontend> frontends;
    for (auto& [key, frontend] : claimed) {
      if (RulesOf(key.ip) == rules.get()) frontends.push_back(std::move(frontend));
    }
    GANTRY_TRY(rules->Replace(frontends));
  }
  return Status::Ok();
}

Status ServiceProxy::SyncSome(const std::set<ServiceKey>& dirty) {
  std::map<ServiceKey, std::vector<Frontend>> built;
  std::set<FrontendKey> touched;
  bool freed = false;
  for (const ServiceKey& key : dirty) {
    std::vector<Frontend>& frontends = built[key];
    frontends = Build(key);
    contested_.erase(key);
    auto claims = claims_.find(key);
    if (claims == claims_.end()) continue;
    for (const FrontendKey& claim : claims->second) {
      touched.insert(claim);
      bool kept = std::any_of(frontends.begin(), frontends.end(),
                              [&](const Frontend& frontend) { return frontend.key == claim; });
      if (kept) continue;
      owners_.erase(claim);
      freed = true;
    }
  }
  if (freed) {
    // A service that went without may get its turn.
    for (const ServiceKey& key : contested_)
      built.try_emplace(key, Build(key));
    contested_.clear();
  }
  std::map<FrontendKey, Frontend> claimed;
  for (auto& [key, frontends] : built)
    Claim(key, std::move(frontends), &claimed);
  for (const auto& rules : rules_) {
    std::vector<ServiceRules::Change> changes;
    for (const auto& [key, frontend] : claimed) {
      if (RulesOf(key.ip) == rules.get()) changes.push_back({key, &frontend});
    }
    for (const FrontendKey& key : touched) {
      if (RulesOf(key.ip) == rules.get() && !claimed.contains(key))
        changes.push_back({key, nullptr});
    }
    GANTRY_TRY(rules->Apply(changes));
  }
  return Status::Ok();
}

Task<Status> ServiceProxy::WaitForSync(CancelToken cancel) {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (synced_) co_return Status::Ok();
    }
    if (co_await applied_notifier_.Wait(env_, cancel) == Wake::kCanceled) {
      co_return Canceled("services are not in the kernel yet");
    }
  }
}

std::string ServiceProxy::Problem() const {
  absl::MutexLock lock(&mutex_);
  return problem_;
}

bool ServiceProxy::Drained(const std::vector<IpAddress>& ips) const {
  {
    // Before the first sync the kernel may still have what an earlier run left.
    absl::MutexLock lock(&mutex_);
    if (!synced_) return false;
  }
  return std::none_of(ips.begin(), ips.end(), [this](const IpAddress& ip) {
    const ServiceRules* rules = RulesOf(ip);
    return rules != nullptr && rules->Uses(ip);
  });
}

Task<> ServiceProxy::AwaitDrained(std::vector<std::string> pod_ips, SteadyTime deadline) {
  std::vector<IpAddress> ips;
  for (const std::string& text : pod_ips) {
    if (std::optional<IpAddress> ip = IpAddress::Parse(text)) ips.push_back(*ip);
  }
  while (!Drained(ips)) {
    // A notification that others took may have been the last for a while: look again anyhow.
    SteadyTime next_look = std::min(deadline, env_.Steady() + kDrainLook);
    Wake wake = co_await applied_notifier_.Wait(env_, cancel_.token(), next_look);
    if (wake == Wake::kCanceled || env_.Steady() >= deadline) co_return;
  }
}

}  // namespace gantry::net
