#include "controllers/token/token_cleaner.h"

#include <gtest/gtest.h>

#include "api/core/v1/secret.pb.h"
#include "api/duration.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Secret;
using std::chrono::seconds;

Secret Token(const std::string& id, const std::string& expiration) {
  Secret secret;
  secret.mutable_metadata()->set_namespace_("kube-system");
  secret.mutable_metadata()->set_name("bootstrap-token-" + id);
  secret.set_type("bootstrap.kubernetes.io/token");
  if (!expiration.empty()) (*secret.mutable_data())["expiration"] = expiration;
  return secret;
}

TEST(TokenCleaner, DeletesTokensWhenTheyHaveExpiredAndNothingElse) {
  client::ReconcilerHarness harness(MakeTokenCleaner());
  harness.Put(Token("for-ever", ""));
  harness.Put(Token("a-minute", api::FormatTime(harness.env().Now() + seconds(60))));
  harness.Put(Token("over", api::FormatTime(harness.env().Now() - seconds(1))));
  harness.Put(Token("broken", "some day"));
  Secret other = Token("other", "2000-01-01T00:00:00Z");
  other.set_type("Opaque");
  harness.Put(std::move(other));
  auto there = [&](const std::string& id) {
    return static_cast<bool>(harness.client().Peek<Secret>("kube-system", "bootstrap-token-" + id));
  };
  harness.Settle();
  EXPECT_TRUE(there("for-ever"));
  EXPECT_TRUE(there("a-minute"));
  EXPECT_FALSE(there("over"));
  EXPECT_FALSE(there("broken"));
  EXPECT_TRUE(there("other"));
  harness.Advance(seconds(59));
  EXPECT_TRUE(there("a-minute"));
  harness.Advance(seconds(2));
  EXPECT_FALSE(there("a-minute"));
  EXPECT_TRUE(there("for-ever"));
}

}  // namespace
}  // namespace gantry::controllers
