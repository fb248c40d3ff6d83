#include "node/os/turns.h"

#include <utility>

namespace gantry::node {

Turns::Turn::Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}

Turns::Turn& Turns::Turn::operator=(Turn&& other) noexcept {
  std::swap(turns_, other.turns_);
  return *this;
}

Turns::Turn::~Turn() {
  if (turns_ != nullptr) turns_->Release();
}

Task<Turns::Turn> Turns::Take(Env& env, CancelToken cancel) {
  if (free_ > 0) {
    --free_;
    co_return Turn(this);
  }
  auto waiter = std::make_shared<Waiter>();
  waiting_.push_back(waiter);
  while (!waiter->has_turn && !cancel.cancelled())
    co_await waiter->called.Wait(env, cancel);
  if (waiter->has_turn) co_return Turn(this);
  std::erase(waiting_, waiter);
  co_return Turn();
}

void Turns::Release() {
  if (waiting_.empty()) {
    ++free_;
    return;
  }
  std::shared_ptr<Waiter> next = std::move(waiting_.front());
  waiting_.pop_front();
  next->has_turn = true;
  next->called.Notify();
}

}  // namespace gantry::node
