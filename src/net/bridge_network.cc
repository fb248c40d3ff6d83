#include "net/bridge_network.h"

#include <fcntl.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>

#include "base/env/blocking.h"
#include "base/log.h"
#include "net/netlink/conntrack.h"
#include "net/netlink/route.h"
#include "net/sysctl.h"

namespace gantry::net {
namespace {

constexpr char kPodInterface[] = "eth0";
constexpr uint32_t kDefaultMtu = 1500;

std::string CidrPath(const std::string& data_dir) { return data_dir + "/net/pod-cidr"; }

// The MTU of the interface with the default route.
uint32_t UplinkMtu(RouteSocket& route) {
  Result<int> uplink = route.LinkTowards(IpAddress::V4(0x01010101));
  Result<std::vector<Link>> links = route.Links();
  if (!uplink.ok() || !links.ok()) return kDefaultMtu;
  for (const Link& link : *links) {
    if (link.index == *uplink && link.mtu >= 576) return link.mtu;
  }
  return kDefaultMtu;
}

}  // namespace

BridgeNetwork::BridgeNetwork(Env& env, BridgeOptions options)
    : env_(env),
      options_(std::move(options)),
      names_(InstanceNames::ForDataDir(options_.data_dir)),
      rules_(names_, options_.cluster_cidrs),
      not_ready_("the pod network has not started") {}

BridgeNetwork::~BridgeNetwork() = default;

Task<Status> BridgeNetwork::Start() {
  auto call = [this] { return StartNow(); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status BridgeNetwork::StartNow() {
  GANTRY_ASSIGN(AddressPool pool, AddressPool::Open(options_.data_dir + "/net/addresses"));
  GANTRY_TRY(SetNetSysctl("ipv4/ip_forward", "1"));
  // Pods on one bridge talk through the host; it must not tell them of a shorter way around its
  // rules.
  GANTRY_TRY(SetNetSysctl("ipv4/conf/all/send_redirects", "0"));
  std::vector<PodRecord> pods = pool.All();
  {
    absl::MutexLock lock(&mutex_);
    pool_.emplace(std::move(pool));
    not_ready_ = "the node has no pod CIDR yet";
  }
  std::ifstream remembered(CidrPath(options_.data_dir));
  std::string text;
  if (std::getline(remembered, text)) {
    Result<Cidr> cidr = Cidr::Parse(text);
    if (cidr.ok()) return SetPodCidrNow(*cidr);
  }
  return rules_.Replace(std::nullopt, pods);
}

Task<Status> BridgeNetwork::SetPodCidrs(std::vector<std::string> cidrs) {
  std::optional<Cidr> chosen;
  for (const std::string& text : cidrs) {
    GANTRY_CO_ASSIGN(Cidr cidr, Cidr::Parse(text));
    if (cidr.address.is_v4()) {
      chosen = cidr;
      break;
    }
  }
  if (!chosen)
    co_return Status(Code::kInvalid, "the node has no IPv4 pod CIDR; the bridge network needs one");
  Cidr network = *chosen;
  auto call = [this, network] { return SetPodCidrNow(network); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status BridgeNetwork::SetPodCidrNow(const Cidr& cidr) {
  absl::MutexLock lock(&mutex_);
  if (!pool_) return Unavailable(not_ready_);
  if (pool_->network() == cidr && not_ready_.empty()) return Status::Ok();
  Status status = EnsureBridge(cidr);
  if (status.ok()) status = rules_.Replace(cidr, pool_->All());
  if (!status.ok()) {
    not_ready_ = status.message();
    return status;
  }
  pool_->SetNetwork(cidr);
  std::ofstream(CidrPath(options_.data_dir)) << cidr.ToString() << "\n";
  not_ready_.clear();
  return Status::Ok();
}

Status BridgeNetwork::EnsureBridge(const Cidr& cidr) {
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  mtu_ = options_.mtu != 0 ? options_.mtu : UplinkMtu(route);
  Result<Link> bridge = route.FindLink(names_.bridge);
  if (bridge.code() == Code::kNotFound) {
    GANTRY_TRY(route.CreateBridge(names_.bridge, names_.bridge_mac, mtu_));
    bridge = route.FindLink(names_.bridge);
  }
  GANTRY_TRY(bridge);
  bridge_ = bridge->index;
  if (!bridge->up) GANTRY_TRY(route.SetUp(bridge_));
  const std::string conf = "ipv4/conf/" + names_.bridge + "/";
  GANTRY_TRY(SetNetSysctl(conf + "send_redirects", "0"));
  // Lets 127.0.0.1:port reach pods; the guard chain keeps others from using it.
  GANTRY_TRY(SetNetSysctl(conf + "route_localnet", "1"));
  const IpAddress gateway = cidr.At(1);
  GANTRY_TRY(route.EnsureAddress(bridge_, gateway, cidr.prefix));
  for (const IpAddress& ip : options_.node_addresses)
    GANTRY_TRY(route.EnsureAddress(bridge_, ip, 32));
  for (const Cidr& services : options_.service_cidrs) {
    if (services.address.is_v4())
      GANTRY_TRY(route.EnsureRoute(bridge_, services, std::nullopt, gateway));
  }
  return Status::Ok();
}

Task<Result<std::vector<std::string>>> BridgeNetwork::Attach(PodAttachment pod) {
  auto call = [this, pod = std::move(pod)] { return AttachNow(pod); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Result<std::vector<std::string>> BridgeNetwork::AttachNow(const PodAttachment& pod) {
  PodRecord record;
  bool known = false;
  std::optional<Cidr> network;
  {
    absl::MutexLock lock(&mutex_);
    if (!not_ready_.empty()) return Unavailable(not_ready_);
    known = pool_->Find(pod.uid) != nullptr;
    GANTRY_ASSIGN(record, pool_->Acquire(pod));
    network = pool_->network();
  }
  Status status = AttachInterface(pod, record.ip, network->At(1));
  if (status.ok()) status = rules_.Add(record);
  if (!status.ok()) {
    Status context =
        status.WithContext("attach pod " + pod.ns + "/" + pod.name + " to the network");
    if (!known) {
      Status undone = DetachNow(pod.uid);
      if (!undone.ok())
        log::Warning("net", "cannot undo a failed attach", {{"error", undone.message()}});
    }
    return context;
  }
  return std::vector<std::string>{record.ip.ToString()};
}

Status BridgeNetwork::AttachInterface(const PodAttachment& pod, const IpAddress& ip,
                                      const IpAddress& gateway) {
  int bridge;
  uint32_t mtu;
  {
    absl::MutexLock lock(&mutex_);
    bridge = bridge_;
    mtu = mtu_;
  }
  UniqueFd netns(open(pod.netns_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return FromErrno(errno, "open network namespace " + pod.netns_path);
  GANTRY_ASSIGN(RouteSocket host, RouteSocket::Open());
  GANTRY_ASSIGN(RouteSocket inside, RouteSocket::OpenIn(pod.netns_path));
  const std::string veth = names_.VethOf(ip);
  Result<Link> eth = inside.FindLink(kPodInterface);
  if (eth.code() == Code::kNotFound) {
    Status created =
        host.CreateVeth(veth, bridge, netns.get(), kPodInterface, MacOf(ip), mtu, /*hairpin=*/true);
    if (created.code() == Code::kAlreadyExists) {
      // Its other end is in a namespace that the pod no longer has.
      GANTRY_TRY(host.DeleteLink(veth));
      created = host.CreateVeth(veth, bridge, netns.get(), kPodInterface, MacOf(ip), mtu,
                                /*hairpin=*/true);
    }
    GANTRY_TRY(created);
    eth = inside.FindLink(kPodInterface);
  }
  GANTRY_TRY(eth);
  GANTRY_ASSIGN(Link loopback, inside.FindLink("lo"));
  if (!loopback.up) GANTRY_TRY(inside.SetUp(loopback.index));
  if (!eth->up) GANTRY_TRY(inside.SetUp(eth->index));
  GANTRY_TRY(inside.EnsureAddress(eth->index, ip, 32));
  Cidr to_gateway;
  to_gateway.address = gateway;
  to_gateway.prefix = 32;
  GANTRY_TRY(inside.EnsureRoute(eth->index, to_gateway));
  Cidr everywhere;
  everywhere.address = IpAddress::V4(0);
  GANTRY_TRY(inside.EnsureRoute(eth->index, everywhere, gateway));
  // Saves the pod's first packet a question.
  return inside.EnsureNeighbour(eth->index, gateway, names_.bridge_mac);
}

Task<Status> BridgeNetwork::Detach(std::string uid) {
  auto call = [this, uid = std::move(uid)] { return DetachNow(uid); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status BridgeNetwork::DetachNow(const std::string& uid) {
  PodRecord record;
  {
    absl::MutexLock lock(&mutex_);
    if (!pool_) return Unavailable(not_ready_);
    const PodRecord* found = pool_->Find(uid);
    if (found == nullptr) return Status::Ok();
    record = *found;
  }
  GANTRY_TRY(rules_.Remove(record));
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  GANTRY_TRY(route.DeleteLink(names_.VethOf(record.ip)));
  bool udp = std::any_of(record.host_ports.begin(), record.host_ports.end(),
                         [](const HostPort& port) { return port.protocol == "UDP"; });
  if (udp) {
    Result<int> forgotten = DeleteFlows(
        IPPROTO_UDP, [&](const ConntrackFlow& flow) { return flow.replier == record.ip; });
    if (!forgotten.ok())
      log::Warning("net", "cannot forget UDP flows", {{"error", forgotten.status().message()}});
  }
  absl::MutexLock lock(&mutex_);
  return pool_->Release(uid);
}

Task<Status> BridgeNetwork::ReleaseAllBut(std::vector<std::string> live_uids) {
  auto call = [this, live_uids = std::move(live_uids)] { return ReleaseAllButNow(live_uids); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status BridgeNetwork::ReleaseAllButNow(const std::vector<std::string>& live_uids) {
  const std::set<std::string> live(live_uids.begin(), live_uids.end());
  std::vector<PodRecord> records;
  {
    absl::MutexLock lock(&mutex_);
    if (!pool_) return Unavailable(not_ready_);
    records = pool_->All();
  }
  std::set<std::string> wanted;
  for (const PodRecord& record : records) {
    if (live.contains(record.uid)) {
      wanted.insert(names_.VethOf(record.ip));
    } else {
      GANTRY_TRY(DetachNow(record.uid));
    }
  }
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  GANTRY_ASSIGN(std::vector<Link> links, route.Links());
  for (const Link& link : links) {
    if (link.name.starts_with(names_.veth_prefix) && !wanted.contains(link.name)) {
      GANTRY_TRY(route.DeleteLink(link.name));
    }
  }
  return Status::Ok();
}

std::vector<PodRecord> BridgeNetwork::Attached() const {
  absl::MutexLock lock(&mutex_);
  return pool_ ? pool_->All() : std::vector<PodRecord>();
}

std::string BridgeNetwork::NamespaceOf(const IpAddress& ip) const {
  absl::MutexLock lock(&mutex_);
  const PodRecord* pod = pool_ ? pool_->FindByIp(ip) : nullptr;
  return pod == nullptr ? std::string() : pod->ns;
}

std::string BridgeNetwork::NotReadyReason() const {
  absl::MutexLock lock(&mutex_);
  return not_ready_;
}

}  // namespace gantry::net
