#include "store/core/engine.h"

#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unordered_map>
#include <utility>

#include "api/object.h"
#include "base/log.h"

namespace gantry::store {
namespace {

// Requests that one durable step takes at most; what waits longer makes the next one.
constexpr size_t kMaxBatch = 1024;
// Useless rows that ride along with an append, and that an idle committer removes at a time.
constexpr size_t kGarbagePerAppend = 256;
constexpr size_t kGarbageWhenIdle = 4096;

// The log has no room, and is as it was.
bool IsRefusal(const Status& status) { return status.code() == Code::kServiceUnavailable; }

Status StoppedStatus() { return Unavailable("the store is stopped"); }

// What a key will hold once the running batch is through.
struct Pending {
  Bytes value;  // null: absent
  int64_t create_revision = 0;
  int64_t revision = 0;
};

}  // namespace

// What somebody waits for: a commit, or a compaction. Lives in the waiting coroutine.
struct Engine::Request {
  std::vector<Write> writes;
  int64_t compact = 0;

  Status status;
  CommitResult result;
  absl::AnyInvocable<void()> resume;  // after it is called the request is gone
};

// A request whose preconditions hold, and its changes without their keys, which stay in the request
// until they are published.
struct Engine::Accepted {
  Request* request = nullptr;
  std::vector<size_t> write_indexes;
  std::vector<History::Change> changes;
};

struct Engine::Batch {
  int64_t revision = 0;
  int64_t compact = 0;
  std::vector<Accepted> accepted;
  std::vector<LogRow> rows;
  std::unordered_map<std::string_view, Pending> pending;
};

Engine::Engine(Env& env, std::unique_ptr<CommitLog> log, History history, int64_t last_row,
               std::vector<int64_t> garbage, Failpoints* failpoints)
    : env_(env),
      log_(std::move(log)),
      failpoints_(failpoints),
      last_row_(last_row),
      garbage_(std::move(garbage)),
      logged_compaction_(history.compacted_revision()),
      published_(env, std::move(history)) {
  if (log_) thread_ = env_.MakeThread();
}

Engine::~Engine() {
  auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(queue_mutex_) { return !draining_; };
  absl::MutexLock lock(&queue_mutex_);
  stopping_ = true;
  queue_mutex_.Await(absl::Condition(&idle));
}

Task<Result<CommitResult>> Engine::Commit(std::vector<Write> writes) {
  Request request;
  request.writes = std::move(writes);
  GANTRY_CO_TRY(CheckBatch(request.writes));
  co_await Run(request);
  if (!request.status.ok()) co_return request.status;
  co_return std::move(request.result);
}

Task<Status> Engine::Compact(int64_t revision) {
  Request request;
  request.compact = revision;
  if (revision > this->revision()) {
    co_return Status(Code::kInvalid, "cannot compact revision " + std::to_string(revision) +
                                         ": it is in the future");
  }
  if (revision <= compacted_revision()) co_return Status::Ok();
  co_await Run(request);
  co_return request.status;
}

std::optional<SteadyTime> Engine::refused_at() const {
  const SteadyTime::rep at = refused_at_.load();
  if (at == 0) return std::nullopt;
  return SteadyTime(SteadyTime::duration(at));
}

Task<> Engine::Run(Request& request) {
  if (!log_) {
    absl::MutexLock lock(&commit_mutex_);
    bool stopping = false;
    {
      absl::MutexLock queue_lock(&queue_mutex_);
      stopping = stopping_;
    }
    std::vector<Request*> alone{&request};
    if (stopping) {
      request.status = StoppedStatus();
    } else {
      RunBatch(alone);
    }
    co_return;
  }
  auto initiate = [this, &request](auto handler) {
    Executor home = boost::asio::get_associated_executor(handler);
    request.resume = [home, handler = std::move(handler)]() mutable {
      boost::asio::post(home, std::move(handler));
    };
    Engine* self = this;  // once the request is queued, this lambda may be gone
    bool start = false;
    bool refused = false;
    {
      absl::MutexLock lock(&self->queue_mutex_);
      refused = self->stopping_;
      if (!refused) {
        self->queue_.push_back(&request);
        start = !std::exchange(self->draining_, true);
      }
    }
    if (refused) {
      request.status = StoppedStatus();
      std::exchange(request.resume, nullptr)();
    } else if (start) {
      boost::asio::post(*self->thread_, [self] { self->Drain(); });
    }
  };
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      initiate, boost::asio::use_awaitable);
}

void Engine::Drain() {
  while (true) {
    std::vector<Request*> requests;
    {
      absl::MutexLock lock(&queue_mutex_);
      if (queue_.size() <= kMaxBatch) {
        requests.swap(queue_);
      } else {
        auto end = queue_.begin() + kMaxBatch;
        requests.assign(queue_.begin(), end);
        queue_.erase(queue_.begin(), end);
      }
    }
    if (!requests.empty()) {
      RunBatch(requests);
      Reached("commit.answered");
      continue;
    }
    if (DoIdleWork()) continue;
    absl::MutexLock lock(&queue_mutex_);
    if (queue_.empty()) {
      draining_ = false;
      drained_.Notify();
      return;
    }
  }
}

void Engine::RunBatch(const std::vector<Request*>& requests) {
  Reached("commit.begin");
  Batch batch;
  Status status = published_.failure();
  published_.Read([&](const History& history) {
    batch.revision = history.revision();
    if (!status.ok()) return;
    for (Request* request : requests)
      Examine(history, *request, batch);
  });
  Reached("commit.checked");
  if (status.ok() && log_ && (!batch.rows.empty() || batch.compact > 0)) {
    status = MakeDurable(batch);
    if (IsRefusal(status)) {
      refused_at_.store(env_.Steady().time_since_epoch().count());
    } else if (!status.ok()) {
      Fail(status);
    }
  }
  Reached("commit.durable");
  if (status.ok()) Publish(batch);
  Reached("commit.published");
  for (Request* request : requests) {
    if (!status.ok()) request->status = status;
    if (request->resume) std::exchange(request->resume, nullptr)();
  }
}

