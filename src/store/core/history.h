#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace gantry::store {

// Every key with its versions since the last compaction, and all changes since then in order: what
// a store knows, in memory. Values are shared with whoever else holds them. Invariants: revisions
// only grow; a key's versions are ordered by revision; a version at or below the compacted revision
// is there only while it is its key's newest, and then it is not a deletion. Threading: not
// synchronised; the store's lock guards it.
class History {
 public:
  // A change that is durable. `row` is where the log keeps it (0: nowhere).
  // `object` is handed on in the event and not kept after compaction.
  struct Change {
    std::string key;
    Bytes value;  // null: deleted
    int64_t create_revision = 0;
    int64_t row = 0;
    std::shared_ptr<const api::Object> object;
  };

  int64_t revision() const { return revision_; }
  int64_t compacted_revision() const { return compacted_revision_; }

  // What `key` holds; null when absent. Valid until the next change.
  struct Current {
    Bytes value;
    int64_t create_revision;
    int64_t revision;
  };
  std::optional<Current> Find(std::string_view key) const;

  // Makes `changes` the content of `revision`, which is above all before, and returns the events.
  std::vector<Event> Apply(int64_t revision, std::vector<Change> changes);

  // Loading: first the floor that the log remembers (the counter is at least that), then its rows
  // in order. Appends rows that turn out to be useless to `garbage`, of each key the older ones
  // first.
  void SetCompacted(int64_t compacted_revision);
  void Restore(int64_t revision, Change change, std::vector<int64_t>* garbage);

  Result<std::optional<Record>> Get(std::string_view key, int64_t revision) const;
  Result<ListPage> List(std::string_view prefix, std::string_view after, int64_t limit,
                        int64_t revision) const;

  // Appends events above `after_revision` of keys with `prefix`, whole revisions, about `limit` of
  // them; returns up to which revision everything is in. kExpired when compacted.
  Result<int64_t> EventsAfter(std::string_view prefix, int64_t after_revision, size_t limit,
                              std::vector<Event>* out) const;

  // Forgets what only readers below `revision` could see; returns the log rows that nobody needs
  // any more. They are to be removed in this order: a deletion stays until what it deleted is gone.
  std::vector<int64_t> Compact(int64_t revision);

  // The events that lead from the newest state of `before` to that of this one, in order of
  // revision: of a key that changed several times one event, of one that is gone a deletion at this
  // history's revision.
  std::vector<Event> DifferenceFrom(const History& before) const;

  // The revision above `after_revision` at which exactly `writes` were made; 0: none.
  int64_t FindApplied(const std::vector<Write>& writes, int64_t after_revision) const;

  // Changes that are kept for watchers.
  size_t event_count() const { return events_.size(); }

 private:
  struct Version {
    Version() : Version(0, 0, 0, nullptr) {}
    Version(int64_t revision, int64_t create_revision, int64_t row, Bytes value)
        : revision(revision), create_revision(create_revision), row(row), value(std::move(value)) {}

    int64_t revision, create_revision, row;
    Bytes value;
  };
  struct Chain {
    Version newest;
    std::vector<Version> older;  // ascending
  };

  const Event& Put(int64_t revision, Change change);
  Status CheckReadable(int64_t revision) const;
  static const Version* At(const Chain& chain, int64_t revision);

  int64_t revision_ = 1;
  int64_t compacted_revision_ = 0;
  absl::btree_map<std::string, Chain, std::less<>> keys_;
  std::deque<Event> events_;
};

}  // namespace gantry::store
