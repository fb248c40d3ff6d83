#pragma once

#include <absl/synchronization/mutex.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/env/stream.h"
#include "base/status.h"

namespace gantry::apiserver::tunnel {

class Mux;

// One conversation on a tunnel: messages in order, both ways, with flow control for each direction.
// Threading: any thread; one sender and one receiver at a time. Destroying it resets what is not
// finished.
class Channel {
 public:
  Channel(std::shared_ptr<Mux> mux, uint32_t id) : mux_(std::move(mux)), id_(id) {}
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Returns when the message may leave. Up to 64 KiB arrive in one piece, more may arrive in
  // several. kCanceled after a reset by either side, kUnavailable when the tunnel is lost.
  Task<Status> Send(std::string message);
  // Nothing more will be sent.
  Status Finish();
  // The next message; nullopt when the other side has finished.
  Task<Result<std::optional<std::string>>> Receive();
  // Ends both directions at once.
  void Reset();

 private:
  const std::shared_ptr<Mux> mux_;
  const uint32_t id_;
};

// Frames on one connection, for many channels. Frame: channel (4 bytes), type (1), length (3),
// payload; big-endian. Threading: any thread; Run on the strand of the stream.
class Mux : public std::enable_shared_from_this<Mux> {
 public:
  // Called for each channel that the other side opens, with its first message; must not block.
  using OnOpen = std::function<void(std::unique_ptr<Channel>, std::string)>;

  // `dialler`: which side this is (their channels are numbered apart). A peer that is silent for
  // `dead_after` is dead.
  Mux(Env& env, Executor strand, std::unique_ptr<Stream> stream, bool dialler, Duration dead_after,
      OnOpen on_open);

  // Until the connection ends; says why. Once.
  Task<Status> Run();
  // Ends the connection. Any thread.
  void Close();
  // Ends it when the last channel has ended. Any thread.
  void CloseWhenIdle();
  // When the other side last sent anything. Any thread.
  SteadyTime heard() const { return SteadyTime(SteadyTime::duration(heard_.load())); }

  Result<std::unique_ptr<Channel>> Open(std::string message);

 private:
  friend class Channel;
  enum class Type : uint8_t {
    kOpen = 1,
    kData = 2,
    kWindow = 3,
    kFinish = 4,
    kReset = 5,
    kPing = 6,
    kPong = 7
  };

  struct State {
    std::deque<std::string> inbox;
    size_t granted = 0;         // bytes that the peer may still send
    size_t unacknowledged = 0;  // taken from the inbox, not granted again yet
    int64_t credit = 0;         // bytes that we may still send
    bool peer_finished = false;
    bool finished = false;
    bool reset = false;
    Notifier readable;
    Notifier writable;
  };
  using StatePtr = std::shared_ptr<State>;

  Task<> WriteLoop();
  Task<> KeepAlive();
  Task<Status> ReadLoop();
  Status Take(uint32_t id, Type type, std::string payload);
  void Queue(uint32_t id, Type type, std::string_view payload)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(uint32_t id) ABSL_LOCKS_EXCLUDED(mutex_);
  StatePtr Add(uint32_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatePtr Find(uint32_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(const Status& why);

  Env& env_;
  const Executor strand_;
  const std::unique_ptr<Stream> stream_;  // used on strand_
  const Duration dead_after_;
  const OnOpen on_open_;
  Notifier queued_;   // something to write
  Notifier drained_;  // something was written
  CancelSource over_;
  std::atomic<SteadyTime::rep> heard_;

  absl::Mutex mutex_;
  std::string out_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_id_ ABSL_GUARDED_BY(mutex_);
  Status failure_ ABSL_GUARDED_BY(mutex_);
  bool retiring_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint32_t, StatePtr> channels_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::apiserver::tunnel
