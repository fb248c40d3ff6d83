#include <algorithm>
#include <utility>

#include "base/env/notifier.h"
#include "base/log.h"
#include "cli/ha/admission.h"
#include "cli/ha/etcd_keys.h"
#include "cli/ha/managed_etcd.h"
#include "cli/version.h"

// What a server does for other members (member_routes.h).
namespace gantry::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);  // of who asks to take one out
constexpr Duration kBetweenTries = std::chrono::milliseconds(300);
constexpr Duration kBetweenLooks = std::chrono::seconds(1);
// Later a newcomer is seen by the next look of who watches.
constexpr int kLooks = 30;

}  // namespace

Task<Result<Invitation>> ManagedEtcd::Admit(InvitationRequest request) {
  GANTRY_CO_TRY(CheckSettings(request.settings, options_.settings));
  GANTRY_CO_TRY(CheckVersions(ProgramVersion(), request.version));
  store::EtcdOptions all = store_options();
  Peer newcomer;
  newcomer.name = request.name;
  newcomer.peer_url = request.peer_url;
  newcomer.client_url = request.client_url;
  Result<Admission> admission = co_await AdmitEtcdMember(env_, std::move(all), std::move(newcomer));
  if (admission.code() == Code::kUnavailable)
    co_return Status(Code::kServiceUnavailable, admission.status().message());
  if (!admission.ok()) co_return admission.status();
  Invitation invitation;
  invitation.id = admission->id;
  invitation.peers = std::move(admission->peers);
  GANTRY_CO_ASSIGN(invitation.authority, ReadEtcdAuthority(dir_));
  Membership known = membership();
  known.others = Without(invitation.peers, known.self.id);
  GANTRY_CO_TRY(SetMembership(std::move(known)));
  Spawn(env_.MakeStrand(), gate_, "etcd newcomer", Await(invitation.id));
  co_return invitation;
}

// The store comes to know a new member when it votes.
Task<> ManagedEtcd::Await(uint64_t newcomer) {
  const CancelToken stopped = stopped_.token();
  for (int tries = 0; tries < kLooks && !stopped.cancelled(); ++tries) {
    co_await SleepFor(env_, kBetweenLooks, stopped);
    store::EtcdOptions all = store_options();
    Result<std::vector<store::EtcdMember>> members =
        co_await store::ListEtcdMembers(env_, std::move(all));
    if (!members.ok()) continue;
    const auto member = std::ranges::find(*members, newcomer, &store::EtcdMember::id);
    if (member == members->end()) co_return;
    if (member->learner) continue;
    Membership known = membership();
    known.others = Without(PeersOf(*members), known.self.id);
    Status kept = SetMembership(std::move(known));
    if (!kept.ok()) log::Warning("etcd", "a new member was not noted", {{"error", kept.message()}});
    PointStoreAt(own_votes_);
    co_return;
  }
}

Task<Result<std::vector<ManagedEtcd::State>>> ManagedEtcd::List() {
  store::EtcdOptions all = store_options();
  GANTRY_CO_ASSIGN(const std::vector<store::EtcdMember> members,
                   co_await store::ListEtcdMembers(env_, std::move(all)));
  std::vector<State> states;
  const std::vector<Peer> peers = PeersOf(members);
  for (size_t i = 0; i < peers.size(); ++i) {
    State& state = states.emplace_back();
    state.peer = peers[i];
    state.learner = members[i].learner;
    state.answers = co_await Answers(env_, access_, peers[i]);
  }
  std::ranges::sort(states, {}, [](const State& state) { return state.peer.name; });
  co_return states;
}

Task<Status> ManagedEtcd::Remove(std::string name) {
  store::EtcdOptions all = store_options();
  GANTRY_CO_ASSIGN(const std::vector<store::EtcdMember> members,
                   co_await store::ListEtcdMembers(env_, all));
  const auto member = std::ranges::find(members, name, &store::EtcdMember::name);
  if (member == members.end())
    co_return Status(Code::kNotFound, "there is no server \"" + name + "\"");
  if (members.size() == 1) {
    co_return Status(Code::kConflict,
                     "\"" + name + "\" is the only server, and cannot be taken out");
  }
  const SteadyTime end = env_.Steady() + kPatience;
  Status removed = co_await store::RemoveEtcdMember(env_, all, member->id);
  // For some seconds after members have come or gone etcd does not move on.
  while (removed.code() == Code::kUnavailable && env_.Steady() < end) {
    co_await SleepFor(env_, kBetweenTries, stopped_.token());
    removed = co_await store::RemoveEtcdMember(env_, all, member->id);
  }
  if (removed.ok()) log::Info("etcd", "a member was taken out", {{"name", name}});
  co_return removed;
}

}  // namespace gantry::cli
