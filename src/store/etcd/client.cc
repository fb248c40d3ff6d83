#include "store/etcd/client.h"

#include <algorithm>
#include <utility>

#include "base/env/notifier.h"

namespace gantry::store::etcd {
namespace {

// A server that has not answered by then is left for another, where there is one.
constexpr Duration kTryWithOthers = std::chrono::milliseconds(2500);
constexpr Duration kTryAlone = std::chrono::seconds(8);
constexpr Duration kFirstPause = std::chrono::milliseconds(50);
constexpr Duration kLongestPause = std::chrono::milliseconds(500);

bool Says(const CallError& error, std::string_view text) {
  return error.status.message().find(text) != std::string::npos;
}

bool MayPass(const CallError& error) {
  return error.code == GrpcCode::kUnavailable || error.code == GrpcCode::kDeadlineExceeded ||
         (error.code == GrpcCode::kResourceExhausted && Says(error, "too many requests"));
}

}  // namespace

Status TimedOut() { return Status(Code::kUnknown, "etcdserver: request timed out"); }

Duration Client::PerTry() const { return channel_.has_others() ? kTryWithOthers : kTryAlone; }

template <class Response, class Request>
Task<Result<Response>> Client::Try(const char* method, Request request, Duration patience) {
  const std::string message = request.SerializeAsString();
  const SteadyTime end = env_.Steady() + patience;
  for (Duration pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    const Duration left = std::max<Duration>(end - env_.Steady(), kFirstPause);
    CallError error;
    Result<std::string> answer =
        co_await channel_.Call(method, message, std::min(PerTry(), left), &error);
    if (answer.ok()) {
      Response response;
      if (!response.ParseFromString(*answer))
        co_return DataLoss("an answer of etcd does not decode");
      co_return response;
    }
    if (Says(error, "future revision")) co_return Status(Code::kInvalid, error.status.message());
    if (!MayPass(error) || env_.Steady() + pause >= end) co_return error.status;
    co_await SleepFor(env_, pause);
  }
}

Task<Result<RangeResponse>> Client::Range(RangeRequest request, Duration patience) {
  return Try<RangeResponse>("/etcdserverpb.KV/Range", std::move(request), patience);
}
Task<Result<PutResponse>> Client::Put(PutRequest request, Duration patience) {
  return Try<PutResponse>("/etcdserverpb.KV/Put", std::move(request), patience);
}
Task<Result<DeleteRangeResponse>> Client::DeleteRange(DeleteRangeRequest request) {
  return Try<DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", std::move(request), kPatience);
}
Task<Result<CompactionResponse>> Client::Compact(CompactionRequest request) {
  return Try<CompactionResponse>("/etcdserverpb.KV/Compact", std::move(request), kPatience);
}
Task<Result<LeaseGrantResponse>> Client::Grant(LeaseGrantRequest request) {
  return Try<LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", std::move(request), kPatience);
}
Task<Result<LeaseRevokeResponse>> Client::Revoke(LeaseRevokeRequest request) {
  return Try<LeaseRevokeResponse>("/etcdserverpb.Lease/LeaseRevoke", std::move(request),
                                  std::chrono::seconds(1));
}
Task<Result<LeaseKeepAliveResponse>> Client::KeepAlive(LeaseKeepAliveRequest request,
                                                       Duration patience) {
  return Try<LeaseKeepAliveResponse>("/etcdserverpb.Lease/LeaseKeepAlive", std::move(request),
                                     patience);
}
Task<Result<TxnResponse>> Client::TxnAgain(TxnRequest request, Duration patience) {
  return Try<TxnResponse>("/etcdserverpb.KV/Txn", std::move(request), patience);
}

Task<Result<TxnResponse>> Client::Txn(TxnRequest request, CallError* error) {
  std::string message = request.SerializeAsString();
  Result<std::string> answer =
      co_await channel_.Call("/etcdserverpb.KV/Txn", std::move(message), PerTry(), error);
  if (!answer.ok()) co_return answer.status();
  TxnResponse response;
  if (!response.ParseFromString(*answer)) co_return DataLoss("an answer of etcd does not decode");
  co_return response;
}

Task<Result<std::unique_ptr<MessageStream>>> Client::Watch(WatchCreateRequest request) {
  WatchRequest message;
  *message.mutable_create() = std::move(request);
  return channel_.Open("/etcdserverpb.Watch/Watch", message.SerializeAsString(), PerTry());
}

}  // namespace gantry::store::etcd
