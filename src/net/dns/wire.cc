#include "net/dns/wire.h"

#include <algorithm>

namespace gantry::net::dns {
namespace {

constexpr size_t kHeaderSize = 12;
constexpr size_t kOptSize = 11;
constexpr size_t kMaxName = 255;
constexpr size_t kMaxLabel = 63;
constexpr uint16_t kMaxUdpPayload = 4096;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Reads within bounds; a read beyond them fails this and all later ones.
class Reader {
 public:
  Reader(std::span<const uint8_t> packet, size_t offset) : packet_(packet), offset_(offset) {}
  bool ok() const { return ok_; }
  size_t offset() const { return offset_; }

  uint8_t U8() {
    if (!Need(1)) return 0;
    return packet_[offset_++];
  }
  uint16_t U16() {
    uint16_t high = U8();
    return static_cast<uint16_t>(high << 8 | U8());
  }
  uint32_t U32() {
    uint32_t high = U16();
    return high << 16 | U16();
  }
  void Skip(size_t count) {
    if (Need(count)) offset_ += count;
  }
  // With compression; pointers must lead backwards, so that there are no loops.
  WireName Name() {
    WireName name;
    size_t at = offset_, bound = offset_;
    bool jumped = false;
    while (ok_) {
      if (at >= packet_.size()) return Fail();
      uint8_t length = packet_[at];
      if ((length & 0xc0) == 0xc0) {
        if (at + 1 >= packet_.size()) return Fail();
        size_t target = static_cast<size_t>(length & 0x3f) << 8 | packet_[at + 1];
        if (!jumped) offset_ = at + 2;
        jumped = true;
        if (target >= bound) return Fail();
        at = bound = target;
        continue;
      }
      if (length > kMaxLabel || at + 1 + length > packet_.size() ||
          name.size() + 1 + length > kMaxName)
        return Fail();
      name.push_back(static_cast<char>(length));
      for (size_t i = 0; i < length; ++i)
        name.push_back(Lower(static_cast<char>(packet_[at + 1 + i])));
      at += 1 + size_t{length};
      if (length == 0) break;
    }
    if (!jumped) offset_ = at;
    return name;
  }

 private:
  bool Need(size_t count) {
    if (packet_.size() - std::min(offset_, packet_.size()) < count) ok_ = false;
    return ok_;
  }
  WireName Fail() {
    ok_ = false;
    return {};
  }

  std::span<const uint8_t> packet_;
  size_t offset_;
  bool ok_ = true;
};

void Put16(std::string* out, uint16_t value) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value));
}
void Put32(std::string* out, uint32_t value) {
  Put16(out, static_cast<uint16_t>(value >> 16));
  Put16(out, static_cast<uint16_t>(value));
}

// An owner, compressed against the question's name (which begins at offset 12).
void PutOwner(std::string* out, std::string_view owner, std::string_view asked) {
  while (owner.size() > 1) {
    if (owner.size() <= asked.size() && IsWithin(asked, owner)) {
      Put16(out, static_cast<uint16_t>(0xc000 | (kHeaderSize + asked.size() - owner.size())));
      return;
    }
    size_t label = 1 + static_cast<size_t>(static_cast<uint8_t>(owner[0]));
    out->append(owner.substr(0, label));
    owner.remove_prefix(label);
  }
  out->push_back('\0');
}

void PutOpt(std::string* out, Rcode rcode, bool dnssec_ok, uint16_t udp_size) {
  out->push_back('\0');
  Put16(out, kOpt);
  Put16(out, udp_size);
  Put32(out, static_cast<uint32_t>(rcode >> 4) << 24 | (dnssec_ok ? 0x8000u : 0u));
  Put16(out, 0);
}

void Set16(std::string* out, size_t offset, uint16_t value) {
  (*out)[offset] = static_cast<char>(value >> 8);
  (*out)[offset + 1] = static_cast<char>(value);
}

}  // namespace

WireName ToWire(std::string_view text) {
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  WireName name;
  while (!text.empty()) {
    size_t dot = text.find('.');
    std::string_view label = text.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabel) return {};
    name.push_back(static_cast<char>(label.size()));
    for (char c : label)
      name.push_back(Lower(c));
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
    if (text.empty()) return {};
  }
  name.push_back('\0');
  return name.size() <= kMaxName ? name : WireName();
}

