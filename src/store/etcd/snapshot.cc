#include "store/snapshot.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "store/etcd/client.h"
#include "store/etcd/layout.h"
#include "store/etcd/url.h"
#include "store/sqlite/snapshot_file.h"

namespace gantry::store {
namespace etcd {
namespace {

constexpr char kRoot[] = "/registry/";
constexpr char kServers[] = "/registry/masterleases/";
constexpr int64_t kPageKeys = 1000;
// What a transaction may hold, with room to etcd's limits.
constexpr int kPutsPerTxn = 100;
constexpr size_t kBytesPerTxn = 512 * 1024;

// Keys in the order of their revisions are what a log holds. All of them fit into memory: they do
// in a server's, too.
Task<Status> ReadAll(Client& client, int64_t* revision, std::vector<KeyValue>* out) {
  std::string after;
  *revision = 0;
  while (true) {
    RangeRequest request;
    SetPrefixRange(kRoot, after, &request);
    request.set_limit(kPageKeys);
    request.set_revision(*revision);
    GANTRY_CO_ASSIGN(RangeResponse page, co_await client.Range(std::move(request)));
    if (*revision == 0) *revision = page.header().revision();
    for (KeyValue& kv : *page.mutable_kvs()) {
      after = kv.key();
      if (kv.lease() == 0) out->push_back(std::move(kv));
    }
    if (!page.more() || page.kvs().empty()) break;
  }
  std::sort(out->begin(), out->end(), [](const KeyValue& a, const KeyValue& b) {
    return std::pair(a.mod_revision(), a.key()) < std::pair(b.mod_revision(), b.key());
  });
  co_return Status::Ok();
}

Task<Result<int64_t>> ReadOffset(Client& client) {
  RangeRequest request;
  request.set_key(std::string(kOffsetKey));
  GANTRY_CO_ASSIGN(RangeResponse range, co_await client.Range(std::move(request)));
  co_return range.kvs_size() > 0 ? std::atoll(range.kvs(0).value().c_str()) : 0;
}

// Beside its place, then put there.
Status WriteFile(const std::string& file, const std::vector<KeyValue>& all, int64_t revision,
                 int64_t offset, const SnapshotFiles& files) {
  const std::string partial = file + ".partial";
  auto remove = [&partial] {
    for (const char* suffix : {"", "-wal", "-shm", "-lock"})
      unlink((partial + suffix).c_str());
  };
  remove();
  auto write = [&]() -> Status {
    {
      GANTRY_ASSIGN(SqliteLog::Opened opened, SqliteLog::Open(SqliteOptions(partial)));
      std::vector<LogRow> rows;
      for (const KeyValue& kv : all) {
        LogRow& row = rows.emplace_back();
        row.id = static_cast<int64_t>(rows.size());
        row.revision = kv.mod_revision() + offset;
        row.create_revision = kv.create_revision() + offset;
        row.key = kv.key();
        row.value = &kv.value();
      }
      GANTRY_TRY(opened.log->Append(rows, {}, revision + offset));
    }
    GANTRY_TRY(AddFiles(partial, files));
    return RenameDurably(partial, file);
  };
  const Status written = write();
  remove();
  return written;
}

Task<Status> Save(Client& client, std::string file, SnapshotFiles files) {
  std::vector<KeyValue> all;
  int64_t revision = 0;
  GANTRY_CO_ASSIGN(const int64_t offset, co_await ReadOffset(client));
  GANTRY_CO_TRY(co_await ReadAll(client, &revision, &all));
  co_return WriteFile(file, all, revision, offset, files);
}

Task<Result<bool>> HasKeys(Client& client, std::string prefix) {
  RangeRequest request;
  SetPrefixRange(prefix, {}, &request);
  request.set_limit(1);
  request.set_keys_only(true);
  GANTRY_CO_ASSIGN(RangeResponse range, co_await client.Range(std::move(request)));
  co_return range.kvs_size() > 0;
}

Task<Status> PutKey(Client& client, std::string_view key, std::string value) {
  PutRequest request;
  request.set_key(std::string(key));
  request.set_value(std::move(value));
  Result<PutResponse> put = co_await client.Put(std::move(request));
  co_return put.status();
}

Task<Result<int64_t>> Remove(Client& client, std::string prefix) {
  DeleteRangeRequest request;
  SetPrefixRange(prefix, {}, &request);
  GANTRY_CO_ASSIGN(DeleteRangeResponse removed, co_await client.DeleteRange(std::move(request)));
  co_return removed.header().revision();
}

Task<Status> PutAll(Client& client, Database& snapshot) {
  GANTRY_CO_ASSIGN(Statement rows,
                   snapshot.Prepare("SELECT key, value FROM current ORDER BY revision, key"));
  TxnRequest txn;
  size_t bytes = 0;
  while (true) {
    GANTRY_CO_ASSIGN(const bool row, rows.Step());
    const size_t size = row ? rows.Bytes(0).size() + rows.Bytes(1).size() : 0;
    const bool full = txn.success_size() == kPutsPerTxn || bytes + size > kBytesPerTxn;
    if (txn.success_size() > 0 && (!row || full)) {
      // The same done twice is the same.
      TxnRequest step = std::exchange(txn, TxnRequest());
      Result<TxnResponse> done = co_await client.TxnAgain(std::move(step));
      if (!done.ok()) co_return done.status();
      bytes = 0;
    }
    if (!row) co_return Status::Ok();
    PutRequest& put = *txn.add_success()->mutable_put();
    put.set_key(std::string(rows.Bytes(0)));
    put.set_value(std::string(rows.Bytes(1)));
    bytes += size;
  }
}

Task<Result<SnapshotFiles>> Restore(Client& client, std::string file) {
  GANTRY_CO_ASSIGN(Database snapshot, OpenSnapshot(file));
  GANTRY_CO_ASSIGN(SnapshotFiles files, ReadFiles(snapshot));
  GANTRY_CO_ASSIGN(const int64_t saved, RevisionOf(snapshot));
  GANTRY_CO_ASSIGN(const bool running, co_await HasKeys(client, kServers));
  if (running) {
    co_return Status(Code::kConflict,
                     "servers are using this etcd; stop them all first (one that was killed counts "
                     "for some seconds more)");
  }
  GANTRY_CO_ASSIGN(const bool interrupted, co_await HasKeys(client, std::string(kRestoringKey)));
  GANTRY_CO_ASSIGN(const bool holds_some, co_await HasKeys(client, kRoot));
  if (holds_some && !interrupted) {
    const std::string before = file + ".before-restore";
    unlink(before.c_str());
    GANTRY_CO_TRY((co_await Save(client, before, SnapshotFiles()))
                      .WithContext("keep what is there as " + before));
  }
  GANTRY_CO_TRY(co_await PutKey(client, kRestoringKey, ""));
  GANTRY_CO_ASSIGN(const int64_t offset, co_await ReadOffset(client));
  GANTRY_CO_ASSIGN(const int64_t current, co_await Remove(client, kRoot));
  const int64_t leap = std::max(saved, current + offset) + kRevisionLeap - current;
  GANTRY_CO_TRY(co_await PutKey(client, kOffsetKey, std::to_string(leap)));
  GANTRY_CO_TRY(co_await PutAll(client, snapshot));
  GANTRY_CO_ASSIGN(const int64_t last, co_await Remove(client, std::string(kRestoringKey)));
  CompactionRequest compact;
  compact.set_revision(last);
  Result<CompactionResponse> compacted = co_await client.Compact(std::move(compact));
  if (!compacted.ok() && compacted.code() != Code::kExpired) co_return compacted.status();
  co_return files;
}

}  // namespace
}  // namespace etcd

Task<Status> SaveEtcdSnapshot(Env& env, EtcdOptions options, std::string file,
                              SnapshotFiles files) {
  if (access(file.c_str(), F_OK) == 0)
    co_return Status(Code::kAlreadyExists, file + " exists already");
  GANTRY_CO_ASSIGN(etcd::ChannelOptions channel, etcd::ChannelOptionsFor(options));
  etcd::Client client(env, std::move(channel));
  Status saved = co_await etcd::Save(client, file, std::move(files));
  client.channel().Stop();
  co_return saved.WithContext("save a snapshot to " + file);
}

Task<Result<SnapshotFiles>> RestoreEtcdSnapshot(Env& env, EtcdOptions options, std::string file) {
  GANTRY_CO_ASSIGN(etcd::ChannelOptions channel, etcd::ChannelOptionsFor(options));
  etcd::Client client(env, std::move(channel));
  Result<SnapshotFiles> restored = co_await etcd::Restore(client, file);
  client.channel().Stop();
  if (!restored.ok()) co_return restored.status().WithContext("restore the snapshot " + file);
  co_return restored;
}

}  // namespace gantry::store
