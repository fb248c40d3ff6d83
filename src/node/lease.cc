#include "node/lease.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "api/duration.h"
#include "base/log.h"
#include "client/typed.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using api::coordination::v1::Lease;

constexpr char kNamespace[] = "kube-node-lease";
constexpr int kTries = 3;

// After a renewal that failed, at first; doubling.
constexpr Duration kRetry = std::chrono::milliseconds(200);

}  // namespace

// "TIME DURATION", as counts.
std::optional<Renewal> RenewalFile::Read() {
  Result<std::string> text = ReadFile(file_);
  if (!text.ok()) return std::nullopt;
  std::istringstream in(*text);
  SteadyTime::rep time = 0;
  Duration::rep duration = 0;
  if (!(in >> time >> duration)) return std::nullopt;
  return Renewal{SteadyTime(SteadyTime::duration(time)), Duration(duration)};
}

void RenewalFile::Write(const Renewal& renewal) {
  (void)WriteFile(file_,
                  std::to_string(renewal.asked.time_since_epoch().count()) + " " +
                      std::to_string(renewal.duration.count()),
                  0600);
}

NodeLease::NodeLease(Env& env, client::Client& client, std::string node_name, LeaseTimes times,
                     std::unique_ptr<RenewalRecord> record)
    : env_(env),
      client_(client),
      node_name_(std::move(node_name)),
      record_(std::move(record)),
      times_(times) {
  const std::optional<Renewal> kept = record_->Read();
  // A later time is that of another boot.
  if (!kept || kept->asked > env.Steady() || kept->duration <= Duration::zero()) return;
  renewed_ = kept->asked;
  granted_.duration = kept->duration;
}

void NodeLease::SetTimes(LeaseTimes times) {
  if (times == times_) return;
  times_ = times;
  times_changed_.Notify();
}

Task<> NodeLease::Keep(std::function<std::string()> node_uid, CancelToken cancel) {
  Duration retry = kRetry;
  bool renewed = true;
  while (!cancel.cancelled()) {
    const Duration pause = renewed ? times_.renew : std::min(retry, times_.renew);
    co_await times_changed_.Wait(env_, cancel, env_.Steady() + pause);
    if (cancel.cancelled()) break;
    std::string uid = node_uid();
    Status status = co_await Renew(std::move(uid));
    retry = renewed ? kRetry : retry * 2;
    renewed = status.ok();
    if (!renewed) log::Warning("node", "lease was not renewed", {{"error", status.ToString()}});
  }
}

Task<Status> NodeLease::Renew(std::string node_uid) {
  Status done;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const SteadyTime asked = env_.Steady();
    const LeaseTimes times = times_;
    const bool there = static_cast<bool>(lease_);
    Lease lease;
    if (there) lease = *lease_;
    lease.mutable_metadata()->set_name(node_name_);
    lease.mutable_metadata()->set_namespace_(kNamespace);
    lease.mutable_spec()->set_holder_identity(node_name_);
    lease.mutable_spec()->set_lease_duration_seconds(static_cast<int32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(times.duration).count()));
    api::SetTime(env_.Now(), lease.mutable_spec()->mutable_renew_time());
    // Of the node as it is now: it may have been deleted and made anew.
    auto* owners = lease.mutable_metadata()->mutable_owner_references();
    owners->Clear();
    auto* owner = owners->Add();
    owner->set_api_version("v1");
    owner->set_kind("Node");
    owner->set_name(node_name_);
    owner->set_uid(node_uid);
    Task<Result<api::Ref<Lease>>> write = there ? client::Update<Lease>(client_, std::move(lease))
                                                : client::Create<Lease>(client_, std::move(lease));
    Result<api::Ref<Lease>> written = co_await std::move(write);
    done = written.status();
    if (written.ok()) {
      lease_ = *written;
      renewed_ = asked;
      granted_ = times;
      record_->Write(Renewal{asked, times.duration});
      if (on_granted_) on_granted_();
      co_return done;
    }
    if (done.code() == Code::kNotFound) {
      lease_ = {};
      continue;
    }
    if (done.code() != Code::kConflict && done.code() != Code::kAlreadyExists) break;
    std::string ns = kNamespace, name = node_name_;
    Result<api::Ref<Lease>> newest =
        co_await client::Get<Lease>(client_, std::move(ns), std::move(name));
    lease_ = newest.ok() ? *newest : api::Ref<Lease>();
  }
  co_return done;
}

}  // namespace gantry::node
