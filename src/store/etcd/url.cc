#include "store/etcd/url.h"

#include <charconv>

namespace gantry::store {
namespace {

constexpr std::string_view kScheme = "etcd://";

}  // namespace

bool IsEtcdUrl(std::string_view store) { return store.starts_with(kScheme); }

namespace etcd {

Result<Endpoint> ParseEndpoint(std::string_view text) {
  Endpoint endpoint;
  const Status malformed =
      BadRequest("\"" + std::string(text) + "\" is no address of etcd; it is given as HOST:PORT");
  const size_t bracket = text.rfind(']'), colon = text.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  std::string_view host = text.substr(0, has_port ? colon : text.size());
  if (has_port) {
    const std::string_view digits = text.substr(colon + 1);
    const char* end = digits.data() + digits.size();
    const auto [parsed, error] = std::from_chars(digits.data(), end, endpoint.port);
    if (error != std::errc() || parsed != end || endpoint.port == 0) return malformed;
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find('/') != std::string_view::npos) return malformed;
  endpoint.host = host;
  return endpoint;
}

Result<ChannelOptions> ChannelOptionsFor(const EtcdOptions& options) {
  if (!IsEtcdUrl(options.url))
    return BadRequest("--store " + options.url + " does not begin with etcd://");
  ChannelOptions channel;
  std::vector<Endpoint> endpoints;
  std::string_view rest = std::string_view(options.url).substr(kScheme.size());
  while (true) {
    const size_t comma = rest.find(',');
    GANTRY_ASSIGN(Endpoint endpoint, ParseEndpoint(rest.substr(0, comma)));
    endpoints.push_back(std::move(endpoint));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  channel.endpoints = options.endpoints
                          ? options.endpoints
                          : std::make_shared<const EndpointList>(std::move(endpoints));
  if (options.tls) {
    wire::TlsClientOptions tls;
    tls.ca_pem = options.ca_pem;
    tls.certificate_pem = options.certificate_pem;
    tls.private_key_pem = options.private_key_pem;
    GANTRY_ASSIGN(channel.tls, wire::TlsContext::Client(tls));
  }
  return channel;
}

}  // namespace etcd
}  // namespace gantry::store