std::string ToText(std::string_view name) {
  std::string text;
  for (std::string_view label : Labels(name)) {
    if (!text.empty()) text.push_back('.');
    for (char c : label)
      text.push_back(c > ' ' && c < 127 ? c : '?');
  }
  return text.empty() ? "." : text;
}

std::vector<std::string_view> Labels(std::string_view name) {
  std::vector<std::string_view> labels;
  while (!name.empty() && name[0] != 0) {
    size_t length = static_cast<uint8_t>(name[0]);
    if (length >= name.size()) break;
    labels.push_back(name.substr(1, length));
    name.remove_prefix(1 + length);
  }
  return labels;
}

bool IsWithin(std::string_view name, std::string_view zone) {
  if (name.size() < zone.size() || !name.ends_with(zone)) return false;
  // The match must begin at a label.
  size_t begin = name.size() - zone.size(), at = 0;
  while (at < begin)
    at += 1 + static_cast<size_t>(static_cast<uint8_t>(name[at]));
  return at == begin;
}

std::string_view Prefix(std::string_view name, std::string_view zone) {
  return name.substr(0, name.size() - zone.size());
}

std::optional<Query> ParseQuery(std::span<const uint8_t> packet, Rcode* rcode) {
  *rcode = kNoError;
  if (packet.size() < kHeaderSize) return std::nullopt;
  Reader reader(packet, 0);
  Query query;
  query.id = reader.U16();
  uint16_t flags = reader.U16();
  if (flags & 0x8000) return std::nullopt;
  query.opcode = (flags >> 11) & 15;
  query.recursion_desired = flags & 0x0100;
  query.checking_disabled = flags & 0x0010;
  uint16_t questions = reader.U16(), answers = reader.U16(), authorities = reader.U16(),
           extras = reader.U16();
  if (query.opcode != 0) {
    *rcode = kNotImp;
    return query;
  }
  if (questions != 1) {
    *rcode = kFormErr;
    return query;
  }
  query.name = reader.Name();
  query.type = reader.U16();
  query.klass = reader.U16();
  if (!reader.ok()) {
    *rcode = kFormErr;
    return query;
  }
  query.question.assign(reinterpret_cast<const char*>(packet.data()) + kHeaderSize,
                        reader.offset() - kHeaderSize);
  if (query.question.size() != query.name.size() + 4) {  // compressed: nobody asks like that
    query.question.clear();
    *rcode = kFormErr;
    return query;
  }
  for (uint32_t i = 0, count = uint32_t{answers} + authorities + extras; i < count; ++i) {
    WireName owner = reader.Name();
    uint16_t type = reader.U16(), klass = reader.U16();
    uint32_t ttl = reader.U32();
    reader.Skip(reader.U16());
    if (!reader.ok() || (type == kOpt && (query.edns || owner.size() != 1))) {
      *rcode = kFormErr;
      return query;
    }
    if (type != kOpt) continue;
    query.edns = true;
    query.udp_size = std::clamp<uint16_t>(klass, kPlainUdpSize, kMaxUdpPayload);
    query.edns_version = static_cast<uint8_t>(ttl >> 16);
    query.dnssec_ok = ttl & 0x8000;
    if (query.edns_version != 0) *rcode = kBadVers;
  }
  return query;
}

Record AddressRecord(const IpAddress& ip, uint32_t ttl, WireName owner) {
  std::string data(reinterpret_cast<const char*>(ip.bytes.data()), ip.size);
  return Record(ip.is_v4() ? kA : kAaaa, ttl, std::move(data), std::move(owner));
}

Record SrvRecord(uint16_t weight, uint16_t port, const WireName& target, uint32_t ttl) {
  std::string data;
  Put16(&data, 0);
  Put16(&data, weight);
  Put16(&data, port);
  data += target;
  return Record(kSrv, ttl, std::move(data));
}

Record TxtRecord(std::string_view text, uint32_t ttl) {
  std::string data(1, static_cast<char>(std::min<size_t>(text.size(), 255)));
  data += text.substr(0, 255);
  return Record(kTxt, ttl, std::move(data));
}

