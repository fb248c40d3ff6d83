#include "node/runtime/cgroup_warmer.h"

#include <algorithm>
#include <utility>

#include "base/env/blocking.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using std::chrono::milliseconds;

// The kernel forgets a move after 12 ms at the earliest.
constexpr Duration kPeriod = milliseconds(8);
// A pod whose image must be pulled first should not keep us busy.
constexpr Duration kLongest = milliseconds(200);

}  // namespace

CgroupWarmer::CgroupWarmer(Env& env, Executor strand, const Cgroups& cgroups)
    : env_(env), strand_(std::move(strand)), procs_file_(cgroups.OwnProcessesFile()) {}

std::shared_ptr<void> CgroupWarmer::Hold() {
  std::shared_ptr<void> holder = holder_.lock();
  if (!holder) {
    holder = std::make_shared<char>();
    holder_ = holder;
  }
  until_ = env_.Steady() + kLongest;
  if (!procs_file_.empty() && !std::exchange(warming_, true))
    Spawn(strand_, gate_, "cgroup warmer", KeepWarm());
  return holder;
}

Task<> CgroupWarmer::Stop() {
  stop_.Cancel();
  co_await gate_.Close(env_);
}

Task<> CgroupWarmer::KeepWarm() {
  CancelToken cancel = stop_.token();
  while (!cancel.cancelled() && !holder_.expired() && env_.Steady() < until_) {
    auto move = [file = procs_file_] { return WriteKernelFile(file, "0"); };
    Status moved = co_await RunBlocking(env_, std::move(move));
    if (!moved.ok()) {
      procs_file_.clear();
      break;
    }
    co_await SleepFor(env_, kPeriod, cancel);
  }
  warming_ = false;
}

}  // namespace gantry::node
