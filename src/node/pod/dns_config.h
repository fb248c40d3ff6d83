#pragma once

#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"

namespace gantry::node {

// A pod's /etc/resolv.conf, and what users are to be told of it (events DNSConfigForming).
struct DnsConfig {
  std::string resolv_conf;
  std::vector<std::string> warnings;
};

// `host_resolv_conf` is the machine's. What resolvers do not take is left out: more than three
// servers, more than 32 search domains or 2048 characters of them, longer domains than there are.
DnsConfig BuildDnsConfig(const api::core::v1::Pod& pod, const std::vector<std::string>& cluster_dns,
                         const std::string& cluster_domain, const std::string& host_resolv_conf);

}  // namespace gantry::node
