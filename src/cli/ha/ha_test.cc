#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/env/real/real_env.h"
#include "base/env/testing/virtual_env.h"
#include "cli/ha/backups.h"
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

class HaDirectoryTest : public ::testing::Test {
 protected:
  HaDirectoryTest()
      : path_(std::filesystem::temp_directory_path() / ("ha-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~HaDirectoryTest() override { std::filesystem::remove_all(path_); }
  const std::filesystem::path path_;
};

TEST_F(HaDirectoryTest, AProcessOutlivesWhoStartedItAndIsTakenUp) {
  RealEnv env;
  const std::vector<std::string> says_and_waits = {"sh", "-c",
                                                   "echo 'panic: no' >&2; exec sleep 1000"};
  {
    EtcdProcess first(env, path_);
    EXPECT_FALSE(first.Adopt());
    ASSERT_TRUE(first.Start(says_and_waits).ok());
    EXPECT_TRUE(first.running());
  }
  EtcdProcess second(env, path_);
  ASSERT_TRUE(second.Adopt());
  EXPECT_TRUE(second.running());
  EXPECT_EQ(second.LastWords(), "") << "what was said before is another's";
  second.Signal(SIGKILL);
  EXPECT_EQ(env.RunToEnd(second.AwaitEnd(CancelToken(), std::nullopt)), Wake::kNotified);
  EXPECT_FALSE(second.running());
  EXPECT_FALSE(EtcdProcess(env, path_).Adopt());

  ASSERT_TRUE(second.Start({"sh", "-c", "echo 'panic: yes' >&2"}).ok());
  EXPECT_EQ(env.RunToEnd(second.AwaitEnd(CancelToken(), std::nullopt)), Wake::kNotified);
  EXPECT_EQ(second.LastWords(), "yes");
}

TEST_F(HaDirectoryTest, OnlyTheProcessThatWasStartedIsEnded) {
  RealEnv env;
  EtcdProcess process(env, path_);
  ASSERT_TRUE(process.Start({"sleep", "1000"}).ok());
  // Somebody else who has the pid by now: another start time.
  const std::string file = path_ / "process";
  std::string noted;
  std::getline(std::ifstream(file), noted);
  std::ofstream(file) << noted.substr(0, noted.find(' ')) << " 1\n";
  EXPECT_TRUE(EndEtcdProcess(path_).ok());
  EXPECT_TRUE(process.running());
  EXPECT_FALSE(EtcdProcess(env, path_).Adopt());
  std::ofstream(file) << noted << "\n";
  EXPECT_TRUE(EndEtcdProcess(path_).ok());
  EXPECT_EQ(env.RunToEnd(process.AwaitEnd(CancelToken(), std::nullopt)), Wake::kNotified);
}

TEST_F(HaDirectoryTest, FiveBackupsAreKeptTwelveHoursApart) {
  VirtualEnv env;
  const std::string directory = path_ / "backups";
  for (int made = 0; made < 7; ++made) {
    ASSERT_TRUE(BackupIsDue(env, directory));
    std::ofstream(NextBackup(env, directory)) << made;
    EXPECT_FALSE(BackupIsDue(env, directory));
    RemoveOldBackups(directory);
    env.Advance(std::chrono::hours(12) - std::chrono::minutes(1));
    EXPECT_FALSE(BackupIsDue(env, directory));
    env.Advance(std::chrono::minutes(1));
  }
  std::vector<std::string> kept;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::string content;
    std::getline(std::ifstream(entry.path()), content);
    kept.push_back(content);
  }
  EXPECT_THAT(kept, ::testing::UnorderedElementsAre("2", "3", "4", "5", "6"));
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
