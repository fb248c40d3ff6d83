#include "node/pod/containers.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "api/core/v1/container.pb.h"
#include "api/json_value.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using api::JsonValue;
using api::core::v1::Container;

// Why a run has ended whose process vanished without a trace.
constexpr char kLost[] = "Unknown";

int64_t Nanoseconds(WallTime time) { return time.time_since_epoch().count(); }

std::string Text(const JsonValue& value, std::string_view key) {
  const JsonValue* found = value.Find(key);
  return found != nullptr && found->is_string() ? found->as_string() : std::string();
}

int64_t Number(const JsonValue& value, std::string_view key) {
  const JsonValue* found = value.Find(key);
  return found != nullptr && found->is_int() ? found->as_int() : 0;
}

Status WriteRecord(const ContainerRun& run) {
  JsonValue record = JsonValue::MakeObject();
  record["id"] = run.id;
  record["name"] = run.name;
  record["attempt"] = run.attempt;
  record["sandbox"] = run.sandbox;
  record["image"] = run.image;
  record["imageID"] = run.image_id;
  record["specHash"] = run.spec_hash;
  record["logPath"] = run.log_path;
  record["createdAt"] = Nanoseconds(run.created_at);
  if (run.started_at != WallTime()) record["startedAt"] = Nanoseconds(run.started_at);
  if (run.state == ContainerRun::State::kExited) {
    record["finishedAt"] = Nanoseconds(run.finished_at);
    record["exitCode"] = run.exit_code;
    record["reason"] = run.reason;
    record["message"] = run.message;
  }
  return WriteFileAtomic(run.home + "/record.json", record.ToString(), 0600);
}

std::optional<ContainerRun> ReadRecord(const std::string& home) {
  Result<std::string> text = ReadFile(home + "/record.json");
  if (!text.ok()) return std::nullopt;
  Result<JsonValue> record = JsonValue::Parse(*text);
  if (!record.ok()) return std::nullopt;
  ContainerRun run;
  run.home = home;
  run.id = Text(*record, "id");
  run.name = Text(*record, "name");
  run.attempt = static_cast<int>(Number(*record, "attempt"));
  run.sandbox = static_cast<int>(Number(*record, "sandbox"));
  run.image = Text(*record, "image");
  run.image_id = Text(*record, "imageID");
  run.spec_hash = Text(*record, "specHash");
  run.log_path = Text(*record, "logPath");
  run.created_at = WallTime(Duration(Number(*record, "createdAt")));
  run.started_at = WallTime(Duration(Number(*record, "startedAt")));
  if (record->Find("finishedAt") != nullptr) {
    run.state = ContainerRun::State::kExited;
    run.finished_at = WallTime(Duration(Number(*record, "finishedAt")));
    run.exit_code = static_cast<int>(Number(*record, "exitCode"));
    run.reason = Text(*record, "reason");
    run.message = Text(*record, "message");
  }
  return run;
}

}  // namespace

std::string PodDescription(const api::core::v1::Pod& pod) {
  const auto& meta = pod.metadata();
  return meta.name() + "_" + meta.namespace_() + "(" + meta.uid() + ")";
}

bool RestartsAlways(const Container& container) { return container.restart_policy() == "Always"; }

ContainerList::ContainerList(const api::core::v1::Pod& pod) {
  for (const Container& container : pod.spec().init_containers()) {
    all_.push_back(
        {RestartsAlways(container) ? ContainerRole::kSidecar : ContainerRole::kInit, &container});
  }
  for (const Container& container : pod.spec().containers())
    all_.push_back({ContainerRole::kMain, &container});
  for (const auto& ephemeral : pod.spec().ephemeral_containers()) {
    // The two messages have the same fields under the same numbers.
    auto plain = std::make_unique<Container>();
    plain->ParseFromString(ephemeral.ephemeral_container_common().SerializeAsString());
    all_.push_back({ContainerRole::kEphemeral, plain.get()});
    converted_.push_back(std::move(plain));
  }
}

