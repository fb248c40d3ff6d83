#include "cli/client/bootstrap_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/duration.h"

namespace gantry::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const WallTime kNow = api::ParseTime("2026-03-01T12:00:00Z").value();

TEST(BootstrapToken, IsReadWithAndWithoutAPin) {
  for (const char* text : {"abcdef.0123456789abcdef", "abcdef.0123456789abcdef@sha256:00"}) {
    const Result<BootstrapToken> token = BootstrapToken::Parse(text);
    ASSERT_TRUE(token.ok()) << text;
    EXPECT_EQ(token->id, "abcdef");
    EXPECT_EQ(token->secret, "0123456789abcdef");
  }
  for (const char* text : {"", "abcdef", "abcdef.", "ABCDEF.0123456789abcdef",
                           "abcdef.0123456789abcde", "abcdef.0123456789abcdef0"}) {
    EXPECT_THAT(BootstrapToken::Parse(text).status().message(), HasSubstr("was not of the form"))
        << text;
  }
}

TEST(BootstrapToken, GoesThroughASecretUnchanged) {
  BootstrapToken token = BootstrapToken::Parse("abcdef.0123456789abcdef").value();
  token.description = "for CI";
  token.expires = kNow + std::chrono::hours(1);
  token.usages = {"authentication"};
  token.groups = {"system:bootstrappers:a", "system:bootstrappers:b"};
  ASSERT_TRUE(token.Check().ok());
  const Result<BootstrapToken> back = BootstrapToken::FromSecret(token.ToSecret());
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->description, "for CI");
  EXPECT_EQ(back->expires, token.expires);
  EXPECT_THAT(back->usages, ElementsAre("authentication"));
  EXPECT_EQ(back->groups, token.groups);

  api::JsonValue other = token.ToSecret();
  other["type"] = "Opaque";
  EXPECT_FALSE(BootstrapToken::FromSecret(other).ok());
}

TEST(BootstrapToken, RefusesWhatTheServerWouldNotTake) {
  BootstrapToken token;
  token.usages = {"everything"};
  EXPECT_THAT(token.Check().message(), HasSubstr("invalid bootstrap token usage \"everything\""));
  token.usages = {};
  token.groups = {"system:masters"};
  EXPECT_THAT(token.Check().message(), HasSubstr("must begin with system:bootstrappers:"));
}

TEST(BootstrapToken, TheTableIsKubeadms) {
  BootstrapToken a = BootstrapToken::Parse("abcdef.0123456789abcdef").value();
  a.expires = kNow + std::chrono::hours(24) - std::chrono::seconds(1);
  a.usages = {"authentication", "signing"};
  a.groups = {"system:bootstrappers:x"};
  BootstrapToken b = BootstrapToken::Parse("bbbbbb.0123456789abcdef").value();
  b.description = "two\nlines";
  BootstrapToken c = BootstrapToken::Parse("cccccc.0123456789abcdef").value();
  c.expires = kNow - std::chrono::minutes(5);
  EXPECT_EQ(BootstrapTokenTable({a, b, c}, kNow),
            "TOKEN                     TTL         EXPIRES                USAGES                   "
            "DESCRIPTION   EXTRA GROUPS\n"
            "abcdef.0123456789abcdef   23h         2026-03-02T11:59:59Z   authentication,signing   "
            "<none>        system:bootstrappers:x\n"
            "bbbbbb.0123456789abcdef   <forever>   <never>                <none>                   "
            "two lines     <none>\n"
            "cccccc.0123456789abcdef   <invalid>   2026-03-01T11:55:00Z   <none>                   "
            "<none>        <none>\n");
  EXPECT_EQ(BootstrapTokenTable({}, kNow), "");
}

}  // namespace
}  // namespace gantry::cli
