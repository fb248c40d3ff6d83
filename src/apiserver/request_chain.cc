#include "apiserver/request_chain.h"

#include <algorithm>

#include "api/kinds.h"
#include "api/meta/v1/status.pb.h"
#include "apiserver/rest/codec.h"
#include "apiserver/status_body.h"

namespace gantry::apiserver {
namespace {

constexpr std::string_view kServiceAccountPrefix = "system:serviceaccount:";
constexpr std::string_view kExtraPrefix = "impersonate-extra-";

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

Access ImpersonateAccess(std::string group, std::string resource, std::string name) {
  Access access;
  access.is_resource = true;
  access.verb = "impersonate";
  access.group = std::move(group);
  access.version = "v1";
  access.resource = std::move(resource);
  access.name = std::move(name);
  return access;
}

void WriteFailure(const Output& output, Response* response) {
  Response written = MessageResponse(response->status, output, api::KindOf<api::meta::v1::Status>(),
                                     StatusMessage(*response->failure));
  response->headers.Set("Content-Type", output.ContentType());
  response->body = std::move(written.body);
  response->failure.reset();
}

}  // namespace

Access AccessOf(const RequestInfo& info) {
  Access access;
  access.verb = info.verb;
  access.is_resource = info.is_resource;
  access.path = info.path;
  access.group = info.group;
  access.version = info.version;
  access.resource = info.resource;
  access.subresource = info.subresource;
  access.ns = info.ns;
  access.name = info.name;
  return access;
}

RequestChain::RequestChain(Authenticator& authenticator, Authorizer& authorizer,
                           ResourceHandler& resources, Env& env)
    : authenticator_(authenticator), authorizer_(authorizer), resources_(resources), env_(env) {}

void RequestChain::AddRoute(std::string prefix, PathHandler handler) {
  routes_.emplace(std::move(prefix), std::move(handler));
}

std::vector<std::string> RequestChain::Paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, handler] : routes_) {
    if (path.size() > 1 && !path.ends_with('/')) paths.push_back(path);
  }
  return paths;
}

const PathHandler* RequestChain::FindRoute(const std::string& path) const {
  if (auto exact = routes_.find(path); exact != routes_.end()) return &exact->second;
  const PathHandler* best = nullptr;
  size_t length = 0;
  for (const auto& [prefix, handler] : routes_) {
    if (prefix.size() > 1 && prefix.ends_with('/') && prefix.size() > length &&
        (path.starts_with(prefix) || path + "/" == prefix)) {
      best = &handler;
      length = prefix.size();
    }
  }
  return best;
}

// The user that the request wants to be, once every part of that has been allowed.
Result<UserInfo> RequestChain::Impersonate(const UserInfo& user, const Headers& headers) {
  const std::string name(headers.Get("impersonate-user"));
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
  for (const auto& [key, value] : headers.all()) {
    std::string lower = Lower(key);
    if (lower == "impersonate-group") groups.push_back(value);
    if (lower.starts_with(kExtraPrefix)) {
      std::string_view encoded = std::string_view(lower).substr(kExtraPrefix.size());
      extra[PercentDecode(encoded, false).value_or(std::string(encoded))].push_back(value);
    }
  }
  const std::string uid(headers.Get("impersonate-uid"));
  if (name.empty()) {
    if (groups.empty() && extra.empty() && uid.empty()) return user;
    return InternalError("requested [{" + std::string(groups.empty() ? "UserExtra" : "Group") +
                         "}] without impersonating a user");
  }
  auto allowed = [&](const Access& access) -> Status {
    Decision decision = authorizer_.Authorize(user, access);
    return decision.allowed() ? Status() : Forbidden(user, access, decision.reason);
  };
  UserInfo other(name);
  // A name that only begins like that of a service account is a user's.
  std::string_view rest;
  if (name.starts_with(kServiceAccountPrefix))
    rest = std::string_view(name).substr(kServiceAccountPrefix.size());
  if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    Access access = ImpersonateAccess("", "serviceaccounts", std::string(rest.substr(colon + 1)));
    access.ns = std::string(rest.substr(0, colon));
    GANTRY_TRY(allowed(access));
    if (groups.empty())
      other.groups = {"system:serviceaccounts", "system:serviceaccounts:" + access.ns};
  } else {
    GANTRY_TRY(allowed(ImpersonateAccess("", "users", name)));
  }
  for (std::string& group : groups) {
    GANTRY_TRY(allowed(ImpersonateAccess("", "groups", group)));
    other.groups.push_back(std::move(group));
  }
  if (!uid.empty()) {
    GANTRY_TRY(allowed(ImpersonateAccess("authentication.k8s.io", "uids", uid)));
    other.uid = uid;
  }
  for (auto& [key, values] : extra) {
    for (const std::string& value : values) {
      Access access = ImpersonateAccess("authentication.k8s.io", "userextras", value);
      access.subresource = key;
      GANTRY_TRY(allowed(access));
    }
    other.extra.emplace_back(key, std::move(values));
  }
  const bool anonymous = name == kAnonymousUser;
  std::string_view group = anonymous ? kUnauthenticatedGroup : kAuthenticatedGroup;
  if (!other.InGroup(group)) other.groups.emplace_back(group);
  return other;
}

Task<Response> RequestChain::Handle(Request request) {
  std::string audit_id(request.headers.Get("audit-id"));
  if (audit_id.empty()) audit_id = RandomUuid(env_);
  const SteadyTime begin = env_.Steady();
  RequestInfo info;
  ErrorForm errors;
  metrics_.Begin();
  Response response = co_await Serve(std::move(request), &info, &errors);
  if (response.failure) WriteFailure(errors.Choose(), &response);
  metrics_.End(info, response.status, env_.Steady() - begin);
  response.headers.Set("Audit-Id", std::move(audit_id));
  if (!response.headers.Has("cache-control"))
    response.headers.Set("Cache-Control", "no-cache, private");
  co_return response;
}

Task<Response> RequestChain::Serve(Request http, RequestInfo* info, ErrorForm* errors) {
  ResourceRequest request;
  request.query = Query::Parse(http.query);
  *errors = ErrorForm(http.headers, request.query);
  request.info = ParseRequestInfo(http.method, http.path, request.query);
  *info = request.info;
  Result<UserInfo> user = authenticator_.Authenticate(http);
  if (!user.ok()) co_return ErrorResponse(user.status());
  user = Impersonate(*user, http.headers);
  if (!user.ok()) co_return ErrorResponse(user.status());
  Access access = AccessOf(request.info);
  Decision decision = authorizer_.Authorize(*user, access);
  if (!decision.allowed()) co_return ErrorResponse(Forbidden(*user, access, decision.reason));

  request.user = std::move(*user);
  request.http = std::move(http);
  if (request.info.is_resource) {
    // A path that looks like a resource's may belong to a part of the server that is none (the
    // tunnel).
    if (FindResourceRow(request.info.group, request.info.version, request.info.resource) ==
        nullptr) {
      auto route = routes_.find(request.info.path);
      if (route != routes_.end()) co_return co_await route->second(std::move(request));
    }
    co_return co_await resources_.Handle(std::move(request));
  }
  if (const PathHandler* route = FindRoute(request.info.path))
    co_return co_await (*route)(std::move(request));
  co_return TextResponse(404, "404 page not found\n");
}

}  // namespace gantry::apiserver