std::vector<ContainerEntry> ContainerList::Of(ContainerRole role) const {
  std::vector<ContainerEntry> found;
  for (const ContainerEntry& entry : all_) {
    if (entry.role == role) found.push_back(entry);
  }
  return found;
}

std::vector<ContainerEntry> ContainerList::Initial() const {
  std::vector<ContainerEntry> found;
  for (const ContainerEntry& entry : all_) {
    if (entry.role == ContainerRole::kInit || entry.role == ContainerRole::kSidecar)
      found.push_back(entry);
  }
  return found;
}

const ContainerEntry* ContainerList::Find(std::string_view name) const {
  for (const ContainerEntry& entry : all_) {
    if (entry.name() == name) return &entry;
  }
  return nullptr;
}

std::string SpecHash(const Container& container) {
  uint64_t hash = 14695981039346656037ULL;
  for (char c : container.name() + '\0' + container.image())
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  char out[17];
  std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash));
  return out;
}

Status RunRecordFiles::Place(const std::string& uid, ContainerRun* run) {
  run->home = paths_.Home(uid, run->name, run->attempt);
  run->bundle = paths_.Bundle(uid, run->name, run->attempt);
  return MakeDirs(run->home, 0700);
}

Status RunRecordFiles::Write(const std::string&, const ContainerRun& run) {
  return WriteRecord(run);
}

std::vector<ContainerRun> RunRecordFiles::ReadAll(const std::string& uid) {
  std::vector<ContainerRun> found;
  const std::string root = paths_.Containers(uid);
  for (const std::string& name : ListDir(root)) {
    for (const std::string& attempt : ListDir(root + "/" + name)) {
      const std::string home = root + "/" + name + "/" + attempt;
      std::optional<ContainerRun> run = ReadRecord(home);
      if (!run) {
        (void)RemoveTree(home);
        continue;
      }
      run->bundle = paths_.Bundle(uid, name, run->attempt);
      found.push_back(std::move(*run));
    }
  }
  return found;
}

ContainerRuns::ContainerRuns(std::unique_ptr<RunRecords> records, std::string uid)
    : records_(std::move(records)), uid_(std::move(uid)) {}

void ContainerRuns::Load(Runtime& runtime) {
  runs_.clear();
  for (ContainerRun& run : records_->ReadAll(uid_)) {
    if (run.state != ContainerRun::State::kExited) {
      if (std::optional<pid_t> pid = runtime.RunningPid(run.bundle)) {
        run.pid = *pid;
        // Whoever started it may have been killed before he could write that down.
        if (run.started_at == WallTime())
          run.started_at = runtime.StartedAt(run.id).value_or(WallTime());
        run.state = run.started_at != WallTime() ? ContainerRun::State::kRunning
                                                 : ContainerRun::State::kCreated;
      } else if (!NoteExit(runtime, run)) {
        run.state = ContainerRun::State::kExited;
        run.exit_code = 255;
        run.reason = kLost;
        run.finished_at = run.started_at;
        (void)Write(run);
      }
    }
    std::vector<ContainerRun>& runs = runs_[run.name];
    runs.push_back(std::move(run));
  }
  for (auto& [name, runs] : runs_) {
    std::sort(runs.begin(), runs.end(),
              [](const ContainerRun& a, const ContainerRun& b) { return a.attempt < b.attempt; });
  }
}

std::vector<ContainerRun> ContainerRuns::TakeUnstarted() {
  std::vector<ContainerRun> unstarted;
  for (auto& [name, runs] : runs_) {
    if (runs.empty() || runs.back().started_at != WallTime()) continue;
    const ContainerRun& latest = runs.back();
    // One that could not be started has ended in its own way.
    const bool lost = latest.state == ContainerRun::State::kExited && latest.reason == kLost;
    if (latest.state != ContainerRun::State::kCreated && !lost) continue;
    unstarted.push_back(std::move(runs.back()));
    runs.pop_back();
  }
  std::erase_if(runs_, [](const auto& entry) { return entry.second.empty(); });
  return unstarted;
}

