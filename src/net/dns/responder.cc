#include "net/dns/responder.h"

#include <algorithm>

namespace gantry::net::dns {
namespace {

constexpr int kMaxAliases = 8;

std::string WriteRcode(const Query& query, Rcode rcode, size_t limit) {
  Answer answer;
  answer.rcode = rcode;
  return Write(query, answer, limit);
}

}  // namespace

Responder::Responder(Env& env, const Zone& zone, ForwarderOptions forwarder,
                     NamespaceOf namespace_of, ResponderCounts& counts)
    : zone_(zone),
      forwarder_(env, std::move(forwarder)),
      namespace_of_(std::move(namespace_of)),
      counts_(counts) {}

WireName Responder::BareName(const Query& query, const IpAddress& client) const {
  if (!namespace_of_ || (query.type != kA && query.type != kAaaa) ||
      !IsWithin(query.name, zone_.services()))
    return {};
  std::string_view prefix = Prefix(query.name, zone_.services());
  std::vector<std::string_view> labels = Labels(prefix);
  // A single label before the namespace can only be meant as a service.
  if (labels.size() < 3 || labels.back() != namespace_of_(client)) return {};
  WireName bare(prefix.substr(0, prefix.size() - labels.back().size() - 1));
  bare.push_back('\0');
  return bare;
}

std::optional<std::string> Responder::TryAnswer(const Query& query, const IpAddress& client,
                                                size_t limit) {
  ++counts_.queries;
  if (query.klass != kClassIn) return WriteRcode(query, kRefused, limit);
  Answer answer;
  WireName target;
  switch (zone_.Resolve(query.name, query.type, rotation_++, &answer, &target)) {
    case Zone::Outcome::kAnswered:
      if (answer.rcode == kNxDomain && !BareName(query, client).empty()) return std::nullopt;
      return Write(query, answer, limit);
    case Zone::Outcome::kAlias:
      return std::nullopt;
    case Zone::Outcome::kNotOurs:
      break;
  }
  std::optional<Packet> known = forwarder_.Cached(query.name, query.type, query.dnssec_ok);
  if (!known) return std::nullopt;
  ++counts_.cache_hits;
  return known->For(query, limit);
}

Task<Rcode> Responder::Append(WireName name, uint16_t type, Answer* answer, CancelToken cancel) {
  for (int hop = 0; hop < kMaxAliases; ++hop) {
    Answer part;
    WireName target;
    Zone::Outcome outcome = zone_.Resolve(name, type, rotation_++, &part, &target);
    if (outcome == Zone::Outcome::kNotOurs) {
      Result<Packet> packet = co_await forwarder_.Ask(name, type, false, cancel);
      if (!packet.ok()) co_return kServFail;
      for (Record& record : packet->Records())
        answer->answers.push_back(std::move(record));
      co_return packet->rcode;
    }
    for (Record& record : part.answers) {
      if (record.owner.empty()) record.owner = name;
      answer->answers.push_back(std::move(record));
    }
    for (Record& record : part.authority)
      answer->authority.push_back(std::move(record));
    if (outcome == Zone::Outcome::kAnswered) co_return part.rcode;
    name = target;
  }
  co_return kServFail;
}

Task<std::optional<Answer>> Responder::Search(WireName bare, uint16_t type, CancelToken cancel) {
  std::vector<WireName> domains = {zone_.services(), zone_.domain()};
  for (const std::string& search : forwarder_.Searches())
    domains.push_back(ToWire(search));
  domains.push_back(WireName(1, '\0'));
  const std::string stem = bare.substr(0, bare.size() - 1);
  for (const WireName& domain : domains) {
    WireName candidate = stem + domain;
    if (domain.empty() || candidate.size() > 255) continue;
    Answer answer;
    answer.answers.emplace_back(kCname, zone_.ttl(), candidate);
    Rcode rcode = co_await Append(candidate, type, &answer, cancel);
    if (rcode == kNxDomain) continue;
    if (rcode != kNoError) co_return std::nullopt;
    for (const Record& record : answer.answers) {
      answer.answers[0].ttl = std::min(answer.answers[0].ttl, record.ttl);
    }
    answer.authoritative = true;
    co_return answer;
  }
  co_return std::nullopt;
}

Task<std::string> Responder::AnswerSlowly(Query query, IpAddress client, size_t limit,
                                          CancelToken cancel) {
  Answer answer;
  WireName target;
  switch (zone_.Resolve(query.name, query.type, rotation_++, &answer, &target)) {
    case Zone::Outcome::kAnswered: {
      WireName bare = answer.rcode == kNxDomain ? BareName(query, client) : WireName();
      if (!bare.empty()) {
        std::optional<Answer> found = co_await Search(bare, query.type, cancel);
        if (found) co_return Write(query, *found, limit);
      }
      co_return Write(query, answer, limit);
    }
    case Zone::Outcome::kAlias: {
      // The alias itself exists, whatever becomes of its target.
      Rcode rcode = co_await Append(target, query.type, &answer, cancel);
      if (rcode == kServFail) answer.rcode = kServFail;
      co_return Write(query, answer, limit);
    }
    case Zone::Outcome::kNotOurs:
      break;
  }
  ++counts_.forwarded;
  Result<Packet> packet = co_await forwarder_.Ask(query.name, query.type, query.dnssec_ok, cancel);
  if (!packet.ok()) co_return WriteRcode(query, kServFail, limit);
  co_return packet->For(query, limit);
}

}  // namespace gantry::net::dns
