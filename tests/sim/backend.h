#pragma once

#include <memory>

#include "sim/etcd.h"
#include "sim/truth.h"
#include "store/store.h"

namespace gantry::sim {

// Where a server's store comes from. Outlives the servers.
class Backend {
 public:
  virtual ~Backend() = default;
  // The store of one run of a server, which stops it.
  virtual Task<Result<std::unique_ptr<store::Store>>> Open(Process& process, HostId host) = 0;
  // Several servers may have it open.
  virtual bool shared() const = 0;
};

// One etcd for all servers.
class EtcdBackend : public Backend {
 public:
  EtcdBackend(World& world, Network& network, Truth& truth);

  Task<Result<std::unique_ptr<store::Store>>> Open(Process& process, HostId host) override;
  bool shared() const override { return true; }
  Etcd& etcd() { return etcd_; }

 protected:
  virtual std::unique_ptr<EtcdClient> MakeClient(Process& process, HostId host);

  Network& network_;

 private:
  Etcd etcd_;
};

}  // namespace gantry::sim
