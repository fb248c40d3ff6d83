#include "cli/sealed_box.h"

#include <gtest/gtest.h>

#include "base/env/testing/virtual_env.h"

namespace gantry::cli {
namespace {

TEST(SealedBox, OpensForWhoKnowsTheSecretOnly) {
  VirtualEnv env;
  const std::string text("keys\0and more", 13);
  Result<std::string> box = Seal(env, "0123456789abcdef", text);
  ASSERT_TRUE(box.ok());
  EXPECT_EQ(box->find("keys"), std::string::npos);
  EXPECT_EQ(*Unseal("0123456789abcdef", *box), text);
  EXPECT_EQ(Unseal("fedcba9876543210", *box).code(), Code::kForbidden);
  EXPECT_NE(*Seal(env, "0123456789abcdef", text), *box) << "a salt is used once";

  // Changed, cut short, or something else.
  std::string changed = *box;
  const size_t sealed = changed.find("\"sealed\":\"") + 10;
  changed[sealed] = changed[sealed] == 'A' ? 'B' : 'A';
  EXPECT_EQ(Unseal("0123456789abcdef", changed).code(), Code::kForbidden);
  EXPECT_EQ(Unseal("0123456789abcdef", box->substr(0, 40)).code(), Code::kDataLoss);
  EXPECT_EQ(Unseal("0123456789abcdef", "{}").code(), Code::kDataLoss);
  EXPECT_EQ(Unseal("0123456789abcdef", "").code(), Code::kDataLoss);
}

}  // namespace
}  // namespace gantry::cli
