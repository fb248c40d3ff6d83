#include "node/pod/dns_config.h"

#include <gtest/gtest.h>

#include "api/testing/from_yaml.h"

namespace gantry::node {
namespace {

using api::core::v1::Pod;
using api::testing::FromYaml;

constexpr char kHost[] =
    "# of the machine\nnameserver 192.0.2.1\nsearch example.com. corp.example.com\n"
    "options timeout:2 rotate\n";

DnsConfig Build(const std::string& spec, const char* host = kHost) {
  return BuildDnsConfig(FromYaml<Pod>("{metadata: {namespace: a}, spec: " + spec + "}"),
                        {"10.43.0.10"}, "cluster.local", host);
}

TEST(DnsConfig, ByPolicy) {
  struct Row {
    const char* spec;
    const char* text;
  };
  constexpr Row kRows[] = {
      {"{}",
       "search a.svc.cluster.local svc.cluster.local cluster.local example.com corp.example.com\n"
       "nameserver 10.43.0.10\noptions ndots:5\n"},
      {"{hostNetwork: true}",
       "search example.com corp.example.com\nnameserver 192.0.2.1\noptions timeout:2 rotate\n"},
      {"{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet}",
       "search a.svc.cluster.local svc.cluster.local cluster.local example.com corp.example.com\n"
       "nameserver 10.43.0.10\noptions ndots:5\n"},
      {"{dnsPolicy: Default}",
       "search example.com corp.example.com\nnameserver 192.0.2.1\noptions timeout:2 rotate\n"},
      {"{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1], searches: [x.y], options: [{name: "
       "ndots, value: '2'}, {name: edns0}]}}",
       "search x.y\nnameserver 1.1.1.1\noptions ndots:2 edns0\n"},
      {"{dnsPolicy: Default, dnsConfig: {nameservers: [192.0.2.1, 192.0.2.2], options: [{name: "
       "timeout, value: '1'}]}}",
       "search example.com corp.example.com\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n"
       "options timeout:1 rotate\n"},
  };
  for (const Row& row : kRows) {
    const DnsConfig config = Build(row.spec);
    EXPECT_EQ(config.resolv_conf, row.text) << row.spec;
    EXPECT_TRUE(config.warnings.empty()) << row.spec;
  }
}

TEST(DnsConfig, WhatIsTooMuchIsLeftOutAndTold) {
  DnsConfig servers = Build(
      "{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1, 1.1.1.1, "
      "1.1.1.2, 1.1.1.3, 1.1.1.4]}}");
  EXPECT_EQ(servers.resolv_conf, "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\n");
  ASSERT_EQ(servers.warnings.size(), 1u);
  EXPECT_EQ(servers.warnings[0],
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied "
            "nameserver line is: 1.1.1.1 1.1.1.2 1.1.1.3");

  std::string many;
  for (int i = 0; i < 33; ++i)
    many += (i == 0 ? "s" : ", s") + std::to_string(i);
  DnsConfig searches = Build("{dnsPolicy: None, dnsConfig: {searches: [" + many + "]}}");
  EXPECT_TRUE(searches.resolv_conf.ends_with(" s31\n"));
  ASSERT_EQ(searches.warnings.size(), 1u);
  EXPECT_TRUE(searches.warnings[0].starts_with(
      "Search Line limits were exceeded, some search paths have been omitted, the applied search "
      "line is: s0 s1 "));

  const std::string long_one(254, 'x'), fits(200, 'y');
  DnsConfig domain = Build("{dnsPolicy: None, dnsConfig: {searches: [" + long_one + ", ok]}}");
  EXPECT_EQ(domain.resolv_conf, "search ok\n");
  EXPECT_EQ(domain.warnings.size(), 1u);
  std::string wide;
  for (char c = 'a'; c <= 'k'; ++c)
    wide += (wide.empty() ? "" : ", ") + fits + c;
  DnsConfig characters = Build("{dnsPolicy: None, dnsConfig: {searches: [" + wide + "]}}");
  EXPECT_EQ(characters.resolv_conf.size(), std::string("search ").size() + 10 * 202);
  EXPECT_EQ(characters.warnings.size(), 1u);
}

}  // namespace
}  // namespace gantry::node
