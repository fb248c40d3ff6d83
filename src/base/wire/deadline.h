#pragma once

#include <absl/functional/any_invocable.h>

#include <boost/asio/post.hpp>

#include <memory>
#include <utility>

#include "base/env/env.h"

namespace gantry::wire {

// Calls `call` on `strand` when the time is over, unless it has been destroyed before (on that
// strand).
class Deadline {
 public:
  Deadline(Env& env, Executor strand, SteadyTime when, absl::AnyInvocable<void()> call) {
    auto ring = [strand, state = state_, call = std::move(call)]() mutable {
      boost::asio::post(strand, [state, call = std::move(call)]() mutable {
        if (state->disarmed) return;
        state->expired = true;
        call();
      });
    };
    timer_ = env.CallAt(when, std::move(ring));
  }
  ~Deadline() { state_->disarmed = true; }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  bool expired() const { return state_->expired; }

 private:
  struct State {  // used on the strand
    bool disarmed = false;
    bool expired = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::unique_ptr<TimerHandle> timer_;
};

}  // namespace gantry::wire
