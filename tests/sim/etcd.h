#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/network.h"
#include "sim/pipe.h"
#include "store/core/history.h"
#include "store/core/published.h"
#include "store/store.h"

namespace gantry::sim {

// A store that several servers share: what an etcd cluster with a quorum is to its clients. Always
// right and always there; it is the way to it that fails. Threading: one thread.
class Etcd {
 public:
  Etcd(World& world, Network& network);
  ~Etcd();

  HostId host() const { return host_; }
  store::Store& store() { return *store_; }

  // Removes the key some seconds after the process' death, unless another has it by then.
  void HoldWhile(std::shared_ptr<Process> process, std::string key);

 private:
  World& world_;
  MachineClock clock_;
  std::shared_ptr<Process> process_;
  std::unique_ptr<store::Store> store_;
  HostId host_ = 0;
  struct Held {
    std::shared_ptr<Process> by;
    CancelToken::Registration died;
  };
  std::map<std::string, Held> held_;
};

// What a server sees of the shared store: a client over the network, by the contract of
// store::SharedStore and after src/store/etcd: what is live is held in memory too (the real
// Published), fed by one watch that is taken up where it broke. A commit whose answer was lost is
// of unknown outcome (the real one finds it out). Life cycle: Open, use, Stop. Threading: one
// thread.
class EtcdClient : public store::SharedStore {
 public:
  // All outlive it.
  EtcdClient(Network& network, Process& process, HostId host, Etcd& etcd)
      : network_(network), process_(process), host_(host), etcd_(etcd) {}

  // Until all is read, or the process' end.
  Task<Status> Open();

  Task<Result<store::CommitResult>> Commit(std::vector<store::Write> writes) override;
  Task<Result<std::optional<store::Record>>> Get(std::string key, int64_t revision) override;
  Task<Result<store::ListPage>> List(std::string prefix, std::string after, int64_t limit,
                                     int64_t revision) override;
  Result<std::unique_ptr<store::WatchStream>> Watch(std::string prefix,
                                                    int64_t after_revision) override;
  int64_t AddObserver(store::CommitObserver* observer) override;
  void RemoveObserver(store::CommitObserver* observer) override;
  int64_t revision() const override { return published_->revision(); }
  int64_t compacted_revision() const override { return published_->compacted_revision(); }
  Task<Status> Compact(int64_t revision) override;
  Task<> Stop() override;
  Task<Result<int64_t>> LatestRevision() override;
  void Announce(std::string key, store::Bytes value) override;
  Status health() const override { return health_; }

 protected:
  // Where the feed goes on after it broke: above this revision. A place for planted faults.
  virtual int64_t ResumeAfter(int64_t seen) { return seen; }

 private:
  using EventPipe = Pipe<std::vector<store::Event>>;

  template <class T>
  Task<Result<T>> Ask(absl::AnyInvocable<Task<Result<T>>(store::Store&)> ask);
  Task<Result<store::History>> ReadAll();
  std::shared_ptr<EventPipe> OpenPipe(int64_t after);
  Task<> Feed();
  void Publish(std::vector<store::Event> events);
  Task<Status> WaitFor(int64_t revision);
  Task<> KeepAnnounced(std::string key, store::Bytes value);

  Network& network_;
  Process& process_;
  const HostId host_;
  Etcd& etcd_;
  CancelSource stop_;
  Gate gate_;
  std::optional<store::Published> published_;
  std::vector<std::shared_ptr<Notifier>> waiting_;
  Status health_;
};

}  // namespace gantry::sim
