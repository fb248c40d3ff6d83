#include "client/work_queue.h"

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "base/metrics.h"

namespace gantry::client {
namespace {

constexpr Duration kBaseDelay = std::chrono::milliseconds(5);
constexpr Duration kMaxDelay = std::chrono::seconds(1000);

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

struct QueueMetrics {
  explicit QueueMetrics(const std::string& name)
      : depth(MetricRegistry::Default()
                  .Gauges("workqueue_depth", "Current depth of workqueue", {"name"})
                  .With({name})),
        adds(MetricRegistry::Default()
                 .Counters("workqueue_adds_total", "Total number of adds handled by workqueue",
                           {"name"})
                 .With({name})),
        retries(MetricRegistry::Default()
                    .Counters("workqueue_retries_total",
                              "Total number of retries handled by workqueue", {"name"})
                    .With({name})),
        queue_seconds(
            MetricRegistry::Default()
                .Histograms(
                    "workqueue_queue_duration_seconds",
                    "How long in seconds an item stays in workqueue before being requested.",
                    ExponentialBounds(1e-8, 10, 10), {"name"})
                .With({name})),
        work_seconds(MetricRegistry::Default()
                         .Histograms("workqueue_work_duration_seconds",
                                     "How long in seconds processing an item from workqueue takes.",
                                     ExponentialBounds(1e-8, 10, 10), {"name"})
                         .With({name})) {}
  Gauge& depth;
  Counter& adds;
  Counter& retries;
  Histogram& queue_seconds;
  Histogram& work_seconds;
};

}  // namespace

struct WorkQueue::State : std::enable_shared_from_this<State> {
  State(Env& env, const std::string& name, ReadyCallback on_ready)
      : env(env), on_ready(std::move(on_ready)), metrics(name) {}

  // True when the key has become available.
  bool Put(QueueKey key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (shut_down || !dirty.insert(key).second) return false;
    metrics.adds.Add();
    added.try_emplace(key, env.Steady());
    if (processing.contains(key)) return false;
    queue.push_back(std::move(key));
    metrics.depth.Set(static_cast<double>(queue.size()));
    return true;
  }

  // (Re)sets the timer to the earliest delayed key.
  void SetTimer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (by_time.empty()) return;
    const SteadyTime first = by_time.begin()->first;
    if (timer && timer_at <= first) return;
    timer_at = first;
    timer = env.CallAt(first, [weak = weak_from_this()] {
      if (std::shared_ptr<State> state = weak.lock()) state->TimeIsUp();
    });
  }

  void TimeIsUp() {
    size_t available = 0;
    std::unique_ptr<TimerHandle> fired;
    {
      absl::MutexLock lock(&mutex);
      fired = std::move(timer);
      const SteadyTime now = env.Steady();
      while (!by_time.empty() && by_time.begin()->first <= now) {
        auto node = by_time.extract(by_time.begin());
        delayed.erase(node.value().second);
        if (Put(std::move(node.value().second))) ++available;
      }
      if (!shut_down) SetTimer();
    }
    for (size_t i = 0; i < available; ++i)
      on_ready();
  }

  Env& env;
  const ReadyCallback on_ready;
  const QueueMetrics metrics;

  absl::Mutex mutex;
  bool shut_down ABSL_GUARDED_BY(mutex) = false;
  std::deque<QueueKey> queue ABSL_GUARDED_BY(mutex);
  absl::btree_set<QueueKey> dirty ABSL_GUARDED_BY(mutex);
  absl::btree_map<QueueKey, SteadyTime> processing ABSL_GUARDED_BY(mutex);  // since when
  absl::btree_map<QueueKey, SteadyTime> added ABSL_GUARDED_BY(mutex);
  absl::btree_map<QueueKey, int> failures ABSL_GUARDED_BY(mutex);
  absl::btree_map<QueueKey, SteadyTime> delayed ABSL_GUARDED_BY(mutex);
  std::set<std::pair<SteadyTime, QueueKey>> by_time ABSL_GUARDED_BY(mutex);
  std::unique_ptr<TimerHandle> timer ABSL_GUARDED_BY(mutex);
  SteadyTime timer_at ABSL_GUARDED_BY(mutex);
};

WorkQueue::WorkQueue(Env& env, std::string name, ReadyCallback on_ready)
    : state_(std::make_shared<State>(env, name, std::move(on_ready))) {}

WorkQueue::~WorkQueue() { ShutDown(); }

void WorkQueue::Add(QueueKey key) {
  bool available = false;
  {
    absl::MutexLock lock(&state_->mutex);
    available = state_->Put(std::move(key));
  }
  if (available) state_->on_ready();
}

void WorkQueue::AddAfter(QueueKey key, Duration delay) {
  if (delay <= Duration::zero()) {
    Add(std::move(key));
    return;
  }
  absl::MutexLock lock(&state_->mutex);
  if (state_->shut_down) return;
  const SteadyTime when = state_->env.Steady() + delay;
  auto [it, inserted] = state_->delayed.try_emplace(key, when);
  if (!inserted) {
    if (it->second <= when) return;
    state_->by_time.erase({it->second, key});
    it->second = when;
  }
  state_->by_time.emplace(when, std::move(key));
  state_->SetTimer();
}

void WorkQueue::AddRateLimited(QueueKey key) {
  Duration delay = kMaxDelay;
  {
    absl::MutexLock lock(&state_->mutex);
    const int failures = state_->failures[key]++;
    if (failures < 18) delay = std::min(kMaxDelay, kBaseDelay * (int64_t{1} << failures));
  }
  state_->metrics.retries.Add();
  AddAfter(std::move(key), delay);
}

void WorkQueue::Forget(const QueueKey& key) {
  absl::MutexLock lock(&state_->mutex);
  state_->failures.erase(key);
}

std::optional<QueueKey> WorkQueue::TryTake() {
  absl::MutexLock lock(&state_->mutex);
  if (state_->shut_down || state_->queue.empty()) return std::nullopt;
  QueueKey key = std::move(state_->queue.front());
  state_->queue.pop_front();
  state_->metrics.depth.Set(static_cast<double>(state_->queue.size()));
  state_->dirty.erase(key);
  const SteadyTime now = state_->env.Steady();
  if (auto since = state_->added.find(key); since != state_->added.end()) {
    state_->metrics.queue_seconds.Observe(Seconds(now - since->second));
    state_->added.erase(since);
  }
  state_->processing.emplace(key, now);
  return key;
}

void WorkQueue::Done(const QueueKey& key) {
  bool available = false;
  {
    absl::MutexLock lock(&state_->mutex);
    auto it = state_->processing.find(key);
    if (it == state_->processing.end()) return;
    state_->metrics.work_seconds.Observe(Seconds(state_->env.Steady() - it->second));
    state_->processing.erase(it);
    if (!state_->shut_down && state_->dirty.contains(key)) {
      state_->queue.push_back(key);
      state_->metrics.depth.Set(static_cast<double>(state_->queue.size()));
      available = true;
    }
  }
  if (available) state_->on_ready();
}

size_t WorkQueue::size() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->queue.size();
}

void WorkQueue::ShutDown() {
  std::unique_ptr<TimerHandle> timer;
  absl::MutexLock lock(&state_->mutex);
  state_->shut_down = true;
  timer = std::move(state_->timer);
  state_->by_time.clear();
  state_->delayed.clear();
}

}  // namespace gantry::client
