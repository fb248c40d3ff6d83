#include "net/node_network.h"

#include "api/core/v1/node.pb.h"
#include "base/env/blocking.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/names.h"
#include "net/netlink/link_monitor.h"
#include "net/service_device.h"

namespace gantry::net {
namespace {

namespace core = api::core::v1;

constexpr Duration kRetryInterval = std::chrono::seconds(1);

Result<std::vector<Cidr>> ParseAll(const std::vector<std::string>& texts) {
  std::vector<Cidr> cidrs;
  for (const std::string& text : texts) {
    GANTRY_ASSIGN(Cidr cidr, Cidr::Parse(text));
    cidrs.push_back(cidr);
  }
  return cidrs;
}

std::vector<IpAddress> Addresses(const std::vector<std::string>& texts) {
  std::vector<IpAddress> addresses;
  for (const std::string& text : texts) {
    if (std::optional<IpAddress> ip = IpAddress::Parse(text)) addresses.push_back(*ip);
  }
  return addresses;
}

Gauge& UnreachableNodes() {
  static Gauge& gauge = MetricRegistry::Default()
                            .Gauges("gantry_net_unreachable_networks",
                                    "Networks of other nodes' pods that this node has no way to.")
                            .With({});
  return gauge;
}

}  // namespace

Result<std::unique_ptr<NodeNetwork>> NodeNetwork::Make(Env& env, client::InformerSet& informers,
                                                       const NodeNetworkOptions& options) {
  BridgeOptions bridge;
  bridge.data_dir = options.data_dir;
  GANTRY_ASSIGN(bridge.cluster_cidrs, ParseAll(options.cluster_cidrs));
  GANTRY_ASSIGN(bridge.service_cidrs, ParseAll(options.service_cidrs));
  bridge.mtu = options.mtu;
  bridge.node_ip = UnderlayOf(Addresses(options.node_ips));
  if (!bridge.node_ip && options.overlay.mode == OverlayMode::kVxlan && !options.cni)
    return Status(Code::kInvalid, "the node has no address among the nodes; give it one");
  bridge.overhead = options.overlay.Overhead(bridge.node_ip);
  DnsOptions dns;
  dns.domain = options.cluster_domain;
  dns.resolv_conf = options.resolv_conf;
  Result<std::vector<IpAddress>> dns_addresses = ParseAddresses(options.cluster_dns);
  if (!dns_addresses.ok()) return dns_addresses.status().WithContext("cluster DNS");
  dns.addresses = std::move(dns_addresses).value();
  bridge.node_addresses = dns.addresses;
  ServiceProxyOptions proxy;
  proxy.data_dir = options.data_dir;
  proxy.node_name = options.node_name;
  proxy.cluster_cidrs = bridge.cluster_cidrs;
  proxy.service_cidrs = bridge.service_cidrs;
  proxy.dns_addresses = dns.addresses;
  PolicyOptions policies;
  policies.data_dir = options.data_dir;
  policies.node_name = options.node_name;
  policies.dns_addresses = dns.addresses;
  return std::unique_ptr<NodeNetwork>(new NodeNetwork(env, informers, options, std::move(bridge),
                                                      std::move(proxy), std::move(policies),
                                                      std::move(dns)));
}

NodeNetwork::NodeNetwork(Env& env, client::InformerSet& informers,
                         const NodeNetworkOptions& options, BridgeOptions bridge,
                         ServiceProxyOptions proxy, PolicyOptions policies, DnsOptions dns)
    : env_(env),
      node_name_(options.node_name),
      settings_(options.overlay),
      underlay_(bridge.node_ip),
      bridge_options_(std::move(bridge)) {
  MakePodNetwork(informers, options);
  proxy_ = std::make_unique<ServiceProxy>(env, informers, std::move(proxy));
  policies_ = std::make_unique<PolicyEnforcer>(env, informers, std::move(policies));
  PodNetwork* plain = bridge_.get();
  if (cni_) plain = cni_.get();
  policed_ = std::make_unique<PolicedNetwork>(*plain, *policies_);
  if (dns.addresses.empty()) return;
  dns.namespace_of = [this](const IpAddress& ip) { return NamespaceOf(ip); };
  dns_ = std::make_unique<DnsServer>(env, informers, std::move(dns));
}

void NodeNetwork::MakePodNetwork(client::InformerSet& informers,
                                 const NodeNetworkOptions& options) {
  if (options.cni) {
    CniOptions cni;
    cni.data_dir = options.data_dir;
    cni.config_dir = options.cni_config_dir;
    cni.plugin_dirs = options.cni_plugin_dirs;
    cni_ = std::make_unique<CniNetwork>(env_, std::move(cni));
    return;
  }
  client::ListOptions which;
  if (settings_.mode == OverlayMode::kNone) which.field_selector = "metadata.name=" + node_name_;
  informer_ = &informers.For(api::KindOf<core::Node>(), which);
  informer_->AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    NodeChanged(before, after);
  });
  Overlay::Options overlay;
  overlay.settings = settings_;
  overlay.names = InstanceNames::ForDataDir(options.data_dir);
  overlay.node_name = node_name_;
  overlay.underlay = underlay_;
  overlay.routes_file = Overlay::RoutesFile(options.data_dir);
  overlay_ = std::make_unique<Overlay>(std::move(overlay));
  bridge_ = std::make_unique<BridgeNetwork>(env_, bridge_options_);
}

NodeNetwork::~NodeNetwork() = default;

std::string NodeNetwork::NamespaceOf(const IpAddress& ip) const {
  return cni_ ? cni_->NamespaceOf(ip) : bridge_->NamespaceOf(ip);
}

