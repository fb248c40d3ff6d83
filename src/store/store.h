#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::api {
class Object;
}

namespace gantry::store {

using Bytes = std::shared_ptr<const std::string>;

// One key as it stands at some revision.
struct Record {
  std::string key;
  Bytes value;
  int64_t create_revision = 0;
  int64_t revision = 0;  // of the last change
};

constexpr int64_t kAnyRevision = -1;
constexpr int64_t kAbsent = 0;

// One change of a batch. `expected_revision`: kAnyRevision, kAbsent, or the revision that the key
// must be at.
struct Write {
  std::string key;
  Bytes value;  // null deletes the key
  int64_t expected_revision = kAnyRevision;
  // The decoded form of what is written (for a delete: of what goes away), when the writer has it:
  // stamped with the revision by the committer and handed to watchers as it is, so that nobody
  // decodes it again. May be null.
  std::shared_ptr<api::Object> object;
};

struct CommitResult {
  // The batch's revision; 0 when a precondition failed, and then nothing of the batch was written.
  int64_t revision = 0;
  // Of the write that failed its precondition: its index and what the key holds (absent: nullopt).
  size_t failed_write = 0;
  std::optional<Record> found;

  bool committed() const { return revision != 0; }
};

struct Event {
  enum class Type : uint8_t { kPut, kDelete };
  Type type = Type::kPut;
  Record record;                   // of a delete: no value, `revision` is that of the delete
  std::optional<Record> previous;  // what the key held before, where it is still known
  std::shared_ptr<const api::Object> object;  // Write::object, or null
};

struct ListPage {
  std::vector<Record> records;  // ordered by key
  int64_t revision = 0;         // at which this was read
  bool more = false;
  int64_t remaining = 0;  // how many keys stand behind this page
};

// Hears of every commit before it is acknowledged: how a cache shows a write to its own writer.
// Called by the committer, one call at a time, in order of revision. Must be short and must not
// call the store.
class CommitObserver {
 public:
  virtual ~CommitObserver() = default;
  // All events of one or more revisions.
  virtual void OnCommit(const std::vector<Event>& events) = 0;
  // The store lost sight of its data for so long that some changes are not known. `events` lead
  // from the last state that was told of to that of `revision`; what happened in between is lost,
  // and whoever follows every change has to begin anew.
  virtual void OnGap(const std::vector<Event>& events, int64_t revision) = 0;
  // History up to `revision` is forgotten.
  virtual void OnCompact(int64_t revision) = 0;
  // The store failed for good; the process should end.
  virtual void OnFailure(const Status& status) = 0;
};

// A subscription. Destroying it ends it.
class WatchStream {
 public:
  virtual ~WatchStream() = default;

  // The next events in order of revision: at least one. All events of a revision arrive together.
  // kExpired: this reader was too slow, or the store was compacted past it; kCanceled; any other:
  // the store failed.
  virtual Task<Result<std::vector<Event>>> Next(CancelToken cancel) = 0;

  // Every change up to this revision has been returned by Next.
  virtual int64_t revision() const = 0;
};

// What a batch may hold where the store is shared: etcd refuses transactions of more than 128
// steps.
constexpr size_t kMaxWrites = 120;

class SharedStore;

// A revisioned key-value store. One counter for all keys: every committed batch gets the next
// revision, without gaps going back. What Commit acknowledged survives kill -9 and power loss (but
// for the memory store). Reads see every commit that this process made and that was acknowledged
// before they began; those of other processes (where the store is shared) once revision() has
// reached SharedStore::LatestRevision(). While the disk is full, commits fail with
// kServiceUnavailable and change nothing; reads and watches go on. Any other failed disk write is
// final: from then on every call answers kUnavailable, and the process should end. Life cycle:
// opened by the factories of the implementations; Stop() before destruction. Threading: any thread.
class Store {
 public:
  virtual ~Store() = default;

  // All or nothing. Concurrent callers share one durable transaction. A batch names each key at
  // most once (else kInternalError). Deleting an absent key with kAnyRevision changes nothing; a
  // batch that changes nothing gets no revision of its own and answers the current one.
  virtual Task<Result<CommitResult>> Commit(std::vector<Write> writes) = 0;

  // `revision` 0: now; else as of that revision (kExpired when compacted, kInvalid when in the
  // future).
  virtual Task<Result<std::optional<Record>>> Get(std::string key, int64_t revision = 0) = 0;

  // Keys that start with `prefix` and sort behind `after` (empty: from the first), at most `limit`
  // (0: all).
  virtual Task<Result<ListPage>> List(std::string prefix, std::string after = {}, int64_t limit = 0,
                                      int64_t revision = 0) = 0;

  // Changes of keys that start with `prefix`, with revisions above `after_revision`. kExpired when
  // compacted.
  virtual Result<std::unique_ptr<WatchStream>> Watch(std::string prefix,
                                                     int64_t after_revision) = 0;

  // Every commit above the returned revision will be heard by `observer`, until RemoveObserver
  // returns.
  virtual int64_t AddObserver(CommitObserver* observer) = 0;
  virtual void RemoveObserver(CommitObserver* observer) = 0;

  // The last committed revision (1 for a store that was never written to), and the oldest that can
  // still be read or watched from.
  virtual int64_t revision() const = 0;
  virtual int64_t compacted_revision() const = 0;

  // Not null where other processes write to the same data, too: then revision() may be behind what
  // they have been told.
  virtual SharedStore* shared() { return nullptr; }

  // When a commit was refused last because the disk was full; nullopt: none was.
  virtual std::optional<SteadyTime> refused_at() const { return std::nullopt; }

  // Forgets history up to `revision`.
  virtual Task<Status> Compact(int64_t revision) = 0;

  // Finishes running commits, refuses new ones (kUnavailable), ends watches (kCanceled).
  virtual Task<> Stop() = 0;
};

// A store that several processes use at the same time. A batch has at most kMaxWrites (else
// kInternalError).
class SharedStore : public Store {
 public:
  SharedStore* shared() override { return this; }

  // A revision that holds every commit which anybody had acknowledged when this was called. Callers
  // share the question. kUnknown ("etcdserver: request timed out") or kUnavailable when there is no
  // majority to ask.
  virtual Task<Result<int64_t>> LatestRevision() = 0;

  // Keeps `key` in the store for as long as this process lives and reaches it: a few seconds after
  // that it goes by itself.
  virtual void Announce(std::string key, Bytes value) = 0;

  // Why it cannot be written to or asked just now; ok while it can.
  virtual Status health() const = 0;
};

}  // namespace gantry::store
