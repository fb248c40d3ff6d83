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
#include "net/uplink.h"

namespace gantry::net {
namespace {

constexpr char kPodInterface[] = "eth0";
// With less, the kernel has no IPv6 on an interface.
constexpr uint32_t kLeastMtuV6 = 1280;

std::string CidrPath(const std::string& data_dir) { return data_dir + "/net/pod-cidr"; }

// One set of rules for each family in `cidrs`; IPv4 where there are none.
std::vector<PodRules> RulesFor(const InstanceNames& names, const std::vector<Cidr>& cidrs) {
  std::vector<PodRules> rules;
  for (NftFamily family : {NftFamily::kIp, NftFamily::kIp6}) {
    const bool used = std::any_of(cidrs.begin(), cidrs.end(), [&](const Cidr& cidr) {
      return NftFamilyOf(cidr.address) == family;
    });
    if (used || (cidrs.empty() && family == NftFamily::kIp))
      rules.emplace_back(family, names, cidrs);
  }
  return rules;
}

bool HasV6(const std::vector<Cidr>& cidrs) {
  return std::any_of(cidrs.begin(), cidrs.end(),
                     [](const Cidr& cidr) { return cidr.address.is_v6(); });
}

// A machine that forwards no longer listens to routers, unless it is told to go on: it would lose
// its own way out.
Status ForwardV6(RouteSocket& route) {
  if (GetNetSysctl("ipv6/conf/all/forwarding").value_or("") == "1") return Status::Ok();
  GANTRY_ASSIGN(const std::vector<Link> links, route.Links());
  for (const Link& link : links) {
    const std::string setting = "ipv6/conf/" + link.name + "/accept_ra";
    if (GetNetSysctl(setting).value_or("") == "1") GANTRY_TRY(SetNetSysctl(setting, "2"));
  }
  return SetNetSysctl("ipv6/conf/all/forwarding", "1");
}

// What a pod's namespace needs for an interface whose addresses and routes are all given.
Status QuietV6(const std::string& interface) {
  const std::string conf = "ipv6/conf/" + interface + "/";
  for (const char* name : {"accept_dad", "accept_ra", "accept_redirects", "disable_ipv6"})
    GANTRY_TRY(SetNetSysctl(conf + name, "0"));
  return Status::Ok();
}

std::vector<std::string> Texts(const std::vector<IpAddress>& ips) {
  std::vector<std::string> texts;
  for (const IpAddress& ip : ips)
    texts.push_back(ip.ToString());
  return texts;
}

}  // namespace

BridgeNetwork::BridgeNetwork(Env& env, BridgeOptions options)
    : env_(env),
      options_(std::move(options)),
      names_(InstanceNames::ForDataDir(options_.data_dir)),
      rules_(RulesFor(names_, options_.cluster_cidrs)),
      not_ready_("the pod network has not started") {}

BridgeNetwork::~BridgeNetwork() = default;

Task<Status> BridgeNetwork::Start() {
  auto call = [this] { return StartNow(); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status BridgeNetwork::StartNow() {
  GANTRY_ASSIGN(AddressPool pool, AddressPool::Open(options_.data_dir + "/net/addresses"));
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  GANTRY_TRY(SetNetSysctl("ipv4/ip_forward", "1"));
  // Pods on one bridge talk through the host; it must not tell them of a shorter way around its
  // rules.
  GANTRY_TRY(SetNetSysctl("ipv4/conf/all/send_redirects", "0"));
  if (HasV6(options_.cluster_cidrs)) GANTRY_TRY(ForwardV6(route));
  std::vector<PodRecord> pods = pool.All();
  {
    absl::MutexLock lock(&mutex_);
    pool_.emplace(std::move(pool));
    not_ready_ = "the node has no pod CIDR yet";
    const Uplink uplink = FindUplink(route, options_.node_ip);
    uplink_ = uplink.link;
    mtu_ = options_.mtu != 0 ? options_.mtu : uplink.mtu - options_.overhead;
  }
  std::ifstream remembered(CidrPath(options_.data_dir));
  std::vector<Cidr> cidrs;
  for (std::string text; std::getline(remembered, text);) {
    Result<Cidr> cidr = Cidr::Parse(text);
    if (cidr.ok()) cidrs.push_back(*cidr);
  }
  if (!cidrs.empty()) return SetPodCidrsNow(cidrs);
  for (PodRules& rules : rules_)
    GANTRY_TRY(rules.Replace({}, pods));
  return Status::Ok();
}

Task<Status> BridgeNetwork::SetPodCidrs(std::vector<std::string> texts) {
  std::vector<Cidr> cidrs;
  for (const std::string& text : texts) {
    GANTRY_CO_ASSIGN(Cidr cidr, Cidr::Parse(text));
    const bool known = std::any_of(rules_.begin(), rules_.end(), [&](const PodRules& rules) {
      return rules.family() == NftFamilyOf(cidr.address);
    });
    if (!known) {
      co_return Status(Code::kInvalid, "the node's pod CIDR " + text +
                                           " is of another IP family than all of --cluster-cidr");
    }
    cidrs.push_back(cidr);
  }
  if (cidrs.empty()) co_return Status(Code::kInvalid, "the node has no pod CIDR");
  if (cidrs.size() > 2 || (cidrs.size() == 2 && cidrs[0].address.size == cidrs[1].address.size)) {
    co_return Status(Code::kInvalid,
                     "the node has two pod CIDRs of one IP family; it can have one of each");
  }
  auto call = [this, cidrs = std::move(cidrs)] { return SetPodCidrsNow(cidrs); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status BridgeNetwork::SetPodCidrsNow(const std::vector<Cidr>& cidrs) {
  absl::MutexLock lock(&mutex_);
  if (!pool_) return Unavailable(not_ready_);
  if (pool_->networks() == cidrs && not_ready_.empty()) return Status::Ok();
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  Status status = EnsureBridge(route, cidrs);
  for (PodRules& rules : rules_)
    if (status.ok()) status = rules.Replace(cidrs, pool_->All());
  if (!status.ok()) {
    not_ready_ = status.message();
    return status;
  }
  pool_->SetNetworks(cidrs);
  std::ofstream remembered(CidrPath(options_.data_dir));
  for (const Cidr& cidr : cidrs)
    remembered << cidr.ToString() << "\n";
  not_ready_.clear();
  return Status::Ok();
}

Status BridgeNetwork::EnsureBridge(RouteSocket& route, const std::vector<Cidr>& cidrs) {
  if (HasV6(cidrs) && mtu_ < kLeastMtuV6) {
    return Status(Code::kInvalid, "IPv6 needs an MTU of 1280, and pods would have " +
                                      std::to_string(mtu_) + " on this node");
  }
  Result<Link> bridge = route.FindLink(names_.bridge);
  if (bridge.code() == Code::kNotFound) {
    GANTRY_TRY(route.CreateBridge(names_.bridge, names_.bridge_mac, mtu_));
    bridge = route.FindLink(names_.bridge);
  }
  GANTRY_TRY(bridge);
  bridge_ = bridge->index;
  if (bridge->mtu != mtu_) {
    GANTRY_TRY(route.SetMtu(bridge_, mtu_));
    for (const PodRecord& pod : pool_->All()) {
      Status status = SetPodMtu(route, pod, mtu_);
      if (!status.ok()) log::Warning("net", "a pod keeps its MTU", {{"error", status.message()}});
    }
  }
  if (!bridge->up) GANTRY_TRY(route.SetUp(bridge_));
  for (const Cidr& cidr : cidrs)
    GANTRY_TRY(EnsureBridgeAddress(route, cidr));
  for (const IpAddress& ip : options_.node_addresses)
    GANTRY_TRY(route.EnsureAddress(bridge_, ip, HostCidr(ip).prefix));
  for (const Cidr& services : options_.service_cidrs) {
    for (const Cidr& cidr : cidrs) {
      if (cidr.address.size == services.address.size)
        GANTRY_TRY(route.EnsureRoute(Route(bridge_, services, std::nullopt, cidr.At(1))));
    }
  }
  return Status::Ok();
}

Status BridgeNetwork::EnsureBridgeAddress(RouteSocket& route, const Cidr& cidr) {
  if (cidr.address.is_v4()) {
    const std::string conf = "ipv4/conf/" + names_.bridge + "/";
    GANTRY_TRY(SetNetSysctl(conf + "send_redirects", "0"));
    // Lets 127.0.0.1:port reach pods; the guard chain keeps others from using it.
    GANTRY_TRY(SetNetSysctl(conf + "route_localnet", "1"));
  } else {
    GANTRY_TRY(QuietV6(names_.bridge));
  }
  return route.EnsureAddress(bridge_, cidr.At(1), cidr.prefix);
}

void BridgeNetwork::SetObstacle(std::string reason) {
  absl::MutexLock lock(&mutex_);
  obstacle_ = std::move(reason);
}

uint32_t BridgeNetwork::mtu() const {
  absl::MutexLock lock(&mutex_);
  return mtu_;
}

int BridgeNetwork::uplink() const {
  absl::MutexLock lock(&mutex_);
  return uplink_;
}

Task<Status> BridgeNetwork::FollowUplink() {
  auto call = [this] { return FollowUplinkNow(); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Status BridgeNetwork::FollowUplinkNow() {
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  const Uplink uplink = FindUplink(route, options_.node_ip);
  std::vector<PodRecord> pods;
  uint32_t mtu;
  int bridge;
  {
    absl::MutexLock lock(&mutex_);
    if (uplink.link != 0) uplink_ = uplink.link;
    if (options_.mtu != 0 || uplink.link == 0) return Status::Ok();
    mtu = uplink.mtu - options_.overhead;
    if (mtu == mtu_ || !pool_) return Status::Ok();
    mtu_ = mtu;
    bridge = bridge_;
    pods = pool_->All();
  }
  log::Info("net", "the pods' MTU follows the uplink", {{"mtu", mtu}});
  if (bridge == 0) return Status::Ok();
  GANTRY_TRY(route.SetMtu(bridge, mtu));
  Status first;
  for (const PodRecord& pod : pods) {
    Status status = SetPodMtu(route, pod, mtu);
    if (first.ok() && !status.ok()) first = status.WithContext("pod " + pod.ns + "/" + pod.name);
  }
  return first;
}

Status BridgeNetwork::SetPodMtu(RouteSocket& route, const PodRecord& pod, uint32_t mtu) {
  Result<Link> veth = route.FindLink(names_.VethOf(pod.ips.front()));
  if (veth.code() == Code::kNotFound) return Status::Ok();  // it is on its way in or out
  GANTRY_TRY(veth);
  GANTRY_TRY(route.SetMtu(veth->index, mtu));
  if (pod.netns_path.empty()) return Status::Ok();
  GANTRY_ASSIGN(RouteSocket inside, RouteSocket::OpenIn(pod.netns_path));
  GANTRY_ASSIGN(const Link eth, inside.FindLink(kPodInterface));
  return inside.SetMtu(eth.index, mtu);
}

Task<Result<std::vector<std::string>>> BridgeNetwork::Attach(PodAttachment pod) {
  auto call = [this, pod = std::move(pod)] { return AttachNow(pod); };
  co_return co_await RunBlocking(env_, std::move(call));
}

Result<std::vector<std::string>> BridgeNetwork::AttachNow(const PodAttachment& pod) {
  PodRecord record;
  bool known = false;
  {
    absl::MutexLock lock(&mutex_);
    if (!not_ready_.empty()) return Unavailable(not_ready_);
    if (!obstacle_.empty()) return Unavailable(obstacle_);
    known = pool_->Find(pod.uid) != nullptr;
    GANTRY_ASSIGN(record, pool_->Acquire(pod));
  }
  Status status = AttachInterface(record);
  for (PodRules& rules : rules_)
    if (status.ok()) status = rules.Add(record);
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
  return Texts(record.ips);
}

Status BridgeNetwork::AttachInterface(const PodRecord& pod) {
  int bridge;
  uint32_t mtu;
  std::vector<Cidr> networks;
  {
    absl::MutexLock lock(&mutex_);
    bridge = bridge_;
    mtu = mtu_;
    networks = pool_->networks();
  }
  UniqueFd netns(open(pod.netns_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return FromErrno(errno, "open network namespace " + pod.netns_path);
  GANTRY_ASSIGN(RouteSocket host, RouteSocket::Open());
  GANTRY_ASSIGN(RouteSocket inside, RouteSocket::OpenIn(pod.netns_path));
  const IpAddress& primary = pod.ips.front();
  const std::string veth = names_.VethOf(primary);
  Result<Link> eth = inside.FindLink(kPodInterface);
  if (eth.code() == Code::kNotFound) {
    Status created = host.CreateVeth(veth, bridge, netns.get(), kPodInterface, MacOf(primary), mtu);
    if (created.code() == Code::kAlreadyExists) {
      // Its other end is in a namespace that the pod no longer has.
      GANTRY_TRY(host.DeleteLink(veth));
      created = host.CreateVeth(veth, bridge, netns.get(), kPodInterface, MacOf(primary), mtu);
    }
    GANTRY_TRY(created);
    eth = inside.FindLink(kPodInterface);
  }
  GANTRY_TRY(eth);
  GANTRY_ASSIGN(Link loopback, inside.FindLink("lo"));
  if (!loopback.up) GANTRY_TRY(inside.SetUp(loopback.index));
  const bool v6 =
      std::any_of(pod.ips.begin(), pod.ips.end(), [](const IpAddress& ip) { return ip.is_v6(); });
  if (v6) {
    auto quiet = [] { return QuietV6(kPodInterface); };
    GANTRY_TRY(RunInNetns(pod.netns_path, quiet));
  }
  if (!eth->up) GANTRY_TRY(inside.SetUp(eth->index));
  for (const IpAddress& ip : pod.ips) {
    auto network = std::find_if(networks.begin(), networks.end(),
                                [&](const Cidr& cidr) { return cidr.address.size == ip.size; });
    if (network == networks.end()) continue;
    const IpAddress gateway = network->At(1);
    GANTRY_TRY(inside.EnsureAddress(eth->index, ip, HostCidr(ip).prefix));
    GANTRY_TRY(inside.EnsureRoute(Route(eth->index, HostCidr(gateway))));
    GANTRY_TRY(inside.EnsureRoute(Route(eth->index, Everywhere(gateway), gateway)));
    // Saves the pod's first packet a question.
    GANTRY_TRY(inside.EnsureNeighbour(eth->index, gateway, names_.bridge_mac));
  }
  return Status::Ok();
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
  for (PodRules& rules : rules_)
    GANTRY_TRY(rules.Remove(record));
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  GANTRY_TRY(route.DeleteLink(names_.VethOf(record.ips.front())));
  bool udp = std::any_of(record.host_ports.begin(), record.host_ports.end(),
                         [](const HostPort& port) { return port.protocol == "UDP"; });
  if (udp) {
    Result<int> forgotten = DeleteFlows(IPPROTO_UDP, [&](const ConntrackFlow& flow) {
      return std::find(record.ips.begin(), record.ips.end(), flow.replier) != record.ips.end();
    });
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
      wanted.insert(names_.VethOf(record.ips.front()));
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
  return not_ready_.empty() ? obstacle_ : not_ready_;
}

}  // namespace gantry::net
