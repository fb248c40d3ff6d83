#include "apiserver/patch/patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/deployment.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;

JsonValue Json(std::string_view text) {
  auto value = JsonValue::Parse(text);
  EXPECT_TRUE(value.ok()) << text << ": " << value.status().ToString();
  return value.ok() ? *std::move(value) : JsonValue();
}

struct Case {
  std::string_view before, patch, after;  // `after`: JSON, or the status as text
};

void Check(const Case& c, const Result<JsonValue>& result) {
  if (!result.ok()) {
    EXPECT_EQ(result.status().ToString(), c.after) << c.before << " + " << c.patch;
    return;
  }
  ASSERT_TRUE(c.after.starts_with('{') || c.after.starts_with('['))
      << result->ToString() << " for " << c.after;
  EXPECT_TRUE(*result == Json(c.after))
      << c.before << " + " << c.patch << " = " << result->ToString();
}

constexpr std::string_view kRejected =
    "Invalid: the server rejected our request due to an error in our request";

TEST(JsonPatch, Operations) {
  const Case cases[] = {
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":[1,2]}])", R"({"a":1,"b":[1,2]})"},
      {R"({"a":1})", R"([{"op":"add","path":"/a","value":null}])", R"({"a":null})"},
      {R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/2","value":3}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/3","value":3}])", kRejected},
      {R"({"a":1})", R"([{"op":"add","path":"/x/y","value":3}])", kRejected},
      {R"({"a":[1,2,3]})", R"([{"op":"remove","path":"/a/1"}])", R"({"a":[1,3]})"},
      {R"({"a":[1,2,3]})", R"([{"op":"remove","path":"/a/-1"}])", R"({"a":[1,2]})"},
      {R"({"a":1})", R"([{"op":"remove","path":"/b"}])", kRejected},
      {R"({"a":{"b~/c":1}})", R"([{"op":"replace","path":"/a/b~0~1c","value":2}])",
       R"({"a":{"b~/c":2}})"},
      {R"({"a":1})", R"([{"op":"replace","path":"/b","value":2}])", kRejected},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a"}])",
       R"({})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":2},{"op":"remove","path":"/a"}])",
       kRejected},
      {R"({"a":1})", R"([{"op":"test","path":"/b","value":null}])", R"({"a":1})"},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a/b","path":"/c"}])", R"({"a":{},"c":1})"},
      {R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])",
       R"({"a":{"b":1},"c":{"b":1}})"},
      {R"({"a":1})", R"([{"op":"add","path":"","value":{}}])", kRejected},
      {R"({"a":1})", R"([{"op":"jump","path":"/a"}])", kRejected},
      {R"({"a":1})", R"([{"path":"/a"}])", kRejected},
      {R"({"a":1})", R"([null])", kRejected},
      {R"({"a":1})", R"([])", R"({"a":1})"},
      {R"({"a":1})", R"({"op":"add"})",
       "BadRequest: json: cannot unmarshal object into Go value of type jsonpatch.Patch"},
      {R"({"a":1})", R"([1])",
       "BadRequest: json: cannot unmarshal number into Go value of type jsonpatch.Operation"},
      {R"({"a":1})", R"([)", "BadRequest: unexpected end of JSON input"},
  };
  for (const Case& c : cases)
    Check(c, JsonPatch(Json(c.before), c.patch));
}

TEST(JsonPatch, Limits) {
  std::string patch = "[";
  for (size_t i = 0; i <= kMaxJsonPatchOperations; ++i)
    patch += std::string(i ? "," : "") + R"({"op":"test","path":"/a","value":1})";
  EXPECT_EQ(JsonPatch(Json(R"({"a":1})"), patch + "]").status().ToString(),
            "RequestEntityTooLarge: Request entity too large: The allowed maximum operations in a "
            "JSON patch is 10000, "
            "got 10001");

  // Each copy doubles the document.
  std::string doubling = "[";
  for (int i = 0; i < 40; ++i)
    doubling += std::string(i ? "," : "") + R"({"op":"copy","from":"/a","path":"/a/-"})";
  EXPECT_EQ(JsonPatch(Json(R"({"a":["0123456789"]})"), doubling + "]").code(), Code::kInvalid);
}

