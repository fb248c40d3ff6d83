#include "api/json_value.h"

#include <gtest/gtest.h>

namespace gantry::api {
namespace {

TEST(JsonValue, RoundTrips) {
  struct {
    const char* in;
    const char* out;
  } rows[] = {
      {"null", "null"},
      {" [ 1 , -2.5 , true , false , \"a\" ] ", R"([1,-2.5,true,false,"a"])"},
      {R"({"b":1,"a":{"c":[]}})", R"({"b":1,"a":{"c":[]}})"},
      {R"({"a":1,"b":2,"a":3})", R"({"a":3,"b":2})"},
      {"9223372036854775807", "9223372036854775807"},
      {"9223372036854775808", "9223372036854775808"},
      {"1e3", "1000"},
      {"1e21", "1e+21"},
      {"1e-7", "1e-7"},
      {"0.000001", "0.000001"},
      {"-0", "0"},
      {"1e-400", "0"},
      {R"("\u0041\n\ud83d\ude00\ud800x\/")", "\"A\\n\xf0\x9f\x98\x80\xef\xbf\xbdx/\""},
      {"\"\xff\"", "\"\xef\xbf\xbd\""},
      {R"("<a>&")", R"("\u003ca\u003e\u0026")"},
      {R"("\u2028")", R"("\u2028")"},
      {R"("\u0001\u007f")", "\"\\u0001\x7f\""},
  };
  for (const auto& row : rows) {
    Result<JsonValue> value = JsonValue::Parse(row.in);
    ASSERT_TRUE(value.ok()) << row.in << ": " << value.status().message();
    EXPECT_EQ(value->ToString(), row.out) << row.in;
    EXPECT_EQ(*JsonValue::Parse(value->ToString()), *value) << row.in;
  }
}

TEST(JsonValue, WordsErrorsAsGoDoes) {
  struct {
    const char* in;
    const char* message;
  } rows[] = {
      {"", "unexpected end of JSON input"},
      {"{", "unexpected end of JSON input"},
      {"\"a", "unexpected end of JSON input"},
      {"{a:1}", "invalid character 'a' looking for beginning of object key string"},
      {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
      {"{\"a\" 1}", "invalid character '1' after object key"},
      {"{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"},
      {"[1 2]", "invalid character '2' after array element"},
      {"[1,]", "invalid character ']' looking for beginning of value"},
      {"tru", "unexpected end of JSON input"},
      {"trux", "invalid character 'x' in literal true (expecting 'e')"},
      {"01", "invalid character '1' after top-level value"},
      {"-x", "invalid character 'x' in numeric literal"},
      {"1.x", "invalid character 'x' after decimal point in numeric literal"},
      {"1ex", "invalid character 'x' in exponent of numeric literal"},
      {"\"\n\"", "invalid character '\\n' in string literal"},
      {"\"\\q\"", "invalid character 'q' in string escape code"},
      {"\"\\u00x0\"", "invalid character 'x' in \\u hexadecimal character escape"},
      {"'a'", "invalid character '\\'' looking for beginning of value"},
      {"1 2", "invalid character '2' after top-level value"},
      {"1e999", "json: cannot unmarshal number 1e999 into Go value of type float64"},
  };
  for (const auto& row : rows) {
    Result<JsonValue> value = JsonValue::Parse(row.in);
    ASSERT_FALSE(value.ok()) << row.in;
    EXPECT_EQ(value.status().message(), row.message) << row.in;
  }
}

TEST(JsonValue, BoundsDepth) {
  EXPECT_TRUE(JsonValue::Parse(std::string(900, '[') + std::string(900, ']')).ok());
  EXPECT_EQ(JsonValue::Parse(std::string(1'000'000, '[')).status().message(), "exceeded max depth");
}

TEST(JsonValue, ReadsManyMembersInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i)
    text += "\"k" + std::to_string(i % 100'000) + "\":" + std::to_string(i) + ",";
  text.back() = '}';
  Result<JsonValue> value = JsonValue::Parse(text);
  ASSERT_TRUE(value.ok());
  ASSERT_EQ(value->as_object().size(), 100'000U);
  EXPECT_EQ(value->as_object()[7].first, "k7");
  EXPECT_EQ(value->as_object()[7].second.as_int(), 100'007);
}

TEST(JsonValue, Edits) {
  JsonValue value;
  value["a"]["b"] = 1;
  value["c"] = "x";
  EXPECT_EQ(value.ToString(), R"({"a":{"b":1},"c":"x"})");
  EXPECT_TRUE(value.Erase("a"));
  EXPECT_FALSE(value.Erase("a"));
  EXPECT_EQ(value.Find("a"), nullptr);
  EXPECT_EQ(*JsonValue::Parse(R"({"a":1,"b":[1.0]})"), *JsonValue::Parse(R"({"b":[1],"a":1.0})"));
  EXPECT_FALSE(*JsonValue::Parse("[1,2]") == *JsonValue::Parse("[2,1]"));
}

}  // namespace
}  // namespace gantry::api
