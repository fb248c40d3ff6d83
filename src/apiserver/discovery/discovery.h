#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "apiserver/registry/resource_row.h"
#include "base/status.h"

namespace gantry::apiserver {

// One discovery document. The bytes are shared by all who ask.
struct DiscoveryDocument {
  std::shared_ptr<const std::string> body;
  std::string content_type;
  std::string
      etag;  // with its quotes; empty for the legacy documents, which kube-apiserver sends without
};

// What the server tells about its groups, versions and resources: /api, /apis and what is below
// them, in the legacy form and in the aggregated one. Groups stand in the order in which their
// first row does, versions likewise (the first one is preferred). All documents are made at
// construction; when resources come or go, make a new one. Threading: immutable.
class Discovery {
 public:
  // `server_address` is what /api names as the server's address ("10.0.0.1:6443").
  Discovery(std::span<const ResourceRow> rows, std::string_view server_address);

  // The document of a path: "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1" (a slash at
  // the end is fine). `accept` chooses between the forms of /api and /apis. kNotFound for any other
  // path; kNotAcceptable when `accept` admits nothing that there is.
  Result<DiscoveryDocument> Get(std::string_view path, std::string_view accept) const;

 private:
  enum Form { kLegacy, kV2, kV2Beta1, kForms };
  struct Entry {
    DiscoveryDocument forms[kForms];  // body is null where the form does not exist
  };

  std::map<std::string, Entry, std::less<>> documents_;
};

}  // namespace gantry::apiserver
