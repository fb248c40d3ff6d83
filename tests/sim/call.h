#pragma once

#include <absl/functional/any_invocable.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "sim/network.h"

namespace gantry::sim {

// Who asks whom.
struct Route {
  Route(Network& network, Process& caller, HostId from, HostId to)
      : network(network), caller(caller), from(from), to(to) {}
  Network& network;
  Process& caller;
  HostId from, to;
};

namespace internal {

// One request that is under way. The request may be lost, or its answer: the caller cannot tell.
template <class T>
class Exchange : public std::enable_shared_from_this<Exchange<T>> {
 public:
  Exchange(const Route& route)
      : network_(route.network),
        caller_(route.caller.weak_from_this()),
        from_(route.from),
        to_(route.to) {}

  void Start(absl::AnyInvocable<Task<Result<T>>()> serve) {
    std::optional<Duration> transit = network_.Transit(from_, to_);
    if (!transit) {
      Silence();
      return;
    }
    auto arrive = [self = this->shared_from_this(), serve = std::move(serve)]() mutable {
      std::shared_ptr<Process> callee = self->network_.ListeningAt(self->to_);
      if (!callee) {
        self->refused_ = true;
        self->Reply(Unavailable("connection refused"));
        return;
      }
      auto begin = [self, callee, serve = std::move(serve)]() mutable {
        self->died_ = callee->death().OnCancel(
            [self] { self->Reply(Unavailable("connection reset by peer")); });
        Spawn(callee->executor(), callee->gate(), "serve", Serve(self, callee, std::move(serve)));
      };
      callee->Receive(std::move(begin));
    };
    network_.world().After(*transit, std::move(arrive));
  }

  std::optional<Result<T>> answer;
  Notifier done;
  bool refused() const { return refused_; }

 private:
  static Task<> Serve(std::shared_ptr<Exchange> self, std::shared_ptr<Process> callee,
                      absl::AnyInvocable<Task<Result<T>>()> serve) {
    Result<T> result = co_await serve();
    if (callee->alive()) self->Reply(std::move(result));
  }

  void Reply(Result<T> result) {
    if (std::exchange(replied_, true)) return;
    std::optional<Duration> transit = network_.Transit(to_, from_);
    if (!transit) {
      Silence();
      return;
    }
    Deliver(*transit, std::move(result));
  }
  void Silence() {
    Deliver(network_.NoticeSilence(), Unavailable("http2: client connection lost"));
  }
  void Deliver(Duration delay, Result<T> result) {
    auto arrive = [self = this->shared_from_this(), result = std::move(result)]() mutable {
      std::shared_ptr<Process> caller = self->caller_.lock();
      if (!caller) return;
      auto take = [self, result = std::move(result)]() mutable {
        if (self->answer) return;
        self->answer.emplace(std::move(result));
        self->done.Notify();
      };
      caller->Receive(std::move(take));
    };
    network_.world().After(delay, std::move(arrive));
  }

  Network& network_;
  std::weak_ptr<Process> caller_;
  const HostId from_, to_;
  bool refused_ = false, replied_ = false;
  CancelToken::Registration died_;
};

}  // namespace internal

inline constexpr Duration kRequestTimeout = std::chrono::seconds(30);

// Has `serve` run in the process that listens at the other host, and waits for its answer.
// kUnavailable: lost, refused or too late; what was asked for may have been done, unless `refused`
// (may be null) says that nobody got it.
template <class T>
Task<Result<T>> Call(Route route, absl::AnyInvocable<Task<Result<T>>()> serve, bool* refused) {
  Process& caller = route.caller;
  const Status gone = Unavailable("the process is gone");
  if (!caller.alive()) co_return gone;
  auto exchange = std::make_shared<internal::Exchange<T>>(route);
  exchange->Start(std::move(serve));
  const SteadyTime deadline = caller.Steady() + kRequestTimeout;
  while (!exchange->answer) {
    if (!caller.alive()) co_return gone;
    if (co_await exchange->done.Wait(caller, caller.death(), deadline) == Wake::kTimeout)
      co_return Unavailable("context deadline exceeded");
  }
  if (!caller.alive()) co_return gone;
  if (refused != nullptr) *refused = exchange->refused();
  co_return std::move(*exchange->answer);
}

}  // namespace gantry::sim