TEST(MergePatch, Rfc7386) {
  const Case cases[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
      {R"({"a":1})", R"(["c"])", R"(["c"])"},
  };
  for (const Case& c : cases)
    Check(c, MergePatch(Json(c.before), Json(c.patch)));
}

void CheckStrategic(const google::protobuf::Descriptor* type, std::initializer_list<Case> cases) {
  for (const Case& c : cases)
    Check(c, StrategicMergePatch(type, Json(c.before), Json(c.patch)));
}

TEST(StrategicMerge, Objects) {
  CheckStrategic(
      api::apps::v1::Deployment::descriptor(),
      {
          {R"({"spec":{"replicas":1,"paused":true}})", R"({"spec":{"replicas":2}})",
           R"({"spec":{"replicas":2,"paused":true}})"},
          {R"({"metadata":{"labels":{"a":"1","b":"2"}}})",
           R"({"metadata":{"labels":{"a":null,"c":"3"}}})",
           R"({"metadata":{"labels":{"b":"2","c":"3"}}})"},
          {R"({"metadata":{"name":"x"}})", R"({"metadata":{"labels":{"a":null,"c":"3"}}})",
           R"({"metadata":{"name":"x","labels":{"c":"3"}}})"},
          {R"({"metadata":{"labels":{"a":"1"}}})",
           R"({"metadata":{"labels":{"$patch":"replace","b":"2"}}})",
           R"({"metadata":{"labels":{"b":"2"}}})"},
          {R"({"metadata":{"labels":{"a":"1"}}})", R"({"metadata":{"labels":{"$patch":"delete"}}})",
           R"({"metadata":{"labels":{}}})"},
          {R"({"metadata":{"labels":{"a":"1"}}})", R"({"metadata":{"labels":{"$patch":"jump"}}})",
           ": unknown patch type: jump in map: map[$patch:jump]"},
          {R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})",
           R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})",
           R"({"spec":{"strategy":{"type":"Recreate"}}})"},
          {R"({"spec":{"strategy":{"type":"Recreate"}}})",
           R"({"spec":{"strategy":{"$retainKeys":["x"],"type":"y"}}})",
           "BadRequest: invalid patch format of retainKeys"},
          {R"({"spec":{"strategy":{"type":"Recreate"}}})",
           R"({"spec":{"strategy":{"$retainKeys":1}}})",
           "BadRequest: invalid patch format of retainKeys"},
      });
}

TEST(StrategicMerge, ListsOfObjects) {
  CheckStrategic(
      api::core::v1::Pod::descriptor(),
      {
          {R"({"spec":{"containers":[{"name":"a","image":"i"},{"name":"b","image":"j"}]}})",
           R"({"spec":{"containers":[{"name":"b","image":"k"}]}})",
           R"({"spec":{"containers":[{"name":"a","image":"i"},{"name":"b","image":"k"}]}})"},
          // Nested keys, and what is new comes first.
          {R"({"spec":{"containers":[{"name":"a","env":[{"name":"x","value":"1"},{"name":"y","value":"2"}]}]}})",
           R"({"spec":{"containers":[{"name":"a","env":[{"name":"y","value":"3"},{"name":"z","value":"4"}]}]}})",
           R"({"spec":{"containers":[{"name":"a","env":[{"name":"x","value":"1"},{"name":"y","value":"3"},
              {"name":"z","value":"4"}]}]}})"},
          {R"({"spec":{"containers":[{"name":"a"}]}})",
           R"({"spec":{"containers":[{"name":"b","image":null}]}})",
           R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})"},
          {R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
           R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})",
           R"({"spec":{"containers":[{"name":"b"}]}})"},
          {R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
           R"({"spec":{"containers":[{"name":"c"},{"$patch":"replace"}]}})",
           R"({"spec":{"containers":[{"name":"c"}]}})"},
          {R"({"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}})",
           R"({"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"}],"containers":[{"name":"a","image":"x"}]}})",
           R"({"spec":{"containers":[{"name":"b"},{"name":"c"},{"name":"a","image":"x"}]}})"},
          {R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
           R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}})",
           R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})"},
          {R"({"spec":{}})",
           R"({"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"b"},{"name":"z","$patch":"delete"}]}})",
           R"({"spec":{"containers":[{"name":"b"}]}})"},
          {R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})",
           R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name","configMap"],"configMap":{"name":"c"}}]}})",
           R"({"spec":{"volumes":[{"name":"v","configMap":{"name":"c"}}]}})"},
          // A list without a merge key is replaced as a whole.
          {R"({"spec":{"tolerations":[{"key":"a"}]}})", R"({"spec":{"tolerations":[{"key":"b"}]}})",
           R"({"spec":{"tolerations":[{"key":"b"}]}})"},
          {R"({"spec":{"containers":[{"name":"a"}]}})",
           R"({"spec":{"containers":[{"image":"i"}]}})",
           ": map: map[image:i] does not contain declared merge key: name"},
          {R"({"spec":{"containers":[{"name":"a"}]}})",
           R"({"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"a","image":"x"}]}})",
           ": The order in patch list:\n[map[image:x name:a]]\n doesn't match $setElementOrder "
           "list:\n"
           "[map[name:b]]\n"},
          {R"({"spec":{"containers":[{"name":"a"}]}})", R"({"spec":{"$setElementOrder":[]}})",
           "BadRequest: invalid patch format of setElementOrder list"},
          {R"({"spec":{"containers":[{"name":"a"}]}})", R"({"spec":{"containers":[[1]]}})",
           "Invalid: lists of lists are not supported"},
      });
}

