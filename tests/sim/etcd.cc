#include "sim/etcd.h"

#include <algorithm>
#include <utility>

#include "api/object.h"
#include "store/memory/memory_store.h"

namespace gantry::sim {

using std::chrono::milliseconds;

namespace {

// As etcd says it.
constexpr char kTimedOut[] = "etcdserver: request timed out";
constexpr Duration kPatience = std::chrono::seconds(10);
constexpr Duration kSession = std::chrono::seconds(6);

Duration Pause(Process& process) {
  return process.world().dice().Between(milliseconds(50), milliseconds(1000));
}

// Opens a watch in the store and sends it through the pipe.
Task<> ServeWatch(std::shared_ptr<Pipe<std::vector<store::Event>>> pipe,
                  std::shared_ptr<Process> etcd, store::Store& store, int64_t after) {
  Result<std::unique_ptr<store::WatchStream>> opened = store.Watch("", after);
  if (!opened.ok()) {
    pipe->Send(opened.status());
    co_return;
  }
  std::shared_ptr<store::WatchStream> stream = std::move(*opened);
  co_await Pump<std::vector<store::Event>>(std::move(pipe), std::move(etcd), std::move(stream));
}

}  // namespace

Etcd::Etcd(World& world, Network& network)
    : world_(world), process_(std::make_shared<Process>(world, "etcd", clock_)) {
  store_ = store::MakeMemoryStore(*process_);
  host_ = network.AddHost("etcd", [this] { return process_; });
}

void Etcd::HoldWhile(std::shared_ptr<Process> process, std::string key) {
  Held& held = held_[key];
  held.by = process;
  held.died = process->death().OnCancel([this, key, dead = process.get()] {
    auto expire = [this, key, dead] {
      auto it = held_.find(key);
      if (it == held_.end() || it->second.by.get() != dead) return;
      held_.erase(it);
      auto remove = [](store::Store& store, std::string key) -> Task<> {
        std::vector<store::Write> writes(1);
        writes[0].key = std::move(key);
        Result<store::CommitResult> removed = co_await store.Commit(std::move(writes));
        (void)removed.ok();
      };
      Spawn(process_->executor(), process_->gate(), "expire", remove(*store_, key));
    };
    world_.After(kSession, std::move(expire));
  });
}

Etcd::~Etcd() {
  held_.clear();
  process_->Kill();
  world_.env().RunToEnd(store_->Stop());
  world_.env().RunToEnd(process_->gate().Close(world_.env()));
}

template <class T>
Task<Result<T>> EtcdClient::Ask(absl::AnyInvocable<Task<Result<T>>(store::Store&)> ask) {
  if (stop_.token().cancelled()) co_return Unavailable("the store is stopped");
  Route route(network_, process_, host_, etcd_.host());
  absl::AnyInvocable<Task<Result<T>>()> serve =
      [&store = etcd_.store(), ask = std::move(ask)]() mutable { return ask(store); };
  Result<T> answer = co_await Call<T>(route, std::move(serve), nullptr);
  if (answer.code() == Code::kUnavailable) co_return Status(Code::kUnknown, kTimedOut);
  co_return answer;
}

Task<Result<store::History>> EtcdClient::ReadAll() {
  absl::AnyInvocable<Task<Result<store::ListPage>>(store::Store&)> ask = [](store::Store& store) {
    return store.List("");
  };
  Result<store::ListPage> page = co_await Ask<store::ListPage>(std::move(ask));
  if (!page.ok()) co_return page.status();
  std::sort(page->records.begin(), page->records.end(),
            [](const store::Record& a, const store::Record& b) { return a.revision < b.revision; });
  store::History history;
  history.SetCompacted(page->revision);
  std::vector<int64_t> no_rows;
  for (store::Record& record : page->records) {
    store::History::Change change;
    change.key = std::move(record.key);
    change.value = std::move(record.value);
    change.create_revision = record.create_revision;
    history.Restore(record.revision, std::move(change), &no_rows);
  }
  co_return history;
}

Task<Status> EtcdClient::Open() {
  while (process_.alive()) {
    Result<store::History> history = co_await ReadAll();
    if (history.ok()) {
      published_.emplace(process_, std::move(*history));
      Spawn(process_.executor(), gate_, "etcd feed", Feed());
      co_return Status::Ok();
    }
    co_await SleepFor(process_, Pause(process_), process_.death());
  }
  co_return Unavailable("the process is gone");
}

Task<Status> EtcdClient::WaitFor(int64_t revision) {
  const SteadyTime end = process_.Steady() + kPatience;
  while (published_->revision() < revision) {
    if (stop_.token().cancelled()) co_return Unavailable("the store is stopped");
    auto waiter = std::make_shared<Notifier>();
    waiting_.push_back(waiter);
    const Wake woken = co_await waiter->Wait(process_, process_.death(), end);
    std::erase(waiting_, waiter);
    if (woken != Wake::kNotified) co_return Status(Code::kUnknown, kTimedOut);
  }
  co_return Status::Ok();
}

Task<Result<store::CommitResult>> EtcdClient::Commit(std::vector<store::Write> writes) {
  if (writes.size() > store::kMaxWrites) co_return InternalError("a batch of too many writes");
  // Decoded objects do not travel.
  auto sent = std::make_shared<std::vector<store::Write>>(writes);
  for (store::Write& write : *sent)
    write.object = nullptr;
  absl::AnyInvocable<Task<Result<store::CommitResult>>(store::Store&)> ask =
      [sent](store::Store& store) { return store.Commit(*sent); };
  Result<store::CommitResult> result = co_await Ask<store::CommitResult>(std::move(ask));
  if (!result.ok() || !result->committed()) co_return result;
  GANTRY_CO_TRY(co_await WaitFor(result->revision));
  for (store::Write& write : writes) {
    if (write.object) write.object->Stamp(result->revision);
  }
  co_return result;
}

Task<Result<int64_t>> EtcdClient::LatestRevision() {
  absl::AnyInvocable<Task<Result<int64_t>>(store::Store&)> ask =
      [](store::Store& store) -> Task<Result<int64_t>> { co_return store.revision(); };
  co_return co_await Ask<int64_t>(std::move(ask));
}

Task<Result<std::optional<store::Record>>> EtcdClient::Get(std::string key, int64_t revision) {
  if (revision == 0) {
    GANTRY_CO_ASSIGN(revision, co_await LatestRevision());
    GANTRY_CO_TRY(co_await WaitFor(revision));
  }
  co_return published_->Get(key, revision);
}

Task<Result<store::ListPage>> EtcdClient::List(std::string prefix, std::string after, int64_t limit,
                                               int64_t revision) {
  if (revision == 0) {
    GANTRY_CO_ASSIGN(revision, co_await LatestRevision());
    GANTRY_CO_TRY(co_await WaitFor(revision));
  }
  co_return published_->List(prefix, after, limit, revision);
}

Task<Status> EtcdClient::Compact(int64_t revision) {
  absl::AnyInvocable<Task<Result<bool>>(store::Store&)> ask =
      [revision](store::Store& store) -> Task<Result<bool>> {
    Status done = co_await store.Compact(revision);
    if (!done.ok()) co_return done;
    co_return true;
  };
  Result<bool> compacted = co_await Ask<bool>(std::move(ask));
  if (!compacted.ok()) co_return compacted.status();
  if (process_.alive()) published_->Publish({}, revision);
  co_return Status::Ok();
}

Result<std::unique_ptr<store::WatchStream>> EtcdClient::Watch(std::string prefix,
                                                              int64_t after_revision) {
  return published_->Watch(std::move(prefix), after_revision);
}

int64_t EtcdClient::AddObserver(store::CommitObserver* observer) {
  return published_->AddObserver(observer);
}

void EtcdClient::RemoveObserver(store::CommitObserver* observer) {
  published_->RemoveObserver(observer);
}

void EtcdClient::Announce(std::string key, store::Bytes value) {
  Spawn(process_.executor(), gate_, "announce", KeepAnnounced(std::move(key), std::move(value)));
}

Task<> EtcdClient::KeepAnnounced(std::string key, store::Bytes value) {
  const CancelToken stop = stop_.token();
  while (!stop.cancelled() && process_.alive()) {
    absl::AnyInvocable<Task<Result<bool>>(store::Store&)> ask =
        [key, value, &etcd = etcd_,
         process = process_.shared_from_this()](store::Store& store) -> Task<Result<bool>> {
      std::vector<store::Write> writes(1);
      writes[0].key = key;
      writes[0].value = value;
      Result<store::CommitResult> written = co_await store.Commit(std::move(writes));
      if (!written.ok()) co_return written.status();
      etcd.HoldWhile(process, key);
      co_return true;
    };
    Result<bool> announced = co_await Ask<bool>(std::move(ask));
    if (announced.ok()) co_return;
    co_await SleepFor(process_, Pause(process_), stop);
  }
}

std::shared_ptr<EtcdClient::EventPipe> EtcdClient::OpenPipe(int64_t after) {
  Route route(network_, process_, host_, etcd_.host());
  auto pipe = std::make_shared<EventPipe>(route);
  network_.Follow(host_, etcd_.host(), pipe);
  std::optional<Duration> transit = network_.Transit(host_, etcd_.host());
  if (!transit || !process_.alive()) {
    auto silence = [pipe] { pipe->Break(Unavailable("http2: client connection lost")); };
    network_.world().After(network_.NoticeSilence(), std::move(silence));
    return pipe;
  }
  auto arrive = [pipe, &network = network_, &etcd = etcd_, after] {
    std::shared_ptr<Process> process = network.ListeningAt(etcd.host());
    Spawn(process->executor(), process->gate(), "etcd watch",
          ServeWatch(pipe, process, etcd.store(), after));
  };
  network_.world().After(*transit, std::move(arrive));
  return pipe;
}

void EtcdClient::Publish(std::vector<store::Event> events) {
  // A watch that is taken up again may begin with what is known.
  std::erase_if(events, [this](const store::Event& event) {
    return event.record.revision <= published_->revision();
  });
  if (events.empty()) return;
  std::vector<store::Published::Revision> revisions;
  for (store::Event& event : events) {
    if (revisions.empty() || revisions.back().revision != event.record.revision)
      revisions.emplace_back().revision = event.record.revision;
    store::History::Change& change = revisions.back().changes.emplace_back();
    change.key = std::move(event.record.key);
    if (event.type == store::Event::Type::kPut) change.value = std::move(event.record.value);
    change.create_revision = event.record.create_revision;
  }
  if (revisions.empty()) return;
  published_->Publish(std::move(revisions));
  std::vector<std::shared_ptr<Notifier>> waiting;
  waiting.swap(waiting_);
  for (const auto& waiter : waiting)
    waiter->Notify();
}

Task<> EtcdClient::Feed() {
  CancelToken stop = stop_.token();
  bool broke = false;
  while (!stop.cancelled() && process_.alive()) {
    std::shared_ptr<EventPipe> pipe = OpenPipe(broke ? ResumeAfter(revision()) : revision());
    Status status;
    while (status.ok()) {
      Result<std::vector<store::Event>> events = co_await pipe->Next(pipe, process_, stop);
      status = health_ = events.status();
      if (status.ok()) Publish(std::move(*events));
    }
    pipe->Close();
    broke = true;
    if (!process_.alive()) co_return;
    process_.world().Tell(process_.name() + "'s feed breaks at revision " +
                          std::to_string(revision()) + ": " + status.ToString());
    if (status.code() == Code::kExpired) {
      // What happened meanwhile cannot be told any more: all of it is read again.
      Result<store::History> fresh = co_await ReadAll();
      if (fresh.ok() && process_.alive()) published_->Replace(std::move(*fresh));
    }
    co_await SleepFor(process_, Pause(process_), stop);
  }
}

Task<> EtcdClient::Stop() {
  stop_.Cancel();
  std::vector<std::shared_ptr<Notifier>> waiting;
  waiting.swap(waiting_);
  for (const auto& waiter : waiting)
    waiter->Notify();
  co_await gate_.Close(process_);
  if (published_) published_->End();
}

}  // namespace gantry::sim
