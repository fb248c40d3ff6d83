#pragma once

#include <string>

#include "apiserver/http/handler.h"
#include "apiserver/registry/resource_row.h"
#include "apiserver/rest/resource_handler.h"

namespace gantry::apiserver {

// The subresources that are connections and not objects: log, exec, attach, portforward and proxy.
class Connector {
 public:
  virtual ~Connector() = default;
  virtual bool Serves(const ResourceRow& row, std::string_view subresource) const = 0;
  virtual Task<Response> Connect(const ResourceRow& row, ResourceRequest request) = 0;
};

}  // namespace gantry::apiserver
