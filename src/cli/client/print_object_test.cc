#include "cli/client/print_object.h"

#include <gtest/gtest.h>

#include "api/json_value.h"
#include "cli/client/sort_by.h"

namespace gantry::cli {
namespace {

using api::JsonValue;

constexpr const char* kList = R"({"kind":"List","items":[
  {"metadata":{"name":"web-10","labels":{"b":"2","a":"1"}},"status":{"ip":"10.0.0.1","n":3},"spec":{"ports":[1,2]}},
  {"metadata":{"name":"web-2","managedFields":[{"manager":"m"}]},"status":{"n":20},"spec":{"cpu":"900m"}},
  {"metadata":{"name":"db"},"spec":{"cpu":"1"}}]})";

std::string Print(const std::string& format, bool no_headers = false) {
  PrintOptions options;
  options.no_headers = no_headers;
  const Result<std::string> text = PrintObject(format, *JsonValue::Parse(kList), options);
  return text.ok() ? *text : text.status().message();
}

TEST(PrintObject, PrintsColumnsOfOnesOwn) {
  EXPECT_EQ(Print("custom-columns=NAME:.metadata.name,IP:.status.ip,PORTS:{.spec.ports[*]}"),
            "NAME     IP         PORTS\n"
            "web-10   10.0.0.1   1,2\n"
            "web-2    <none>     <none>\n"
            "db       <none>     <none>\n");
  EXPECT_EQ(Print("custom-columns=N:metadata.name", true), "web-10\nweb-2\ndb\n");
  EXPECT_EQ(Print("custom-columns=NAME"),
            "error: unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>");
}

TEST(PrintObject, PrintsPaths) {
  EXPECT_EQ(Print("jsonpath={.items[*].metadata.name}"), "web-10 web-2 db");
  EXPECT_EQ(Print("jsonpath={.items[0].metadata.labels}"), R"({"a":"1","b":"2"})");
  EXPECT_EQ(Print("jsonpath-as-json={.items[1].status.n}"), "[\n    20\n]\n");
  EXPECT_EQ(Print("jsonpath={.items["),
            "error: error parsing jsonpath {.items[, unterminated array");
  EXPECT_EQ(Print("json").find("managedFields"), std::string::npos);
}

TEST(PrintObject, KnowsItsFormats) {
  struct Row {
    const char *format, *want;
  };
  const Row rows[] = {
      {"", ""},
      {"wide", ""},
      {"yaml", ""},
      {"jsonpath={.a}", ""},
      {"jsonpath", "error: template format specified but no template given"},
      {"custom-columns", "error: custom-columns format specified but no custom columns given"},
      {"odd",
       "error: unable to match a printer suitable for the output format \"odd\", allowed formats "
       "are: custom-columns,custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,wide,"
       "yaml"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(CheckFormat(row.format, {"wide"}).message(), row.want);
}

TEST(SortBy, OrdersByWhatValuesMean) {
  struct Row {
    const char *path, *want;
  };
  const Row rows[] = {
      {".metadata.name", "db web-2 web-10"},
      {"{.status.n}", "db web-10 web-2"},
      {"spec.cpu", "web-10 web-2 db"},
      {".nope", "error: couldn't find any field with path \"{.nope}\" in the list of objects"},
  };
  for (const Row& row : rows) {
    JsonValue list = *JsonValue::Parse(kList);
    JsonValue::Array& items = list.Find("items")->as_array();
    const Status status = SortBy(row.path, "", &items);
    std::string text = status.message();
    for (const JsonValue& item : items) {
      if (status.ok())
        text += (text.empty() ? "" : " ") + item.Find("metadata")->Find("name")->as_string();
    }
    EXPECT_EQ(text, row.want);
  }
}

}  // namespace
}  // namespace gantry::cli