Record SoaRecord(const WireName& zone, uint32_t serial, uint32_t ttl) {
  std::string data = std::string("\2ns\3dns") + zone + "\12hostmaster" + zone;
  Put32(&data, serial);
  Put32(&data, 7200);
  Put32(&data, 1800);
  Put32(&data, 86400);
  Put32(&data, ttl);
  return Record(kSoa, ttl, std::move(data), zone);
}

std::string Write(const Query& query, const Answer& answer, size_t limit) {
  std::string out;
  out.reserve(std::min(limit, kPlainUdpSize));
  Put16(&out, query.id);
  uint16_t flags =
      static_cast<uint16_t>(0x8000 | query.opcode << 11 | (answer.authoritative ? 0x0400 : 0) |
                            (query.recursion_desired ? 0x0100 : 0) | 0x0080 |
                            (query.checking_disabled ? 0x0010 : 0) | (answer.rcode & 15));
  Put16(&out, flags);
  Put16(&out, query.question.empty() ? 0 : 1);
  out.append(6, '\0');
  out += query.question;
  const size_t room = limit - std::min(limit, query.edns ? kOptSize : 0);
  uint16_t counts[3] = {0, 0, 0};
  const std::vector<Record>* sections[3] = {&answer.answers, &answer.authority, &answer.extra};
  bool full = false;
  for (int section = 0; section < 3 && !full; ++section) {
    for (const Record& record : *sections[section]) {
      size_t before = out.size();
      PutOwner(&out, record.owner.empty() ? std::string_view(query.name) : record.owner,
               query.name);
      Put16(&out, record.type);
      Put16(&out, kClassIn);
      Put32(&out, record.ttl);
      Put16(&out, static_cast<uint16_t>(record.data.size()));
      out += record.data;
      if (out.size() > room) {
        out.resize(before);
        full = true;
        if (section < 2) Set16(&out, 2, flags | 0x0200);
        break;
      }
      ++counts[section];
    }
  }
  if (query.edns) {
    PutOpt(&out, answer.rcode, query.dnssec_ok, 1232);
    ++counts[2];
  }
  for (size_t section = 0; section < 3; ++section)
    Set16(&out, 6 + 2 * section, counts[section]);
  return out;
}

std::string WriteQuery(uint16_t id, const WireName& name, uint16_t type, bool dnssec_ok,
                       uint16_t udp_size) {
  std::string out;
  Put16(&out, id);
  Put16(&out, 0x0100);
  Put16(&out, 1);
  Put32(&out, 0);
  Put16(&out, 1);
  out += name;
  Put16(&out, type);
  Put16(&out, kClassIn);
  PutOpt(&out, kNoError, dnssec_ok, udp_size);
  return out;
}

std::optional<Response> ParseResponse(std::span<const uint8_t> packet) {
  if (packet.size() < kHeaderSize || packet.size() > kMaxMessage) return std::nullopt;
  Reader reader(packet, 0);
  Response response;
  response.id = reader.U16();
  uint16_t flags = reader.U16();
  if (!(flags & 0x8000)) return std::nullopt;
  response.truncated = flags & 0x0200;
  response.rcode = static_cast<Rcode>(flags & 15);
  if (reader.U16() != 1) return std::nullopt;
  uint16_t counts[3] = {reader.U16(), reader.U16(), reader.U16()};
  response.name = reader.Name();
  response.type = reader.U16();
  reader.U16();
  if (!reader.ok()) return std::nullopt;
  response.question_size = reader.offset() - kHeaderSize;
  for (uint8_t section = 0; section < 3; ++section) {
    for (uint16_t i = 0; i < counts[section]; ++i) {
      RecordView record;
      record.section = section;
      record.begin = reader.offset();
      record.owner = reader.Name();
      record.type = reader.U16();
      record.klass = reader.U16();
      record.ttl_offset = reader.offset();
      record.ttl = reader.U32();
      uint16_t length = reader.U16();
      record.data_offset = reader.offset();
      reader.Skip(length);
      if (!reader.ok()) return std::nullopt;
      record.data = {reinterpret_cast<const char*>(packet.data()) + record.data_offset, length};
      response.records.push_back(std::move(record));
    }
  }
  return response;
}

std::optional<WireName> ReadName(std::span<const uint8_t> packet, size_t* offset) {
  Reader reader(packet, *offset);
  WireName name = reader.Name();
  if (!reader.ok()) return std::nullopt;
  *offset = reader.offset();
  return name;
}

}  // namespace gantry::net::dns
