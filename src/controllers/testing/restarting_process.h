#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/env/testing/virtual_env.h"
#include "client/informer.h"
#include "client/reconciler.h"
#include "controllers/testing/faulty_client.h"

namespace gantry::controllers {

// For simulations: a process that runs controllers over a faulty client, and can be started again,
// remembering nothing. `add` gives it its controllers. Life cycle: not started until Restart; ends
// with the object, which env and client outlive. Threading: one thread.
class RestartingProcess {
 public:
  RestartingProcess(VirtualEnv& env, FaultyClient& client,
                    std::function<void(client::ReconcilerRunner&)> add)
      : env_(env), client_(client), add_(std::move(add)) {}
  RestartingProcess(const RestartingProcess&) = delete;
  RestartingProcess& operator=(const RestartingProcess&) = delete;
  ~RestartingProcess() { Stop(); }

  void Restart() {
    client_.down = true;
    Stop();
    client_.down = false;
    client_.calls_until_down = -1;
    parts_ = std::make_unique<Parts>(env_, client_);
    add_(parts_->runner);
    parts_->runner.Start();
    env_.RunUntilIdle();
  }

 private:
  struct Parts {
    Parts(Env& env, client::Client& client)
        : informers(env, client), runner(env, client, informers) {}
    Task<> Stop() {
      co_await informers.Stop();
      co_await runner.Stop();
    }

    client::InformerSet informers;
    client::ReconcilerRunner runner;
  };

  void Stop() {
    if (!parts_) return;
    env_.RunToEnd(parts_->Stop());
    parts_.reset();
  }

  VirtualEnv& env_;
  FaultyClient& client_;
  std::function<void(client::ReconcilerRunner&)> add_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace gantry::controllers
