#include "store/etcd/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "store/etcd/layout.h"

namespace gantry::store::etcd {
namespace {

constexpr Duration kRetry = std::chrono::milliseconds(200);
// One step of the session; what fails is tried again, after what has become more urgent.
constexpr Duration kTryFor = std::chrono::seconds(3);

std::string NewFenceKey(Env& env) {
  std::array<uint8_t, 16> bytes{};
  env.RandomBytes(bytes);
  constexpr char kHex[] = "0123456789abcdef";
  std::string key(kFencePrefix);
  for (uint8_t byte : bytes) {
    key += kHex[byte >> 4];
    key += kHex[byte & 15];
  }
  return key;
}

}  // namespace

Session::Session(Env& env, Client& client, Duration ttl)
    : env_(env),
      client_(client),
      ttl_(ttl),
      fence_key_(NewFenceKey(env)),
      last_answer_(env.Steady()) {}

Task<> Session::Run(CancelToken cancel) {
  SteadyTime next_sign = env_.Steady();
  while (!cancel.cancelled()) {
    bool fence = false, announce = false;
    {
      absl::MutexLock lock(&mutex_);
      fence = fence_wanted_;
      announce = announcing_;
    }
    Status status;
    const SteadyTime began = env_.Steady();
    if (lease_ == 0) {
      status = co_await Establish();
      if (status.ok()) next_sign = began + ttl_ / 3;
    } else if (fence) {
      status = co_await MoveFence();
    } else if (announce) {
      status = co_await PutAnnounced();
    } else if (env_.Steady() >= next_sign) {
      status = co_await KeepAlive();
      next_sign = began + ttl_ / 3;
    } else {
      co_await work_.Wait(env_, cancel, next_sign);
      continue;
    }
    Note(status);
    if (!status.ok()) co_await SleepFor(env_, kRetry, cancel);
  }
}

Task<> Session::End() {
  if (lease_ == 0) co_return;
  LeaseRevokeRequest request;
  request.set_id(std::exchange(lease_, 0));
  (void)co_await client_.Revoke(std::move(request));
}

Task<Status> Session::Establish() {
  LeaseGrantRequest request;
  request.set_ttl(std::chrono::duration_cast<std::chrono::seconds>(ttl_).count());
  GANTRY_CO_ASSIGN(LeaseGrantResponse granted, co_await client_.Grant(std::move(request)));
  lease_ = granted.id();
  {
    absl::MutexLock lock(&mutex_);
    fence_wanted_ = true;
    announcing_ = !announced_.empty();
  }
  co_return Status::Ok();
}

Task<Status> Session::MoveFence() {
  PutRequest request;
  request.set_key(fence_key_);
  request.set_lease(lease_);
  Result<PutResponse> put = co_await client_.Put(std::move(request), kTryFor);
  if (put.code() == Code::kNotFound) lease_ = 0;  // it ended; another one is made
  if (!put.ok()) co_return put.status();
  SetFence(put->header().revision());
  co_return Status::Ok();
}

void Session::SetFence(int64_t revision) {
  std::vector<std::shared_ptr<Notifier>> waiting;
  {
    absl::MutexLock lock(&mutex_);
    fence_ = revision;
    fence_wanted_ = false;
    waiting.swap(waiting_);
  }
  for (const auto& waiter : waiting)
    waiter->Notify();
}

Task<Status> Session::PutAnnounced() {
  std::map<std::string, Bytes> announced;
  {
    absl::MutexLock lock(&mutex_);
    announced = announced_;
    announcing_ = false;
  }
  for (const auto& [key, value] : announced) {
    PutRequest request;
    request.set_key(key);
    request.set_value(*value);
    request.set_lease(lease_);
    Result<PutResponse> put = co_await client_.Put(std::move(request), kTryFor);
    if (put.code() == Code::kNotFound) lease_ = 0;
    if (put.ok()) continue;
    absl::MutexLock lock(&mutex_);
    announcing_ = true;
    co_return put.status();
  }
  co_return Status::Ok();
}

Task<Status> Session::KeepAlive() {
  LeaseKeepAliveRequest request;
  request.set_id(lease_);
  GANTRY_CO_ASSIGN(LeaseKeepAliveResponse kept,
                   co_await client_.KeepAlive(std::move(request), kTryFor));
  if (kept.ttl() <= 0) lease_ = 0;
  co_return Status::Ok();
}

void Session::Note(const Status& status) {
  bool changed = false;
  {
    absl::MutexLock lock(&mutex_);
    changed = last_error_.ok() != status.ok();
    last_error_ = status;
    if (status.ok()) last_answer_ = env_.Steady();
  }
  if (!changed) return;
  if (status.ok()) {
    log::Info("store", "etcd answers", {{"endpoint", client_.channel().current()}});
  } else {
    log::Warning("store", "etcd does not answer",
                 {{"endpoints", client_.channel().names()}, {"error", status.message()}});
  }
}

int64_t Session::fence() const {
  absl::MutexLock lock(&mutex_);
  return fence_wanted_ ? 0 : fence_;
}

Task<Result<int64_t>> Session::Renew(int64_t old) {
  const SteadyTime end = env_.Steady() + kPatience;
  while (true) {
    std::shared_ptr<Notifier> waiter;
    {
      absl::MutexLock lock(&mutex_);
      if (!fence_wanted_ && fence_ != old && fence_ != 0) co_return fence_;
      fence_wanted_ = true;
      waiter = waiting_.emplace_back(std::make_shared<Notifier>());
    }
    work_.Notify();
    if (co_await waiter->Wait(env_, {}, end) != Wake::kTimeout) continue;
    absl::MutexLock lock(&mutex_);
    std::erase(waiting_, waiter);
    co_return last_error_.ok() ? TimedOut() : last_error_;
  }
}

void Session::Announce(std::string key, Bytes value) {
  {
    absl::MutexLock lock(&mutex_);
    announced_[std::move(key)] = std::move(value);
    announcing_ = true;
  }
  work_.Notify();
}

SteadyTime Session::last_answer() const {
  absl::MutexLock lock(&mutex_);
  return last_answer_;
}

Status Session::last_error() const {
  absl::MutexLock lock(&mutex_);
  return last_error_;
}

}  // namespace gantry::store::etcd