TEST(StrategicMerge, MergeKeyMayBeANumber) {
  CheckStrategic(api::core::v1::Service::descriptor(),
                 {{R"({"spec":{"ports":[{"port":80,"name":"a"},{"port":81}]}})",
                   R"({"spec":{"ports":[{"port":80,"nodePort":30080}]}})",
                   R"({"spec":{"ports":[{"port":80,"name":"a","nodePort":30080},{"port":81}]}})"}});
}

TEST(StrategicMerge, ListsOfScalars) {
  CheckStrategic(
      api::core::v1::Pod::descriptor(),
      {
          {R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"finalizers":["b","c"]}})",
           R"({"metadata":{"finalizers":["a","b","c"]}})"},
          {R"({"metadata":{"finalizers":["a","b","c"]}})",
           R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["b"]}})",
           R"({"metadata":{"finalizers":["a","c"]}})"},
          {R"({"metadata":{}})", R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["b"]}})",
           R"({"metadata":{}})"},
          {R"({"metadata":{"finalizers":["a","b","c"]}})",
           R"({"metadata":{"$setElementOrder/finalizers":["c","a"],"$deleteFromPrimitiveList/finalizers":["b"]}})",
           R"({"metadata":{"finalizers":["c","a"]}})"},
          {R"({"metadata":{"finalizers":["a"]}})",
           R"({"metadata":{"$deleteFromPrimitiveList":["b"]}})",
           "BadRequest: invalid patch format of primitive list"},
          {R"({"spec":{"containers":[{"name":"a","args":["1","2"]}]}})",
           R"({"spec":{"containers":[{"name":"a","args":["3"]}]}})",
           R"({"spec":{"containers":[{"name":"a","args":["3"]}]}})"},
      });
}

TEST(StrategicMerge, UnknownFieldsAndWrongTypes) {
  CheckStrategic(api::core::v1::Pod::descriptor(),
                 {
                     {R"({"x":{"y":[1]}})", R"({"x":{"y":[2],"z":null}})", R"({"x":{"y":[2]}})"},
                     {R"({"spec":{"containers":[]}})", R"({"spec":"x"})", R"({"spec":"x"})"},
                     {R"({"spec":"x"})", R"({"spec":{"nodeName":"n","a":null}})",
                      R"({"spec":{"nodeName":"n"}})"},
                 });
  EXPECT_EQ(StrategicMergePatch(api::core::v1::Pod::descriptor(), Json("{}"), Json("[]")).code(),
            Code::kBadRequest);
}

}  // namespace
}  // namespace gantry::apiserver
