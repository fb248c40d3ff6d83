#pragma once

#include <memory>
#include <string>

#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "client/http/transport.h"
#include "client/kubeconfig.h"

namespace gantry::bench {

// The TLS side of an administrator's kubeconfig. `http2` offers HTTP/2.
Result<std::shared_ptr<const wire::TlsContext>> TlsOf(const client::Kubeconfig& config,
                                                      bool http2 = true);
client::HttpTransportOptions TransportOptionsOf(const client::Kubeconfig& config,
                                                std::shared_ptr<const wire::TlsContext> tls);

// The API in JSON, one call after another, each of which blocks. Answers of 400 and up are failures
// with the server's own words. Threading: the main thread.
class ApiClient {
 public:
  static Result<std::unique_ptr<ApiClient>> Make(RealEnv& env, const client::Kubeconfig& config);
  ~ApiClient();

  Result<client::HttpReply> Call(client::HttpRequest request);
  Result<api::JsonValue> Get(const std::string& target);
  Status Post(const std::string& target, const std::string& body);
  // Server-side apply.
  Status Apply(const std::string& target, const std::string& body);
  Status Delete(const std::string& target, int grace_seconds);
  // Asks again until the answer is a success.
  Status AwaitFound(const std::string& target);
  // Asks until no object is listed.
  Status AwaitEmpty(const std::string& target);

  client::HttpTransport& transport() { return transport_; }
  RealEnv& env() { return env_; }

 private:
  ApiClient(RealEnv& env, client::HttpTransportOptions options)
      : env_(env), transport_(env, std::move(options)) {}

  RealEnv& env_;
  client::HttpTransport transport_;
};

// Members of members: At(pod, {"status", "phase"}); null where one is missing.
const api::JsonValue* At(const api::JsonValue& value, std::initializer_list<const char*> path);
std::string StringAt(const api::JsonValue& value, std::initializer_list<const char*> path);
int64_t IntAt(const api::JsonValue& value, std::initializer_list<const char*> path);
// Whether status.conditions has `type` with the status "True".
bool HasCondition(const api::JsonValue& object, const std::string& type);

}  // namespace gantry::bench
