// Compiled with GANTRY_SANITIZE=thread only. Debian's Abseil is not instrumented, so that
// ThreadSanitizer sees no order between those who hold a Mutex one after the other and reports all
// that a Mutex guards. These take the place of the library's own functions and tell it.
#include <absl/synchronization/mutex.h>
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

namespace absl {
namespace {

// The library's function that this one hides; `name` is a mangled one of class absl::Mutex.
template <class Function>
Function Hidden(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}
using Call = void (*)(Mutex*);

// Its search for deadlocks shares memory between threads under a lock that is not seen either.
const bool g_no_deadlock_search = [] {
  SetMutexDeadlockDetectionMode(OnDeadlockCycle::kIgnore);
  return true;
}();

}  // namespace

void Mutex::Lock() {
  static const Call hidden = Hidden<Call>("_ZN4absl7debian35Mutex4LockEv");
  hidden(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static const Call hidden = Hidden<Call>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  hidden(this);
}

void Mutex::ReaderLock() {
  static const Call hidden = Hidden<Call>("_ZN4absl7debian35Mutex10ReaderLockEv");
  hidden(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static const Call hidden = Hidden<Call>("_ZN4absl7debian35Mutex12ReaderUnlockEv");
  __tsan_release(this);
  hidden(this);
}

}  // namespace absl
