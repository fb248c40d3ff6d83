#include "base/env/cancel.h"

#include <absl/synchronization/mutex.h>

#include <map>
#include <utility>
#include <vector>

namespace gantry {
namespace internal {

class CancelState {
 public:
  bool cancelled() const {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

  // 0 when already cancelled: the caller runs the callback itself.
  uint64_t Add(absl::AnyInvocable<void()>& callback) {
    absl::MutexLock lock(&mutex_);
    if (cancelled_) return 0;
    callbacks_.emplace(++last_id_, std::move(callback));
    return last_id_;
  }

  void Remove(uint64_t id) {
    absl::AnyInvocable<void()> dropped;  // destroyed outside the lock
    absl::MutexLock lock(&mutex_);
    if (auto it = callbacks_.find(id); it != callbacks_.end()) {
      dropped = std::move(it->second);
      callbacks_.erase(it);
    }
  }

  void Cancel() {
    std::map<uint64_t, absl::AnyInvocable<void()>> callbacks;
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) return;
      cancelled_ = true;
      callbacks.swap(callbacks_);
    }
    for (auto& [id, callback] : callbacks)
      callback();
  }

 private:
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, absl::AnyInvocable<void()>> callbacks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace internal

bool CancelToken::cancelled() const { return state_ && state_->cancelled(); }

CancelToken::Registration CancelToken::OnCancel(absl::AnyInvocable<void()> callback) const {
  Registration registration;
  if (!state_) return registration;
  const uint64_t id = state_->Add(callback);
  if (id == 0) {
    callback();
    return registration;
  }
  registration.state_ = state_;
  registration.id_ = id;
  return registration;
}

CancelToken::Registration::Registration(Registration&& other) noexcept
    : state_(std::move(other.state_)), id_(std::exchange(other.id_, 0)) {}

CancelToken::Registration& CancelToken::Registration::operator=(Registration&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(id_, other.id_);
  return *this;
}

CancelToken::Registration::~Registration() {
  if (state_ && id_ != 0) state_->Remove(id_);
}

CancelSource::CancelSource() : state_(std::make_shared<internal::CancelState>()) {}
void CancelSource::Cancel() { state_->Cancel(); }
CancelToken CancelSource::token() const {
  CancelToken token;
  token.state_ = state_;
  return token;
}

}  // namespace gantry
