#pragma once

#include <deque>
#include <memory>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"

namespace gantry::node {

// Lets so many at a time do something that is heavy for the machine; the others wait in order.
// Threading: one strand. Outlives those who wait and the turns it gave.
class Turns {
 public:
  explicit Turns(int places) : free_(places) {}

  // Somebody's turn, until it is dropped.
  class Turn {
   public:
    Turn() = default;
    Turn(Turn&& other) noexcept;
    Turn& operator=(Turn&& other) noexcept;
    ~Turn();

   private:
    friend class Turns;
    explicit Turn(Turns* turns) : turns_(turns) {}
    Turns* turns_ = nullptr;
  };

  // Gives an empty turn at once when `cancel` comes: nobody should be kept from stopping.
  Task<Turn> Take(Env& env, CancelToken cancel);

 private:
  struct Waiter {
    Notifier called;
    bool has_turn = false;
  };

  void Release();

  int free_;
  std::deque<std::shared_ptr<Waiter>> waiting_;
};

}  // namespace gantry::node
