#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/env/time.h"
#include "net/dns/wire.h"

namespace gantry::net::dns {

// An upstream response without its OPT record, ready to be given to any asker.
struct Packet {
  std::string bytes;
  Rcode rcode = kNoError;
  std::vector<size_t> ttl_offsets;
  uint32_t ttl = 0;  // for how long it may be kept; 0: not at all

  // nullopt when `bytes` is not a well-formed response to the question.
  static std::optional<Packet> FromUpstream(std::string bytes, uint16_t id, const WireName& name,
                                            uint16_t type);
  bool truncated() const { return (static_cast<uint8_t>(bytes[2]) & 2) != 0; }
  // Lowers every TTL by `seconds`.
  void Age(uint32_t seconds);
  // As the answer to `query`, within `limit` bytes: cut down to the question with the TC bit where
  // it does not fit.
  std::string For(const Query& query, size_t limit) const;
  // The addresses and aliases in its answer section.
  std::vector<Record> Records() const;
};

// The most recently used upstream responses. Threading: one thread at a time.
class Cache {
 public:
  explicit Cache(size_t capacity) : capacity_(capacity) {}

  // With its TTLs as they are now.
  std::optional<Packet> Find(const WireName& name, uint16_t type, bool dnssec_ok, SteadyTime now);
  void Insert(const WireName& name, uint16_t type, bool dnssec_ok, const Packet& packet,
              SteadyTime now);
  size_t size() const { return entries_.size(); }

  static std::string KeyOf(const WireName& name, uint16_t type, bool dnssec_ok);

 private:
  struct Entry {
    std::string key;
    Packet packet;
    SteadyTime stored;
  };
  size_t capacity_;
  std::list<Entry> entries_;  // newest first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
};

}  // namespace gantry::net::dns
