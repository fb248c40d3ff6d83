#include "store/etcd/single_key.h"

#include <utility>

#include "store/etcd/client.h"
#include "store/etcd/url.h"

namespace gantry::store {
namespace {

// How long one question may take before the caller hears of it.
constexpr Duration kPatience = std::chrono::seconds(3);

}  // namespace

Task<Result<std::optional<std::string>>> ReadEtcdKey(Env& env, EtcdOptions options,
                                                     std::string key) {
  GANTRY_CO_ASSIGN(etcd::ChannelOptions channel, etcd::ChannelOptionsFor(options));
  etcd::Client client(env, std::move(channel));
  etcd::RangeRequest request;
  request.set_key(key);
  Result<etcd::RangeResponse> range = co_await client.Range(std::move(request), kPatience);
  client.channel().Stop();
  if (!range.ok()) co_return range.status();
  std::optional<std::string> value;
  if (range->kvs_size() > 0) value = std::move(*range->mutable_kvs(0)->mutable_value());
  co_return value;
}

Task<Result<std::string>> EnsureEtcdKey(Env& env, EtcdOptions options, std::string key,
                                        std::string value) {
  GANTRY_CO_ASSIGN(etcd::ChannelOptions channel, etcd::ChannelOptionsFor(options));
  etcd::Client client(env, std::move(channel));
  etcd::TxnRequest txn;
  etcd::Compare& absent = *txn.add_compare();
  absent.set_target(etcd::Compare::CREATE);
  absent.set_key(key);
  absent.set_create_revision(0);
  etcd::PutRequest& put = *txn.add_success()->mutable_put();
  put.set_key(key);
  put.set_value(value);
  txn.add_failure()->mutable_range()->set_key(key);
  // Done twice it is still ours that is there.
  Result<etcd::TxnResponse> done = co_await client.TxnAgain(std::move(txn), kPatience);
  client.channel().Stop();
  if (!done.ok()) co_return done.status();
  if (done->succeeded()) co_return value;
  etcd::RangeResponse& there = *done->mutable_responses(0)->mutable_range();
  if (there.kvs_size() == 0) co_return Unavailable("the key went as it was read");
  co_return std::move(*there.mutable_kvs(0)->mutable_value());
}

Task<Status> RemoveEtcdKey(Env& env, EtcdOptions options, std::string key) {
  GANTRY_CO_ASSIGN(etcd::ChannelOptions channel, etcd::ChannelOptionsFor(options));
  etcd::Client client(env, std::move(channel));
  etcd::DeleteRangeRequest request;
  request.set_key(key);
  Result<etcd::DeleteRangeResponse> removed = co_await client.DeleteRange(std::move(request));
  client.channel().Stop();
  co_return removed.status();
}

}  // namespace gantry::store
