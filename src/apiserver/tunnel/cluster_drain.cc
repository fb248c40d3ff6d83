#include "apiserver/tunnel/cluster_drain.h"

#include <algorithm>
#include <utility>

#include "apiserver/tunnel/server.h"
#include "client/node_api.h"

namespace gantry::apiserver::tunnel {
namespace {

// How long others may join a question.
constexpr Duration kGather = std::chrono::milliseconds(3);
// How long after the last answer another one is waited for.
constexpr Duration kPatience = std::chrono::milliseconds(400);

}  // namespace

struct ClusterDrain::Batch {
  std::vector<std::string> addresses;
  Duration timeout{};
  std::vector<std::shared_ptr<Notifier>> waiters;
  bool over = false;

  // Used on the strand.
  size_t answered = 0;
  SteadyTime last_answer{};
  Notifier progress;
  CancelSource give_up;
};

Task<> ClusterDrain::AwaitDrained(std::vector<std::string> addresses, Duration timeout) {
  auto waiter = std::make_shared<Notifier>();
  std::shared_ptr<Batch> batch;
  bool first = false;
  {
    absl::MutexLock lock(&mutex_);
    if (stop_.token().cancelled()) co_return;
    first = !open_;
    if (first) open_ = std::make_shared<Batch>();
    batch = open_;
    batch->addresses.insert(batch->addresses.end(), addresses.begin(), addresses.end());
    batch->timeout = std::max(batch->timeout, timeout);
    batch->waiters.push_back(waiter);
  }
  if (first) Spawn(strand_, gate_, "cluster drain", Run(batch));
  const SteadyTime deadline = env_.Steady() + timeout;
  while (env_.Steady() < deadline) {
    {
      absl::MutexLock lock(&mutex_);
      if (batch->over) break;
    }
    co_await waiter->Wait(env_, stop_.token(), deadline);
    if (stop_.token().cancelled()) break;
  }
}

Task<> ClusterDrain::Run(std::shared_ptr<Batch> batch) {
  co_await SleepFor(env_, kGather, stop_.token());
  std::vector<std::string> addresses;
  {
    absl::MutexLock lock(&mutex_);
    open_.reset();
    addresses = batch->addresses;
  }
  const SteadyTime deadline = env_.Steady() + batch->timeout;
  const std::vector<std::shared_ptr<client::NodeApi>> nodes = nodes_.All();
  auto ask = [](Env& env, std::shared_ptr<Batch> batch, std::shared_ptr<client::NodeApi> node,
                std::vector<std::string> addresses) -> Task<> {
    // Also an answer that says "no" is one: who asked goes on then, as without it.
    (void)co_await node->AwaitDrained(std::move(addresses), batch->timeout, batch->give_up.token());
    ++batch->answered;
    batch->last_answer = env.Steady();
    batch->progress.Notify();
  };
  Gate asking;
  for (const std::shared_ptr<client::NodeApi>& node : nodes)
    Spawn(strand_, asking, "drain node", ask(env_, batch, node, addresses));
  while (batch->answered < nodes.size()) {
    const SteadyTime until =
        batch->answered == 0 ? deadline : std::min(deadline, batch->last_answer + kPatience);
    const Wake woken = co_await batch->progress.Wait(env_, stop_.token(), until);
    if (woken != Wake::kNotified) break;
  }
  batch->give_up.Cancel();
  std::vector<std::shared_ptr<Notifier>> waiters;
  {
    absl::MutexLock lock(&mutex_);
    batch->over = true;
    waiters.swap(batch->waiters);
  }
  for (const std::shared_ptr<Notifier>& waiter : waiters)
    waiter->Notify();
  co_await asking.Close(env_);
}

Task<> ClusterDrain::Stop() {
  stop_.Cancel();
  co_await gate_.Close(env_);
}

}  // namespace gantry::apiserver::tunnel
