// What apply, create and delete read and send.
#include <gtest/gtest.h>

#include "api/json_value.h"
#include "cli/client/create_objects.h"
#include "cli/client/dry_run.h"
#include "cli/client/failure.h"
#include "cli/client/field_owners.h"
#include "cli/client/fields.h"

namespace gantry::cli {
namespace {

using api::JsonValue;

TEST(FieldOwners, AClientSideApplyBecomesOurs) {
  const JsonValue object = *JsonValue::Parse(
      R"({"metadata":{"resourceVersion":"7","managedFields":[
        {"manager":"kubectl-client-side-apply","operation":"Update","fieldsV1":{"f:data":{"f:a":{}}}},
        {"manager":"gantry","operation":"Apply","fieldsV1":{"f:data":{"f:b":{}}}},
        {"manager":"kubelet","operation":"Update","subresource":"status","fieldsV1":{"f:status":{}}}]}})");
  const auto patch = TakeOverPatch(object, "gantry");
  ASSERT_TRUE(patch.has_value());
  EXPECT_EQ(*patch, *JsonValue::Parse(
                        R"([{"op":"replace","path":"/metadata/managedFields","value":[
            {"manager":"kubelet","operation":"Update","subresource":"status","fieldsV1":{"f:status":{}}},
            {"manager":"gantry","operation":"Apply","fieldsV1":{"f:data":{"f:a":{},"f:b":{}}}}]},
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}])"));
  EXPECT_FALSE(TakeOverPatch(*JsonValue::Parse(R"({"metadata":{}})"), "gantry").has_value());
}

TEST(CreateObjects, MakesWhatTheLineSays) {
  struct Row {
    const char *words, *want;
  };
  const Row rows[] = {
      {"configmap a",
       R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v=1"}})"},
      {"cm a",
       R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v=1"}})"},
      {"secret generic a",
       R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"k":"dj0x"}})"},
      {"namespace a", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}})"},
      {"sa a", R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"}})"},
  };
  CreateFlags flags;
  flags.literals = {"k=v=1"};
  for (const Row& row : rows) {
    const Result<JsonValue> object = ObjectOfWords(SplitText(row.words, ' '), flags);
    ASSERT_TRUE(object.ok()) << row.words;
    EXPECT_EQ(*object, *JsonValue::Parse(row.want)) << object->ToString();
  }
  EXPECT_FALSE(ObjectOfWords({"pod", "a"}, flags).ok());
  EXPECT_FALSE(ObjectOfWords({"configmap"}, flags).ok());
  EXPECT_FALSE(ObjectOfWords({"secret", "a"}, flags).ok());
}

TEST(DryRun, ReadsItsValues) {
  struct Row {
    const char *given, *mark;
  };
  const Row rows[] = {{"", ""},
                      {"none", ""},
                      {"unchanged", " (dry run)"},
                      {"client", " (dry run)"},
                      {"server", " (server dry run)"}};
  for (const Row& row : rows) {
    std::string value = row.given;
    EXPECT_TRUE(CheckDryRun(&value).ok());
    EXPECT_STREQ(DryRunMark(value), row.mark);
  }
  std::string odd = "odd";
  EXPECT_EQ(CheckDryRun(&odd).message(),
            "error: Invalid dry-run value (odd). Must be \"none\", \"server\", or \"client\".");
}

TEST(Failure, SaysFromWhereAndWhat) {
  const Status refused = ServerError(Status(Code::kBadRequest, "unknown field \"x\""));
  EXPECT_EQ(
      WithSource(refused, "creating", "web.yaml").message(),
      "Error from server (BadRequest): error when creating \"web.yaml\": unknown field \"x\"");
  EXPECT_EQ(
      ListError(refused, "/v1, Resource=pods", "a=b", "").message(),
      "Error from server (BadRequest): Unable to find \"/v1, Resource=pods\" that match label "
      "selector \"a=b\", field selector \"\": unknown field \"x\"");
  const Status taken = ServerError(Status(Code::kConflict, "changed"));
  EXPECT_EQ(ListError(taken, "/v1, Resource=pods", "a=b", "").message(), taken.message());
}

}  // namespace
}  // namespace gantry::cli
