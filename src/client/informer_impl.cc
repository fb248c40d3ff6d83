#include "client/informer_impl.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace gantry::client {
namespace {

constexpr int64_t kPageSize = 500;
constexpr Duration kSteadyWatch = std::chrono::seconds(1);

bool ConnectionProblem(Code code) {
  return code == Code::kUnavailable || code == Code::kServiceUnavailable ||
         code == Code::kTooManyRequests || code == Code::kTimeout || code == Code::kServerTimeout;
}

}  // namespace

InformerImpl::InformerImpl(Env& env, Client& client, const api::KindInfo& kind, ListOptions options)
    : env_(env),
      client_(client),
      kind_(kind),
      options_(std::move(options)),
      strand_(env.MakeStrand()),
      backoff_(env) {}

void InformerImpl::AddHandler(Handler handler) {
  {
    absl::MutexLock lock(&mutex_);
    if (!started_) {
      auto handlers = std::make_shared<Handlers>(*handlers_);
      handlers->on_change.push_back(std::move(handler));
      handlers_ = std::move(handlers);
      return;
    }
  }
  Spawn(strand_, gate_, "informer handler", AddLate(std::move(handler)));
}

Task<> InformerImpl::AddLate(Handler handler) {
  std::vector<api::ObjectPtr> objects = List({});
  for (const api::ObjectPtr& object : objects)
    handler(nullptr, object);
  absl::MutexLock lock(&mutex_);
  auto handlers = std::make_shared<Handlers>(*handlers_);
  handlers->on_change.push_back(std::move(handler));
  handlers_ = std::move(handlers);
  co_return;
}

void InformerImpl::AddProgressHandler(ProgressHandler handler) {
  absl::MutexLock lock(&mutex_);
  auto handlers = std::make_shared<Handlers>(*handlers_);
  handlers->on_progress.push_back(std::move(handler));
  handlers_ = std::move(handlers);
}

void InformerImpl::AddIndex(std::string name, IndexFunction function) {
  absl::MutexLock lock(&mutex_);
  auto [it, inserted] = indexes_.try_emplace(std::move(name));
  if (!inserted) return;
  Index& index = it->second;
  index.function = std::move(function);
  for (const api::ObjectPtr& object : objects_) {
    for (std::string& value : index.function(*object))
      index.values[std::move(value)].insert(object);
  }
}

api::ObjectPtr InformerImpl::Get(std::string_view ns, std::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  auto it = objects_.find(Name(ns, name));
  return it == objects_.end() ? nullptr : *it;
}

std::vector<api::ObjectPtr> InformerImpl::List(std::string_view ns) const {
  absl::ReaderMutexLock lock(&mutex_);
  if (ns.empty()) return std::vector<api::ObjectPtr>(objects_.begin(), objects_.end());
  std::vector<api::ObjectPtr> found;
  for (auto it = objects_.lower_bound(Name(ns, "")); it != objects_.end() && (*it)->ns() == ns;
       ++it) {
    found.push_back(*it);
  }
  return found;
}

std::vector<api::ObjectPtr> InformerImpl::ByIndex(std::string_view index,
                                                  std::string_view value) const {
  absl::ReaderMutexLock lock(&mutex_);
  auto it = indexes_.find(index);
  if (it == indexes_.end()) return {};
  auto bucket = it->second.values.find(value);
  if (bucket == it->second.values.end()) return {};
  return std::vector<api::ObjectPtr>(bucket->second.begin(), bucket->second.end());
}

Task<Status> InformerImpl::WaitForSync(CancelToken cancel) {
  auto waiter = std::make_shared<Notifier>();
  {
    absl::MutexLock lock(&mutex_);
    if (synced()) co_return Status::Ok();
    sync_waiters_.push_back(waiter);
  }
  while (!synced()) {
    if (co_await waiter->Wait(env_, cancel) == Wake::kCanceled) {
      co_return Canceled("waiting for the first list of " + kind_.GroupResource() +
                         " was cancelled");
    }
  }
  co_return Status::Ok();
}

void InformerImpl::Start() {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(started_, true)) return;
  }
  Spawn(strand_, gate_, "informer", Run());
}

Task<> InformerImpl::Stop() {
  stop_.Cancel();
  co_await gate_.Close(env_);
}

Task<> InformerImpl::Run() {
  const CancelToken stop = stop_.token();
  bool listed = false;
  while (!stop.cancelled()) {
    Status status;
    bool held = false;
    if (!listed) {
      status = co_await ListAll();
      listed = status.ok();
    } else {
      status = co_await WatchOn(&held);
      if (status.code() == Code::kExpired || status.code() == Code::kGone) {
        listed = false;
        continue;
      }
      listed = status.ok() || ConnectionProblem(status.code());
    }
    if (status.ok() || stop.cancelled()) continue;
    // A watch that had held for a while may go on at once, at another server or at the same.
    if (listed && held) continue;
    log::Debug("client", "informer tries again",
               {{"kind", kind_.GroupResource()}, {"error", status.ToString()}});
    co_await SleepFor(env_, backoff_.Next(), stop);
  }
}

