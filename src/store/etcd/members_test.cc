#include "store/etcd/members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/env/real/real_env.h"
#include "store/etcd/testing/etcd_process.h"

namespace gantry::store::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

EtcdOptions At(const std::string& url) {
  EtcdOptions options;
  options.url = url;
  return options;
}

TEST(EtcdMembersTest, AreListedAddedAndTakenOut) {
  EtcdCluster etcd;
  RealEnv env;
  const EtcdOptions at = At(etcd.url());
  auto list = [&] { return env.RunToEnd(ListEtcdMembers(env, at)).value(); };
  std::vector<EtcdMember> members = list();
  ASSERT_EQ(members.size(), 1u);
  EXPECT_EQ(members[0].name, "m0");
  EXPECT_FALSE(members[0].learner);
  EXPECT_EQ(members[0].peer_urls.size(), 1u);

  const std::string place = "http://127.0.0.1:1";
  const AddedEtcdMember added = env.RunToEnd(AddEtcdLearner(env, at, place)).value();
  EXPECT_EQ(added.members.size(), 2u);
  members = list();
  ASSERT_EQ(members.size(), 2u);
  const EtcdMember& learner = members[0].id == added.id ? members[0] : members[1];
  EXPECT_EQ(learner.id, added.id);
  EXPECT_TRUE(learner.learner);
  EXPECT_THAT(learner.name, IsEmpty());
  EXPECT_EQ(learner.peer_urls, std::vector<std::string>{place});

  // One at a time, and none votes before it has caught up.
  const auto second = env.RunToEnd(AddEtcdLearner(env, at, "http://127.0.0.1:2"));
  EXPECT_FALSE(second.ok());
  EXPECT_EQ(env.RunToEnd(PromoteEtcdMember(env, at, added.id)).code(), Code::kConflict);

  const std::string other_place = "http://127.0.0.1:3";
  EXPECT_TRUE(env.RunToEnd(MoveEtcdMember(env, at, added.id, other_place)).ok());
  EXPECT_TRUE(env.RunToEnd(RemoveEtcdMember(env, at, added.id)).ok());
  EXPECT_EQ(env.RunToEnd(RemoveEtcdMember(env, at, added.id)).code(), Code::kNotFound);
  EXPECT_EQ(list().size(), 1u);
}

TEST(EtcdMembersTest, APingTellsWhoIsThere) {
  EtcdCluster etcd(3);
  RealEnv env;
  const EtcdOptions first = At(etcd.url(0));
  const Duration timeout = std::chrono::seconds(2);
  Result<EtcdHealth> health = env.RunToEnd(PingEtcd(env, first, timeout));
  ASSERT_TRUE(health.ok()) << health.status().ToString();
  EXPECT_TRUE(health->has_leader);
  EXPECT_FALSE(health->learner);
  EXPECT_NE(health->id, 0u);
  etcd.Kill(1);
  etcd.Kill(2);
  // It runs, and after a while has no leader.
  do {
    health = env.RunToEnd(PingEtcd(env, first, timeout));
    ASSERT_TRUE(health.ok()) << health.status().ToString();
  } while (health->has_leader);
  const auto members = env.RunToEnd(ListEtcdMembers(env, first));
  EXPECT_EQ(members.code(), Code::kUnavailable);
  EXPECT_THAT(members.status().message(), HasSubstr("no leader"));
  etcd.Kill(0);
  EXPECT_EQ(env.RunToEnd(PingEtcd(env, first, timeout)).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace gantry::store::testing
