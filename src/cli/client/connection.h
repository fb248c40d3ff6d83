#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "base/env/time.h"
#include "base/status.h"
#include "cli/client/flag_set.h"

namespace gantry {
class Env;
class RealEnv;
namespace client {
class HttpTransport;
struct HttpReply;
}  // namespace client
namespace wire {
struct HttpRequest;
}
}  // namespace gantry

namespace gantry::cli {

// The cluster that a command talks to, in plain calls that wait for their answers. Failures are
// worded for the user (failure.h). Threading: one user at a time, not on a loop thread.
class Connection {
 public:
  // To the cluster of the kubeconfig (--kubeconfig, else $KUBECONFIG, else ~/.kube/config, else
  // the file of a server on this machine), with what other flags say instead.
  static Result<std::unique_ptr<Connection>> Open(const GlobalFlags& flags);
  ~Connection();

  // The namespace of commands that name none.
  const std::string& ns() const { return ns_; }
  RealEnv& env() { return *env_; }
  client::HttpTransport& transport() { return *transport_; }

  // The body of an answer below 400.
  Result<std::string> Call(wire::HttpRequest request, int* http_status = nullptr);
  Result<api::JsonValue> GetJson(const std::string& target,
                                 const std::string& accept = "application/json");
  // A write; `body` may be empty, the content type is that of a patch where it is one.
  Result<api::JsonValue> Send(const std::string& method, const std::string& target,
                              const api::JsonValue& body,
                              const std::string& content_type = "application/json",
                              int* http_status = nullptr);

  // Calls `take` on each piece of an answer until it returns false, the answer ends or `until` has
  // passed (kCanceled).
  using TakeBytes = std::function<bool(std::string_view)>;
  Status Stream(wire::HttpRequest request, TakeBytes take, std::optional<SteadyTime> until = {});
  // The same for several answers at once, until all have ended; the first failure.
  using TakeBytesOf = std::function<bool(size_t index, std::string_view)>;
  Status StreamAll(std::vector<wire::HttpRequest> requests, TakeBytesOf take);
  // The events of a watch: "ADDED" and so on, with the object; an ERROR event is its failure.
  using TakeEvent = std::function<bool(const std::string& type, const api::JsonValue& object)>;
  Status Watch(const std::string& target, const std::string& accept, TakeEvent take,
               std::optional<SteadyTime> until = {});

 private:
  Connection();

  std::unique_ptr<RealEnv> env_;
  std::unique_ptr<client::HttpTransport> transport_;
  std::optional<Duration> request_timeout_;
  std::string ns_;
};

}  // namespace gantry::cli
