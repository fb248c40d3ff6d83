#include <gtest/gtest.h>

#include "cli/ha/etcd_invitation.h"
#include "cli/ha/etcd_process.h"
#include "cli/ha/ha_flags.h"
#include "cli/ha/membership.h"

namespace gantry::cli {
namespace {

Peer MakePeer(uint64_t id, std::string name) {
  Peer peer;
  peer.id = id;
  peer.peer_url = "https://" + name + ":2380";
  peer.client_url = "https://" + name + ":2379";
  peer.name = std::move(name);
  return peer;
}

TEST(HaTest, MembershipIsReadAsItWasWritten) {
  Membership membership;
  membership.self = MakePeer(0xffffffffffffffff, "one");  // more than JSON readers keep
  membership.others = {MakePeer(2, "two"), MakePeer(3, "three")};
  membership.others[1].client_url.clear();
  membership.others[1].learner = true;
  Result<Membership> read = ReadMembership(WriteMembership(membership));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, membership);
  EXPECT_EQ(Without(membership.others, 2).size(), 1u);
  for (const char* damaged : {"", "{}", "[]", R"({"self":{},"others":[]})",
                              R"({"self":{"id":"x","peerURL":"https://a:1"},"others":[]})",
                              R"({"self":{"id":"1","peerURL":"https://a:1"},"others":{}})"}) {
    EXPECT_FALSE(ReadMembership(damaged).ok()) << damaged;
  }
}

TEST(HaTest, InvitationsAreReadAsTheyWereWritten) {
  InvitationRequest request;
  request.name = "two";
  request.peer_url = "https://10.0.0.2:2380";
  request.client_url = "https://10.0.0.2:2379";
  request.version = "0.1.0";
  request.settings = {{"service-cidr", "10.43.0.0/16"}};
  Result<InvitationRequest> asked = ReadInvitationRequest(WriteInvitationRequest(request));
  ASSERT_TRUE(asked.ok()) << asked.status().ToString();
  EXPECT_EQ(asked->name, request.name);
  EXPECT_EQ(asked->peer_url, request.peer_url);
  EXPECT_EQ(asked->client_url, request.client_url);
  EXPECT_EQ(asked->version, request.version);
  EXPECT_EQ(asked->settings, request.settings);
  EXPECT_EQ(ReadInvitationRequest(R"({"name":"two"})").code(), Code::kBadRequest);
  EXPECT_EQ(
      ReadInvitationRequest(R"({"name":"a","peerURL":"http://a","clientURL":"https://a"})").code(),
      Code::kBadRequest);

  Invitation invitation;
  invitation.id = 0xfedcba9876543210;
  invitation.authority = {"certificate", "key"};
  invitation.peers = {MakePeer(1, "one"), MakePeer(2, "two")};
  Result<Invitation> got = ReadInvitation(WriteInvitation(invitation));
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(got->id, invitation.id);
  EXPECT_EQ(got->authority.private_key_pem, "key");
  EXPECT_EQ(got->peers, invitation.peers);
  EXPECT_EQ(ReadInvitation("{}").code(), Code::kDataLoss);
}

TEST(HaTest, TheFailureInALogOfEtcdIsFound) {
  EXPECT_EQ(FailureInLog(""), "");
  EXPECT_EQ(FailureInLog(R"({"level":"warn","msg":"slow"})"
                         "\n"),
            "");
  EXPECT_EQ(FailureInLog(R"({"level":"warn","msg":"slow"}
{"level":"fatal","msg":"discovery failed","error":"listen tcp 10.0.0.1:2380: bind: address already in use"}
)"),
            "discovery failed: listen tcp 10.0.0.1:2380: bind: address already in use");
  EXPECT_EQ(FailureInLog("panic: freepages: failed to get all reachable pages\n\ngoroutine 1:\n"),
            "freepages: failed to get all reachable pages");
}

TEST(HaTest, FlagsThatDoNotGoTogether) {
  struct Row {
    bool ha;
    const char* join;
    const char* store;
    const char* message;  // a part of it; "": fine
  };
  constexpr Row kRows[] = {
      {false, "", "sqlite", ""},
      {false, "", "etcd://a", ""},
      {true, "", "sqlite", ""},
      {false, "https://a:6443/", "sqlite", ""},
      {true, "", "etcd://a", "--ha runs an etcd of its own"},
      {false, "https://a:6443", "etcd://a", "--join runs an etcd of its own"},
      {true, "https://a:6443", "sqlite", "--ha begins a cluster and --join enters one"},
      {false, "a:6443", "sqlite", "--join a:6443 is not of the form https://HOST:6443"},
  };
  for (const Row& row : kRows) {
    HaFlags flags;
    flags.ha = row.ha;
    if (*row.join) flags.join = {row.join};
    const Status status = CheckHaFlags(row.store, &flags);
    EXPECT_EQ(status.ok(), *row.message == 0) << status.message();
    EXPECT_NE(status.message().find(row.message), std::string::npos) << status.message();
    if (status.ok() && *row.join) EXPECT_EQ(flags.join.front(), "https://a:6443");
  }
}

}  // namespace
}  // namespace gantry::cli
