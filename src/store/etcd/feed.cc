#include "store/etcd/feed.h"

#include <algorithm>
#include <utility>

#include "api/object.h"
#include "base/check.h"
#include "base/log.h"
#include "store/etcd/layout.h"

namespace gantry::store::etcd {
namespace {

// Revisions before the present one whose changes are read back, so that watches of before a restart
// can go on.
constexpr int64_t kHistoryAtStart = 5000;
constexpr int64_t kPageKeys = 1000;
constexpr Duration kFirstPause = std::chrono::milliseconds(50);
constexpr Duration kLongestPause = std::chrono::seconds(1);

}  // namespace

Task<Status> Feed::Load() {
  RangeRequest probe;
  probe.set_key(std::string(kOffsetKey));
  probe.set_keys_only(true);
  GANTRY_CO_ASSIGN(RangeResponse now, co_await client_.Range(std::move(probe)));
  const int64_t current = now.header().revision();
  // This store's first revision is 1, which etcd's may have left behind long ago.
  const int64_t first = 1 - offset_;
  int64_t from = std::max({int64_t{1}, first, current - kHistoryAtStart});
  // Before the first one nothing was, and nothing of it can have been forgotten.
  Result<History> history = History();
  while (from > first) {
    history = co_await Read(from);
    if (history.ok()) break;
    if (history.code() != Code::kExpired) co_return history.status();
    GANTRY_CO_ASSIGN(from, co_await CompactedRevision());
  }
  published_.emplace(env_, std::move(history).value());
  co_return Status::Ok();
}

// The state as of a revision of etcd's, page by page.
Task<Result<History>> Feed::Read(int64_t revision) {
  History history;
  history.SetCompacted(revision + offset_);
  std::vector<int64_t> no_rows;
  std::string next(1, '\0');
  while (true) {
    RangeRequest request;
    request.set_key(next);
    request.set_range_end(std::string(1, '\0'));
    request.set_limit(kPageKeys);
    request.set_revision(revision);
    GANTRY_CO_ASSIGN(RangeResponse page, co_await client_.Range(std::move(request)));
    for (KeyValue& kv : *page.mutable_kvs()) {
      History::Change change;
      change.key = kv.key();
      change.value = std::make_shared<const std::string>(std::move(*kv.mutable_value()));
      change.create_revision = kv.create_revision() + offset_;
      history.Restore(kv.mod_revision() + offset_, std::move(change), &no_rows);
    }
    if (!page.more() || page.kvs().empty()) co_return history;
    next = page.kvs().rbegin()->key() + '\0';
  }
}

// What a watch that begins too far back is told.
Task<Result<int64_t>> Feed::CompactedRevision() {
  WatchCreateRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_start_revision(1);
  GANTRY_CO_ASSIGN(auto stream, co_await client_.Watch(std::move(request)));
  while (true) {
    GANTRY_CO_ASSIGN(const std::string message, co_await stream->Next());
    WatchResponse response;
    if (!response.ParseFromString(message)) co_return DataLoss("an answer of etcd does not decode");
    if (response.compact_revision() > 0) co_return response.compact_revision();
    if (!response.created()) co_return Unavailable("etcd does not say what it has compacted");
  }
}

Task<> Feed::Run(CancelToken cancel) {
  Duration pause = kFirstPause;
  while (!cancel.cancelled()) {
    const SteadyTime began = env_.Steady();
    Status ended = co_await Follow();
    if (cancel.cancelled()) break;
    Note(ended);
    // One that stood for a while is taken up again at once.
    if (env_.Steady() - began > kLongestPause) pause = kFirstPause;
    co_await SleepFor(env_, pause, cancel);
    pause = std::min(pause * 2, kLongestPause);
  }
}

// One watch, from where the last one ended.
Task<Status> Feed::Follow() {
  WatchCreateRequest request;
  SetWholeRange(&request);
  request.set_start_revision(published_->revision() - offset_ + 1);
  request.set_fragment(true);
  GANTRY_CO_ASSIGN(auto stream, co_await client_.Watch(std::move(request)));
  WatchResponse whole;
  while (true) {
    Result<std::string> message = co_await stream->Next();
    if (!message.ok()) {
      // A server without a leader ends its watches: another may have one.
      if (client_.channel().has_others()) client_.channel().GiveUp(stream->connection());
      co_return message.status();
    }
    if (!whole.MergeFromString(*message)) co_return DataLoss("an event of etcd does not decode");
    if (whole.fragment()) {
      whole.set_fragment(false);
      continue;
    }
    if (whole.canceled()) {
      if (whole.compact_revision() == 0) co_return Unavailable(whole.cancel_reason());
      RangeRequest probe;
      probe.set_key(std::string(kOffsetKey));
      probe.set_keys_only(true);
      GANTRY_CO_ASSIGN(RangeResponse now, co_await client_.Range(std::move(probe)));
      GANTRY_CO_ASSIGN(History fresh, co_await Read(now.header().revision()));
      log::Warning("store", "changes were compacted before they were seen; watches begin anew",
                   {{"seen", std::to_string(published_->revision())},
                    {"now", std::to_string(fresh.revision())}});
      {
        absl::MutexLock lock(&publishing_);
        published_->Replace(std::move(fresh));
      }
      WakeUpTo(published_->revision());
      co_return Status::Ok();
    }
    if (whole.created()) Note(Status::Ok());
    Apply(whole);
    whole.Clear();
  }
}

void Feed::Apply(WatchResponse& response) {
  std::vector<Published::Revision> revisions;
  const int64_t seen = published_->revision();
  for (WatchEvent& event : *response.mutable_events()) {
    const int64_t revision = event.kv().mod_revision() + offset_;
    if (revision <= seen) continue;
    if (revisions.empty() || revisions.back().revision != revision)
      revisions.emplace_back().revision = revision;
    revisions.back().changes.push_back(MakeChange(event));
  }
  if (revisions.empty()) return;
  const int64_t reached = revisions.back().revision;
  {
    absl::MutexLock lock(&publishing_);
    published_->Publish(std::move(revisions));
  }
  WakeUpTo(reached);
}

void Feed::WakeUpTo(int64_t reached) {
  std::vector<std::shared_ptr<Notifier>> wake;
  {
    absl::MutexLock lock(&mutex_);
    const auto end = waiting_.upper_bound(reached);
    for (auto it = waiting_.begin(); it != end; ++it)
      wake.push_back(std::move(it->second));
    waiting_.erase(waiting_.begin(), end);
  }
  for (const auto& waiter : wake)
    waiter->Notify();
}

History::Change Feed::MakeChange(WatchEvent& event) {
  KeyValue& kv = *event.mutable_kv();
  const int64_t revision = kv.mod_revision() + offset_;
  const bool put = event.type() == WatchEvent::PUT;
  History::Change change;
  if (put) change.create_revision = kv.create_revision() + offset_;
  {
    // Ours is the write whose precondition this event fulfils with the very same value: another
    // that does so makes ours fail.
    absl::MutexLock lock(&mutex_);
    auto [it, end] = pending_.equal_range(kv.key());
    for (; it != end; ++it) {
      Pending& pending = *it->second;
      const Write& write = *pending.write;
      if (pending.taken || !write.object || (write.value != nullptr) != put) continue;
      if (write.expected_revision == kAnyRevision || write.expected_revision >= revision) continue;
      if (write.expected_revision == kAbsent && kv.version() != 1) continue;
      if (put && *write.value != kv.value()) continue;
      write.object->Stamp(revision);
      pending.taken = true;
      change.value = write.value;
      change.object = write.object;
      break;
    }
  }
  if (put && !change.value)
    change.value = std::make_shared<const std::string>(std::move(*kv.mutable_value()));
  change.key = std::move(*kv.mutable_key());
  return change;
}

void Feed::Compact(int64_t revision) {
  absl::MutexLock lock(&publishing_);
  published_->Publish({}, revision);
}

void Feed::Expect(std::vector<Pending>& pending) {
  absl::MutexLock lock(&mutex_);
  for (Pending& one : pending)
    pending_.emplace(one.write->key, &one);
}

void Feed::Forget(const std::vector<Pending>& pending) {
  absl::MutexLock lock(&mutex_);
  for (const Pending& one : pending) {
    auto [it, end] = pending_.equal_range(one.write->key);
    while (it != end && it->second != &one)
      ++it;
    if (it != end) pending_.erase(it);
  }
}

Task<Status> Feed::WaitFor(int64_t revision, Duration patience) {
  const SteadyTime end = env_.Steady() + patience;
  while (published_->revision() < revision) {
    auto waiter = std::make_shared<Notifier>();
    {
      absl::MutexLock lock(&mutex_);
      // Asked again under the lock: who publishes looks for waiters afterwards.
      if (published_->revision() >= revision) break;
      waiting_.emplace(revision, waiter);
    }
    if (co_await waiter->Wait(env_, {}, end) != Wake::kTimeout) continue;
    absl::MutexLock lock(&mutex_);
    std::erase_if(waiting_, [&](const auto& entry) { return entry.second == waiter; });
    co_return TimedOut();
  }
  co_return Status::Ok();
}

void Feed::Note(const Status& status) {
  bool changed = false;
  {
    absl::MutexLock lock(&mutex_);
    changed = health_.ok() != status.ok();
    health_ = status;
  }
  if (!changed) return;
  if (status.ok()) {
    log::Info("store", "follows etcd again", {{"endpoint", client_.channel().current()}});
  } else {
    log::Warning("store", "lost sight of etcd; trying again",
                 {{"endpoints", client_.channel().names()}, {"error", status.message()}});
  }
}

Status Feed::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

}  // namespace gantry::store::etcd
