#include "apiserver/apply/field_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::apiserver::apply {
namespace {

FieldSet Set(std::string_view text) {
  auto set = FieldSet::Parse(text);
  EXPECT_TRUE(set.ok()) << text;
  return set.ok() ? *std::move(set) : FieldSet();
}
std::string Text(const FieldSet& set) {
  std::string out;
  set.AppendTo(&out);
  return out;
}

TEST(FieldSet, RoundTrip) {
  for (
      std::string_view text : {
          R"({})",
          R"({"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:replicas":{}}})",
          R"({"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}})",
          R"({"f:metadata":{"f:finalizers":{".":{},"v:\"a\"":{}}}})",
      })
    EXPECT_EQ(Text(Set(text)), text);
  // Sorted on the way; numbers in keys by value.
  EXPECT_EQ(Text(Set(R"({"f:b":{},"k:{\"p\":443}":{},"f:a":{},"k:{\"p\":80}":{}})")),
            R"({"f:a":{},"f:b":{},"k:{\"p\":80}":{},"k:{\"p\":443}":{}})");
}

TEST(FieldSet, RefusesOtherJson) {
  for (std::string_view text :
       {"[]", "{", R"({"f:a":1})", R"({"a":{}})", R"({"f:a":{}}x)", R"({"f:a":{},})"})
    EXPECT_EQ(FieldSet::Parse(text).code(), Code::kBadRequest) << text;
  std::string deep;
  for (int i = 0; i < 1000; ++i)
    deep += R"({"f:a":)";
  EXPECT_EQ(FieldSet::Parse(deep).code(), Code::kBadRequest);
}

TEST(FieldSet, Operations) {
  struct Case {
    std::string_view a, b, sum, difference, below, intersection;
  };
  const Case cases[] = {
      {R"({"f:a":{},"f:b":{}})", R"({"f:b":{},"f:c":{}})", R"({"f:a":{},"f:b":{},"f:c":{}})",
       R"({"f:a":{}})", R"({"f:a":{}})", R"({"f:b":{}})"},
      {R"({"f:a":{".":{},"f:x":{}}})", R"({"f:a":{}})", R"({"f:a":{".":{},"f:x":{}}})",
       R"({"f:a":{"f:x":{}}})", R"({})", R"({"f:a":{}})"},
      {R"({"f:a":{"f:x":{}}})", R"({"f:a":{"f:x":{},"f:y":{}}})", R"({"f:a":{"f:x":{},"f:y":{}}})",
       R"({})", R"({})", R"({"f:a":{"f:x":{}}})"},
      {R"({"f:a":{"f:x":{}}})", R"({})", R"({"f:a":{"f:x":{}}})", R"({"f:a":{"f:x":{}}})",
       R"({"f:a":{"f:x":{}}})", R"({})"},
  };
  for (const Case& c : cases) {
    FieldSet sum = Set(c.a), difference = Set(c.a), below = Set(c.a);
    sum.Add(Set(c.b));
    difference.Remove(Set(c.b));
    below.RemoveBelow(Set(c.b));
    EXPECT_EQ(Text(sum), c.sum);
    EXPECT_EQ(Text(difference), c.difference);
    EXPECT_EQ(Text(below), c.below);
    EXPECT_EQ(Text(FieldSet::Intersection(Set(c.a), Set(c.b))), c.intersection);
  }
}

TEST(FieldSet, Paths) {
  FieldSet set = Set(
      R"({"f:metadata":{"f:finalizers":{"v:\"x\"":{}}},"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}})");
  EXPECT_THAT(set.Paths(), ::testing::ElementsAre(R"(.metadata.finalizers[="x"])",
                                                  R"(.spec.ports[port=80,protocol="TCP"])",
                                                  R"(.spec.ports[port=80,protocol="TCP"].port)"));
}

}  // namespace
}  // namespace gantry::apiserver::apply
