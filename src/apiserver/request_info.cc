#include "apiserver/request_info.h"

#include <algorithm>
#include <span>

namespace gantry::apiserver {
namespace {

std::vector<std::string> SplitPath(std::string_view path) {
  while (!path.empty() && path.front() == '/')
    path.remove_prefix(1);
  while (!path.empty() && path.back() == '/')
    path.remove_suffix(1);
  std::vector<std::string> parts;
  while (!path.empty()) {
    size_t end = path.find('/');
    parts.emplace_back(path.substr(0, end));
    if (end == std::string_view::npos) break;
    path.remove_prefix(end + 1);
  }
  return parts;
}

std::string VerbOfMethod(std::string_view method) {
  if (method == "POST") return "create";
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  return "";
}

}  // namespace

std::string_view ExactName(std::string_view selector) {
  while (!selector.empty()) {
    size_t end = selector.find(',');
    std::string_view term = selector.substr(0, end);
    selector = end == std::string_view::npos ? std::string_view() : selector.substr(end + 1);
    size_t equals = term.find('=');
    if (equals == std::string_view::npos || term.substr(0, equals) != "metadata.name") continue;
    std::string_view value = term.substr(equals + 1);
    if (!value.empty() && value.front() == '=') value.remove_prefix(1);
    if (value == "." || value == ".." || value.find_first_of("/%") != std::string_view::npos)
      return {};
    return value;
  }
  return {};
}

RequestInfo ParseRequestInfo(std::string_view method, std::string_view path, const Query& query) {
  RequestInfo info;
  info.path = PercentDecode(path, false).value_or(std::string(path));
  info.verb = std::string(method);
  std::transform(info.verb.begin(), info.verb.end(), info.verb.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });

  std::vector<std::string> all = SplitPath(info.path);
  if (all.size() < 3 || (all[0] != "api" && all[0] != "apis")) return info;
  std::span<std::string> parts(all);
  info.api_prefix = parts[0];
  parts = parts.subspan(1);
  if (info.api_prefix == "apis") {
    if (parts.size() < 3) return info;
    info.group = parts[0];
    parts = parts.subspan(1);
  }
  info.is_resource = true;
  info.version = parts[0];
  parts = parts.subspan(1);

  bool old_watch = false;
  if (parts[0] == "watch" || parts[0] == "proxy") {
    if (parts.size() < 2) {
      info.is_resource = false;
      return info;
    }
    info.verb = parts[0];
    old_watch = info.verb == "watch";
    parts = parts.subspan(1);
  } else {
    info.verb = VerbOfMethod(method);
  }

  if (parts[0] == "namespaces") {
    if (parts.size() > 1) {
      info.ns = parts[1];
      if (parts.size() > 2 && parts[2] != "status" && parts[2] != "finalize")
        parts = parts.subspan(2);
    }
  }
  info.parts.assign(parts.begin(), parts.end());
  info.resource = parts[0];
  if (parts.size() >= 2) info.name = parts[1];
  if (parts.size() >= 3 && !old_watch) info.subresource = parts[2];

  if (info.name.empty() && info.verb == "get") {
    info.verb = query.GetBool("watch") ? "watch" : "list";
    info.name = std::string(ExactName(query.Get("fieldSelector")));
  }
  if (info.name.empty() && info.verb == "delete") info.verb = "deletecollection";
  return info;
}

}  // namespace gantry::apiserver
