#include "net/policy/policy_enforcer.h"

#include <algorithm>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/networking/v1/network_policy.pb.h"
#include "api/pods.h"
#include "base/env/blocking.h"
#include "base/log.h"

namespace gantry::net {
namespace {

namespace core = api::core::v1;
namespace networking = api::networking::v1;

constexpr Duration kRetryInterval = std::chrono::seconds(1);
constexpr char kDnsUid[] = "cluster DNS";

PolicyPod DnsPod(const std::vector<IpAddress>& addresses) {
  core::Pod pod;
  pod.mutable_metadata()->set_namespace_("kube-system");
  pod.mutable_metadata()->set_name("coredns");
  (*pod.mutable_metadata()->mutable_labels())["k8s-app"] = "kube-dns";
  auto* container = pod.mutable_spec()->add_containers();
  for (const auto& [name, protocol] : {std::pair("dns", "UDP"), std::pair("dns-tcp", "TCP")}) {
    auto* port = container->add_ports();
    port->set_name(name);
    port->set_protocol(protocol);
    port->set_container_port(53);
  }
  PolicyPod made;
  made.object = api::Ref<core::Pod>::Of(std::move(pod));
  made.addresses = addresses;
  return made;
}

std::vector<IpAddress> StatusAddresses(const core::Pod& pod) {
  std::vector<IpAddress> addresses;
  if (pod.spec().host_network() || api::IsTerminal(pod)) return addresses;
  auto add = [&](const std::string& text) {
    std::optional<IpAddress> ip = IpAddress::Parse(text);
    if (ip && std::find(addresses.begin(), addresses.end(), *ip) == addresses.end())
      addresses.push_back(*ip);
  };
  add(pod.status().pod_ip());
  for (const auto& ip : pod.status().pod_ips())
    add(ip.ip());
  return addresses;
}

// Admit may already have put what the view shows, of which the handlers have yet to hear.
void PutNewer(const api::ObjectPtr& object, std::map<std::string, api::ObjectPtr>* pods) {
  api::ObjectPtr& slot = (*pods)[object->uid()];
  if (!slot || slot->revision() < object->revision()) slot = object;
}

PolicyKey KeyOf(const api::Object& object) { return {object.ns(), object.name()}; }

}  // namespace

// One who waits for the state to change.
struct PolicyEnforcer::Waiter {
  explicit Waiter(PolicyEnforcer& o) : owner(o) {
    absl::MutexLock lock(&owner.mutex_);
    owner.waiters_.insert(this);
  }
  ~Waiter() {
    absl::MutexLock lock(&owner.mutex_);
    owner.waiters_.erase(this);
  }
  PolicyEnforcer& owner;
  Notifier notifier;
};

PolicyEnforcer::PolicyEnforcer(Env& env, client::InformerSet& informers, PolicyOptions options)
    : env_(env),
      informers_(informers),
      options_(std::move(options)),
      policies_(informers.For<networking::NetworkPolicy>()),
      rules_(InstanceNames::ForDataDir(options_.data_dir)) {
  if (!options_.dns_addresses.empty()) index_.SetPod(kDnsUid, DnsPod(options_.dns_addresses));
  policies_.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    {
      absl::MutexLock lock(&mutex_);
      pending_.policies[KeyOf(after ? *after : *before)] = after;
      policy_count_ += static_cast<size_t>(after != nullptr);
      policy_count_ -= static_cast<size_t>(before != nullptr);
    }
    wake_.Notify();
  });
  policies_.AddProgressHandler([this](int64_t) { WakeWaiters(); });
}

PolicyEnforcer::~PolicyEnforcer() = default;

void PolicyEnforcer::Start(const std::vector<PodRecord>& pods) {
  {
    absl::MutexLock lock(&mutex_);
    for (const PodRecord& pod : pods) {
      attachments_[pod.uid].addresses = pod.ips;
      pending_.touched_pods.insert(pod.uid);
    }
  }
  Spawn(env_.MakeStrand(), gate_, "network policies", Run());
}

Task<> PolicyEnforcer::Stop() {
  cancel_.Cancel();
  co_await gate_.Close(env_);
}

void PolicyEnforcer::WakeWaiters() {
  absl::MutexLock lock(&mutex_);
  for (Waiter* waiter : waiters_)
    waiter->notifier.Notify();
}

template <class Done>
Task<Status> PolicyEnforcer::WaitUntil(Done done, CancelToken cancel) {
  Waiter waiter(*this);
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (done()) co_return Status::Ok();
    }
    if (co_await waiter.notifier.Wait(env_, cancel) == Wake::kCanceled)
      co_return Canceled("network policies are not in the kernel yet");
  }
}

