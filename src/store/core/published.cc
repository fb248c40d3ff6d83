#include "store/core/published.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "base/env/notifier.h"

namespace gantry::store {
namespace {

// Events that Next returns at a time, about.
constexpr size_t kEventsPerRead = 1024;

}  // namespace

Status CheckBatch(const std::vector<Write>& writes) {
  if (writes.size() < 2) return Status::Ok();
  std::unordered_set<std::string_view> keys;
  for (const Write& write : writes) {
    if (!keys.insert(write.key).second) return InternalError("a batch names a key twice");
  }
  return Status::Ok();
}

class Published::Stream final : public WatchStream {
 public:
  Stream(Published& published, std::string prefix, int64_t after_revision)
      : published_(published), prefix_(std::move(prefix)), revision_(after_revision) {}

  ~Stream() override {
    absl::MutexLock lock(&published_.mutex_);
    std::erase(published_.streams_, this);
  }

  Task<Result<std::vector<Event>>> Next(CancelToken cancel) override {
    while (true) {
      std::vector<Event> events;
      GANTRY_CO_TRY(ReadInto(&events));
      if (!events.empty()) co_return events;
      if (co_await arrived_.Wait(published_.env_, cancel) == Wake::kCanceled) {
        co_return Canceled("the watch was cancelled");
      }
    }
  }

  int64_t revision() const override { return revision_.load(std::memory_order_acquire); }
  void Wakeup() { arrived_.Notify(); }

 private:
  Status ReadInto(std::vector<Event>* events) {
    absl::ReaderMutexLock lock(&published_.mutex_);
    if (!published_.failure_.ok()) return published_.failure_;
    if (published_.ended_) return Canceled("the store is stopped");
    GANTRY_ASSIGN(int64_t reached,
                  published_.history_.EventsAfter(prefix_, revision(), kEventsPerRead, events));
    revision_.store(reached, std::memory_order_release);
    return Status::Ok();
  }

  Published& published_;
  const std::string prefix_;
  std::atomic<int64_t> revision_;
  Notifier arrived_;
};

Published::Published(Env& env, History history) : env_(env), history_(std::move(history)) {}

std::vector<int64_t> Published::Publish(std::vector<Revision> revisions, int64_t compact) {
  std::vector<Event> events;
  std::vector<int64_t> useless;
  {
    absl::MutexLock lock(&mutex_);
    for (Revision& one : revisions) {
      std::vector<Event> published = history_.Apply(one.revision, std::move(one.changes));
      std::move(published.begin(), published.end(), std::back_inserter(events));
    }
    if (compact > 0) useless = history_.Compact(compact);
    for (Stream* stream : streams_)
      stream->Wakeup();
  }
  absl::MutexLock lock(&observers_mutex_);
  for (CommitObserver* observer : observers_) {
    if (!events.empty()) observer->OnCommit(events);
    if (compact > 0) observer->OnCompact(compact);
  }
  return useless;
}

void Published::Replace(History fresh) {
  std::vector<Event> events;
  const int64_t revision = fresh.revision();
  {
    absl::MutexLock lock(&mutex_);
    events = fresh.DifferenceFrom(history_);
    history_ = std::move(fresh);
    for (Stream* stream : streams_)
      stream->Wakeup();
  }
  absl::MutexLock lock(&observers_mutex_);
  for (CommitObserver* observer : observers_)
    observer->OnGap(events, revision);
}

void Published::Fail(const Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    failure_ = status;
    for (Stream* stream : streams_)
      stream->Wakeup();
  }
  absl::MutexLock lock(&observers_mutex_);
  for (CommitObserver* observer : observers_)
    observer->OnFailure(status);
}

void Published::End() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  for (Stream* stream : streams_)
    stream->Wakeup();
}

void Published::Read(absl::FunctionRef<void(const History&)> read) const {
  absl::ReaderMutexLock lock(&mutex_);
  read(history_);
}

Status Published::failure() const {
  absl::ReaderMutexLock lock(&mutex_);
  return failure_;
}

Result<std::optional<Record>> Published::Get(std::string_view key, int64_t revision) const {
  absl::ReaderMutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  return history_.Get(key, revision);
}

Result<ListPage> Published::List(std::string_view prefix, std::string_view after, int64_t limit,
                                 int64_t revision) const {
  absl::ReaderMutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  return history_.List(prefix, after, limit, revision);
}

Result<std::unique_ptr<WatchStream>> Published::Watch(std::string prefix, int64_t after_revision) {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  if (ended_) return Unavailable("the store is stopped");
  if (after_revision < history_.compacted_revision()) {
    std::vector<Event> none;
    return history_.EventsAfter(prefix, after_revision, 0, &none).status();
  }
  auto stream = std::make_unique<Stream>(*this, std::move(prefix), after_revision);
  streams_.push_back(stream.get());
  return std::unique_ptr<WatchStream>(std::move(stream));
}

int64_t Published::AddObserver(CommitObserver* observer) {
  absl::MutexLock lock(&observers_mutex_);
  observers_.push_back(observer);
  return revision();
}

void Published::RemoveObserver(CommitObserver* observer) {
  absl::MutexLock lock(&observers_mutex_);
  std::erase(observers_, observer);
}

int64_t Published::revision() const {
  absl::ReaderMutexLock lock(&mutex_);
  return history_.revision();
}

int64_t Published::compacted_revision() const {
  absl::ReaderMutexLock lock(&mutex_);
  return history_.compacted_revision();
}

}  // namespace gantry::store
