#include "node/pod/dns_config.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace gantry::node {
namespace {

using api::core::v1::Pod;

constexpr size_t kMaxServers = 3;
constexpr size_t kMaxSearches = 32;
constexpr size_t kMaxSearchCharacters = 2048;
constexpr size_t kMaxDomain = 253;

struct Resolver {
  std::vector<std::string> servers, searches;
  std::vector<std::pair<std::string, std::string>> options;  // name, ":value" or empty
};

Resolver ParseHost(const std::string& text) {
  Resolver host;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key, word;
    words >> key;
    if (key == "nameserver" && words >> word) host.servers.push_back(word);
    if (key == "search") {
      host.searches.clear();
      while (words >> word)
        host.searches.push_back(word == "." ? word
                                            : word.substr(0, word.find_last_not_of('.') + 1));
    }
    if (key == "options") {
      while (words >> word) {
        const size_t colon = word.find(':');
        host.options.emplace_back(word.substr(0, colon),
                                  colon == std::string::npos ? "" : word.substr(colon));
      }
    }
  }
  return host;
}

void DropDuplicates(std::vector<std::string>* list) {
  std::vector<std::string> kept;
  for (std::string& item : *list) {
    if (std::find(kept.begin(), kept.end(), item) == kept.end()) kept.push_back(std::move(item));
  }
  *list = std::move(kept);
}

std::string Joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items)
    text += (text.empty() ? "" : " ") + item;
  return text;
}

void FitServers(std::vector<std::string>* servers, std::vector<std::string>* warnings) {
  if (servers->size() <= kMaxServers) return;
  servers->resize(kMaxServers);
  warnings->push_back(
      "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver "
      "line is: " +
      Joined(*servers));
}

void FitSearches(std::vector<std::string>* searches, std::vector<std::string>* warnings) {
  const size_t before = searches->size();
  if (before > kMaxSearches) searches->resize(kMaxSearches);
  std::erase_if(*searches, [](const std::string& domain) { return domain.size() > kMaxDomain; });
  while (Joined(*searches).size() > kMaxSearchCharacters)
    searches->pop_back();
  if (searches->size() == before) return;
  warnings->push_back(
      "Search Line limits were exceeded, some search paths have been omitted, the applied search "
      "line is: " +
      Joined(*searches));
}

std::string TextOf(const Resolver& resolver) {
  std::string out;
  if (!resolver.searches.empty()) out += "search " + Joined(resolver.searches) + "\n";
  for (const std::string& server : resolver.servers)
    out += "nameserver " + server + "\n";
  if (!resolver.options.empty()) {
    out += "options";
    for (const auto& [name, value] : resolver.options)
      out += " " + name + value;
    out += "\n";
  }
  return out;
}

}  // namespace

DnsConfig BuildDnsConfig(const Pod& pod, const std::vector<std::string>& cluster_dns,
                         const std::string& cluster_domain, const std::string& host_resolv_conf) {
  Resolver resolver;
  const std::string& policy = pod.spec().dns_policy();
  const bool cluster = policy == "ClusterFirstWithHostNet" ||
                       ((policy.empty() || policy == "ClusterFirst") && !pod.spec().host_network());
  if (policy != "None") resolver = ParseHost(host_resolv_conf);
  if (cluster && !cluster_dns.empty()) {
    resolver.servers = cluster_dns;
    resolver.options = {{"ndots", ":5"}};
    resolver.searches.insert(resolver.searches.begin(),
                             {pod.metadata().namespace_() + ".svc." + cluster_domain,
                              "svc." + cluster_domain, cluster_domain});
  }
  for (const std::string& server : pod.spec().dns_config().nameservers())
    resolver.servers.push_back(server);
  for (const std::string& search : pod.spec().dns_config().searches())
    resolver.searches.push_back(search);
  for (const auto& option : pod.spec().dns_config().options()) {
    std::string value = option.value().empty() ? "" : ":" + option.value();
    auto same = std::find_if(resolver.options.begin(), resolver.options.end(),
                             [&](const auto& o) { return o.first == option.name(); });
    if (same != resolver.options.end()) {
      same->second = std::move(value);
    } else {
      resolver.options.emplace_back(option.name(), std::move(value));
    }
  }
  DropDuplicates(&resolver.servers);
  DropDuplicates(&resolver.searches);
  DnsConfig config;
  FitServers(&resolver.servers, &config.warnings);
  FitSearches(&resolver.searches, &config.warnings);
  config.resolv_conf = TextOf(resolver);
  return config;
}

}  // namespace gantry::node