void PolicyEnforcer::NotePod(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  // Most changes of a pod's status say nothing new.
  if (before && after && before->uid() == after->uid()) {
    const auto& was = before->As<core::Pod>();
    const auto& is = after->As<core::Pod>();
    auto labels = [](const core::Pod& pod) -> const auto& { return pod.metadata().labels(); };
    const bool same_labels =
        labels(was).size() == labels(is).size() &&
        std::all_of(labels(was).begin(), labels(was).end(), [&](const auto& label) {
          auto found = labels(is).find(label.first);
          return found != labels(is).end() && found->second == label.second;
        });
    if (same_labels && was.spec().node_name() == is.spec().node_name() &&
        StatusAddresses(was) == StatusAddresses(is)) {
      return;
    }
  }
  {
    absl::MutexLock lock(&mutex_);
    if (before && (!after || before->uid() != after->uid())) pending_.pods[before->uid()] = nullptr;
    if (after) PutNewer(after, &pending_.pods);
    for (Waiter* waiter : waiters_)
      waiter->notifier.Notify();
  }
  wake_.Notify();
}

Task<bool> PolicyEnforcer::FollowPods() {
  client::Informer& pods = informers_.For<core::Pod>();
  client::Informer& namespaces = informers_.For<core::Namespace>();
  CancelToken cancel = cancel_.token();
  for (client::Informer* informer : {&pods, &namespaces}) {
    Status status = co_await informer->WaitForSync(cancel);
    if (!status.ok()) co_return false;
  }
  pods.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    NotePod(before, after);
  });
  pods.AddProgressHandler([this](int64_t) { WakeWaiters(); });
  namespaces.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    {
      absl::MutexLock lock(&mutex_);
      pending_.namespaces[after ? after->name() : before->name()] = after;
    }
    wake_.Notify();
  });
  // The handlers hear of what is there already a moment later: too late for the first rules.
  std::vector<api::ObjectPtr> all_pods = pods.List(), all_namespaces = namespaces.List();
  absl::MutexLock lock(&mutex_);
  for (api::ObjectPtr& object : all_namespaces)
    pending_.namespaces.try_emplace(object->name(), std::move(object));
  for (api::ObjectPtr& object : all_pods)
    pending_.pods.try_emplace(object->uid(), std::move(object));
  pods_ = &pods;
  co_return true;
}

Task<> PolicyEnforcer::Run() {
  CancelToken cancel = cancel_.token();
  if (Status status = co_await policies_.WaitForSync(cancel); !status.ok()) co_return;
  {
    // As with the pods: the handlers may come later.
    std::vector<api::ObjectPtr> policies = policies_.List();
    absl::MutexLock lock(&mutex_);
    for (api::ObjectPtr& object : policies)
      pending_.policies.try_emplace(KeyOf(*object), std::move(object));
  }
  bool all = true, follows_pods = false;
  while (!cancel.cancelled()) {
    bool any_policy;
    {
      absl::MutexLock lock(&mutex_);
      any_policy = !pending_.policies.empty();
    }
    if (any_policy && !follows_pods) {
      if (!co_await FollowPods()) co_return;
      follows_pods = true;
    }
    Pending pending;
    uint64_t attempt = 0;
    {
      absl::MutexLock lock(&mutex_);
      if (all || !pending_.empty()) attempt = next_attempt_++;
      std::swap(pending, pending_);
    }
    if (attempt == 0) {
      if (co_await wake_.Wait(env_, cancel) == Wake::kCanceled) co_return;
      continue;
    }
    auto call = [this, all, &pending] { return Sync(std::move(pending), all); };
    Status status = co_await RunBlocking(env_, std::move(call));
    {
      absl::MutexLock lock(&mutex_);
      if (!status.ok() && problem_ != status.message())
        log::Error("net", "cannot program network policies", {{"error", status.message()}});
      problem_ = status.message();
      ended_attempt_ = attempt;
      if (status.ok()) good_attempt_ = attempt;
      synced_ |= status.ok();
    }
    WakeWaiters();
    all = !status.ok();
    if (!all) continue;
    if (co_await SleepFor(env_, kRetryInterval, cancel) == Wake::kCanceled) co_return;
  }
}

void PolicyEnforcer::UpdatePod(const std::string& uid,
                               const std::map<std::string, api::ObjectPtr>& changed) {
  const PolicyPod* known = index_.FindPod(uid);
  PolicyPod pod;
  if (known != nullptr) pod.object = known->object;
  bool in_api = known != nullptr && !lingering_.contains(uid);
  if (auto found = changed.find(uid); found != changed.end()) {
    in_api = found->second != nullptr;
    if (in_api && (!pod.object || pod.object.revision() < found->second->revision()))
      pod.object = api::Ref<core::Pod>(found->second);
  }
  bool attached = false, gone = false;
  {
    absl::MutexLock lock(&mutex_);
    auto found = attachments_.find(uid);
    if (found != attachments_.end()) {
      attached = true;
      gone = found->second.gone;
      pod.addresses = found->second.addresses;
      if (gone && !in_api) attachments_.erase(found);
    }
  }
  if (!in_api && (!attached || gone)) {
    lingering_.erase(uid);
    index_.RemovePod(uid);
    return;
  }
  if (!pod.object) return;  // attached, and not heard of yet
  if (in_api) {
    lingering_.erase(uid);
  } else {
    lingering_.insert(uid);
  }
  pod.here = attached || pod.object->spec().node_name() == options_.node_name;
  if (!attached) pod.addresses = StatusAddresses(*pod.object);
  index_.SetPod(uid, std::move(pod));
}

