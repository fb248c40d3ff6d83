#include "cli/ha/membership.h"

#include <charconv>
#include <utility>

#include "cli/text_field.h"

namespace gantry::cli {
namespace {

using api::JsonValue;

constexpr std::string_view kScheme = "https://";

// Ids have 64 bits: as text, which no reader of JSON rounds.
JsonValue ToJson(const Peer& peer) {
  JsonValue json = JsonValue::MakeObject();
  json["id"] = std::to_string(peer.id);
  json["name"] = peer.name;
  json["peerURL"] = peer.peer_url;
  json["clientURL"] = peer.client_url;
  json["learner"] = peer.learner;
  return json;
}

Result<Peer> FromJson(const JsonValue& json) {
  Peer peer;
  const std::optional<uint64_t> id = MemberId(json);
  peer.id = id.value_or(0);
  peer.name = TextField(json, "name");
  peer.peer_url = TextField(json, "peerURL");
  peer.client_url = TextField(json, "clientURL");
  const JsonValue* learner = json.Find("learner");
  peer.learner = learner != nullptr && learner->is_bool() && learner->as_bool();
  if (!id || !peer.peer_url.starts_with(kScheme))
    return DataLoss("a member of etcd is not described as it should be");
  return peer;
}

}  // namespace

std::optional<uint64_t> MemberId(const JsonValue& json) {
  const std::string text = TextField(json, "id");
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

JsonValue PeersToJson(const std::vector<Peer>& peers) {
  JsonValue::Array list;
  for (const Peer& peer : peers)
    list.push_back(ToJson(peer));
  return JsonValue(std::move(list));
}

Result<std::vector<Peer>> PeersFromJson(const JsonValue& json) {
  if (!json.is_array()) return DataLoss("there is no list of the members of etcd");
  std::vector<Peer> peers;
  for (const JsonValue& one : json.as_array()) {
    GANTRY_ASSIGN(Peer peer, FromJson(one));
    peers.push_back(std::move(peer));
  }
  return peers;
}

std::string WriteMembership(const Membership& membership) {
  JsonValue json = JsonValue::MakeObject();
  json["self"] = ToJson(membership.self);
  json["others"] = PeersToJson(membership.others);
  return json.ToString() + "\n";
}

Result<Membership> ReadMembership(std::string_view text) {
  GANTRY_ASSIGN(const JsonValue json, JsonValue::Parse(text));
  const JsonValue* self = json.Find("self");
  const JsonValue* others = json.Find("others");
  if (self == nullptr || others == nullptr) return DataLoss("it names no members");
  Membership membership;
  GANTRY_ASSIGN(membership.self, FromJson(*self));
  GANTRY_ASSIGN(membership.others, PeersFromJson(*others));
  return membership;
}

std::vector<Peer> PeersOf(const std::vector<store::EtcdMember>& members) {
  std::vector<Peer> peers;
  for (const store::EtcdMember& member : members) {
    Peer& peer = peers.emplace_back();
    peer.id = member.id;
    peer.name = member.name;
    peer.learner = member.learner;
    if (!member.peer_urls.empty()) peer.peer_url = member.peer_urls.front();
    if (!member.client_urls.empty()) peer.client_url = member.client_urls.front();
  }
  return peers;
}

std::vector<Peer> Without(std::vector<Peer> peers, uint64_t id) {
  std::erase_if(peers, [id](const Peer& peer) { return peer.id == id; });
  return peers;
}

std::string AddressOf(std::string_view url) {
  return std::string(url.starts_with(kScheme) ? url.substr(kScheme.size()) : url);
}

}  // namespace gantry::cli
