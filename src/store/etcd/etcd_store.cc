#include "store/etcd/etcd_store.h"

#include <absl/synchronization/mutex.h>

#include <charconv>
#include <utility>

#include "api/object.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "store/core/published.h"
#include "store/etcd/client.h"
#include "store/etcd/feed.h"
#include "store/etcd/layout.h"
#include "store/etcd/session.h"
#include "store/etcd/url.h"

namespace gantry::store {
namespace etcd {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(50);

Status Stopped() { return Unavailable("the store is stopped"); }

// Lets go of a gate that was entered.
class Visit {
 public:
  explicit Visit(Gate& gate) : gate_(gate), inside_(gate.Enter()) {}
  ~Visit() {
    if (inside_) gate_.Leave();
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  bool inside() const { return inside_; }

 private:
  Gate& gate_;
  const bool inside_;
};

class EtcdStore final : public SharedStore {
 public:
  EtcdStore(Env& env, std::unique_ptr<Client> client, std::unique_ptr<Feed> feed,
            Duration session_ttl)
      : env_(env),
        client_(std::move(client)),
        feed_(std::move(feed)),
        published_(feed_->published()),
        session_(env, *client_, session_ttl),
        offset_(feed_->offset()) {}

  void Start() {
    Spawn(env_.MakeStrand(), background_, "etcd feed", feed_->Run(stop_.token()));
    Spawn(env_.MakeStrand(), session_gate_, "etcd session", session_.Run(stop_.token()));
  }
  // Until it can be written to and shows all that there is.
  Task<Status> WaitUntilReady() {
    Result<int64_t> fence = co_await session_.Renew(0);
    if (!fence.ok()) co_return fence.status();
    co_return co_await feed_->WaitFor(*fence + offset_, kPatience);
  }

  Task<Result<CommitResult>> Commit(std::vector<Write> writes) override;
  Task<Result<std::optional<Record>>> Get(std::string key, int64_t revision) override;
  Task<Result<ListPage>> List(std::string prefix, std::string after, int64_t limit,
                              int64_t revision) override;
  Result<std::unique_ptr<WatchStream>> Watch(std::string prefix, int64_t after_revision) override {
    return published_.Watch(std::move(prefix), after_revision);
  }
  int64_t AddObserver(CommitObserver* observer) override {
    return published_.AddObserver(observer);
  }
  void RemoveObserver(CommitObserver* observer) override { published_.RemoveObserver(observer); }
  int64_t revision() const override { return published_.revision(); }
  int64_t compacted_revision() const override { return published_.compacted_revision(); }
  Task<Status> Compact(int64_t revision) override;
  Task<> Stop() override;

  Task<Result<int64_t>> LatestRevision() override;
  void Announce(std::string key, Bytes value) override {
    session_.Announce(std::move(key), std::move(value));
  }
  Status health() const override;

 private:
  // Who asks how far etcd has come.
  struct Asker {
    Notifier answered;
    bool done = false;
    Status status;
    int64_t revision = 0;
  };

  TxnRequest MakeTxn(const std::vector<Write>& writes, int64_t fence) const;
  CommitResult Refused(const std::vector<Write>& writes, TxnResponse& response, bool* fenced) const;
  Task<Result<CommitResult>> TryCommit(const std::vector<Write>& writes);
  Task<> Ask();
  // `revision` 0 as one that has been asked for and reached.
  Task<Result<int64_t>> Reach(int64_t revision);
  bool InMemory(int64_t revision) const {
    return revision >= published_.compacted_revision() && revision <= published_.revision();
  }
  int64_t Physical(int64_t revision) const { return revision - offset_; }
  // Revisions of before a restore are nothing that etcd could be asked for.
  Status CheckKept(int64_t revision) const {
    if (Physical(revision) > 0) return Status::Ok();
    return Status(Code::kExpired, "revision " + std::to_string(revision) + " is compacted");
  }
  Record MakeRecord(KeyValue& kv) const;

  Env& env_;
  const std::unique_ptr<Client> client_;
  const std::unique_ptr<Feed> feed_;
  Published& published_;
  Session session_;
  const int64_t offset_;
  CancelSource stop_;
  Gate calls_, session_gate_, background_;

