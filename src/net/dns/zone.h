#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/dns/cluster_records.h"
#include "net/dns/wire.h"

namespace gantry::net::dns {

struct ZoneOptions {
  ZoneOptions() = default;
  std::string domain = "cluster.local";
  std::vector<IpAddress> servers;  // ns.dns.<domain>
  uint32_t ttl = 30;
};

// The cluster's zone and its reverse names, answered as CoreDNS' kubernetes plugin does with the
// default Corefile. Threading: any thread.
class Zone {
 public:
  // `records` outlives the zone.
  Zone(const ClusterRecords& records, const ZoneOptions& options);

  enum class Outcome : uint8_t {
    kNotOurs,   // ask upstream
    kAnswered,  // `answer` is complete; its rcode may be kNxDomain
    kAlias,     // `answer` holds a CNAME; the addresses of `target` should follow it
  };
  // `rotation` turns lists of addresses, so that clients who take the first one spread.
  Outcome Resolve(const WireName& name, uint16_t type, uint32_t rotation, Answer* answer,
                  WireName* target) const;

  const WireName& domain() const { return domain_; }
  const WireName& services() const { return services_; }  // svc.<domain>
  uint32_t ttl() const { return options_.ttl; }

 private:
  struct Found;
  Found Lookup(const WireName& name, bool want_srv) const;
  Found LookupService(const std::vector<std::string_view>& labels, bool want_srv) const;
  Found LookupPod(const std::vector<std::string_view>& labels) const;
  bool ResolveReverse(const WireName& name, uint16_t type, Answer* answer) const;
  void Negative(Rcode rcode, Answer* answer) const;

  const ClusterRecords& records_;
  const ZoneOptions options_;
  const WireName domain_, services_, ns_name_, version_name_;
};

}  // namespace gantry::net::dns
