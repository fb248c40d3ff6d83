#include "base/env/testing/virtual_env.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include <exception>
#include <map>
#include <utility>

#include "base/check.h"

namespace gantry {
namespace asio = boost::asio;

struct VirtualEnv::State {
  using TimerKey = std::pair<SteadyTime, uint64_t>;

  explicit State(uint64_t seed) : random(seed) {}

  // Fires the earliest timer that is due by `limit`; the clock moves to it.
  bool FireNext(SteadyTime limit) {
    if (timers.empty() || timers.begin()->first.first > limit) return false;
    auto first = timers.begin();
    now = std::max(now, first->first.first);
    absl::AnyInvocable<void()> call = std::move(first->second);
    timers.erase(first);
    call();
    return true;
  }

  void Poll() {
    io.restart();
    while (handlers_left > 0 ? PollOne() : io.poll() > 0) {
    }
  }
  bool PollOne() {
    if (io.poll_one() == 0) return false;
    if (--handlers_left == 0) std::exchange(after_handlers, {})();
    return true;
  }

  asio::io_context io{1};
  SteadyTime now{std::chrono::hours(1)};
  uint64_t random;
  uint64_t last_timer = 0;
  int handlers_left = 0;  // 0: nothing is called
  absl::AnyInvocable<void()> after_handlers;
  std::map<TimerKey, absl::AnyInvocable<void()>> timers;
};

VirtualEnv::VirtualEnv(uint64_t seed) : state_(std::make_shared<State>(seed)) {}

VirtualEnv::~VirtualEnv() {
  // What waits on a timer holds on to what holds the timer.
  std::map<State::TimerKey, absl::AnyInvocable<void()>> timers;
  timers.swap(state_->timers);
}

WallTime VirtualEnv::Now() const {
  constexpr auto kStart = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);
  return WallTime(kStart) + (state_->now - SteadyTime(std::chrono::hours(1)));
}

SteadyTime VirtualEnv::Steady() const { return state_->now; }

void VirtualEnv::RandomBytes(std::span<uint8_t> out) {
  for (uint8_t& byte : out) {  // splitmix64
    uint64_t z = state_->random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    byte = static_cast<uint8_t>(z ^ (z >> 31));
  }
}

Executor VirtualEnv::executor() { return state_->io.get_executor(); }
Executor VirtualEnv::MakeStrand() { return asio::make_strand(state_->io); }
Executor VirtualEnv::blocking() { return state_->io.get_executor(); }
Executor VirtualEnv::MakeThread() { return asio::make_strand(state_->io); }

namespace {
template <class State>
class VirtualTimer : public TimerHandle {
 public:
  VirtualTimer(std::weak_ptr<State> state, std::pair<SteadyTime, uint64_t> key)
      : state_(std::move(state)), key_(key) {}
  ~VirtualTimer() override {
    std::shared_ptr<State> state = state_.lock();
    if (!state) return;
    auto node = state->timers.extract(key_);  // destroyed after the map is whole again
  }

 private:
  std::weak_ptr<State> state_;
  std::pair<SteadyTime, uint64_t> key_;
};
}  // namespace

std::unique_ptr<TimerHandle> VirtualEnv::CallAt(SteadyTime when, absl::AnyInvocable<void()> call) {
  std::pair<SteadyTime, uint64_t> key(std::max(when, state_->now), ++state_->last_timer);
  state_->timers.emplace(key, std::move(call));
  return std::make_unique<VirtualTimer<State>>(state_, key);
}

void VirtualEnv::AfterHandlers(int count, absl::AnyInvocable<void()> call) {
  state_->handlers_left = count;
  state_->after_handlers = std::move(call);
}

void VirtualEnv::RunUntilIdle() {
  do {
    state_->Poll();
  } while (state_->FireNext(state_->now));
}

void VirtualEnv::Advance(Duration duration) {
  const SteadyTime end = state_->now + duration;
  RunUntilIdle();
  while (state_->FireNext(end))
    RunUntilIdle();
  state_->now = end;
}

void VirtualEnv::RunToEnd(Task<> task) {
  bool done = false;
  asio::co_spawn(state_->io, std::move(task), [&done](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    done = true;
  });
  RunUntilIdle();
  while (!done) {
    GANTRY_CHECK(state_->FireNext(SteadyTime::max()),
                 "the task waits for something that never happens");
    RunUntilIdle();
  }
}

}  // namespace gantry
