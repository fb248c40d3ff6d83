#include "sim/process.h"

#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>

#include <algorithm>
#include <utility>

namespace gantry::sim {
namespace asio = boost::asio;

// A timer that waits for the end of a pause.
class Process::Timer final : public TimerHandle {
 public:
  Timer(Process& process, absl::AnyInvocable<void()> call) : state_(std::make_shared<State>()) {
    state_->process = &process;
    state_->call = std::move(call);
  }
  void Arm(SteadyTime when) { ArmState(state_, when); }

 private:
  struct State {
    Process* process;
    absl::AnyInvocable<void()> call;
    std::unique_ptr<TimerHandle> pending;
  };

  static void ArmState(const std::shared_ptr<State>& state, SteadyTime when) {
    auto fire = [weak = std::weak_ptr<State>(state)] {
      std::shared_ptr<State> state = weak.lock();
      if (!state) return;
      if (state->process->paused()) {
        ArmState(state, state->process->paused_until_);
        return;
      }
      absl::AnyInvocable<void()> call = std::move(state->call);
      call();
    };
    state->pending = state->process->world_.env().CallAt(when, std::move(fire));
  }

  std::shared_ptr<State> state_;
};

// The executor of a blocking thread: handlers run in order, each after the time of a step.
class Process::Thread {
 public:
  explicit Thread(Process& process) : state_(std::make_shared<State>()) {
    state_->process = &process;
  }

  asio::execution_context& query(asio::execution::context_t) const noexcept {
    return asio::query(state_->process->world_.env().executor(), asio::execution::context);
  }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  Thread require(asio::execution::blocking_t::never_t) const noexcept { return *this; }

  template <class Function>
  void execute(Function function) const {
    Process& process = *state_->process;
    SteadyTime& free_at = state_->free_at;
    free_at = std::max(free_at, process.world_.env().Steady()) +
              process.dice_.Between(process.least_step_, process.most_step_);
    process.world_.After(free_at - process.world_.env().Steady(), std::move(function));
  }

  bool operator==(const Thread& other) const noexcept { return state_ == other.state_; }
  bool operator!=(const Thread& other) const noexcept { return state_ != other.state_; }

 private:
  struct State {
    Process* process;
    SteadyTime free_at{};
  };
  std::shared_ptr<State> state_;
};

Process::Process(World& world, std::string name, const MachineClock& clock)
    : world_(world),
      name_(std::move(name)),
      clock_(clock),
      dice_(world.dice().Next()),
      began_(world.env().Steady()) {}

void Process::Kill() {
  if (!std::exchange(alive_, false)) return;
  paused_until_ = {};
  death_.Cancel();
}

void Process::PauseFor(Duration duration) {
  paused_until_ = std::max(paused_until_, world_.env().Steady() + duration);
}

void Process::SlowThreads(Duration least, Duration most) {
  least_step_ = least;
  most_step_ = most;
}

void Process::Receive(absl::AnyInvocable<void()> call) {
  if (!alive_) return;
  if (!paused()) {
    call();
    return;
  }
  auto later = [self = shared_from_this(), call = std::move(call)]() mutable {
    self->Receive(std::move(call));
  };
  world_.After(paused_until_ - world_.env().Steady(), std::move(later));
}

WallTime Process::Now() const { return world_.env().Now() + clock_.offset; }
SteadyTime Process::Steady() const { return world_.env().Steady(); }

void Process::RandomBytes(std::span<uint8_t> out) {
  for (uint8_t& byte : out)
    byte = static_cast<uint8_t>(dice_.Next() >> 32);
}

Executor Process::executor() { return world_.env().executor(); }
Executor Process::MakeStrand() { return world_.env().MakeStrand(); }
Executor Process::blocking() { return world_.env().blocking(); }
Executor Process::MakeThread() { return Executor(Thread(*this)); }

std::unique_ptr<TimerHandle> Process::CallAt(SteadyTime when, absl::AnyInvocable<void()> call) {
  auto timer = std::make_unique<Timer>(*this, std::move(call));
  timer->Arm(when);
  return timer;
}

}  // namespace gantry::sim
