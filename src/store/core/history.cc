#include "store/core/history.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace gantry::store {
namespace {

Record MakeRecord(std::string_view key, Bytes value, int64_t create_revision, int64_t revision) {
  Record record;
  record.key = std::string(key);
  record.value = std::move(value);
  record.create_revision = create_revision;
  record.revision = revision;
  return record;
}

}  // namespace

std::optional<History::Current> History::Find(std::string_view key) const {
  auto it = keys_.find(key);
  if (it == keys_.end() || !it->second.newest.value) return std::nullopt;
  const Version& newest = it->second.newest;
  return Current{newest.value, newest.create_revision, newest.revision};
}

const Event& History::Put(int64_t revision, Change change) {
  Chain& chain = keys_[change.key];
  Event& event = events_.emplace_back();
  if (chain.newest.revision != 0) {
    const Version& before = chain.newest;
    if (before.value) {
      event.previous =
          MakeRecord(change.key, before.value, before.create_revision, before.revision);
    }
    chain.older.push_back(std::move(chain.newest));
  }
  chain.newest = Version(revision, change.create_revision, change.row, change.value);
  event.type = change.value ? Event::Type::kPut : Event::Type::kDelete;
  event.record = MakeRecord(change.key, std::move(change.value), change.create_revision, revision);
  event.object = std::move(change.object);
  return event;
}

std::vector<Event> History::Apply(int64_t revision, std::vector<Change> changes) {
  GANTRY_CHECK(revision > revision_, "a revision came twice");
  revision_ = revision;
  std::vector<Event> events;
  events.reserve(changes.size());
  for (Change& change : changes)
    events.push_back(Put(revision, std::move(change)));
  return events;
}

void History::Restore(int64_t revision, Change change, std::vector<int64_t>* garbage) {
  revision_ = std::max(revision_, revision);
  if (revision > compacted_revision_) {
    Put(revision, std::move(change));
    return;
  }
  Chain& chain = keys_[change.key];
  if (chain.newest.revision != 0) garbage->push_back(chain.newest.row);
  if (change.value) {
    chain.newest = Version(revision, change.create_revision, change.row, std::move(change.value));
  } else {
    garbage->push_back(change.row);
    keys_.erase(change.key);
  }
}

void History::SetCompacted(int64_t compacted_revision) {
  compacted_revision_ = compacted_revision;
  revision_ = std::max(revision_, compacted_revision);
}

Status History::CheckReadable(int64_t revision) const {
  if (revision > revision_) {
    return Status(Code::kInvalid, "revision " + std::to_string(revision) +
                                      " is in the future; the last one is " +
                                      std::to_string(revision_));
  }
  if (revision < compacted_revision_) {
    return Status(Code::kExpired, "revision " + std::to_string(revision) +
                                      " has been compacted; the oldest one kept is " +
                                      std::to_string(compacted_revision_));
  }
  return Status::Ok();
}

const History::Version* History::At(const Chain& chain, int64_t revision) {
  const Version* found = nullptr;
  if (chain.newest.revision <= revision) {
    found = &chain.newest;
  } else {
    auto behind =
        std::upper_bound(chain.older.begin(), chain.older.end(), revision,
                         [](int64_t at, const Version& version) { return at < version.revision; });
    if (behind != chain.older.begin()) found = &*std::prev(behind);
  }
  return found && found->value ? found : nullptr;
}

Result<std::optional<Record>> History::Get(std::string_view key, int64_t revision) const {
  if (revision == 0) revision = revision_;
  GANTRY_TRY(CheckReadable(revision));
  std::optional<Record> found;
  if (auto it = keys_.find(key); it != keys_.end()) {
    if (const Version* version = At(it->second, revision)) {
      found = MakeRecord(key, version->value, version->create_revision, version->revision);
    }
  }
  return found;
}

Result<ListPage> History::List(std::string_view prefix, std::string_view after, int64_t limit,
                               int64_t revision) const {
  if (revision == 0) revision = revision_;
  GANTRY_TRY(CheckReadable(revision));
  ListPage page;
  page.revision = revision;
  for (auto it = after > prefix ? keys_.upper_bound(after) : keys_.lower_bound(prefix);
       it != keys_.end() && it->first.starts_with(prefix); ++it) {
    const Version* version = At(it->second, revision);
    if (!version || (!after.empty() && it->first <= after)) continue;
    if (limit > 0 && page.records.size() == static_cast<size_t>(limit)) {
      page.more = true;
      ++page.remaining;
    } else {
      page.records.push_back(
          MakeRecord(it->first, version->value, version->create_revision, version->revision));
    }
  }
  return page;
}

