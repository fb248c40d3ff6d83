#include "net/node_network.h"

#include "api/core/v1/node.pb.h"
#include "base/log.h"

namespace gantry::net {
namespace {

namespace core = api::core::v1;

constexpr Duration kRetryInterval = std::chrono::seconds(1);

Result<std::vector<Cidr>> ParseAll(const std::vector<std::string>& texts) {
  std::vector<Cidr> cidrs;
  for (const std::string& text : texts) {
    GANTRY_ASSIGN(Cidr cidr, Cidr::Parse(text));
    if (cidr.address.is_v4()) cidrs.push_back(cidr);
  }
  return cidrs;
}

}  // namespace

Result<std::unique_ptr<NodeNetwork>> NodeNetwork::Make(Env& env, client::InformerSet& informers,
                                                       const NodeNetworkOptions& options) {
  BridgeOptions bridge;
  bridge.data_dir = options.data_dir;
  GANTRY_ASSIGN(bridge.cluster_cidrs, ParseAll(options.cluster_cidrs));
  GANTRY_ASSIGN(bridge.service_cidrs, ParseAll(options.service_cidrs));
  bridge.mtu = options.mtu;
  DnsOptions dns;
  dns.domain = options.cluster_domain;
  dns.resolv_conf = options.resolv_conf;
  if (!options.cluster_dns.empty()) {
    std::optional<IpAddress> ip = IpAddress::Parse(options.cluster_dns);
    if (!ip || !ip->is_v4()) {
      return Status(Code::kInvalid,
                    "cluster DNS address \"" + options.cluster_dns + "\" is not an IPv4 address");
    }
    dns.addresses.push_back(*ip);
  }
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
  return std::unique_ptr<NodeNetwork>(new NodeNetwork(
      env, informers, std::move(bridge), std::move(proxy), std::move(policies), std::move(dns)));
}

NodeNetwork::NodeNetwork(Env& env, client::InformerSet& informers, BridgeOptions bridge,
                         ServiceProxyOptions proxy, PolicyOptions policies, DnsOptions dns)
    : env_(env) {
  client::ListOptions this_node;
  this_node.field_selector = "metadata.name=" + proxy.node_name;
  informers.For(api::KindOf<core::Node>(), this_node)
      .AddHandler([this](const api::ObjectPtr&, const api::ObjectPtr& after) {
        if (!after) return;
        const core::NodeSpec& spec = after->As<core::Node>().spec();
        std::vector<std::string> cidrs(spec.pod_cidrs().begin(), spec.pod_cidrs().end());
        if (cidrs.empty() && !spec.pod_cidr().empty()) cidrs.push_back(spec.pod_cidr());
        {
          absl::MutexLock lock(&mutex_);
          if (cidrs.empty() || cidrs == pod_cidrs_) return;
          pod_cidrs_ = std::move(cidrs);
        }
        cidrs_changed_.Notify();
      });
  bridge_ = std::make_unique<BridgeNetwork>(env, std::move(bridge));
  proxy_ = std::make_unique<ServiceProxy>(env, informers, std::move(proxy));
  policies_ = std::make_unique<PolicyEnforcer>(env, informers, std::move(policies));
  policed_ = std::make_unique<PolicedNetwork>(*bridge_, *policies_);
  if (dns.addresses.empty()) return;
  dns.namespace_of = [this](const IpAddress& ip) { return bridge_->NamespaceOf(ip); };
  dns_ = std::make_unique<DnsServer>(env, informers, std::move(dns));
}

NodeNetwork::~NodeNetwork() = default;

Task<Status> NodeNetwork::Start() {
  GANTRY_CO_TRY(co_await bridge_->Start());
  proxy_->Start();
  policies_->Start(bridge_->Attached());
  if (dns_) GANTRY_CO_TRY(co_await dns_->Start());
  Spawn(env_.MakeStrand(), gate_, "pod CIDR of the node", FollowNode());
  co_return Status::Ok();
}

Task<> NodeNetwork::Stop() {
  cancel_.Cancel();
  co_await gate_.Close(env_);
  if (dns_) co_await dns_->Stop();
  co_await policies_->Stop();
  co_await proxy_->Stop();
}

Task<> NodeNetwork::FollowNode() {
  CancelToken cancel = cancel_.token();
  while (!cancel.cancelled()) {
    std::vector<std::string> cidrs;
    {
      absl::MutexLock lock(&mutex_);
      cidrs = pod_cidrs_;
    }
    std::optional<SteadyTime> again;
    if (!cidrs.empty()) {
      Status status = co_await bridge_->SetPodCidrs(std::move(cidrs));
      if (!status.ok()) {
        log::Error("net", "cannot set up the pod network", {{"error", status.message()}});
        again = env_.Steady() + kRetryInterval;
      }
    }
    if (co_await cidrs_changed_.Wait(env_, cancel, again) == Wake::kCanceled) co_return;
  }
}

}  // namespace gantry::net
