#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/ip.h"

namespace gantry::net::dns {

enum Type : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kIxfr = 251,
  kAxfr = 252,
  kAny = 255,
};
enum Rcode : uint8_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kBadVers = 16
};
inline constexpr uint16_t kClassIn = 1;
inline constexpr size_t kPlainUdpSize = 512;
inline constexpr size_t kMaxMessage = 65535;

// A name as the wire has it: length-prefixed labels and the final zero, without compression, in
// lower case. Never longer than 255.
using WireName = std::string;

// "web.default.svc.cluster.local" (a final dot is fine). Empty when a label is empty or too long,
// or the whole is.
WireName ToWire(std::string_view text);
// For logs and tests: without the final dot; bytes that are not printable become '?'. The root is
// ".".
std::string ToText(std::string_view name);
// The labels, first to last.
std::vector<std::string_view> Labels(std::string_view name);
// `name` is `zone` or below it.
bool IsWithin(std::string_view name, std::string_view zone);
// What stands before `zone`: still without its final zero. `name` must be within.
std::string_view Prefix(std::string_view name, std::string_view zone);

// A query, as far as an answer depends on it.
struct Query {
  uint16_t id = 0;
  uint8_t opcode = 0;
  bool recursion_desired = false;
  bool checking_disabled = false;
  WireName name;
  uint16_t type = 0;
  uint16_t klass = 0;
  std::string question;  // as it was asked, letter case included
  bool edns = false;
  bool dnssec_ok = false;
  uint8_t edns_version = 0;
  uint16_t udp_size =
      kPlainUdpSize;  // how much the asker takes in one datagram, never less than 512
};

// Reads a query. nullopt: too broken to answer (or an answer itself). `*rcode` is not kNoError
// where the answer is just that code.
std::optional<Query> ParseQuery(std::span<const uint8_t> packet, Rcode* rcode);

struct Record {
  Record(uint16_t type, uint32_t ttl, std::string data, WireName owner = {})
      : owner(std::move(owner)), type(type), ttl(ttl), data(std::move(data)) {}
  WireName owner;  // empty: the name asked for
  uint16_t type;
  uint32_t ttl;
  std::string data;
};

Record AddressRecord(const IpAddress& ip, uint32_t ttl, WireName owner = {});
Record SrvRecord(uint16_t weight, uint16_t port, const WireName& target, uint32_t ttl);
Record TxtRecord(std::string_view text, uint32_t ttl);
// `zone`'s, as CoreDNS makes it: ns.dns.<zone>, hostmaster.<zone>.
Record SoaRecord(const WireName& zone, uint32_t serial, uint32_t ttl);

struct Answer {
  Answer() = default;
  Rcode rcode = kNoError;
  bool authoritative = false;
  std::vector<Record> answers, authority, extra;
};

// The packet: at most `limit` bytes. What does not fit is left out, with the TC bit where answers
// are missing.
std::string Write(const Query& query, const Answer& answer, size_t limit);

// A query of our own for the same question.
std::string WriteQuery(uint16_t id, const WireName& name, uint16_t type, bool dnssec_ok,
                       uint16_t udp_size);

// A record within a response, by its place.
struct RecordView {
  uint8_t section = 0;  // 0 answer, 1 authority, 2 additional
  WireName owner;
  uint16_t type = 0;
  uint16_t klass = 0;
  uint32_t ttl = 0;
  size_t begin = 0;       // of the record
  size_t ttl_offset = 0;  // of its TTL field
  std::string_view data;
  size_t data_offset = 0;
};

struct Response {
  uint16_t id = 0;
  Rcode rcode = kNoError;
  bool truncated = false;
  WireName name;
  uint16_t type = 0;
  size_t question_size = 0;
  std::vector<RecordView> records;
};

// Reads a response; nullopt when anything in it is out of bounds. Views point into `packet`.
std::optional<Response> ParseResponse(std::span<const uint8_t> packet);
// A name in record data, which may be compressed. nullopt when it does not hold together.
std::optional<WireName> ReadName(std::span<const uint8_t> packet, size_t* offset);

}  // namespace gantry::net::dns
