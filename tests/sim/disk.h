#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sim/backend.h"
#include "store/core/commit_log.h"

namespace gantry::sim {

// A disk with one file that is only ever appended to. What was written is on it once it was synced;
// a crash before that leaves the synced part and some beginning of the rest, perhaps with a hole
// or with garbage in it. Threading: one thread.
class Disk {
 public:
  explicit Disk(World& world) : world_(world) {}

  // Whether it is full now: what is written then is refused, and nothing of it is there.
  bool full = false;
  // It says that it has synced and has not: a fault that tests plant.
  bool lies = false;
  // The next steps until the power fails inside of one (a write, a sync, just behind a sync);
  // -1: it does not.
  int steps_until_crash = -1;
  std::function<void()> on_crash;

  Status Append(const std::string& bytes);
  Status Sync();
  // The power is gone: unsynced bytes are lost or torn.
  void Crash();
  const std::string& bytes() const { return synced_; }
  // Recovery cuts off what it cannot read.
  void Truncate(size_t size) { synced_.resize(size); }

 private:
  // True when the power fails right here.
  bool Fails();

  World& world_;
  std::string synced_, unsynced_;
};

// The engine of the real store over a simulated disk: one server has it open at a time.
class DiskBackend final : public Backend {
 public:
  DiskBackend(World& world, Truth& truth) : world_(world), truth_(truth), disk_(world) {}

  Task<Result<std::unique_ptr<store::Store>>> Open(Process& process, HostId host) override;
  bool shared() const override { return false; }
  Disk& disk() { return disk_; }

 private:
  World& world_;
  Truth& truth_;
  Disk disk_;
};

}  // namespace gantry::sim
