// How machines join: what is decided without a network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/duration.h"
#include "api/testing/from_yaml.h"
#include "apiserver/pki/certificates.h"
#include "base/env/testing/virtual_env.h"
#include "cli/failover.h"
#include "cli/join.h"
#include "cli/known_servers.h"
#include "cli/node_gateway.h"
#include "cli/version.h"

namespace gantry::cli {
namespace {

using api::discovery::v1::EndpointSlice;
using api::testing::FromYaml;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Versions, NeighboursWorkTogether) {
  const struct {
    const char *server, *agent, *problem;  // "" when they fit
  } rows[] = {
      {"0.1.0", "0.1.0", ""},
      {"0.1.0", "0.1.7", ""},
      {"0.2.0", "0.1.0", ""},
      {"0.1.0", "0.2.0", ""},
      {"0.1.0", "", ""},  // from before versions were told
      {"0.3.0", "0.1.0", "upgrade the agent"},
      {"0.2.0", "", "of an unknown version"},
      {"0.1.0", "0.3.0", "upgrade the servers"},
      {"1.0.0", "0.9.0", "upgrade the agent"},
      {"1.9.0", "2.0.0", "upgrade the servers"},
      {"0.1.0", "new", "is no version"},
      {"0.1.0", "0.1beta", "is no version"},
  };
  for (const auto& row : rows) {
    const Status status = CheckVersions(row.server, row.agent);
    EXPECT_EQ(status.ok(), *row.problem == '\0') << row.server << " " << row.agent;
    EXPECT_THAT(status.message(), HasSubstr(row.problem));
  }
  EXPECT_TRUE(CheckVersions(ProgramVersion(), ProgramVersion()).ok());
}

TEST(Failover, ProfilesFitTogether) {
  for (const char* name : {"default", "fast"}) {
    const Result<FailoverProfile> profile = FindFailoverProfile(name);
    ASSERT_TRUE(profile.ok());
    // Who stops pods itself has done so before the cluster takes the machine for dead.
    EXPECT_LE(profile->lease.duration, profile->node_lifecycle.grace_period) << name;
    EXPECT_LT(profile->tunnel_dead_after, profile->node_lifecycle.grace_period) << name;
    EXPECT_LE(2 * profile->lease.renew, profile->lease.duration) << name;
    EXPECT_EQ(profile->lease.duration % seconds(1), Duration::zero()) << name;
  }
  EXPECT_THAT(FindFailoverProfile("quick").status().message(),
              HasSubstr("it must be default or fast"));
}

TEST(Renewal, IsWithinTheLastThirdOfTheCertificatesLife) {
  VirtualEnv env;
  const Result<apiserver::pki::Authority> ca = apiserver::pki::Authority::Create(env, "ca");
  ASSERT_TRUE(ca.ok());
  for (const Duration life :
       {Duration(hours(24 * 365)), Duration(hours(1)), Duration(seconds(100))}) {
    const auto pair = ca->IssueClient(env, "system:node:a", {"system:nodes"}, life);
    ASSERT_TRUE(pair.ok());
    for (int i = 0; i < 50; ++i) {
      const Result<WallTime> when = RenewalTime(env, pair->certificate_pem);
      ASSERT_TRUE(when.ok());
      const Duration after = *when - env.Now();
      EXPECT_GE(after, life / 10 * 7 - seconds(2));
      EXPECT_LE(after, life / 10 * 9 + seconds(2));
    }
  }
}

api::ObjectPtr Slice(const std::string& yaml) {
  return api::Object::FromMessage(api::KindOf<EndpointSlice>(),
                                  std::make_unique<EndpointSlice>(FromYaml<EndpointSlice>(yaml)));
}

TEST(KnownServers, AreThoseThatTheServiceKubernetesNames) {
  const std::vector<api::ObjectPtr> slices = {
      Slice("{metadata: {name: kubernetes, namespace: default, labels: "
            "{kubernetes.io/service-name: kubernetes}}, addressType: IPv4, ports: [{name: https, "
            "port: 6443}], endpoints: [{addresses: [10.0.0.2], conditions: {ready: true}}, "
            "{addresses: [10.0.0.1]}, {addresses: [10.0.0.3], conditions: {ready: false}}]}"),
      Slice("{metadata: {name: v6, namespace: default, labels: {kubernetes.io/service-name: "
            "kubernetes}}, addressType: IPv6, ports: [{name: https, port: 443}], endpoints: "
            "[{addresses: ['fd00::1']}]}"),
      Slice(
          "{metadata: {name: web, namespace: default, labels: {kubernetes.io/service-name: web}}, "
          "addressType: IPv4, ports: [{name: https, port: 1}], endpoints: [{addresses: "
          "[10.0.0.9]}]}"),
      Slice("{metadata: {name: kubernetes, namespace: other, labels: {kubernetes.io/service-name: "
            "kubernetes}}, addressType: IPv4, ports: [{name: https, port: 1}], endpoints: "
            "[{addresses: [10.0.0.8]}]}"),
  };
  EXPECT_THAT(ServersOfSlices(slices), ElementsAre("https://10.0.0.1:6443", "https://10.0.0.2:6443",
                                                   "https://[fd00::1]:443"));
  EXPECT_THAT(ServersOfSlices({}), IsEmpty());
  EXPECT_THAT(Merge({"a", "b"}, {"b", "c"}), ElementsAre("a", "b", "c"));
}

TEST(NodeGateway, WhatItTellsIsReadBack) {
  ClusterFacts facts;
  facts.version = "0.1.0";
  facts.now = api::ParseTime("2026-03-01T12:00:00Z").value();
  facts.lease = {seconds(1), seconds(3)};
  const Result<ClusterFacts> back = ReadClusterFacts(WriteClusterFacts(facts));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->version, facts.version);
  EXPECT_EQ(back->now, facts.now);
  EXPECT_EQ(back->lease, facts.lease);

  wire::Headers headers;
  AddLeaseHeaders(facts.lease, &headers);
  EXPECT_EQ(LeaseOfHeaders(headers), facts.lease);
  EXPECT_EQ(LeaseOfHeaders(wire::Headers()), std::nullopt);
  wire::Headers absurd;
  AddLeaseHeaders({seconds(5), seconds(3)}, &absurd);
  EXPECT_EQ(LeaseOfHeaders(absurd), std::nullopt);

  DrainRequest request;
  request.addresses = {"10.42.0.5", "fd00::5"};
  request.timeout = milliseconds(1500);
  const Result<DrainRequest> read = ReadDrainRequest(WriteDrainRequest(request));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->addresses, request.addresses);
  EXPECT_EQ(read->timeout, request.timeout);
  for (const char* text : {"", "[]", "{}", R"({"addresses":["a",1]})", R"({"addresses":"a"})"})
    EXPECT_FALSE(ReadDrainRequest(text).ok()) << text;
  EXPECT_EQ(ReadDrainRequest(R"({"addresses":[],"timeoutMilliseconds":9999999})")->timeout,
            seconds(10));
}

}  // namespace
}  // namespace gantry::cli
