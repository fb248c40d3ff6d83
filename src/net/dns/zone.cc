#include "net/dns/zone.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace gantry::net::dns {
namespace {

constexpr uint32_t kVersionTtl = 28800;
constexpr char kSchemaVersion[] = "1.1.0";

std::string_view StripUnderscore(std::string_view label) {
  if (label.starts_with('_')) label.remove_prefix(1);
  return label;
}

bool Matches(const ServiceRecord::Port& port, std::string_view name, std::string_view protocol) {
  return (name.empty() || name == port.name) && (protocol.empty() || protocol == port.protocol);
}

// 4.3.2.1.in-addr.arpa, or 32 nibbles below ip6.arpa.
IpAddress ReverseAddress(const WireName& name) {
  std::vector<std::string_view> labels = Labels(name);
  IpAddress ip;
  if (labels.size() == 6 && labels[5] == "arpa" && labels[4] == "in-addr") {
    for (size_t i = 0; i < 4; ++i) {
      std::string_view label = labels[3 - i];
      unsigned value = 256;
      auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), value);
      if (error != std::errc() || end != label.data() + label.size() || value > 255) return {};
      ip.bytes[i] = static_cast<uint8_t>(value);
    }
    ip.size = 4;
  } else if (labels.size() == 34 && labels[33] == "arpa" && labels[32] == "ip6") {
    for (size_t i = 0; i < 32; ++i) {
      std::string_view label = labels[31 - i];
      unsigned value = 16;
      auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), value, 16);
      if (label.size() != 1 || error != std::errc()) return {};
      ip.bytes[i / 2] = static_cast<uint8_t>(ip.bytes[i / 2] << 4 | value);
    }
    ip.size = 16;
  }
  return ip;
}

}  // namespace

// What a name stands for: addresses with ports, or an alias.
struct Zone::Found {
  struct Target {
    IpAddress ip;
    int port = -1;   // -1: none declared
    WireName owner;  // the name that SRV records lead to; made only when asked for
  };
  bool exists = false;  // false: NXDOMAIN
  std::vector<Target> targets;
  WireName alias;
};

Zone::Zone(const ClusterRecords& records, const ZoneOptions& options)
    : records_(records),
      options_(options),
      domain_(ToWire(options.domain)),
      services_(ToWire("svc." + options.domain)),
      ns_name_(ToWire("ns.dns." + options.domain)),
      version_name_(ToWire("dns-version." + options.domain)) {}

void Zone::Negative(Rcode rcode, Answer* answer) const {
  answer->rcode = rcode;
  answer->authoritative = true;
  answer->authority.push_back(SoaRecord(domain_, records_.serial(), options_.ttl));
}

Zone::Found Zone::LookupService(const std::vector<std::string_view>& labels, bool want_srv) const {
  Found found;
  // [port, protocol | endpoint,] service, namespace, "svc"
  const size_t count = labels.size();
  const std::string_view ns = labels[count - 2];
  if (count > 5 || !records_.HasNamespace(ns)) return found;
  if (count == 2) {
    found.exists = true;
    return found;
  }
  ServiceRecordPtr service = records_.Find(ns, labels[count - 3]);
  if (!service) return found;
  std::string_view endpoint, port, protocol;
  if (count == 4) endpoint = labels[0];
  if (count == 5) {
    port = StripUnderscore(labels[0]);
    protocol = StripUnderscore(labels[1]);
  }
  if (service->kind == ServiceRecord::Kind::kExternalName) {
    if (count > 3) return found;
    found.alias = ToWire(service->external_name);
    found.exists = !found.alias.empty();
    return found;
  }
  const std::string base = service->name + "." + service->ns + ".svc." + options_.domain;
  if (service->kind == ServiceRecord::Kind::kHeadless || !endpoint.empty()) {
    for (const ServiceRecord::Group& group : service->groups) {
      for (const ServiceRecord::Endpoint& candidate : group.endpoints) {
        if (!endpoint.empty() && endpoint != candidate.hostname) continue;
        WireName owner = want_srv ? ToWire(candidate.hostname + "." + base) : WireName();
        for (const ServiceRecord::Port& known : group.ports) {
          if (!Matches(known, port, protocol)) continue;
          found.targets.push_back({candidate.ip, known.number, owner});
        }
        if (group.ports.empty() && port.empty() && protocol.empty())
          found.targets.push_back({candidate.ip, -1, owner});
      }
    }
  } else {
    WireName owner = want_srv ? ToWire(base) : WireName();
    for (const ServiceRecord::Port& known : service->ports) {
      if (!Matches(known, port, protocol)) continue;
      for (const IpAddress& ip : service->cluster_ips)
        found.targets.push_back({ip, known.number, owner});
    }
  }
  found.exists = !found.targets.empty();
  return found;
}

Zone::Found Zone::LookupPod(const std::vector<std::string_view>& labels) const {
  Found found;
  // "10-1-2-3", namespace, "pod"
  const size_t count = labels.size();
  if (count > 3 || !records_.HasNamespace(labels[count - 2])) return found;
  if (count == 2) {
    found.exists = true;
    return found;
  }
  std::string text(labels[0]);
  const bool v4 =
      std::count(text.begin(), text.end(), '-') == 3 && text.find("--") == std::string::npos;
  std::replace(text.begin(), text.end(), '-', v4 ? '.' : ':');
  std::optional<IpAddress> ip = IpAddress::Parse(text);
  if (!ip) return found;
  found.exists = true;
  found.targets.push_back({*ip, -1, {}});
  return found;
}

