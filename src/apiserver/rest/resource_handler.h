#pragma once

#include <string>

#include "apiserver/http/handler.h"
#include "apiserver/request_info.h"
#include "apiserver/rest/verbs.h"

namespace gantry::apiserver {

class Authorizer;
class Connector;
class Reviews;

// An authenticated and authorized request on its way to a resource.
struct ResourceRequest {
  Request http;
  Query query;
  RequestInfo info;
  UserInfo user;
};

// Requests for resources: decodes, calls the verb, encodes. Threading: any thread.
class ResourceHandler {
 public:
  // `connector` (log, exec, proxy and the like) and `reviews` may be null: then those are not
  // served. All outlive this.
  ResourceHandler(Verbs& verbs, Authorizer& authorizer, Reviews* reviews, Connector* connector);

  Task<Response> Handle(ResourceRequest request);

 private:
  Task<Response> Dispatch(const ResourceRow& row, ResourceRequest request, Call call);
  Task<Response> Get(const ResourceRow& row, ResourceRequest request);
  Task<Response> List(const ResourceRow& row, ResourceRequest request);
  Task<Response> Watch(const ResourceRow& row, ResourceRequest request);
  Task<Response> Create(const ResourceRow& row, ResourceRequest request, Call call);
  Task<Response> Update(const ResourceRow& row, ResourceRequest request, Call call);
  Task<Response> Patch(const ResourceRow& row, ResourceRequest request, Call call);
  Task<Response> Delete(const ResourceRow& row, ResourceRequest request, Call call);
  Task<Response> DeleteCollection(const ResourceRow& row, ResourceRequest request, Call call);
  bool MayCreate(const ResourceRequest& request) const;
  WallTime Now();

  Verbs& verbs_;
  Authorizer& authorizer_;
  Reviews* reviews_;
  Connector* connector_;
};

}  // namespace gantry::apiserver