  absl::Mutex mutex_;
  bool asking_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Asker>> askers_ ABSL_GUARDED_BY(mutex_);
};

// The writes, on the condition that the preconditions hold and the fence stands; else what is there
// instead: of each write with a precondition, and last the fence.
TxnRequest EtcdStore::MakeTxn(const std::vector<Write>& writes, int64_t fence) const {
  TxnRequest txn;
  auto expect = [&txn](const std::string& key, int64_t mod_revision) {
    Compare& compare = *txn.add_compare();
    compare.set_target(Compare::MOD);
    compare.set_key(key);
    compare.set_mod_revision(mod_revision);
    txn.add_failure()->mutable_range()->set_key(key);
  };
  for (const Write& write : writes) {
    RequestOp& step = *txn.add_success();
    if (write.value) {
      step.mutable_put()->set_key(write.key);
      step.mutable_put()->set_value(*write.value);
    } else {
      step.mutable_delete_range()->set_key(write.key);
    }
    if (write.expected_revision == kAnyRevision) continue;
    expect(write.key, write.expected_revision == kAbsent ? 0 : Physical(write.expected_revision));
  }
  expect(session_.fence_key(), fence);
  return txn;
}

Record EtcdStore::MakeRecord(KeyValue& kv) const {
  Record record;
  record.key = std::move(*kv.mutable_key());
  record.value = std::make_shared<const std::string>(std::move(*kv.mutable_value()));
  record.create_revision = kv.create_revision() + offset_;
  record.revision = kv.mod_revision() + offset_;
  return record;
}

// Which precondition did not hold. `fenced`: all did, but the fence stands elsewhere.
CommitResult EtcdStore::Refused(const std::vector<Write>& writes, TxnResponse& response,
                                bool* fenced) const {
  CommitResult result;
  int answer = 0;
  for (size_t i = 0; i < writes.size(); ++i) {
    if (writes[i].expected_revision == kAnyRevision) continue;
    RangeResponse& there = *response.mutable_responses(answer++)->mutable_range();
    const bool found = there.kvs_size() > 0;
    const int64_t at = found ? there.kvs(0).mod_revision() + offset_ : kAbsent;
    if (at == writes[i].expected_revision) continue;
    result.failed_write = i;
    if (found) result.found = MakeRecord(*there.mutable_kvs(0));
    return result;
  }
  *fenced = true;
  return result;
}

Task<Result<CommitResult>> EtcdStore::Commit(std::vector<Write> writes) {
  GANTRY_CO_TRY(CheckBatch(writes));
  if (writes.size() > kMaxWrites) co_return InternalError("a batch of too many writes");
  Visit visit(calls_);
  if (!visit.inside()) co_return Stopped();
  if (writes.empty()) {
    CommitResult nothing;
    GANTRY_CO_ASSIGN(nothing.revision, co_await LatestRevision());
    co_return nothing;
  }
  std::vector<Pending> pending;
  pending.reserve(writes.size());
  for (const Write& write : writes) {
    if (write.object) pending.emplace_back(&write);
  }
  feed_->Expect(pending);
  Result<CommitResult> result = co_await TryCommit(writes);
  feed_->Forget(pending);
  if (!result.ok() || !result->committed()) co_return result;
  // What no event took over is nobody else's.
  for (Pending& one : pending) {
    if (!one.taken) one.write->object->Stamp(result->revision);
  }
  co_return result;
}

Task<Result<CommitResult>> EtcdStore::TryCommit(const std::vector<Write>& writes) {
  const SteadyTime end = env_.Steady() + kPatience;
  int64_t fence = session_.fence();
  while (true) {
    if (fence == 0) {
      Result<int64_t> renewed = co_await session_.Renew(0);
      if (!renewed.ok()) co_return renewed.status();
      fence = *renewed;
    }
    const int64_t before = published_.revision();
    CallError error;
    TxnRequest txn = MakeTxn(writes, fence);
    Result<TxnResponse> response = co_await client_->Txn(std::move(txn), &error);
    if (response.ok() && response->succeeded()) {
      CommitResult result;
      result.revision = response->header().revision() + offset_;
      GANTRY_CO_TRY(co_await feed_->WaitFor(result.revision, kPatience));
      co_return result;
    }
    bool fenced = false;
    if (response.ok()) {
      CommitResult refused = Refused(writes, *response, &fenced);
      if (!fenced) co_return refused;
    } else if (!error.begun) {
      const bool passes = error.code == GrpcCode::kUnavailable;
      if (!passes || env_.Steady() + kPause >= end) co_return error.status;
      co_await SleepFor(env_, kPause);
      continue;
    }
    // Either etcd says that the fence has moved, and nothing was done; or it is not known what was
    // done, and it has to be moved to find out.
    Result<int64_t> renewed = co_await session_.Renew(fence);
    if (!renewed.ok()) co_return TimedOut();
    fence = *renewed;
    if (!fenced) {
      GANTRY_CO_TRY(co_await feed_->WaitFor(fence + offset_, kPatience));
      CommitResult result;
      bool known = false;
      published_.Read([&](const History& history) {
        known = history.compacted_revision() <= before;
        result.revision = history.FindApplied(writes, before);
      });
      if (result.committed()) co_return result;
      if (!known) co_return TimedOut();
    }
    if (env_.Steady() >= end) co_return Unavailable("etcdserver: request timed out");
  }
}

Task<Result<int64_t>> EtcdStore::LatestRevision() {
  Visit visit(calls_);
  if (!visit.inside()) co_return Stopped();
  auto asker = std::make_shared<Asker>();
  bool start = false;
  {
    absl::MutexLock lock(&mutex_);
    askers_.push_back(asker);
    start = !std::exchange(asking_, true);
  }
  if (start) Spawn(env_.executor(), background_, "etcd revision", Ask());
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (asker->done) break;
    }
    co_await asker->answered.Wait(env_);
  }
  if (!asker->status.ok()) co_return asker->status;
  co_return asker->revision;
}

// Questions one after another, each for all who came before it was put.
Task<> EtcdStore::Ask() {
  while (true) {
    std::vector<std::shared_ptr<Asker>> askers;
    {
      absl::MutexLock lock(&mutex_);
      askers.swap(askers_);
      if (askers.empty()) {
        asking_ = false;
        co_return;
      }
    }
    RangeRequest request;
    request.set_key(std::string(kOffsetKey));
    request.set_keys_only(true);
    const int64_t seen = published_.revision();
    Result<RangeResponse> answer = co_await client_->Range(std::move(request));
    const int64_t revision = answer.ok() ? answer->header().revision() + offset_ : 0;
    if (answer.ok() && revision < seen) {
      published_.Fail(
          DataLoss("etcd has less than it had before: its data was replaced or lost; gantry has to "
                   "be started again"));
    }
    absl::MutexLock lock(&mutex_);
    for (const auto& asker : askers) {
      asker->done = true;
      asker->revision = revision;
      asker->status = answer.status();
      asker->answered.Notify();
    }
  }
}

Task<Result<int64_t>> EtcdStore::Reach(int64_t revision) {
  if (revision == 0) {
    GANTRY_CO_ASSIGN(revision, co_await LatestRevision());
    GANTRY_CO_TRY(co_await feed_->WaitFor(revision, kPatience));
  }
  co_return revision;
}

Task<Result<std::optional<Record>>> EtcdStore::Get(std::string key, int64_t revision) {
  GANTRY_CO_ASSIGN(revision, co_await Reach(revision));
  if (InMemory(revision)) {
    Result<std::optional<Record>> record = published_.Get(key, revision);
    if (record.code() != Code::kExpired) co_return record;
  }
  GANTRY_CO_TRY(CheckKept(revision));
  RangeRequest request;
  request.set_key(key);
  request.set_revision(Physical(revision));
  GANTRY_CO_ASSIGN(RangeResponse range, co_await client_->Range(std::move(request)));
  std::optional<Record> record;
  if (range.kvs_size() > 0) record = MakeRecord(*range.mutable_kvs(0));
  co_return record;
}

Task<Result<ListPage>> EtcdStore::List(std::string prefix, std::string after, int64_t limit,
                                       int64_t revision) {
  GANTRY_CO_ASSIGN(revision, co_await Reach(revision));
  if (InMemory(revision)) {
    Result<ListPage> page = published_.List(prefix, after, limit, revision);
    if (page.code() != Code::kExpired) co_return page;
  }
  GANTRY_CO_TRY(CheckKept(revision));
  RangeRequest request;
  SetPrefixRange(prefix, after, &request);
  request.set_limit(limit);
  request.set_revision(Physical(revision));
  GANTRY_CO_ASSIGN(RangeResponse range, co_await client_->Range(std::move(request)));
  ListPage page;
  page.revision = revision;
  page.more = range.more();
  page.remaining = range.count() - range.kvs_size();
  for (KeyValue& kv : *range.mutable_kvs())
    page.records.push_back(MakeRecord(kv));
  co_return page;
}

Task<Status> EtcdStore::Compact(int64_t revision) {
  if (revision > published_.revision()) {
    co_return Status(Code::kInvalid, "cannot compact revision " + std::to_string(revision) +
                                         ": it is in the future");
  }
  if (revision <= published_.compacted_revision()) co_return Status::Ok();
  CompactionRequest request;
  request.set_revision(Physical(revision));
  Result<CompactionResponse> compacted = co_await client_->Compact(std::move(request));
  // Another server may have compacted further already.
  if (!compacted.ok() && compacted.code() != Code::kExpired) co_return compacted.status();
  feed_->Compact(revision);
  co_return Status::Ok();
}

Status EtcdStore::health() const {
  GANTRY_TRY(published_.failure());
  GANTRY_TRY(session_.last_error());
  return feed_->health();
}

Task<> EtcdStore::Stop() {
  co_await calls_.Close(env_);
  stop_.Cancel();
  co_await session_gate_.Close(env_);
  co_await session_.End();
  client_->channel().Stop();
  co_await background_.Close(env_);
  published_.End();
}

Result<int64_t> ParseOffset(const std::string& text) {
  int64_t offset = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (error != std::errc() || end != text.data() + text.size())
    return DataLoss(std::string(kOffsetKey) + " holds no number");
  return offset;
}

// What a store has to know before it can begin.
Task<Result<int64_t>> ReadOffset(Client& client) {
  RangeRequest offset, restoring;
  offset.set_key(std::string(kOffsetKey));
  restoring.set_key(std::string(kRestoringKey));
  GANTRY_CO_ASSIGN(RangeResponse restored, co_await client.Range(std::move(restoring)));
  if (restored.kvs_size() > 0) {
    co_return Status(Code::kConflict,
                     "a snapshot is being restored into this etcd, or its restoring was "
                     "interrupted; let it end, or restore again (gantry snapshot restore FILE)");
  }
  GANTRY_CO_ASSIGN(RangeResponse kept, co_await client.Range(std::move(offset)));
  if (kept.kvs_size() == 0) co_return int64_t{0};
  co_return ParseOffset(kept.kvs(0).value());
}

Task<Result<std::unique_ptr<SharedStore>>> TryOpen(Env& env, ChannelOptions channel,
                                                   Duration session_ttl) {
  auto client = std::make_unique<Client>(env, std::move(channel));
  Result<int64_t> offset = co_await ReadOffset(*client);
  Status status = offset.status();
  if (status.ok()) {
    auto feed = std::make_unique<Feed>(env, *client, *offset);
    status = co_await feed->Load();
    if (status.ok()) {
      auto store =
          std::make_unique<EtcdStore>(env, std::move(client), std::move(feed), session_ttl);
      store->Start();
      status = co_await store->WaitUntilReady();
      if (status.ok()) co_return std::unique_ptr<SharedStore>(std::move(store));
      co_await store->Stop();
      co_return status;
    }
  }
  client->channel().Stop();
  co_return status;
}

}  // namespace
}  // namespace etcd

Task<Result<std::unique_ptr<SharedStore>>> OpenEtcdStore(Env& env, EtcdOptions options,
                                                         CancelToken cancel) {
  GANTRY_CO_ASSIGN(etcd::ChannelOptions channel, etcd::ChannelOptionsFor(options));
  while (true) {
    Result<std::unique_ptr<SharedStore>> store =
        co_await etcd::TryOpen(env, channel, options.session_ttl);
    const bool passes = store.code() == Code::kUnavailable || store.code() == Code::kUnknown ||
                        store.code() == Code::kExpired;
    if (store.ok() || !passes) co_return store;
    log::Warning("store", "waiting for etcd",
                 {{"store", options.url}, {"error", store.status().message()}});
    if (co_await SleepFor(env, std::chrono::seconds(1), cancel) == Wake::kCanceled)
      co_return store.status();
  }
}

}  // namespace gantry::store