Zone::Found Zone::Lookup(const WireName& name, bool want_srv) const {
  Found found;
  std::vector<std::string_view> labels = Labels(Prefix(name, domain_));
  if (labels.empty()) {
    found.exists = true;
    return found;
  }
  const bool service = labels.back() == "svc", pod = labels.back() == "pod";
  if (!service && !pod) return found;
  if (labels.size() == 1) {
    found.exists = true;
    return found;
  }
  return service ? LookupService(labels, want_srv) : LookupPod(labels);
}

bool Zone::ResolveReverse(const WireName& name, uint16_t type, Answer* answer) const {
  if (type != kPtr) return false;
  IpAddress ip = ReverseAddress(name);
  if (!ip) return false;
  auto add = [&](const std::string& text) {
    answer->answers.emplace_back(kPtr, options_.ttl, ToWire(text));
  };
  if (ServiceRecordPtr service = records_.FindByClusterIp(ip)) {
    add(service->name + "." + service->ns + ".svc." + options_.domain);
  } else {
    for (const ServiceRecordPtr& owner : records_.FindByEndpoint(ip)) {
      std::set<std::string> hostnames;
      for (const ServiceRecord::Group& group : owner->groups) {
        for (const ServiceRecord::Endpoint& endpoint : group.endpoints) {
          if (endpoint.ip == ip) hostnames.insert(endpoint.hostname);
        }
      }
      for (const std::string& hostname : hostnames) {
        add(hostname + "." + owner->name + "." + owner->ns + ".svc." + options_.domain);
      }
    }
  }
  answer->authoritative = true;
  return !answer->answers.empty();
}

Zone::Outcome Zone::Resolve(const WireName& name, uint16_t type, uint32_t rotation, Answer* answer,
                            WireName* target) const {
  if (!IsWithin(name, domain_)) {
    return ResolveReverse(name, type, answer) ? Outcome::kAnswered : Outcome::kNotOurs;
  }
  answer->authoritative = true;
  if (type == kAxfr || type == kIxfr) {
    answer->rcode = kRefused;
    answer->authoritative = false;
    return Outcome::kAnswered;
  }
  Found found;
  if (name == ns_name_) {
    found.exists = true;
    for (const IpAddress& server : options_.servers)
      found.targets.push_back({server, -1, {}});
  } else if (name == version_name_) {
    found.exists = type == kTxt;
    if (type == kTxt) answer->answers.push_back(TxtRecord(kSchemaVersion, kVersionTtl));
  } else {
    found = Lookup(name, type == kSrv);
    if (name == domain_ && type == kSoa) {
      answer->answers.push_back(SoaRecord(domain_, records_.serial(), options_.ttl));
    }
    if (name == domain_ && type == kNs) {
      answer->answers.emplace_back(kNs, options_.ttl, ns_name_);
      for (const IpAddress& server : options_.servers)
        answer->extra.push_back(AddressRecord(server, options_.ttl, ns_name_));
    }
  }
  if (!found.exists) {
    if (!records_.synced()) {
      // It may only not have arrived yet.
      answer->rcode = kServFail;
      answer->authoritative = false;
      return Outcome::kAnswered;
    }
    Negative(kNxDomain, answer);
    return Outcome::kAnswered;
  }
  if (!found.alias.empty() && (type == kA || type == kAaaa || type == kCname)) {
    answer->answers.emplace_back(kCname, options_.ttl, found.alias);
    *target = found.alias;
    return type == kCname ? Outcome::kAnswered : Outcome::kAlias;
  }
  if (type == kA || type == kAaaa) {
    std::vector<IpAddress> ips;
    for (const Found::Target& candidate : found.targets) {
      if (candidate.ip.is_v4() != (type == kA)) continue;
      if (std::find(ips.begin(), ips.end(), candidate.ip) == ips.end()) ips.push_back(candidate.ip);
    }
    if (ips.size() > 1) std::rotate(ips.begin(), ips.begin() + rotation % ips.size(), ips.end());
    for (const IpAddress& ip : ips)
      answer->answers.push_back(AddressRecord(ip, options_.ttl));
  } else if (type == kSrv) {
    const uint16_t weight =
        found.targets.empty()
            ? 0
            : static_cast<uint16_t>(std::max<size_t>(1, 100 / found.targets.size()));
    for (const Found::Target& candidate : found.targets) {
      if (candidate.port < 0 || candidate.owner.empty()) continue;
      answer->answers.push_back(
          SrvRecord(weight, static_cast<uint16_t>(candidate.port), candidate.owner, options_.ttl));
      auto same = [&](const Record& record) {
        return record.owner == candidate.owner &&
               record.data == AddressRecord(candidate.ip, 0).data;
      };
      if (std::none_of(answer->extra.begin(), answer->extra.end(), same)) {
        answer->extra.push_back(AddressRecord(candidate.ip, options_.ttl, candidate.owner));
      }
    }
  }
  if (answer->answers.empty()) Negative(kNoError, answer);
  return Outcome::kAnswered;
}

}  // namespace gantry::net::dns