Task<Status> InformerImpl::ListAll() {
  std::vector<api::ObjectPtr> objects;
  ListOptions options = options_;
  options.limit = kPageSize;
  int64_t revision = 0;
  while (true) {
    Result<client::List> page = co_await client_.ListObjects(kind_, options);
    if (page.code() == Code::kExpired && !options.continue_token.empty()) {
      // The pages took too long: once more in one piece.
      objects.clear();
      options.continue_token.clear();
      options.limit = 0;
      continue;
    }
    if (!page.ok()) co_return page.status();
    std::move(page->items.begin(), page->items.end(), std::back_inserter(objects));
    revision = page->revision;
    if (page->continue_token.empty()) break;
    options.continue_token = page->continue_token;
  }
  Replace(std::move(objects), revision);
  co_return Status::Ok();
}

Task<Status> InformerImpl::WatchOn(bool* held) {
  Result<std::unique_ptr<Watcher>> watcher = co_await client_.Watch(kind_, options_, revision());
  if (!watcher.ok()) co_return watcher.status();
  SetWatcher(watcher->get());
  const SteadyTime began = env_.Steady();
  Status ended = co_await Follow(**watcher);
  SetWatcher(nullptr);
  *held = env_.Steady() - began >= kSteadyWatch;
  co_return ended;
}

Task<Status> InformerImpl::Follow(Watcher& watcher) {
  const CancelToken stop = stop_.token();
  while (true) {
    Result<std::vector<WatchEvent>> events = co_await watcher.Next(stop);
    if (!events.ok()) co_return events.status();
    ApplyEvents(*events);
  }
}

void InformerImpl::SetWatcher(Watcher* watcher) {
  absl::MutexLock lock(&mutex_);
  watcher_ = watcher;
  if (watcher_ != nullptr && wanted_ > revision()) watcher_->WantRevision(wanted_);
}

void InformerImpl::WantRevision(int64_t revision) {
  absl::MutexLock lock(&mutex_);
  if (revision <= this->revision()) return;
  wanted_ = std::max(wanted_, revision);
  if (watcher_ != nullptr) watcher_->WantRevision(revision);
}

void InformerImpl::Put(const Change& change) {
  if (change.before) objects_.erase(change.before);
  if (change.after) objects_.insert(change.after);
  for (auto& [name, index] : indexes_) {
    if (change.before) {
      for (const std::string& value : index.function(*change.before)) {
        auto bucket = index.values.find(value);
        if (bucket == index.values.end()) continue;
        bucket->second.erase(change.before);
        if (bucket->second.empty()) index.values.erase(bucket);
      }
    }
    if (change.after) {
      for (std::string& value : index.function(*change.after)) {
        index.values[std::move(value)].insert(change.after);
      }
    }
  }
}

void InformerImpl::Replace(std::vector<api::ObjectPtr> objects, int64_t revision) {
  std::vector<Change> changes;
  std::vector<std::shared_ptr<Notifier>> waiters;
  {
    absl::MutexLock lock(&mutex_);
    const ObjectSet listed(objects.begin(), objects.end());
    for (const api::ObjectPtr& before : objects_) {
      auto after = listed.find(before);
      if (after == listed.end()) {
        changes.push_back(Change{before, nullptr});
      } else if ((*after)->revision() > before->revision() || (*after)->uid() != before->uid()) {
        changes.push_back(Change{before, *after});
      }
    }
    for (const api::ObjectPtr& after : listed) {
      if (!objects_.contains(after)) changes.push_back(Change{nullptr, after});
    }
    for (const Change& change : changes)
      Put(change);
    waiters.swap(sync_waiters_);
  }
  Tell(changes, revision);
  {
    absl::MutexLock lock(&mutex_);
    synced_.store(true, std::memory_order_release);
    waiters.insert(waiters.end(), sync_waiters_.begin(), sync_waiters_.end());
    sync_waiters_.clear();
  }
  for (const auto& waiter : waiters)
    waiter->Notify();
}

void InformerImpl::ApplyEvents(const std::vector<WatchEvent>& events) {
  std::vector<Change> changes;
  int64_t revision = 0;
  for (const WatchEvent& event : events) {
    revision = std::max(revision, event.revision);
    if (!event.object) continue;
    absl::MutexLock lock(&mutex_);
    auto it = objects_.find(event.object);
    Change change;
    if (it != objects_.end()) change.before = *it;
    if (event.type == WatchEvent::Type::kDeleted) {
      if (!change.before) continue;
    } else {
      if (change.before && change.before->revision() >= event.object->revision()) continue;
      change.after = event.object;
    }
    Put(change);
    changes.push_back(std::move(change));
  }
  Tell(changes, revision);
}

void InformerImpl::Tell(const std::vector<Change>& changes, int64_t revision) {
  std::shared_ptr<const Handlers> handlers;
  {
    absl::ReaderMutexLock lock(&mutex_);
    handlers = handlers_;
  }
  for (const Change& change : changes) {
    for (const Handler& handler : handlers->on_change)
      handler(change.before, change.after);
  }
  if (revision <= this->revision()) return;
  revision_.store(revision, std::memory_order_release);
  {
    // Looked up only now: whoever registers and still sees the old revision will be called.
    absl::ReaderMutexLock lock(&mutex_);
    handlers = handlers_;
  }
  for (const ProgressHandler& handler : handlers->on_progress)
    handler(revision);
}

}  // namespace gantry::client
