#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/authn/authenticator.h"
#include "apiserver/authz/authorizer.h"
#include "apiserver/http/handler.h"
#include "apiserver/request_metrics.h"
#include "apiserver/rest/negotiation.h"
#include "apiserver/rest/resource_handler.h"

namespace gantry::apiserver {

// Serves a path that is not a resource.
using PathHandler = std::function<Task<Response>(ResourceRequest request)>;

// Every request's way in: who is it, whom does it speak for, may it, then the resource or the path
// it is for. Threading: routes are added before the first request; then any thread.
class RequestChain : public Handler {
 public:
  RequestChain(Authenticator& authenticator, Authorizer& authorizer, ResourceHandler& resources,
               Env& env);

  // `prefix` ends with '/' to take everything below it as well; the longest match wins.
  void AddRoute(std::string prefix, PathHandler handler);

  // All of them, sorted, for the index at "/".
  std::vector<std::string> Paths() const;

  Task<Response> Handle(Request request) override;

 private:
  // `info` tells the caller what was asked for, `errors` how a failure is to be written.
  Task<Response> Serve(Request request, RequestInfo* info, ErrorForm* errors);
  const PathHandler* FindRoute(const std::string& path) const;
  Result<UserInfo> Impersonate(const UserInfo& user, const Headers& headers);

  Authenticator& authenticator_;
  Authorizer& authorizer_;
  ResourceHandler& resources_;
  Env& env_;
  std::map<std::string, PathHandler> routes_;
  RequestMetrics metrics_;
};

Access AccessOf(const RequestInfo& info);

}  // namespace gantry::apiserver
