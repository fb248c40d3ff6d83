#include "sim/disk.h"

#include <cstring>
#include <map>
#include <utility>

#include "store/core/engine.h"
#include "store/core/history.h"

namespace gantry::sim {
namespace {

// The log's records: length, checksum, then rows. All numbers are eight bytes.
void PutNumber(int64_t number, std::string* out) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out->append(bytes, sizeof bytes);
}

void PutText(std::string_view text, std::string* out) {
  PutNumber(static_cast<int64_t>(text.size()), out);
  out->append(text);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  int64_t Number() {
    int64_t number = 0;
    std::string_view bytes = Take(sizeof number);
    if (ok_) std::memcpy(&number, bytes.data(), sizeof number);
    return number;
  }
  std::string_view Text() { return Take(static_cast<uint64_t>(Number())); }
  std::string_view Take(uint64_t size) {
    if (size > rest_.size()) ok_ = false;
    if (!ok_) return {};
    std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// Appends each commit as one checksummed record, and syncs before it returns.
class DiskLog final : public store::CommitLog {
 public:
  DiskLog(Disk& disk, std::shared_ptr<Process> process)
      : disk_(disk), process_(std::move(process)) {}

  Status Append(std::span<const store::LogRow> rows, std::span<const int64_t> garbage,
                int64_t compacted_revision) override {
    if (!process_->alive()) return Unavailable("the process is gone");
    std::string body;
    PutNumber(compacted_revision, &body);
    PutNumber(static_cast<int64_t>(garbage.size()), &body);
    for (int64_t id : garbage)
      PutNumber(id, &body);
    for (const store::LogRow& row : rows) {
      PutNumber(row.id, &body);
      PutNumber(row.revision, &body);
      PutNumber(row.create_revision, &body);
      PutText(row.key, &body);
      PutNumber(row.value != nullptr ? 1 : 0, &body);
      if (row.value != nullptr) PutText(*row.value, &body);
    }
    std::string record;
    PutNumber(static_cast<int64_t>(HashOf(body)), &record);
    PutText(body, &record);
    // Page by page, as a file system takes it.
    constexpr size_t kPage = 4096;
    for (size_t at = 0; at < record.size(); at += kPage)
      GANTRY_TRY(disk_.Append(record.substr(at, kPage)));
    return disk_.Sync();
  }

  Status Maintain(bool) override { return Status::Ok(); }

 private:
  Disk& disk_;
  const std::shared_ptr<Process> process_;
};

struct Row {
  int64_t revision = 0, create_revision = 0;
  std::string key;
  store::Bytes value;
};

}  // namespace

bool Disk::Fails() {
  if (steps_until_crash < 0 || --steps_until_crash >= 0) return false;
  on_crash();
  return true;
}

Status Disk::Append(const std::string& bytes) {
  if (full) return Status(Code::kServiceUnavailable, "no space left on device");
  unsynced_ += bytes;
  if (Fails()) return Unavailable("the power failed");
  return Status::Ok();
}

Status Disk::Sync() {
  if (Fails()) return Unavailable("the power failed");
  if (!lies) synced_ += std::exchange(unsynced_, {});
  // The last moment: it is durable, and nobody will be told.
  if (Fails()) return Unavailable("the power failed");
  return Status::Ok();
}

void Disk::Crash() {
  steps_until_crash = -1;
  std::string lost = std::exchange(unsynced_, {});
  Dice& dice = world_.dice();
  if (lost.empty()) return;
  lost.resize(static_cast<size_t>(dice.Below(static_cast<int>(lost.size()) + 1)));
  if (!lost.empty() && dice.Percent(30)) {
    const size_t from = static_cast<size_t>(dice.Below(static_cast<int>(lost.size())));
    for (size_t i = from; i < lost.size() && i < from + 512; ++i)
      lost[i] = dice.Percent(50) ? '\0' : static_cast<char>(dice.Next());
  }
  synced_ += lost;
}

Task<Result<std::unique_ptr<store::Store>>> DiskBackend::Open(Process& process, HostId) {
  std::map<int64_t, Row> rows;
  int64_t compacted = 0;
  Reader reader(disk_.bytes());
  size_t good = 0, seen = 0;
  while (!reader.empty()) {
    const auto sum = static_cast<uint64_t>(reader.Number());
    const std::string_view body = reader.Text();
    if (!reader.ok() || HashOf(body) != sum) break;
    seen += 2 * sizeof(int64_t) + body.size();
    good = seen;
    Reader record(body);
    compacted = record.Number();
    for (int64_t left = record.Number(); left > 0; --left)
      rows.erase(record.Number());
    while (!record.empty()) {
      const int64_t id = record.Number();
      Row row;
      row.revision = record.Number();
      row.create_revision = record.Number();
      row.key = record.Text();
      if (record.Number() == 1) row.value = std::make_shared<const std::string>(record.Text());
      rows[id] = std::move(row);
    }
  }
  disk_.Truncate(good);

  store::History history;
  history.SetCompacted(compacted);
  std::vector<int64_t> garbage;
  for (auto& [id, row] : rows) {
    store::History::Change change;
    change.key = std::move(row.key);
    change.value = std::move(row.value);
    change.create_revision = row.create_revision;
    change.row = id;
    history.Restore(row.revision, std::move(change), &garbage);
  }
  const int64_t last = rows.empty() ? 0 : rows.rbegin()->first;
  world_.Tell("the store has " + std::to_string(rows.size()) + " rows, revision " +
              std::to_string(history.revision()));
  std::unique_ptr<store::Store> engine = std::make_unique<store::Engine>(
      process, std::make_unique<DiskLog>(disk_, process.shared_from_this()), std::move(history),
      last, std::move(garbage), nullptr);
  co_await truth_.Adopt(*engine);
  co_return engine;
}

}  // namespace gantry::sim
