#include "cli/known_servers.h"

#include <algorithm>
#include <set>

#include "api/discovery/v1/endpoint_slice.pb.h"

namespace gantry::cli {
namespace {

using api::discovery::v1::EndpointSlice;

constexpr char kFile[] = "servers";

bool IsOfServers(const api::Object& object) {
  if (object.ns() != "default") return false;
  const auto& labels = object.meta().labels();
  auto it = labels.find("kubernetes.io/service-name");
  return it != labels.end() && it->second == "kubernetes";
}

}  // namespace

std::vector<std::string> ServersOfSlices(const std::vector<api::ObjectPtr>& slices) {
  std::set<std::string> urls;
  for (const api::ObjectPtr& object : slices) {
    if (!IsOfServers(*object)) continue;
    const auto& slice = object->As<EndpointSlice>();
    const bool ipv6 = slice.address_type() == "IPv6";
    for (const auto& port : slice.ports()) {
      if (port.name() != "https" || port.port() == 0) continue;
      for (const auto& endpoint : slice.endpoints()) {
        if (endpoint.conditions().has_ready() && !endpoint.conditions().ready()) continue;
        for (const std::string& address : endpoint.addresses()) {
          urls.insert("https://" + (ipv6 ? "[" + address + "]" : address) + ":" +
                      std::to_string(port.port()));
        }
      }
    }
  }
  return std::vector<std::string>(urls.begin(), urls.end());
}

std::vector<std::string> Merge(std::vector<std::string> found,
                               const std::vector<std::string>& given) {
  for (const std::string& server : given) {
    if (std::find(found.begin(), found.end(), server) == found.end()) found.push_back(server);
  }
  return found;
}

std::vector<std::string> LoadServers(const DataDir& dir, const std::vector<std::string>& given) {
  std::vector<std::string> servers;
  servers = Merge(std::move(servers), given);
  const std::string text = dir.Read(kFile).value_or("");
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.starts_with("https://")) servers = Merge(std::move(servers), {line});
    at = end + 1;
  }
  return servers;
}

Status SaveServers(const DataDir& dir, const std::vector<std::string>& servers) {
  std::string text;
  for (const std::string& server : servers)
    text += server + "\n";
  if (dir.Read(kFile).value_or("") == text) return Status::Ok();
  return dir.Write(kFile, text);
}

}  // namespace gantry::cli
