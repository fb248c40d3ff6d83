#include "base/env/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <string>

#include "base/check.h"

namespace gantry {

bool Gate::Enter() {
  absl::MutexLock lock(&mutex_);
  if (closing_) return false;
  ++inside_;
  return true;
}

void Gate::Leave() {
  absl::MutexLock lock(&mutex_);
  GANTRY_CHECK(inside_ > 0, "Gate::Leave without Enter");
  // Notified under the lock: Close must not return, and the gate not die, before Leave is done with
  // it.
  if (--inside_ == 0 && closing_) emptied_.Notify();
}

Task<> Gate::Close(Env& env) {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      closing_ = true;
      if (inside_ == 0) co_return;
    }
    co_await emptied_.Wait(env);
  }
}

void Spawn(Executor executor, Gate& gate, std::string_view name, Task<> task) {
  if (!gate.Enter()) return;
  boost::asio::co_spawn(executor, std::move(task),
                        [&gate, name = std::string(name)](std::exception_ptr failure) {
                          if (failure) {
                            try {
                              std::rethrow_exception(failure);
                            } catch (const std::exception& e) {
                              GANTRY_CHECK(false, name + ": " + e.what());
                            } catch (...) {
                              GANTRY_CHECK(false, name + ": unknown exception");
                            }
                          }
                          gate.Leave();
                        });
}

}  // namespace gantry
