// DNS packets from anywhere: queries, responses of a resolver, resolv.conf. Whatever is read must
// be answerable within its limit.

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/dns/cache.h"
#include "net/dns/resolv_conf.h"
#include "net/dns/wire.h"

namespace dns = gantry::net::dns;

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> packet(data, size);
  dns::Rcode rcode;
  if (std::optional<dns::Query> query = dns::ParseQuery(packet, &rcode)) {
    dns::Answer answer;
    answer.rcode = rcode;
    answer.answers.push_back(dns::AddressRecord(gantry::net::IpAddress::V4(1), 30));
    answer.authority.push_back(dns::SoaRecord(dns::ToWire("cluster.local"), 1, 30));
    const std::string written = dns::Write(*query, answer, query->udp_size);
    Require(written.size() <= query->udp_size);
    if (!query->question.empty()) {
      std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(written.data()),
                                     written.size());
      Require(dns::ParseResponse(bytes).has_value());
    }
    dns::ToText(query->name);
    dns::IsWithin(query->name, dns::ToWire("cluster.local"));
  }
  if (std::optional<dns::Response> response = dns::ParseResponse(packet)) {
    std::string bytes(reinterpret_cast<const char*>(data), size);
    std::optional<dns::Packet> kept =
        dns::Packet::FromUpstream(std::move(bytes), response->id, response->name, response->type);
    if (kept) {
      kept->Age(3);
      kept->Records();
      const std::string question = dns::WriteQuery(7, response->name, response->type, true, 1232);
      std::span<const uint8_t> span(reinterpret_cast<const uint8_t*>(question.data()),
                                    question.size());
      std::optional<dns::Query> query = dns::ParseQuery(span, &rcode);
      Require(query.has_value());
      Require(kept->For(*query, 512).size() <= 512);
    }
  }
  dns::ResolvConf::Parse(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
