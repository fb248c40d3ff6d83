#include "store/etcd/members.h"

#include <algorithm>
#include <utility>

#include "store/etcd/channel.h"
#include "store/etcd/etcd.pb.h"
#include "store/etcd/url.h"

namespace gantry::store {
namespace {

using etcd::CallError;
using etcd::GrpcCode;

// Changes of members wait for a majority.
constexpr Duration kTimeout = std::chrono::seconds(5);
constexpr Duration kDialTimeout = std::chrono::seconds(1);

Status StatusOf(const CallError& error) {
  const std::string& message = error.status.message();
  switch (error.code) {
    case GrpcCode::kFailedPrecondition:
      return Status(Code::kConflict, message);
    case GrpcCode::kNotFound:
      return Status(Code::kNotFound, message);
    case GrpcCode::kUnavailable:
    case GrpcCode::kDeadlineExceeded:
      return Unavailable(message);
    default:
      return error.status;
  }
}

template <class Response, class Request>
Task<Result<Response>> Ask(Env& env, EtcdOptions options, std::string method, Request request,
                           Duration timeout) {
  GANTRY_CO_ASSIGN(etcd::ChannelOptions channel_options, etcd::ChannelOptionsFor(options));
  channel_options.dial_timeout = std::min(kDialTimeout, timeout);
  etcd::Channel channel(env, std::move(channel_options));
  CallError error;
  std::string message = request.SerializeAsString();
  Result<std::string> answer =
      co_await channel.Call(std::move(method), std::move(message), timeout, &error);
  channel.Stop();
  if (!answer.ok()) co_return StatusOf(error);
  Response response;
  if (!response.ParseFromString(*answer)) co_return DataLoss("an answer of etcd does not decode");
  co_return response;
}

std::vector<EtcdMember> MembersOf(const google::protobuf::RepeatedPtrField<etcd::Member>& said) {
  std::vector<EtcdMember> members;
  for (const etcd::Member& one : said) {
    EtcdMember& member = members.emplace_back();
    member.id = one.id();
    member.name = one.name();
    member.peer_urls = {one.peer_urls().begin(), one.peer_urls().end()};
    member.client_urls = {one.client_urls().begin(), one.client_urls().end()};
    member.learner = one.is_learner();
  }
  return members;
}

}  // namespace

Task<Result<std::vector<EtcdMember>>> ListEtcdMembers(Env& env, EtcdOptions options) {
  etcd::MemberListRequest request;
  GANTRY_CO_ASSIGN(const etcd::MembersResponse answer,
                   co_await Ask<etcd::MembersResponse>(env, std::move(options),
                                                       "/etcdserverpb.Cluster/MemberList",
                                                       std::move(request), kTimeout));
  co_return MembersOf(answer.members());
}

Task<Result<AddedEtcdMember>> AddEtcdLearner(Env& env, EtcdOptions options, std::string peer_url) {
  etcd::MemberAddRequest request;
  request.add_peer_urls(std::move(peer_url));
  request.set_is_learner(true);
  GANTRY_CO_ASSIGN(const etcd::MemberAddResponse answer,
                   co_await Ask<etcd::MemberAddResponse>(env, std::move(options),
                                                         "/etcdserverpb.Cluster/MemberAdd",
                                                         std::move(request), kTimeout));
  AddedEtcdMember added;
  added.id = answer.member().id();
  added.members = MembersOf(answer.members());
  co_return added;
}

Task<Status> PromoteEtcdMember(Env& env, EtcdOptions options, uint64_t id) {
  etcd::MemberPromoteRequest request;
  request.set_id(id);
  Result<etcd::MembersResponse> answer = co_await Ask<etcd::MembersResponse>(
      env, std::move(options), "/etcdserverpb.Cluster/MemberPromote", std::move(request), kTimeout);
  co_return answer.status();
}

Task<Status> RemoveEtcdMember(Env& env, EtcdOptions options, uint64_t id) {
  etcd::MemberRemoveRequest request;
  request.set_id(id);
  Result<etcd::MembersResponse> answer = co_await Ask<etcd::MembersResponse>(
      env, std::move(options), "/etcdserverpb.Cluster/MemberRemove", std::move(request), kTimeout);
  co_return answer.status();
}

Task<Status> MoveEtcdMember(Env& env, EtcdOptions options, uint64_t id, std::string peer_url) {
  etcd::MemberUpdateRequest request;
  request.set_id(id);
  request.add_peer_urls(std::move(peer_url));
  Result<etcd::MembersResponse> answer = co_await Ask<etcd::MembersResponse>(
      env, std::move(options), "/etcdserverpb.Cluster/MemberUpdate", std::move(request), kTimeout);
  co_return answer.status();
}

Task<Result<EtcdHealth>> PingEtcd(Env& env, EtcdOptions options, Duration timeout) {
  etcd::StatusRequest request;
  Result<etcd::StatusResponse> answer = co_await Ask<etcd::StatusResponse>(
      env, std::move(options), "/etcdserverpb.Maintenance/Status", std::move(request), timeout);
  EtcdHealth health;
  // Calls ask for a member that has a leader (channel.h).
  if (!answer.ok() && answer.status().message() == "etcdserver: no leader") co_return health;
  if (!answer.ok()) co_return answer.status();
  health.id = answer->header().member_id();
  health.has_leader = answer->leader() != 0;
  health.learner = answer->is_learner();
  co_return health;
}

}  // namespace gantry::store
