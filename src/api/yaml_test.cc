#include "api/yaml.h"

#include <gtest/gtest.h>

#include <random>

#include "api/json_value.h"

namespace gantry::api {
namespace {

std::string One(std::string_view yaml) {
  Result<std::vector<std::string>> documents = YamlToJson(yaml);
  if (!documents.ok()) return documents.status().message();
  return documents->size() == 1 ? (*documents)[0]
                                : std::to_string(documents->size()) + " documents";
}

TEST(Yaml, ResolvesScalars) {
  struct {
    const char* in;
    const char* out;
  } rows[] = {
      {"a", R"("a")"},
      {"yes", "true"},
      {"Off", "false"},
      {"y", "true"},
      {"0644", "420"},
      {"0x1F", "31"},
      {"0o17", "15"},
      {"0b11", "3"},
      {"08", "8"},
      {"1_000", "1000"},
      {"1.5", "1.5"},
      {"1e3", "1000"},
      {".5", "0.5"},
      {"+12", "12"},
      {"-3", "-3"},
      {"2001-01-01", R"("2001-01-01")"},
      {"\"yes\"", R"("yes")"},
      {"'12'", R"("12")"},
      {"''", R"("")"},
      {"'''a'''", R"("'a'")"},
      {"'a''''b'", R"("a''b")"},
      {"'é''''''é'", R"("é'''é")"},
      {"'a\n\n  ''b'''", R"("a\n'b'")"},
      {"!!str 12", R"("12")"},
      {"!!int \"12\"", "12"},
      {"1.2.3", R"("1.2.3")"},
      {"12:30", R"("12:30")"},
      {"0777x", R"("0777x")"},
      {"[]", "[]"},
      {"{}", "{}"},
      {"1.0", "1"},
      {"9223372036854775808", "9223372036854775808"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(One(std::string("v: ") + row.in), std::string(R"({"v":)") + row.out + "}") << row.in;
  }
  EXPECT_EQ(One("v: ~\nw:\nx: null\n"), R"({"v":null,"w":null,"x":null})");
}

TEST(Yaml, ReadsDocuments) {
  EXPECT_EQ(One("a:\n- b: 1\n  c: [x, 'y']\n- |\n  l1\n  l2\n- >-\n  f1\n  f2\n"),
            R"({"a":[{"b":1,"c":["x","y"]},"l1\nl2\n","f1 f2"]})");
  EXPECT_EQ(One(R"({"a": {"b": "\u0041\/"}})"), R"({"a":{"b":"A/"}})");
  EXPECT_EQ(One("1: a\ntrue: b\n1.5: c\n"), R"({"1":"a","true":"b","1.5":"c"})");
  Result<std::vector<std::string>> several =
      YamlToJson("# nothing\n---\n---\na: 1\n...\n---\nb: 2\n---\n");
  ASSERT_TRUE(several.ok()) << several.status().message();
  EXPECT_EQ(*several, (std::vector<std::string>{R"({"a":1})", R"({"b":2})"}));
  EXPECT_EQ(YamlToJson("")->size(), 0U);
}

TEST(Yaml, FollowsAliasesAndMerges) {
  EXPECT_EQ(One("a: &x {k: 1}\nb: *x\n"), R"({"a":{"k":1},"b":{"k":1}})");
  EXPECT_EQ(One("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n"),
            R"({"a":{"k":1,"l":2},"b":{"k":3,"l":2}})");
  EXPECT_EQ(One("b:\n  <<: [{k: 1}, {k: 2, l: 2}]\n"), R"({"b":{"k":1,"l":2}})");
  EXPECT_EQ(One("a: *x\n"), "error converting YAML to JSON: yaml: unknown anchor 'x' referenced");
  EXPECT_EQ(One("a: &x [*x]\n"),
            "error converting YAML to JSON: yaml: anchor 'x' value contains itself");
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    std::string name = "a" + std::to_string(i);
    std::string below = "*a" + std::to_string(i - 1);
    bomb += name + ": &" + name + " [" + below;
    for (int j = 0; j < 8; ++j)
      bomb += "," + below;
    bomb += "]\n";
  }
  EXPECT_EQ(One(bomb), "error converting YAML to JSON: yaml: document contains excessive aliasing");
}

TEST(Yaml, SaysWhatIsWrong) {
  struct {
    const char* in;
    const char* problem;
  } rows[] = {
      {"a: b: c\n", "mapping values are not allowed in this context"},
      {"x: 1\na: b: c\n", "line 2: mapping values are not allowed in this context"},
      {"a:\n\tb: 1\n", "line 2: found character that cannot start any token"},
      {"a: @x\n", "found character that cannot start any token"},
      {"a: 1\n b: 2\n", "line 2: mapping values are not allowed in this context"},
      {"a: 1\na: 2\n", "unmarshal errors:\n  line 2: key \"a\" already set in map"},
      {"a: \"x\n", "found unexpected end of stream"},
      {"<<: 1\n", "map merge requires map or sequence of maps as the value"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(One(row.in), std::string("error converting YAML to JSON: yaml: ") + row.problem)
        << row.in;
  }
  EXPECT_EQ(One("a: .nan\n"), "error converting YAML to JSON: json: unsupported value: NaN");
  EXPECT_FALSE(YamlToJson("? [a]\n: b\n").ok());
  EXPECT_FALSE(YamlToJson(std::string(100'000, '[')).ok());
  EXPECT_FALSE(YamlToJson("a: [1, 2\n").ok());
}

TEST(Yaml, WritesAsKubectlShowsIt) {
  Result<JsonValue> value = JsonValue::Parse(R"({
    "kind":"ConfigMap","apiVersion":"v1",
    "data":{"a10":"x","a2":"y","n":"1","t":"true","e":"","y":"yes","multi":"l1\nl2\n","strip":"l1\nl2",
            "quote":"it's: ok","time":"2024-01-01T00:00:00Z","plain":"it's","tab":"a\tb","hash":"a #b","dash":"- x",
            "star":"*x","lead":" x","keep":"a\n\n","space":"a \nb","base60":"12:30:45"},
    "list":["a",{"b":1,"c":[1,2]},[3,[]],{}],
    "n":null,"f":1.5,"big":123456789,"exp":12345678.5})");
  ASSERT_TRUE(value.ok()) << value.status().message();
  EXPECT_EQ(JsonToYaml(*value),
            "apiVersion: v1\n"
            "big: 123456789\n"
            "data:\n"
            "  a2: \"y\"\n"
            "  a10: x\n"
            "  base60: \"12:30:45\"\n"
            "  dash: '- x'\n"
            "  e: \"\"\n"
            "  hash: 'a #b'\n"
            "  keep: |+\n"
            "    a\n"
            "\n"
            "  lead: ' x'\n"
            "  multi: |\n"
            "    l1\n"
            "    l2\n"
            "  \"n\": \"1\"\n"
            "  plain: it's\n"
            "  quote: 'it''s: ok'\n"
            "  space: \"a \\nb\"\n"
            "  star: '*x'\n"
            "  strip: |-\n"
            "    l1\n"
            "    l2\n"
            "  t: \"true\"\n"
            "  tab: \"a\\tb\"\n"
            "  time: \"2024-01-01T00:00:00Z\"\n"
            "  \"y\": \"yes\"\n"
            "exp: 1.23456785e+07\n"
            "f: 1.5\n"
            "kind: ConfigMap\n"
            "list:\n"
            "- a\n"
            "- b: 1\n"
            "  c:\n"
            "  - 1\n"
            "  - 2\n"
            "- - 3\n"
            "  - []\n"
            "- {}\n"
            "\"n\": null\n");
}

TEST(Yaml, WhatItWritesItReads) {
  std::mt19937 random(11);
  constexpr std::string_view kAlphabet = "ab:-#'\" \n\t0.,[]{}!&*?|>%@`~\\";
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    size_t length = random() % (i % 10 == 0 ? 200 : 10);
    for (; length > 0; --length)
      text += kAlphabet[random() % kAlphabet.size()];
    JsonValue value;
    value["k"] = JsonValue::Array{text, JsonValue(JsonValue::Object{{text, text}})};
    std::string yaml = JsonToYaml(value);
    Result<std::vector<std::string>> back = YamlToJson(yaml);
    ASSERT_TRUE(back.ok()) << back.status().message() << "\n" << yaml;
    ASSERT_EQ(back->size(), 1U);
    ASSERT_EQ(*JsonValue::Parse((*back)[0]), value) << yaml;
  }
}

}  // namespace
}  // namespace gantry::api
