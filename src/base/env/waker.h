#pragma once

namespace gantry {

// Is told that there may be something to do. Wake comes from any thread, perhaps with locks held:
// it must be short, and must not call back. The counterpart of Notifier for those who are not a
// coroutine of their own.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void Wake() = 0;
};

}  // namespace gantry
