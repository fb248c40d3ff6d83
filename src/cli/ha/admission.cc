#include "cli/ha/admission.h"

#include <utility>

#include "base/log.h"
#include "store/etcd/url.h"

namespace gantry::cli {
namespace {

constexpr Duration kPing = std::chrono::seconds(2);

// etcd lets nobody in while a member is silent. Says which, and what to do.
Task<Status> Explain(Env& env, store::EtcdOptions etcd, std::vector<Peer> peers, Status refused) {
  for (const Peer& peer : peers) {
    if (peer.learner || co_await Answers(env, etcd, peer)) continue;
    co_return Unavailable(refused.message() + ": the etcd of " + peer.name +
                          " does not answer; start that server, or take it out with: gantry "
                          "members remove " +
                          peer.name);
  }
  co_return Unavailable(refused.message());
}

}  // namespace

std::shared_ptr<store::etcd::EndpointList> EndpointsOf(const std::vector<Peer>& peers) {
  std::vector<store::etcd::Endpoint> endpoints;
  for (const Peer& peer : peers) {
    if (peer.client_url.empty()) continue;
    Result<store::etcd::Endpoint> endpoint = store::etcd::ParseEndpoint(AddressOf(peer.client_url));
    if (endpoint.ok()) endpoints.push_back(std::move(endpoint).value());
  }
  return std::make_shared<store::etcd::EndpointList>(std::move(endpoints));
}

Task<bool> Answers(Env& env, store::EtcdOptions etcd, Peer peer) {
  if (peer.client_url.empty()) co_return false;
  etcd.url = "etcd://" + AddressOf(peer.client_url);
  etcd.endpoints = nullptr;
  Result<store::EtcdHealth> health = co_await store::PingEtcd(env, std::move(etcd), kPing);
  co_return health.ok();
}

Task<Result<Admission>> AdmitEtcdMember(Env& env, store::EtcdOptions etcd, Peer newcomer) {
  GANTRY_CO_ASSIGN(const std::vector<store::EtcdMember> members,
                   co_await store::ListEtcdMembers(env, etcd));
  std::vector<Peer> others;
  for (const Peer& peer : PeersOf(members)) {
    if (peer.name != newcomer.name && peer.peer_url != newcomer.peer_url) {
      others.push_back(peer);
      continue;
    }
    if (co_await Answers(env, etcd, peer)) {
      co_return Status(Code::kConflict, "there is a server " + peer.name +
                                            " already, and its etcd answers at " + peer.client_url +
                                            "; give this one another name (--node-name)");
    }
    log::Info("etcd", "a member that does not answer makes room for its successor",
              {{"name", newcomer.name}, {"peer", peer.peer_url}});
    Status removed = co_await store::RemoveEtcdMember(env, etcd, peer.id);
    if (!removed.ok() && removed.code() != Code::kNotFound) co_return removed;
  }
  Result<store::AddedEtcdMember> added =
      co_await store::AddEtcdLearner(env, etcd, newcomer.peer_url);
  // Another one is on its way in, etcd has just seen members come or go, or one is silent.
  if (added.code() == Code::kConflict || added.code() == Code::kUnavailable)
    co_return co_await Explain(env, std::move(etcd), std::move(others), added.status());
  if (!added.ok()) co_return added.status();
  log::Info("etcd", "a member was added", {{"name", newcomer.name}});
  Admission admission;
  admission.id = added->id;
  admission.peers = PeersOf(added->members);
  for (Peer& peer : admission.peers) {
    if (peer.id != admission.id) continue;
    peer.name = newcomer.name;
    peer.client_url = newcomer.client_url;
  }
  co_return admission;
}

}  // namespace gantry::cli
