#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "base/env/time.h"
#include "base/status.h"
#include "node/paths.h"
#include "node/runtime/runtime.h"

namespace gantry::node {

// What stands before a container's id in its status.
inline constexpr std::string_view kContainerIdScheme = "crun://";

enum class ContainerRole : uint8_t { kInit, kSidecar, kMain, kEphemeral };

// One container of a pod's specification. Threading: a value; `spec` belongs to the pod (or to the
// list it came from).
struct ContainerEntry {
  ContainerRole role = ContainerRole::kMain;
  const api::core::v1::Container* spec = nullptr;

  const std::string& name() const { return spec->name(); }
};

// All containers of a pod in the order of their lists. Ephemeral containers are converted to plain
// ones, which this owns.
class ContainerList {
 public:
  explicit ContainerList(const api::core::v1::Pod& pod);  // `pod` outlives the list

  const std::vector<ContainerEntry>& all() const { return all_; }
  std::vector<ContainerEntry> Of(ContainerRole role) const;
  // init containers and sidecars, in order
  std::vector<ContainerEntry> Initial() const;
  const ContainerEntry* Find(std::string_view name) const;

 private:
  std::vector<std::unique_ptr<api::core::v1::Container>> converted_;
  std::vector<ContainerEntry> all_;
};

// "name_namespace(uid)".
std::string PodDescription(const api::core::v1::Pod& pod);

bool RestartsAlways(const api::core::v1::Container& container);

// One run of a container, as it is recorded in its home.
struct ContainerRun {
  enum class State : uint8_t { kCreated, kRunning, kExited };

  std::string id;
  std::string name;
  int attempt = 0;
  int sandbox = 0;  // the sandbox in which it ran: a later one starts the pod's life anew
  std::string image, image_id, spec_hash;
  std::string home;    // what must survive a reboot, and what may be large
  std::string bundle;  // what the runtime and the monitor know of it
  std::string log_path;
  WallTime created_at, started_at, finished_at;
  State state = State::kCreated;
  int exit_code = 0;
  std::string reason, message;  // of the end
  pid_t pid = -1;
};

// What a container's changes are measured by: a difference means that it must be replaced.
std::string SpecHash(const api::core::v1::Container& container);

// Where the records of runs are kept, so that they survive the agent. Threading: one strand.
class RunRecords {
 public:
  virtual ~RunRecords() = default;
  // Gives the run its home and bundle, before its first Write.
  virtual Status Place(const std::string& uid, ContainerRun* run) = 0;
  virtual Status Write(const std::string& uid, const ContainerRun& run) = 0;
  // All runs of a pod, by name and attempt, as they were last written.
  virtual std::vector<ContainerRun> ReadAll(const std::string& uid) = 0;
};

// A small file in each run's home.
class RunRecordFiles final : public RunRecords {
 public:
  explicit RunRecordFiles(const Paths& paths) : paths_(paths) {}  // outlives it
  Status Place(const std::string& uid, ContainerRun* run) override;
  Status Write(const std::string& uid, const ContainerRun& run) override;
  // A home without a record is removed: the record comes first, so nothing was started there.
  std::vector<ContainerRun> ReadAll(const std::string& uid) override;

 private:
  const Paths& paths_;
};

// All runs of a pod's containers that are still recorded, by name, oldest first. Survives
// everything: Load reads the truth. Threading: one strand; calls do short file operations.
class ContainerRuns {
 public:
  ContainerRuns(std::unique_ptr<RunRecords> records, std::string uid);

  // Reads all records and asks the runtime about each. Runs whose process vanished without a trace
  // have ended with code 255 and reason "Unknown".
  void Load(Runtime& runtime);

  // After Load: the runs whose program was never started, since whoever was to start it was killed.
  // They are forgotten here: the container is begun again as if they had not been.
  std::vector<ContainerRun> TakeUnstarted();

  const ContainerRun* Latest(std::string_view name) const;
  const ContainerRun* Previous(std::string_view name) const;
  const std::map<std::string, std::vector<ContainerRun>, std::less<>>& all() const { return runs_; }
  std::vector<const ContainerRun*> Running() const;

  // The next run: its home is made and its record written.
  Result<ContainerRun*> Begin(const api::core::v1::Container& container, int sandbox,
                              std::string id, std::string image, std::string image_id,
                              std::string log_path, WallTime now);
  Status MarkStarted(ContainerRun& run, pid_t pid, WallTime now);
  // It could not be started.
  void MarkFailed(ContainerRun& run, std::string reason, std::string message, WallTime now);
  // Reads the exit record of the latest run; true when it has just ended. `termination` reads its
  // last words.
  bool NoteExit(Runtime& runtime, ContainerRun& run);
  void SetMessage(ContainerRun& run, std::string message);
  ContainerRun* MutableLatest(std::string_view name);
  ContainerRun* FindId(std::string_view id);
  // Forgets runs but the latest two of each name; returns them for clean-up of what the runtime
  // holds.
  std::vector<ContainerRun> TakeOld();

 private:
  Status Write(const ContainerRun& run) { return records_->Write(uid_, run); }

  std::unique_ptr<RunRecords> records_;
  std::string uid_;
  std::map<std::string, std::vector<ContainerRun>, std::less<>> runs_;
};

}  // namespace gantry::node
