#pragma once

#include <absl/synchronization/mutex.h>

#include <cstddef>
#include <string_view>

#include "base/env/notifier.h"
#include "base/env/task.h"

namespace gantry {

// Counts the coroutines of a service, so that Stop can wait for the last one. Threading: any
// thread.
class Gate {
 public:
  // False once closing: nothing new may start.
  bool Enter();
  void Leave();

  // Refuses newcomers and waits until all inside have left.
  Task<> Close(Env& env);

 private:
  absl::Mutex mutex_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  size_t inside_ ABSL_GUARDED_BY(mutex_) = 0;
  Notifier emptied_;
};

// Starts `task` on `executor`, counted by `gate` (which must outlive it); does nothing when the
// gate is closing. An exception that leaves the task is a bug: it is logged with `name` and the
// process aborts. The only way to start a coroutine from plain code.
void Spawn(Executor executor, Gate& gate, std::string_view name, Task<> task);

}  // namespace gantry
