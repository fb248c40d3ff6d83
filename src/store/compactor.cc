#include "store/compactor.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/log.h"

namespace gantry::store {
namespace {

// Fewer revisions than this are not worth a transaction of their own, until they are twice as old
// as need be.
constexpr int64_t kWorthIt = 1000;

}  // namespace

Compactor::Compactor(Env& env, Store& store, CompactorOptions options)
    : env_(env), store_(store), options_(options) {}

void Compactor::Start() { Spawn(env_.executor(), gate_, "compactor", Run()); }

Task<> Compactor::Stop() {
  stop_.Cancel();
  co_await gate_.Close(env_);
}

Task<> Compactor::Run() {
  std::deque<std::pair<SteadyTime, int64_t>> marks;  // which revision it was when
  SteadyTime last_compaction = env_.Steady();
  while (co_await SleepFor(env_, options_.interval, stop_.token()) != Wake::kCanceled) {
    const SteadyTime now = env_.Steady();
    const int64_t current = store_.revision(), compacted = store_.compacted_revision();
    int64_t target = std::max(compacted, current - options_.max_revisions);
    while (!marks.empty() && marks.front().first <= now - options_.keep) {
      target = std::max(target, marks.front().second);
      // The newest mark that is old enough stays, so that it is still known next time.
      if (marks.size() < 2 || marks[1].first > now - options_.keep) break;
      marks.pop_front();
    }
    if (marks.empty() || marks.back().second != current) marks.emplace_back(now, current);
    const int64_t gain = target - compacted;
    if (gain <= 0 || (gain < kWorthIt && now - last_compaction < options_.keep)) continue;
    last_compaction = now;
    Status status = co_await store_.Compact(target);
    if (!status.ok()) log::Warning("store", "compaction failed", {{"error", status.message()}});
  }
}

}  // namespace gantry::store