Result<int64_t> History::EventsAfter(std::string_view prefix, int64_t after_revision, size_t limit,
                                     std::vector<Event>* out) const {
  if (after_revision < compacted_revision_) return CheckReadable(after_revision);
  auto it =
      std::upper_bound(events_.begin(), events_.end(), after_revision,
                       [](int64_t at, const Event& event) { return at < event.record.revision; });
  for (; it != events_.end(); ++it) {
    // A revision is never split.
    if (out->size() >= limit && it->record.revision != std::prev(it)->record.revision) {
      return std::prev(it)->record.revision;
    }
    if (it->record.key.starts_with(prefix)) out->push_back(*it);
  }
  return std::max(after_revision, revision_);
}

std::vector<Event> History::DifferenceFrom(const History& before) const {
  std::vector<Event> events;
  auto add = [&](std::string_view key, const Version* was, const Version* is) {
    Event& event = events.emplace_back();
    event.type = is ? Event::Type::kPut : Event::Type::kDelete;
    event.record = is ? MakeRecord(key, is->value, is->create_revision, is->revision)
                      : MakeRecord(key, nullptr, 0, revision_);
    if (was) event.previous = MakeRecord(key, was->value, was->create_revision, was->revision);
  };
  auto live = [](const Chain& chain) { return chain.newest.value ? &chain.newest : nullptr; };
  auto old = before.keys_.begin();
  auto now = keys_.begin();
  while (old != before.keys_.end() || now != keys_.end()) {
    const bool only_old =
        now == keys_.end() || (old != before.keys_.end() && old->first < now->first);
    const bool only_now = !only_old && (old == before.keys_.end() || now->first < old->first);
    const Version* was = only_now ? nullptr : live(old->second);
    const Version* is = only_old ? nullptr : live(now->second);
    const std::string& key = only_old ? old->first : now->first;
    if (is && (!was || was->revision != is->revision)) add(key, was, is);
    if (was && !is) add(key, was, nullptr);
    if (!only_now) ++old;
    if (!only_old) ++now;
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tie(a.record.revision, a.record.key) < std::tie(b.record.revision, b.record.key);
  });
  return events;
}

int64_t History::FindApplied(const std::vector<Write>& writes, int64_t after_revision) const {
  if (writes.empty()) return 0;
  auto made = [](const Write& write, const Event& event) {
    if (write.key != event.record.key) return false;
    const int64_t before = event.previous ? event.previous->revision : kAbsent;
    if (write.expected_revision != kAnyRevision && write.expected_revision != before) return false;
    if (!write.value) return event.type == Event::Type::kDelete;
    return event.type == Event::Type::kPut && *event.record.value == *write.value;
  };
  auto first =
      std::upper_bound(events_.begin(), events_.end(), after_revision,
                       [](int64_t at, const Event& event) { return at < event.record.revision; });
  while (first != events_.end()) {
    const int64_t revision = first->record.revision;
    auto last = std::find_if(first, events_.end(),
                             [&](const Event& event) { return event.record.revision != revision; });
    // A deletion of what was absent leaves no event.
    const bool all = std::all_of(writes.begin(), writes.end(), [&](const Write& write) {
      const bool found =
          std::any_of(first, last, [&](const Event& event) { return made(write, event); });
      return found || (!write.value && write.expected_revision == kAnyRevision);
    });
    const bool any = std::any_of(first, last, [&](const Event& event) {
      return std::any_of(writes.begin(), writes.end(),
                         [&](const Write& write) { return made(write, event); });
    });
    if (all && any) return revision;
    first = last;
  }
  return 0;
}

std::vector<int64_t> History::Compact(int64_t revision) {
  std::vector<int64_t> rows;
  if (revision <= compacted_revision_) return rows;
  compacted_revision_ = revision;
  while (!events_.empty() && events_.front().record.revision <= revision) {
    if (auto it = keys_.find(events_.front().record.key); it != keys_.end()) {
      Chain& chain = it->second;
      // Of the versions at or below `revision`, only the last can still be seen, and a deletion
      // needs no trace.
      size_t drop = 0;
      while (drop < chain.older.size()) {
        const int64_t next =
            drop + 1 < chain.older.size() ? chain.older[drop + 1].revision : chain.newest.revision;
        const bool hidden = next <= revision;
        const bool deletion = chain.older[drop].revision <= revision && !chain.older[drop].value;
        if (!hidden && !deletion) break;
        rows.push_back(chain.older[drop].row);
        ++drop;
      }
      chain.older.erase(chain.older.begin(), chain.older.begin() + static_cast<ptrdiff_t>(drop));
      if (chain.older.empty()) {
        chain.older.shrink_to_fit();
        if (chain.newest.revision <= revision && !chain.newest.value) {
          rows.push_back(chain.newest.row);
          keys_.erase(it);
        }
      }
    }
    events_.pop_front();
  }
  return rows;
}

}  // namespace gantry::store
