#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <memory>

namespace gantry {

namespace internal {
class CancelState;
}

// The receiving end of a CancelSource. A default token is never cancelled. Threading: any thread; a
// value.
class CancelToken {
 public:
  CancelToken() = default;
  bool cancelled() const;

  // Calls `callback` once on cancellation, at once when that has happened already. Dropping the
  // returned handle unregisters it. The callback must be short: it runs inside Cancel().
  class Registration {
   public:
    Registration() = default;
    Registration(Registration&&) noexcept;
    Registration& operator=(Registration&&) noexcept;
    ~Registration();

   private:
    friend class CancelToken;
    std::shared_ptr<internal::CancelState> state_;
    uint64_t id_ = 0;
  };
  Registration OnCancel(absl::AnyInvocable<void()> callback) const;

 private:
  friend class CancelSource;
  std::shared_ptr<internal::CancelState> state_;
};

// Tells any number of waiting coroutines to give up. Destroying a source does not cancel.
class CancelSource {
 public:
  CancelSource();
  void Cancel();  // idempotent
  CancelToken token() const;

 private:
  std::shared_ptr<internal::CancelState> state_;
};

}  // namespace gantry
