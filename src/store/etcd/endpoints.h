#pragma once

#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gantry::store::etcd {

struct Endpoint {
  Endpoint() = default;
  std::string host;
  uint16_t port = 2379;
};

// "10.0.0.1:2379", "[fd00::1]:2379".
std::string NameOf(const Endpoint& endpoint);

// Where the members of an etcd are; they may change while they are spoken with. Never empty.
// Threading: any thread.
class EndpointList {
 public:
  explicit EndpointList(std::vector<Endpoint> endpoints) : endpoints_(std::move(endpoints)) {}

  std::vector<Endpoint> All() const {
    absl::MutexLock lock(&mutex_);
    return endpoints_;
  }
  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return endpoints_.size();
  }
  // The one at `turn`, which counts on and on.
  Endpoint At(size_t turn) const {
    absl::MutexLock lock(&mutex_);
    return endpoints_[turn % endpoints_.size()];
  }
  // Not of connections that stand. `endpoints` holds one at least.
  void Set(std::vector<Endpoint> endpoints) {
    absl::MutexLock lock(&mutex_);
    endpoints_ = std::move(endpoints);
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<Endpoint> endpoints_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::store::etcd
