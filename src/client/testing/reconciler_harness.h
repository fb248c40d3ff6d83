#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/env/testing/virtual_env.h"
#include "client/reconciler.h"
#include "client/testing/fake_client.h"

namespace gantry::client {

// Objects in, plan out: one reconciler over a FakeClient, under virtual time, on the calling
// thread.
//   ReconcilerHarness harness(std::make_unique<DeploymentReconciler>());
//   harness.Put(deployment);
//   Plan plan = *harness.Reconcile({"default", "web"});      // looks, changes nothing
//   harness.Settle();                                        // or: carries plans out until nothing
//   is queued
// What informers show is always up to date with the client. Threading: one thread.
class ReconcilerHarness {
 public:
  explicit ReconcilerHarness(std::unique_ptr<Reconciler> reconciler);
  ~ReconcilerHarness();

  template <class T>
  api::Ref<T> Put(T object) {
    api::Ref<T> put = client_.Put(std::move(object));
    env_.RunUntilIdle();
    return put;
  }
  template <class T>
  void Remove(std::string_view ns, std::string_view name) {
    client_.Remove<T>(ns, name);
    env_.RunUntilIdle();
  }

  Result<Plan> Reconcile(const Reconciler::Key& key);
  // Carries a plan out; its events are kept in events().
  Status Apply(Plan plan);
  // The keys that the reconciler's handlers have asked for since the last time, in order.
  std::vector<Reconciler::Key> TakeQueued();
  // Reconciles and applies all that is queued until the queue is empty, or `limit` plans were made.
  // A failure counts as a plan; its key comes back with back-off. Returns how many plans were made.
  int Settle(int limit = 1000);
  // The keys settled so far that would be given something to do if they were looked at once more:
  // each of them is a loop that never ends, and this is empty for a sound reconciler.
  std::vector<Reconciler::Key> Restless();
  // Moves the clock on, settling on the way whatever becomes due.
  void Advance(Duration duration);

  VirtualEnv& env() { return env_; }
  FakeClient& client() { return client_; }
  InformerSet& informers() { return informers_; }
  // "Normal SuccessfulCreate Created pod: web-1", oldest first.
  const std::vector<std::string>& events() const { return events_; }
  // Of the last failed Settle step.
  const Status& last_failure() const { return last_failure_; }

 private:
  VirtualEnv env_;
  FakeClient client_;
  InformerSet informers_;
  std::unique_ptr<Reconciler> reconciler_;
  WorkQueue queue_;
  std::vector<std::string> events_;
  Status last_failure_;
  std::set<Reconciler::Key> settled_;
};

}  // namespace gantry::client
