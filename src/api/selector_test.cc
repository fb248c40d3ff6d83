#include "api/selector.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "api/meta/v1/selector.pb.h"

namespace gantry::api {
namespace {

LabelMap Labels(const std::map<std::string, std::string>& pairs) {
  LabelMap labels;
  for (const auto& [key, value] : pairs)
    labels[key] = value;
  return labels;
}

TEST(Selector, ParsesAndPrints) {
  struct {
    const char* in;
    const char* out;
  } rows[] = {
      {"", ""},
      {"x=a", "x=a"},
      {"x==a", "x=a"},
      {"x != a", "x!=a"},
      {"y,x", "x,y"},
      {"!x", "!x"},
      {"! x , y", "!x,y"},
      {"x in (b, a)", "x in (a,b)"},
      {"x in ()", "x in ()"},
      {"x in (a,,b)", "x in (,a,b)"},
      {"x in (,)", "x in ()"},
      {"x notin (in,notin)", "x notin (in,notin)"},
      {"x>1,z<5", "x>1,z<5"},
      {"x=", "x="},
      {"x=,y=1", "x=,y=1"},
      {"in in (in)", "in in (in)"},
      {"kubernetes.io/role=node", "kubernetes.io/role=node"},
      {"  x  ", "x"},
  };
  for (const auto& row : rows) {
    Result<Selector> selector = Selector::Parse(row.in);
    ASSERT_TRUE(selector.ok()) << row.in << ": " << selector.status().message();
    EXPECT_EQ(selector->ToString(), row.out) << row.in;
    Result<Selector> again = Selector::Parse(selector->ToString());
    ASSERT_TRUE(again.ok()) << row.out;
    EXPECT_EQ(*again, *selector) << row.in;
  }
}

TEST(Selector, SaysWhatDoesNotParse) {
  struct {
    const char* in;
    const char* message;
  } rows[] = {
      {"x=a||y=b",
       "unable to parse requirement: values[0][x]: Invalid value: \"a||y\": a valid label must be "
       "an empty string or "
       "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
       "alphanumeric character "
       "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
       "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
      {"x==a==b", "found '==', expected: ',' or 'end of string'"},
      {"!x=a", "found '=', expected: ',' or 'end of string'"},
      {"x<a",
       "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, "
       "the value must be an "
       "integer"},
      {"x in", "unable to parse requirement: found '' expected: '('"},
      {"x in (a", "unable to parse requirement: found '', expected: ',' or ')'"},
      {"x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"},
      {"x,", "found '', expected: identifier after ','"},
      {"(x)", "found '(', expected: !, identifier, or 'end of string'"},
      {"!", "unable to parse requirement: found '', expected: identifier"},
      {"a/b/c=d",
       "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must "
       "consist of alphanumeric "
       "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
       "'MyName',  or "
       "'my.name',  or '123-abc', regex used for validation is "
       "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an "
       "optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"},
  };
  for (const auto& row : rows) {
    Result<Selector> selector = Selector::Parse(row.in);
    ASSERT_FALSE(selector.ok()) << row.in;
    EXPECT_EQ(selector.code(), Code::kBadRequest);
    if (std::string_view(row.in) != "x=a||y=b")
      EXPECT_EQ(selector.status().message(), row.message) << row.in;
  }
}

TEST(Selector, Matches) {
  LabelMap labels = Labels({{"app", "web"}, {"size", "10"}, {"empty", ""}});
  struct {
    const char* selector;
    bool matches;
  } rows[] = {
      {"", true},         {"app=web", true},  {"app=db", false},         {"app!=db", true},
      {"none!=db", true}, {"none=db", false}, {"app in (a,web)", true},  {"none notin (a)", true},
      {"app", true},      {"!app", false},    {"!none", true},           {"size>9", true},
      {"size>10", false}, {"size<11", true},  {"app>1", false},          {"none>1", false},
      {"empty=", true},   {"none=", false},   {"app=web,size=10", true}, {"app=web,size=11", false},
  };
  for (const auto& row : rows)
    EXPECT_EQ(Selector::Parse(row.selector)->Matches(labels), row.matches) << row.selector;
  EXPECT_FALSE(Selector::Nothing().Matches(labels));
  EXPECT_FALSE(Selector::Nothing().empty());
}

TEST(Selector, ComesFromTheStructuredForm) {
  meta::v1::LabelSelector from;
  EXPECT_TRUE(Selector::From(from)->empty());
  (*from.mutable_match_labels())["app"] = "web";
  auto* expression = from.add_match_expressions();
  expression->set_key("tier");
  expression->set_operator_("NotIn");
  expression->add_values("b");
  expression->add_values("a");
  Result<Selector> selector = Selector::From(from);
  ASSERT_TRUE(selector.ok());
  EXPECT_EQ(selector->ToString(), "app=web,tier notin (a,b)");
  EXPECT_EQ(*selector->RequiredValue("app"), "web");
  EXPECT_EQ(selector->RequiredValue("tier"), nullptr);
  expression->set_operator_("Near");
  EXPECT_EQ(Selector::From(from).status().message(),
            "\"Near\" is not a valid label selector operator");
  expression->set_operator_("Exists");
  EXPECT_EQ(Selector::From(from).status().message(),
            "values: Invalid value: [\"b\",\"a\"]: values set must be empty for exists and does "
            "not exist");
}

TEST(Selector, RandomTextNeverBreaksTheParser) {
  std::mt19937 random(3);
  constexpr std::string_view kAlphabet = "ab=!(),<> in/.";
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n)
      text += kAlphabet[random() % kAlphabet.size()];
    Result<Selector> selector = Selector::Parse(text);
    if (!selector.ok()) continue;
    Result<Selector> again = Selector::Parse(selector->ToString());
    ASSERT_TRUE(again.ok()) << text << " -> " << selector->ToString();
    EXPECT_EQ(*again, *selector) << text;
  }
}

TEST(FieldSelector, ParsesMatchesAndPrints) {
  Result<FieldSelector> selector =
      FieldSelector::Parse("spec.nodeName=a\\,b,status.phase!=Running,,metadata.name==x");
  ASSERT_TRUE(selector.ok());
  ASSERT_EQ(selector->requirements().size(), 3U);
  EXPECT_EQ(selector->ToString(), "spec.nodeName=a\\,b,status.phase!=Running,metadata.name=x");
  EXPECT_EQ(*selector->RequiredValue("spec.nodeName"), "a,b");
  EXPECT_EQ(selector->RequiredValue("status.phase"), nullptr);
  std::map<std::string, std::string, std::less<>> fields = {{"spec.nodeName", "a,b"},
                                                            {"metadata.name", "x"}};
  auto value_of = [&](std::string_view field) {
    auto found = fields.find(field);
    return found == fields.end() ? std::string() : found->second;
  };
  EXPECT_TRUE(selector->Matches(value_of));
  fields["status.phase"] = "Running";
  EXPECT_FALSE(selector->Matches(value_of));
  EXPECT_TRUE(FieldSelector::Parse("")->empty());
  EXPECT_EQ(FieldSelector::Parse("a").status().message(),
            "invalid selector: 'a'; can't understand 'a'");
  EXPECT_EQ(FieldSelector::Parse("a=b\\x").status().message(),
            "invalid field selector: invalid escape sequence: \\x");
}

}  // namespace
}  // namespace gantry::api
