#include "cli/client/jsonpath.h"

#include <gtest/gtest.h>

#include "api/json_value.h"

namespace gantry::cli {
namespace {

constexpr const char* kList = R"({"kind":"List","items":[
  {"metadata":{"name":"a","labels":{"app.kubernetes.io/name":"x"}},"spec":{"image":"one","n":3},"ports":[80,443]},
  {"metadata":{"name":"b"},"spec":{"image":"two","n":5},"conditions":[{"type":"Ready","status":"True"},{"type":"X","status":"False"}]}]})";

std::string Print(const std::string& text) {
  const Result<JsonPath> path = JsonPath::Parse(text);
  if (!path.ok()) return "parse: " + path.status().message();
  const Result<std::string> out = path->Print(*api::JsonValue::Parse(kList));
  return out.ok() ? *out : "print: " + out.status().message();
}

TEST(JsonPath, PrintsWhatKubectlPrints) {
  struct Row {
    const char* text;
    const char* want;
  };
  const Row rows[] = {
      {"{.kind}", "List"},
      {"{$.kind}", "List"},
      {"{ .kind }", "List"},
      {"kind: {.kind}!", "kind: List!"},
      {"{.items[0].metadata.name}", "a"},
      {"{.items[-1].metadata.name}", "b"},
      {"{.items[*].metadata.name}", "a b"},
      {"{.items[0:1].metadata.name}", "a"},
      {"{.items[0,1].metadata.name}", "a b"},
      {"{.items[0]['kind', 'ports']}", "[80,443]"},
      {"{.items[0].ports}", "[80,443]"},
      {"{.items[0].ports[1]}", "443"},
      {"{.items[0].metadata.labels.app\\.kubernetes\\.io/name}", "x"},
      {"{.items[0].metadata.labels['app.kubernetes.io/name']}", "x"},
      {"{.items[?(@.metadata.name==\"b\")].spec.image}", "two"},
      {"{.items[?(@.spec.n>3)].metadata.name}", "b"},
      {"{.items[?(@.spec.n<=3)].metadata.name}", "a"},
      {"{.items[?(@.conditions)].metadata.name}", "b"},
      {"{.items[1].conditions[?(@.type=='Ready')].status}", "True"},
      {"{..image}", "one two"},
      {"{range .items[*]}{.metadata.name}={.spec.image}{\"\\n\"}{end}", "a=one\nb=two\n"},
      {"{range .items[*]}{.metadata.name}{'\\t'}{end}", "a\tb\t"},
      {"{.nothing.here}", ""},
      {"{.items[9]}", "print: array index out of bounds: index 9, length 2"},
      {"{.kind", "parse: unclosed action"},
      {"{end}", "parse: not in range, nothing to end"},
      {"{.items[?(@.a==\"b\"]}", "parse: unterminated filter"},
      {"{\"abc}", "parse: unterminated quoted string"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Print(row.text), row.want) << row.text;
}

}  // namespace
}  // namespace gantry::cli
