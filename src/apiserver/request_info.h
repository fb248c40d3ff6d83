#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/query.h"

namespace gantry::apiserver {

// What a request asks for, read off its method, path and query exactly as kube-apiserver does:
// authorization, admission and dispatch all go by it. Threading: a value.
struct RequestInfo {
  bool is_resource = false;
  std::string path;  // decoded
  // For resources: get, list, watch, create, update, patch, delete, deletecollection (or "proxy" of
  // old paths); for other paths the method in lower case.
  std::string verb;
  std::string api_prefix;  // "api" or "apis"
  std::string group, version, ns, resource, subresource, name;
  std::vector<std::string> parts;  // from the resource on: {"pods", "a", "proxy", "x", "y"}
};

// `path` still encoded. A broken escape gives a request for the path as it stands.
RequestInfo ParseRequestInfo(std::string_view method, std::string_view path, const Query& query);

// The name that a field selector requires ("metadata.name=x"); empty when it requires none.
std::string_view ExactName(std::string_view field_selector);

}  // namespace gantry::apiserver
