#include "net/dns/cache.h"

#include <algorithm>
#include <chrono>
#include <span>

namespace gantry::net::dns {
namespace {

// CoreDNS' "cache 30".
constexpr uint32_t kMaxTtl = 30;
constexpr uint32_t kMinTtl = 5;
constexpr size_t kHeaderSize = 12;

std::span<const uint8_t> Span(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

uint16_t Get16(const std::string& bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

void Set16(std::string* bytes, size_t at, uint16_t value) {
  (*bytes)[at] = static_cast<char>(value >> 8);
  (*bytes)[at + 1] = static_cast<char>(value);
}

uint32_t Get32(const std::string& bytes, size_t at) {
  return static_cast<uint32_t>(Get16(bytes, at)) << 16 | Get16(bytes, at + 2);
}

void Set32(std::string* bytes, size_t at, uint32_t value) {
  Set16(bytes, at, static_cast<uint16_t>(value >> 16));
  Set16(bytes, at + 2, static_cast<uint16_t>(value));
}

}  // namespace

std::optional<Packet> Packet::FromUpstream(std::string bytes, uint16_t id, const WireName& name,
                                           uint16_t type) {
  std::optional<Response> response = ParseResponse(Span(bytes));
  if (!response || response->id != id || response->name != name || response->type != type ||
      response->question_size != name.size() + 4) {
    return std::nullopt;
  }
  Packet packet;
  packet.rcode = response->rcode;
  uint32_t ttl = kMaxTtl;
  bool negative_ttl = false, positive = false;
  size_t end = bytes.size();
  uint16_t extra = 0;
  for (const RecordView& record : response->records) {
    if (record.type == kOpt) {
      // Everything refers backwards, so that the packet may end anywhere between records.
      end = record.begin;
      break;
    }
    if (record.section == 2) ++extra;
    packet.ttl_offsets.push_back(record.ttl_offset);
    if (record.section == 0) positive = true;
    uint32_t lifetime = record.ttl;
    if (record.section == 1 && record.type == kSoa && record.data.size() >= 4) {
      negative_ttl = true;
      size_t minimum = record.data_offset + record.data.size() - 4;
      lifetime = std::min(lifetime, Get32(bytes, minimum));
    }
    ttl = std::min(ttl, lifetime);
  }
  bytes.resize(end);
  Set16(&bytes, 10, extra);
  packet.bytes = std::move(bytes);
  const bool lasting = response->rcode == kNoError || response->rcode == kNxDomain;
  if (lasting && !response->truncated && (positive || negative_ttl))
    packet.ttl = std::max(ttl, kMinTtl);
  for (size_t offset : packet.ttl_offsets) {
    Set32(&packet.bytes, offset, std::min(Get32(packet.bytes, offset), kMaxTtl));
  }
  return packet;
}

void Packet::Age(uint32_t seconds) {
  for (size_t offset : ttl_offsets) {
    uint32_t now = Get32(bytes, offset);
    Set32(&bytes, offset, now > seconds ? now - seconds : 0);
  }
}

std::string Packet::For(const Query& query, size_t limit) const {
  Answer short_answer;
  short_answer.rcode = rcode;
  std::string frame = Write(query, short_answer, limit);  // header, question, OPT
  const std::string opt = frame.substr(kHeaderSize + query.question.size());
  const size_t body = kHeaderSize + query.question.size();
  if (bytes.size() + opt.size() > limit) {
    frame[2] = static_cast<char>(frame[2] | 2);
    return frame;
  }
  std::string out = frame.substr(0, body) + bytes.substr(std::min(body, bytes.size())) + opt;
  for (size_t at : {6, 8, 10})
    Set16(&out, at, Get16(bytes, at));
  if (!opt.empty()) Set16(&out, 10, static_cast<uint16_t>(Get16(bytes, 10) + 1));
  // Whether the data is authentic is upstream's to say, and only interesting to those who asked for
  // it.
  if (query.dnssec_ok) out[3] = static_cast<char>(out[3] | (bytes[3] & 0x20));
  return out;
}

std::vector<Record> Packet::Records() const {
  std::vector<Record> records;
  std::optional<Response> response = ParseResponse(Span(bytes));
  if (!response) return records;
  for (const RecordView& view : response->records) {
    if (view.section != 0 || view.klass != kClassIn) continue;
    if ((view.type == kA && view.data.size() == 4) ||
        (view.type == kAaaa && view.data.size() == 16)) {
      records.emplace_back(view.type, view.ttl, std::string(view.data), view.owner);
    } else if (view.type == kCname) {
      size_t offset = view.data_offset;
      std::optional<WireName> target = ReadName(Span(bytes), &offset);
      if (target) records.emplace_back(view.type, view.ttl, *target, view.owner);
    }
  }
  return records;
}

std::string Cache::KeyOf(const WireName& name, uint16_t type, bool dnssec_ok) {
  std::string key = name;
  key.push_back(static_cast<char>(type >> 8));
  key.push_back(static_cast<char>(type));
  key.push_back(dnssec_ok ? 1 : 0);
  return key;
}

std::optional<Packet> Cache::Find(const WireName& name, uint16_t type, bool dnssec_ok,
                                  SteadyTime now) {
  auto found = by_key_.find(KeyOf(name, type, dnssec_ok));
  if (found == by_key_.end()) return std::nullopt;
  auto entry = found->second;
  auto age = std::chrono::duration_cast<std::chrono::seconds>(now - entry->stored).count();
  if (age >= static_cast<int64_t>(entry->packet.ttl)) {
    by_key_.erase(found);
    entries_.erase(entry);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  Packet packet = entry->packet;
  packet.Age(static_cast<uint32_t>(age));
  return packet;
}

void Cache::Insert(const WireName& name, uint16_t type, bool dnssec_ok, const Packet& packet,
                   SteadyTime now) {
  if (packet.ttl == 0) return;
  std::string key = KeyOf(name, type, dnssec_ok);
  if (auto found = by_key_.find(key); found != by_key_.end()) {
    auto entry = found->second;
    by_key_.erase(found);
    entries_.erase(entry);
  }
  entries_.push_front({std::move(key), packet, now});
  by_key_.emplace(entries_.front().key, entries_.begin());
  if (entries_.size() > capacity_) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace gantry::net::dns