Status PolicyEnforcer::Sync(Pending pending, bool all) {
  for (const auto& [name, object] : pending.namespaces) {
    if (object) {
      index_.SetNamespace(name, object->As<core::Namespace>().metadata().labels());
    } else {
      index_.RemoveNamespace(name);
    }
  }
  for (const auto& [uid, object] : pending.pods)
    UpdatePod(uid, pending.pods);
  for (const std::string& uid : pending.touched_pods) {
    if (!pending.pods.contains(uid)) UpdatePod(uid, pending.pods);
  }
  for (const auto& [key, object] : pending.policies) {
    if (object) {
      index_.SetPolicy(Policy::From(object->As<networking::NetworkPolicy>()));
    } else {
      index_.RemovePolicy(key);
    }
  }
  const RulesetChange change = index_.TakeChange();
  if (!all) {
    Status status = rules_.Apply(index_.ruleset(), change);
    if (status.ok()) return status;
    log::Warning("net", "network policies are written anew", {{"error", status.message()}});
  }
  return rules_.Replace(index_.ruleset());
}

bool PolicyEnforcer::HasSeen(const GuardedPod& pod) const {
  if (pods_ == nullptr) return false;
  api::ObjectPtr object = pods_->Get(pod.ns, pod.name);
  return (object && object->uid() == pod.uid) ||
         (pod.revision > 0 && pods_->revision() >= pod.revision);
}

Task<Status> PolicyEnforcer::Admit(GuardedPod pod) {
  CancelToken cancel = cancel_.token();
  // What this node has heard of may be older than the pod.
  client::ListOptions of_namespace;
  of_namespace.ns = pod.ns;
  Result<client::List> list = co_await informers_.client().ListObjects(
      api::KindOf<networking::NetworkPolicy>(), std::move(of_namespace));
  GANTRY_CO_TRY(co_await policies_.WaitForSync(cancel));
  bool any = false;
  int64_t newest = 0;
  if (list.ok()) {
    for (const api::ObjectPtr& object : list->items)
      newest = std::max(newest, object->revision());
    any = !list->items.empty();
  }
  auto heard = [this, newest]() { return policies_.revision() >= newest; };
  GANTRY_CO_TRY(co_await WaitUntil(heard, cancel));
  {
    absl::MutexLock lock(&mutex_);
    any |= policy_count_ > 0;
    attachments_[pod.uid] = {pod.addresses, false};
    pending_.touched_pods.insert(pod.uid);
  }
  wake_.Notify();
  if (!any) co_return Status::Ok();
  auto seen = [this, &pod]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasSeen(pod); };
  GANTRY_CO_TRY(co_await WaitUntil(seen, cancel));
  uint64_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    // The view shows the pod; the handlers may not have been called yet.
    api::ObjectPtr object = pods_->Get(pod.ns, pod.name);
    if (!object || object->uid() != pod.uid)
      co_return Status(Code::kNotFound, "the pod has been deleted");
    PutNewer(object, &pending_.pods);
    attempt = next_attempt_;
  }
  wake_.Notify();
  auto ended = [this, attempt]()
                   ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_attempt_ >= attempt; };
  GANTRY_CO_TRY(co_await WaitUntil(ended, cancel));
  absl::MutexLock lock(&mutex_);
  if (good_attempt_ >= attempt) co_return Status::Ok();
  co_return Unavailable(problem_);
}

void PolicyEnforcer::ForgetNow(const std::string& uid) {
  if (pods_ == nullptr) {
    attachments_.erase(uid);
    return;
  }
  // Until the API server has the pod no more, its status tells of addresses that may be another's.
  auto found = attachments_.find(uid);
  if (found == attachments_.end()) return;
  found->second = {{}, true};
  pending_.touched_pods.insert(uid);
}

void PolicyEnforcer::Forget(const std::string& uid) {
  {
    absl::MutexLock lock(&mutex_);
    ForgetNow(uid);
  }
  wake_.Notify();
}

void PolicyEnforcer::ForgetAllBut(const std::vector<std::string>& live_uids) {
  const std::set<std::string> live(live_uids.begin(), live_uids.end());
  {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> dead;
    for (const auto& [uid, attachment] : attachments_) {
      if (!live.contains(uid)) dead.push_back(uid);
    }
    for (const std::string& uid : dead)
      ForgetNow(uid);
  }
  wake_.Notify();
}

Task<Status> PolicyEnforcer::WaitForSync(CancelToken cancel) {
  auto synced = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return synced_; };
  co_return co_await WaitUntil(synced, cancel);
}

std::string PolicyEnforcer::Problem() const {
  absl::MutexLock lock(&mutex_);
  return problem_;
}

}  // namespace gantry::net