// Decides one request over the batch so far.
void Engine::Examine(const History& history, Request& request, Batch& batch) {
  if (request.compact > 0) {
    batch.compact = std::max(batch.compact, request.compact);
    return;
  }
  std::vector<Pending> before(request.writes.size());
  for (size_t i = 0; i < request.writes.size(); ++i) {
    const Write& write = request.writes[i];
    if (auto it = batch.pending.find(write.key); it != batch.pending.end()) {
      before[i] = it->second;
    } else if (std::optional<History::Current> current = history.Find(write.key)) {
      before[i].value = std::move(current->value);
      before[i].create_revision = current->create_revision;
      before[i].revision = current->revision;
    }
    const int64_t found = before[i].value ? before[i].revision : kAbsent;
    if (write.expected_revision == kAnyRevision || write.expected_revision == found) continue;
    request.result.failed_write = i;
    if (before[i].value) {
      Record& record = request.result.found.emplace();
      record.key = write.key;
      record.value = before[i].value;
      record.create_revision = before[i].create_revision;
      record.revision = before[i].revision;
    }
    return;
  }

  Accepted accepted;
  accepted.request = &request;
  for (size_t i = 0; i < request.writes.size(); ++i) {
    const Write& write = request.writes[i];
    if (!write.value && !before[i].value) continue;
    History::Change& change = accepted.changes.emplace_back();
    accepted.write_indexes.push_back(i);
    change.value = write.value;
    change.row = ++last_row_;
    if (write.value)
      change.create_revision = before[i].value ? before[i].create_revision : batch.revision + 1;
  }
  if (!accepted.changes.empty()) ++batch.revision;
  request.result.revision = batch.revision;
  for (size_t c = 0; c < accepted.changes.size(); ++c) {
    Write& write = request.writes[accepted.write_indexes[c]];
    History::Change& change = accepted.changes[c];
    if (write.object) write.object->Stamp(batch.revision);
    change.object = write.object;

    LogRow& row = batch.rows.emplace_back();
    row.id = change.row;
    row.revision = batch.revision;
    row.create_revision = change.create_revision;
    row.key = write.key;
    row.value = change.value.get();

    Pending& pending = batch.pending[write.key];
    pending.value = change.value;
    pending.create_revision = change.create_revision;
    pending.revision = batch.revision;
  }
  if (!accepted.changes.empty()) batch.accepted.push_back(std::move(accepted));
}

Status Engine::MakeDurable(const Batch& batch) {
  const size_t spend = std::min(garbage_.size(), kGarbagePerAppend);
  const int64_t compacted = std::max(batch.compact, logged_compaction_);
  GANTRY_TRY(log_->Append(batch.rows, std::span(garbage_).first(spend), compacted));
  logged_compaction_ = compacted;
  garbage_.erase(garbage_.begin(), garbage_.begin() + static_cast<ptrdiff_t>(spend));
  return log_->Maintain(false);
}

void Engine::Publish(Batch& batch) {
  std::vector<Published::Revision> revisions;
  revisions.reserve(batch.accepted.size());
  for (Accepted& accepted : batch.accepted) {
    for (size_t c = 0; c < accepted.changes.size(); ++c)
      accepted.changes[c].key = std::move(accepted.request->writes[accepted.write_indexes[c]].key);
    Published::Revision& made = revisions.emplace_back();
    made.revision = accepted.request->result.revision;
    made.changes = std::move(accepted.changes);
  }
  std::vector<int64_t> useless = published_.Publish(std::move(revisions), batch.compact);
  if (log_) garbage_.insert(garbage_.end(), useless.begin(), useless.end());
}

// True when there may be more to do.
bool Engine::DoIdleWork() {
  if (!published_.failure().ok()) return false;
  Status status;
  if (!garbage_.empty()) {
    const size_t spend = std::min(garbage_.size(), kGarbageWhenIdle);
    status = log_->Append({}, std::span(garbage_).first(spend), logged_compaction_);
    if (IsRefusal(status)) return false;  // rides along later
    garbage_.erase(garbage_.begin(), garbage_.begin() + static_cast<ptrdiff_t>(spend));
    if (garbage_.empty()) garbage_.shrink_to_fit();
  } else {
    status = log_->Maintain(true);
  }
  if (!status.ok()) Fail(status);
  return status.ok() && !garbage_.empty();
}

void Engine::Fail(const Status& status) {
  log::Error("store",
             "the store failed and takes no more requests; the process has to be started again",
             {{"error", status.message()}});
  published_.Fail(status);
}

Task<Result<std::optional<Record>>> Engine::Get(std::string key, int64_t revision) {
  co_return published_.Get(key, revision);
}

Task<Result<ListPage>> Engine::List(std::string prefix, std::string after, int64_t limit,
                                    int64_t revision) {
  co_return published_.List(prefix, after, limit, revision);
}

Result<std::unique_ptr<WatchStream>> Engine::Watch(std::string prefix, int64_t after_revision) {
  return published_.Watch(std::move(prefix), after_revision);
}

Task<> Engine::Stop() {
  while (true) {
    {
      absl::MutexLock lock(&queue_mutex_);
      stopping_ = true;
      if (!draining_) break;
    }
    co_await drained_.Wait(env_);
  }
  published_.End();
}

}  // namespace gantry::store
