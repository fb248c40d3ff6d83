#pragma once

#include <absl/synchronization/mutex.h>

#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/status.h"
#include "base/wire/http2_connection.h"
#include "base/wire/tls.h"
#include "store/etcd/endpoints.h"
#include "store/etcd/grpc.h"

namespace gantry::store::etcd {

struct ChannelOptions {
  ChannelOptions() = default;
  std::shared_ptr<const EndpointList> endpoints;
  std::shared_ptr<const wire::TlsContext> tls;  // null: plain
  Duration dial_timeout = std::chrono::seconds(2);
};

// How a call failed. `begun`: the server may have acted on it.
struct CallError {
  CallError() = default;
  Status status;
  GrpcCode code = GrpcCode::kUnavailable;
  bool begun = false;
};

// The messages that answer one call, as they come. Destroying it gives the call up. Threading: one
// at a time.
class MessageStream {
 public:
  MessageStream(std::shared_ptr<wire::Http2Connection> connection, wire::HttpResponse response)
      : connection_(std::move(connection)), response_(std::move(response)) {}

  // kUnavailable at the end, or what the server said of it.
  Task<Result<std::string>> Next();
  // The only message of a whole answer.
  Task<Result<std::string>> Only();
  // Of the last failure of Next, what the server called it.
  GrpcCode code() const { return code_; }
  const std::shared_ptr<wire::Http2Connection>& connection() const { return connection_; }

 private:
  const std::shared_ptr<wire::Http2Connection> connection_;
  wire::HttpResponse response_;
  Deframer deframer_;
  GrpcCode code_ = GrpcCode::kUnavailable;
};

// gRPC to one of several servers that stand for the same thing: all calls share one connection;
// when that is lost, or given up, the next server's turn has come. Begins with a server on this
// machine if there is one, else with any. Every call asks for a server that has a leader. Life
// cycle: Stop when calls may be under way; they end before the destructor. Threading: any thread.
class Channel {
 public:
  Channel(Env& env, ChannelOptions options);

  // One message, one answer. `error` is filled on failure.
  Task<Result<std::string>> Call(std::string method, std::string message, Duration timeout,
                                 CallError* error);
  // One message, many answers. `timeout` is for the first sign of life.
  Task<Result<std::unique_ptr<MessageStream>>> Open(std::string method, std::string message,
                                                    Duration timeout);

  // Nothing good is to be expected of this connection any more: the next call goes elsewhere.
  void GiveUp(const std::shared_ptr<wire::Http2Connection>& connection);
  bool has_others() const { return options_.endpoints->size() > 1; }
  // "10.0.0.1:2379", or all of them, for messages.
  std::string current() const;
  std::string names() const;

  void Stop();

 private:
  Task<Status> Connect(CancelToken cancel, std::shared_ptr<wire::Http2Connection>* out);
  Task<Status> Dial(std::shared_ptr<wire::Http2Connection>* out);
  wire::HttpRequest MakeRequest(const std::string& method, const std::string& message) const;

  Env& env_;
  const ChannelOptions options_;

  mutable absl::Mutex mutex_;
  size_t current_ ABSL_GUARDED_BY(mutex_) = 0;
  bool dialing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Status last_dial_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<wire::Http2Connection> connection_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Notifier>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::store::etcd
