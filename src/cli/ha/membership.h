#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"
#include "store/etcd/members.h"

namespace gantry::cli {

// A member of the servers' own etcd, as the others reach it.
struct Peer {
  Peer() = default;
  uint64_t id = 0;  // 0: not known yet
  std::string name;
  std::string peer_url;
  std::string client_url;  // empty: not known yet
  bool learner = false;    // on its way in: it answers no questions yet

  friend bool operator==(const Peer&, const Peer&) = default;
};

// What a server remembers of the etcd that it is a member of, in DIR/etcd/members.
struct Membership {
  Membership() = default;
  Peer self;
  std::vector<Peer> others;

  friend bool operator==(const Membership&, const Membership&) = default;
};

std::string WriteMembership(const Membership& membership);
Result<Membership> ReadMembership(std::string_view json);

// The "id" of an object: 64 bits, as text.
std::optional<uint64_t> MemberId(const api::JsonValue& json);

api::JsonValue PeersToJson(const std::vector<Peer>& peers);
// Skips nothing: kDataLoss for what is no list of peers.
Result<std::vector<Peer>> PeersFromJson(const api::JsonValue& json);

std::vector<Peer> PeersOf(const std::vector<store::EtcdMember>& members);
// All but the one with this id.
std::vector<Peer> Without(std::vector<Peer> peers, uint64_t id);

// "https://10.0.0.1:2379" as "10.0.0.1:2379".
std::string AddressOf(std::string_view url);

}  // namespace gantry::cli
