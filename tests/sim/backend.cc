#include "sim/backend.h"

namespace gantry::sim {

EtcdBackend::EtcdBackend(World& world, Network& network, Truth& truth)
    : network_(network), etcd_(world, network) {
  world.env().RunToEnd(truth.Adopt(etcd_.store()));
}

std::unique_ptr<EtcdClient> EtcdBackend::MakeClient(Process& process, HostId host) {
  return std::make_unique<EtcdClient>(network_, process, host, etcd_);
}

Task<Result<std::unique_ptr<store::Store>>> EtcdBackend::Open(Process& process, HostId host) {
  std::unique_ptr<EtcdClient> client = MakeClient(process, host);
  GANTRY_CO_TRY(co_await client->Open());
  co_return std::unique_ptr<store::Store>(std::move(client));
}

}  // namespace gantry::sim
