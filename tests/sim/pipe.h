#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "base/env/notifier.h"
#include "sim/call.h"

namespace gantry::sim {

// A stream of answers to one caller, in order, until either end or the network breaks it: what
// carries a watch. Lives as long as one of its ends. Threading: one thread.
template <class T>
class Pipe final : public Connection, public std::enable_shared_from_this<Pipe<T>> {
 public:
  explicit Pipe(const Route& route)
      : network_(route.network),
        reader_(route.caller.weak_from_this()),
        from_(route.to),
        to_(route.from) {}

  // The reader's end. `cancel` ends the wait.
  Task<Result<T>> Next(std::shared_ptr<Pipe> self, Process& process, CancelToken cancel) {
    while (arrived_.empty()) {
      if (!process.alive()) co_return Unavailable("the process is gone");
      const Wake woken = co_await some_.Wait(process, cancel);
      if (woken == Wake::kCanceled) co_return Canceled("the watch was cancelled");
    }
    if (!process.alive()) co_return Unavailable("the process is gone");
    Result<T> first = std::move(arrived_.front());
    if (first.ok()) arrived_.pop_front();  // a failure is the last one, and stays
    co_return first;
  }
  // Wakes the reader of a process that was killed.
  void Wakeup() { some_.Notify(); }

  // The writer's end. False: nobody reads any more.
  bool Send(Result<T> item) {
    if (broken_ || closed_.token().cancelled()) return false;
    std::optional<Duration> transit = network_.Transit(from_, to_);
    if (!transit) {
      Break(Unavailable("http2: client connection lost"));
      return false;
    }
    World& world = network_.world();
    arrival_ = std::max(arrival_, world.env().Steady() + *transit);
    Deliver(arrival_ - world.env().Steady(), std::move(item));
    return true;
  }
  // Cancelled when the writer may stop.
  CancelToken closed() const { return closed_.token(); }

  // The reader lets go.
  void Close() { closed_.Cancel(); }

  // Nothing that was not on its way already will arrive.
  void Break(Status why) override {
    if (std::exchange(broken_, true)) return;
    closed_.Cancel();
    arrival_ = std::max(arrival_, network_.world().env().Steady());
    Deliver(arrival_ - network_.world().env().Steady() + network_.least_delay, std::move(why));
  }

 private:
  void Deliver(Duration delay, Result<T> item) {
    auto arrive = [self = this->shared_from_this(), item = std::move(item)]() mutable {
      std::shared_ptr<Process> reader = self->reader_.lock();
      if (!reader) return;
      auto take = [self, item = std::move(item)]() mutable {
        self->arrived_.push_back(std::move(item));
        self->some_.Notify();
      };
      reader->Receive(std::move(take));
    };
    network_.world().After(delay, std::move(arrive));
  }

  Network& network_;
  std::weak_ptr<Process> reader_;
  const HostId from_, to_;
  SteadyTime arrival_{};
  bool broken_ = false;
  CancelSource closed_;
  std::deque<Result<T>> arrived_;
  Notifier some_;
};

// Sends what `source->Next(cancel)` gives until it fails or nobody reads. `source` is of the
// process `writer`.
template <class T, class Source>
Task<> Pump(std::shared_ptr<Pipe<T>> pipe, std::shared_ptr<Process> writer,
            std::shared_ptr<Source> source) {
  CancelToken::Registration died =
      writer->death().OnCancel([pipe] { pipe->Break(Unavailable("connection reset by peer")); });
  while (writer->alive()) {
    Result<T> item = co_await source->Next(pipe->closed());
    if (!writer->alive()) break;
    const bool last = !item.ok();
    if (!pipe->Send(std::move(item)) || last) break;
  }
}

}  // namespace gantry::sim