Task<Status> NodeNetwork::Start() {
  GANTRY_CO_TRY(co_await StartPodNetwork());
  proxy_->Start();
  policies_->Start(cni_ ? cni_->Attached() : bridge_->Attached());
  if (dns_) GANTRY_CO_TRY(co_await dns_->Start());
  co_return Status::Ok();
}

Task<Status> NodeNetwork::StartPodNetwork() {
  if (cni_) {
    auto device = [this] {
      const BridgeOptions& options = bridge_options_;
      return EnsureServiceDevice(InstanceNames::ForDataDir(options.data_dir),
                                 options.node_addresses, options.service_cidrs, {underlay_});
    };
    GANTRY_CO_TRY(co_await RunBlocking(env_, std::move(device)));
    co_return co_await cni_->Start();
  }
  GANTRY_CO_TRY(co_await bridge_->Start());
  Spawn(env_.MakeStrand(), gate_, "nodes of the pod network", FollowNodes());
  Executor strand = env_.MakeStrand();
  Spawn(strand, gate_, "uplink of the pod network", FollowUplink(strand));
  co_return Status::Ok();
}

Task<> NodeNetwork::Stop() {
  cancel_.Cancel();
  co_await gate_.Close(env_);
  if (dns_) co_await dns_->Stop();
  co_await policies_->Stop();
  co_await proxy_->Stop();
}

Task<Status> NodeNetwork::SetPodCidrs(std::vector<std::string> cidrs) {
  if (cni_) {
    cni_->SetPodCidrs(std::move(cidrs));
    co_return Status::Ok();
  }
  co_return co_await bridge_->SetPodCidrs(std::move(cidrs));
}

// Heartbeats change nodes all the time; only what matters here wakes anyone.
void NodeNetwork::NodeChanged(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  absl::MutexLock lock(&mutex_);
  if (!after) {
    nodes_.erase(before->name());
  } else {
    OverlayNode node = OverlayNode::Of(after->As<core::Node>());
    OverlayNode& known = nodes_[node.name];
    if (known == node) return;
    known = std::move(node);
  }
  nodes_changed_.Notify();
}

Task<> NodeNetwork::FollowNodes() {
  CancelToken cancel = cancel_.token();
  // Nodes that have only not been heard of yet must not lose their routes.
  Status synced = co_await informer_->WaitForSync(cancel);
  if (!synced.ok()) co_return;
  std::string last_error;
  while (!cancel.cancelled()) {
    OverlayNodes nodes;
    {
      absl::MutexLock lock(&mutex_);
      nodes = nodes_;
    }
    Status status = co_await ApplyNodes(std::move(nodes));
    std::optional<SteadyTime> again;
    if (!status.ok()) again = env_.Steady() + kRetryInterval;
    if (!status.ok() && status.message() != last_error)
      log::Error("net", "cannot set up the pod network", {{"error", status.message()}});
    last_error = status.message();
    if (co_await nodes_changed_.Wait(env_, cancel, again) == Wake::kCanceled) co_return;
  }
}

Task<Status> NodeNetwork::ApplyNodes(OverlayNodes nodes) {
  auto self = nodes.find(node_name_);
  if (self == nodes.end() || self->second.pod_cidrs.empty()) co_return Status::Ok();
  const std::vector<Cidr> own = self->second.pod_cidrs;
  std::vector<std::string> texts;
  for (const Cidr& cidr : own)
    texts.push_back(cidr.ToString());
  GANTRY_CO_TRY(co_await bridge_->SetPodCidrs(std::move(texts)));
  auto plan =
      std::make_shared<const OverlayPlan>(PlanOverlay(settings_, node_name_, underlay_, nodes));
  Report(*plan);
  auto call = [this, plan, own, mtu = bridge_->mtu()] { return overlay_->Apply(*plan, own, mtu); };
  co_return co_await RunBlocking(env_, std::move(call));
}

// Says what is wrong between nodes, once, and what is right again.
void NodeNetwork::Report(const OverlayPlan& plan) {
  bridge_->SetObstacle(plan.conflict);
  UnreachableNodes().Set(static_cast<double>(plan.unreachable.size()));
  std::vector<std::string> problems = plan.unreachable;
  if (!plan.conflict.empty()) problems.push_back(plan.conflict);
  if (problems == reported_) return;
  for (const std::string& problem : problems)
    log::Warning("net", "pods cannot talk across nodes", {{"reason", problem}});
  if (problems.empty()) log::Info("net", "pods can talk across all nodes again");
  reported_ = std::move(problems);
}

Task<> NodeNetwork::FollowUplink(Executor strand) {
  CancelToken cancel = cancel_.token();
  auto listen = [](NodeNetwork* self, Executor on) -> Task<> {
    auto changed = [self](int link) {
      if (link == 0 || self->bridge_->uplink() == 0 || link == self->bridge_->uplink())
        self->uplink_changed_.Notify();
    };
    Status status = co_await FollowLinks(self->env_, on, std::move(changed), self->cancel_.token());
    if (!status.ok())
      log::Error("net", "the uplink is not followed", {{"error", status.message()}});
  };
  Spawn(strand, gate_, "changes of interfaces", listen(this, strand));
  while (co_await uplink_changed_.Wait(env_, cancel) != Wake::kCanceled) {
    const uint32_t before = bridge_->mtu();
    Status status = co_await bridge_->FollowUplink();
    if (!status.ok())
      log::Warning("net", "a pod's MTU does not follow the uplink", {{"error", status.message()}});
    if (bridge_->mtu() != before) nodes_changed_.Notify();
  }
}

}  // namespace gantry::net