const ContainerRun* ContainerRuns::Latest(std::string_view name) const {
  auto it = runs_.find(name);
  return it == runs_.end() || it->second.empty() ? nullptr : &it->second.back();
}

ContainerRun* ContainerRuns::MutableLatest(std::string_view name) {
  return const_cast<ContainerRun*>(Latest(name));
}

const ContainerRun* ContainerRuns::Previous(std::string_view name) const {
  auto it = runs_.find(name);
  return it == runs_.end() || it->second.size() < 2 ? nullptr : &it->second[it->second.size() - 2];
}

std::vector<const ContainerRun*> ContainerRuns::Running() const {
  std::vector<const ContainerRun*> running;
  for (const auto& [name, runs] : runs_) {
    for (const ContainerRun& run : runs) {
      if (run.state != ContainerRun::State::kExited) running.push_back(&run);
    }
  }
  return running;
}

ContainerRun* ContainerRuns::FindId(std::string_view id) {
  for (auto& [name, runs] : runs_) {
    for (ContainerRun& run : runs) {
      if (run.id == id) return &run;
    }
  }
  return nullptr;
}

Result<ContainerRun*> ContainerRuns::Begin(const Container& container, int sandbox, std::string id,
                                           std::string image, std::string image_id,
                                           std::string log_path, WallTime now) {
  const ContainerRun* before = Latest(container.name());
  ContainerRun run;
  run.id = std::move(id);
  run.name = container.name();
  run.attempt = before != nullptr ? before->attempt + 1 : 0;
  run.sandbox = sandbox;
  run.image = std::move(image);
  run.image_id = std::move(image_id);
  run.spec_hash = SpecHash(container);
  run.log_path = std::move(log_path) + "/" + std::to_string(run.attempt) + ".log";
  run.created_at = now;
  GANTRY_TRY(records_->Place(uid_, &run));
  GANTRY_TRY(Write(run));
  std::vector<ContainerRun>& runs = runs_[container.name()];
  runs.push_back(std::move(run));
  return &runs.back();
}

Status ContainerRuns::MarkStarted(ContainerRun& run, pid_t pid, WallTime now) {
  run.pid = pid;
  run.started_at = now;
  run.state = ContainerRun::State::kRunning;
  return Write(run);
}

void ContainerRuns::MarkFailed(ContainerRun& run, std::string reason, std::string message,
                               WallTime now) {
  run.state = ContainerRun::State::kExited;
  run.exit_code = 128;
  run.reason = std::move(reason);
  run.message = std::move(message);
  run.finished_at = now;
  (void)Write(run);
}

bool ContainerRuns::NoteExit(Runtime& runtime, ContainerRun& run) {
  if (run.state == ContainerRun::State::kExited) return false;
  std::optional<ExitRecord> exit = runtime.ReadExit(run.bundle);
  if (!exit) return false;
  run.state = ContainerRun::State::kExited;
  run.exit_code = exit->exit_code;
  run.reason = exit->oom_killed ? "OOMKilled" : exit->exit_code == 0 ? "Completed" : "Error";
  run.finished_at = exit->finished_at;
  run.pid = -1;
  (void)Write(run);
  return true;
}

void ContainerRuns::SetMessage(ContainerRun& run, std::string message) {
  run.message = std::move(message);
  (void)Write(run);
}

std::vector<ContainerRun> ContainerRuns::TakeOld() {
  std::vector<ContainerRun> old;
  for (auto& [name, runs] : runs_) {
    while (runs.size() > 2 && runs.front().state == ContainerRun::State::kExited) {
      old.push_back(std::move(runs.front()));
      runs.erase(runs.begin());
    }
  }
  return old;
}

}  // namespace gantry::node
