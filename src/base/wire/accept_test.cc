#include "base/wire/accept.h"

#include <gtest/gtest.h>

namespace gantry::wire {
namespace {

std::string Types(std::string_view header) {
  std::string text;
  for (const MediaRange& range : ParseAccept(header))
    text += (text.empty() ? "" : " ") + range.type;
  return text;
}

TEST(AcceptTest, BestFirst) {
  const struct {
    const char* header;
    const char* types;
  } cases[] = {
      {"", ""},
      {"  ", ""},
      {" , ;q=1", ""},
      {"Application/JSON", "application/json"},
      {"a/b, c/d", "a/b c/d"},
      {"a/b;q=0.5, c/d;q=0.9 ,e/f", "e/f c/d a/b"},
      {"a/b;q=0.5,c/d; q = 0.5", "a/b c/d"},
      {"a/b;q=nan,c/d;q=much,e/f;q=0.1", "e/f a/b c/d"},
      {"a/b;q=7,c/d;q=-1,e/f", "a/b e/f c/d"},
  };
  for (const auto& c : cases)
    EXPECT_EQ(Types(c.header), c.types) << c.header;
}

TEST(AcceptTest, Parameters) {
  const auto ranges = ParseAccept("application/json; as=Table ;v=v1;g= meta.k8s.io,*/*");
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].Parameter("as"), "Table");
  EXPECT_EQ(ranges[0].Parameter("v"), "v1");
  EXPECT_EQ(ranges[0].Parameter("g"), "meta.k8s.io");
  EXPECT_EQ(ranges[0].Parameter("pretty"), "");
  EXPECT_TRUE(ranges[1].parameters.empty());
}

TEST(AcceptTest, MediaType) {
  EXPECT_EQ(MediaTypeOf(" Application/YAML ; charset=utf-8"), "application/yaml");
  EXPECT_EQ(MediaTypeOf(""), "");
}

}  // namespace
}  // namespace gantry::wire
