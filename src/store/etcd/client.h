#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/env/env.h"
#include "base/status.h"
#include "store/etcd/channel.h"
#include "store/etcd/etcd.pb.h"

namespace gantry::store::etcd {

// How long somebody who asked is kept waiting while etcd does not answer.
constexpr Duration kPatience = std::chrono::seconds(10);

// What etcd says when it cannot say whether something was done.
Status TimedOut();

// etcd's calls. Those that may be done twice are tried until `patience` is over, from one server to
// the next; the failure is then that of the last try. Threading: any thread.
class Client {
 public:
  Client(Env& env, ChannelOptions options) : env_(env), channel_(env, std::move(options)) {}

  // kExpired: the revision is compacted. kInvalid: it is in the future.
  Task<Result<RangeResponse>> Range(RangeRequest request, Duration patience = kPatience);
  Task<Result<PutResponse>> Put(PutRequest request, Duration patience = kPatience);
  Task<Result<DeleteRangeResponse>> DeleteRange(DeleteRangeRequest request);
  // kExpired: it was compacted so far already.
  Task<Result<CompactionResponse>> Compact(CompactionRequest request);
  Task<Result<LeaseGrantResponse>> Grant(LeaseGrantRequest request);
  Task<Result<LeaseRevokeResponse>> Revoke(LeaseRevokeRequest request);
  Task<Result<LeaseKeepAliveResponse>> KeepAlive(LeaseKeepAliveRequest request, Duration patience);

  // One try. `error->begun` says whether it may have been done all the same.
  Task<Result<TxnResponse>> Txn(TxnRequest request, CallError* error);
  // For what is the same done twice.
  Task<Result<TxnResponse>> TxnAgain(TxnRequest request, Duration patience = kPatience);

  // One subscription of its own.
  Task<Result<std::unique_ptr<MessageStream>>> Watch(WatchCreateRequest request);

  Channel& channel() { return channel_; }

 private:
  template <class Response, class Request>
  Task<Result<Response>> Try(const char* method, Request request, Duration patience);
  Duration PerTry() const;

  Env& env_;
  Channel channel_;
};

// Every key, also those that are not gantry's.
template <class Request>
void SetWholeRange(Request* request) {
  request->set_key(std::string(1, '\0'));
  request->set_range_end(std::string(1, '\0'));
}
// Every key that starts with `prefix`, from behind `after` on (empty: from the first).
template <class Request>
void SetPrefixRange(std::string_view prefix, std::string_view after, Request* request) {
  request->set_key(after.empty() ? std::string(prefix) : std::string(after) + '\0');
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff)
    end.pop_back();
  if (end.empty()) {
    end = std::string(1, '\0');
  } else {
    ++end.back();
  }
  request->set_range_end(end);
}

}  // namespace gantry::store::etcd
