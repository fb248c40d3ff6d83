#include "net/dns/wire.h"

#include <gtest/gtest.h>

namespace gantry::net::dns {
namespace {

std::span<const uint8_t> Span(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

TEST(DnsNames, ToWireAndBack) {
  struct Row {
    const char* text;
    const char* back;  // null: not a name
  };
  const Row rows[] = {
      {"web.default.svc.cluster.local", "web.default.svc.cluster.local"},
      {"WEB.Default.", "web.default"},
      {"", "."},
      {".", "."},
      {"a..b", nullptr},
      {".a", nullptr},
      {"_http._tcp.web", "_http._tcp.web"},
  };
  for (const Row& row : rows) {
    WireName name = ToWire(row.text);
    if (row.back == nullptr) {
      EXPECT_EQ(name, "") << row.text;
    } else {
      EXPECT_EQ(ToText(name), row.back) << row.text;
    }
  }
  EXPECT_EQ(ToWire(std::string(64, 'a')), "");
  std::string longest;
  for (int i = 0; i < 128; ++i)
    longest += "a.";
  EXPECT_EQ(ToWire(longest), "");
}

TEST(DnsNames, WithinCountsWholeLabels) {
  WireName zone = ToWire("cluster.local");
  EXPECT_TRUE(IsWithin(ToWire("cluster.local"), zone));
  EXPECT_TRUE(IsWithin(ToWire("a.b.cluster.local"), zone));
  EXPECT_FALSE(IsWithin(ToWire("mycluster.local"), zone));
  EXPECT_FALSE(IsWithin(ToWire("local"), zone));
  // A label whose bytes look like the zone.
  EXPECT_FALSE(IsWithin(std::string("\x10x\7cluster\5local", 16) + '\0', zone));
}

TEST(DnsQuery, ReadsWhatMatters) {
  std::string packet =
      WriteQuery(0x1234, ToWire("web.default.svc.cluster.local"), kAaaa, true, 1400);
  Rcode rcode;
  std::optional<Query> query = ParseQuery(Span(packet), &rcode);
  ASSERT_TRUE(query);
  EXPECT_EQ(rcode, kNoError);
  EXPECT_EQ(query->id, 0x1234);
  EXPECT_EQ(ToText(query->name), "web.default.svc.cluster.local");
  EXPECT_EQ(query->type, kAaaa);
  EXPECT_TRUE(query->edns && query->dnssec_ok && query->recursion_desired);
  EXPECT_EQ(query->udp_size, 1400);
}

TEST(DnsQuery, HostilePacketsAreRefusedOrIgnored) {
  const std::string good = WriteQuery(1, ToWire("a.b"), kA, false, 1232);
  struct Row {
    const char* what;
    std::string packet;
    int rcode;  // -1: no answer at all
  };
  auto with = [&](size_t at, char byte) {
    std::string packet = good;
    packet[at] = byte;
    return packet;
  };
  const Row rows[] = {
      {"empty", "", -1},
      {"header cut off", good.substr(0, 11), -1},
      {"a response", with(2, '\x81'), -1},
      {"no question", with(5, 0), kFormErr},
      {"two questions", with(5, 2), kFormErr},
      {"name cut off", good.substr(0, 14), kFormErr},
      {"label beyond the end", with(12, 63), kFormErr},
      {"reserved label type", with(12, '\x80'), kFormErr},
      {"pointer to itself", with(12, '\xc0').replace(13, 1, 1, 12), kFormErr},
      {"pointer forward", with(12, '\xc0').replace(13, 1, 1, 40), kFormErr},
      {"update", with(2, 0x28), kNotImp},
      {"record cut off", good.substr(0, good.size() - 1), kFormErr},
      {"more records than there are", with(11, 9), kFormErr},
      {"EDNS version 1", with(good.size() - 5, 1), kBadVers},
  };
  for (const Row& row : rows) {
    Rcode rcode;
    std::optional<Query> query = ParseQuery(Span(row.packet), &rcode);
    EXPECT_EQ(query ? static_cast<int>(rcode) : -1, row.rcode) << row.what;
    // Whatever it was, answering it must hold together.
    if (query) EXPECT_LE(Write(*query, Answer(), kPlainUdpSize).size(), kPlainUdpSize) << row.what;
  }
}

TEST(DnsWrite, LeavesOutWhatDoesNotFit) {
  Rcode rcode;
  std::string packet = WriteQuery(7, ToWire("web.default.svc.cluster.local"), kA, false, 512);
  std::optional<Query> query = ParseQuery(Span(packet), &rcode);
  Answer answer;
  for (uint32_t i = 0; i < 100; ++i)
    answer.answers.push_back(AddressRecord(IpAddress::V4(0x0a000000 + i), 30));
  std::string written = Write(*query, answer, 512);
  EXPECT_LE(written.size(), 512u);
  std::optional<Response> response = ParseResponse(Span(written));
  ASSERT_TRUE(response);
  EXPECT_TRUE(response->truncated);
  EXPECT_GT(response->records.size(), 20u);
  EXPECT_EQ(response->records.back().type, kOpt) << "EDNS stays";
  EXPECT_EQ(response->records[0].owner, query->name);

  written = Write(*query, answer, kMaxMessage);
  response = ParseResponse(Span(written));
  EXPECT_FALSE(response->truncated);
  EXPECT_EQ(response->records.size(), 101u);
}

TEST(DnsResponse, TruncatedAtEveryByteNeverHoldsTogether) {
  Rcode rcode;
  std::string packet = WriteQuery(7, ToWire("web.default"), kSrv, false, 512);
  std::optional<Query> query = ParseQuery(Span(packet), &rcode);
  Answer answer;
  answer.answers.push_back(SrvRecord(100, 80, ToWire("a.web.default"), 30));
  answer.extra.push_back(AddressRecord(IpAddress::V4(1), 30, ToWire("a.web.default")));
  const std::string written = Write(*query, answer, 512);
  ASSERT_TRUE(ParseResponse(Span(written)));
  for (size_t size = 0; size < written.size(); ++size) {
    EXPECT_FALSE(ParseResponse(Span(written.substr(0, size)))) << size;
  }
}

}  // namespace
}  // namespace gantry::net::dns
