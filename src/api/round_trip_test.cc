// Every message with every field filled: JSON to proto to JSON, and the binary envelope.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <memory>

#include "api/envelope.h"
#include "api/json.h"
#include "api/json_value.h"
#include "api/kinds.h"
#include "api/schema.h"
#include "api/testing/all_types.h"
#include "api/testing/fill.h"

namespace gantry::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::Message;

std::unique_ptr<Message> New(const Descriptor* type) {
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

std::string Json(const Message& message) {
  std::string out;
  WriteJson(message, &out);
  return out;
}

// Types that hold themselves are filled to a depth, below which zero values appear that reading
// then sets.
bool HoldsItself(const Descriptor* type) {
  return type->full_name().find("apiextensions") != std::string::npos;
}

TEST(RoundTripTest, JsonOfEveryMessageComesBackTheSame) {
  for (const Descriptor* type : testing::AllTypes()) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(type->full_name() + " with seed " + std::to_string(seed));
      auto message = New(type);
      testing::FillMessage(message.get(), seed);
      const std::string json = Json(*message);
      ASSERT_TRUE(JsonValue::Parse(json).ok()) << json;
      auto back = New(type);
      JsonIssues issues;
      const Status status = ReadJson(json, back.get(), &issues);
      ASSERT_TRUE(status.ok()) << status.ToString() << "\n" << json;
      EXPECT_TRUE(issues.messages.empty()) << issues.messages.front();
      EXPECT_EQ(Json(*back), json);
      if (HoldsItself(type)) continue;
      if (type->full_name() == "gantry.api.runtime.Unknown")
        continue;  // its JSON is its raw field alone
      google::protobuf::util::MessageDifferencer differencer;
      std::string difference;
      differencer.ReportDifferencesToString(&difference);
      EXPECT_TRUE(differencer.Compare(*message, *back)) << difference;
    }
  }
}

TEST(RoundTripTest, EnvelopeOfEveryMessageComesBackTheSame) {
  KindInfo kind;
  kind.group = "apps";
  kind.version = "v1";
  for (const Descriptor* type : testing::AllTypes()) {
    SCOPED_TRACE(type->full_name());
    auto message = New(type);
    testing::FillMessage(message.get(), 7);
    kind.kind = type->name();
    const std::string sealed = Seal(kind, *message);
    const Result<Envelope> envelope = OpenEnvelope(sealed);
    ASSERT_TRUE(envelope.ok());
    EXPECT_EQ(envelope->api_version, "apps/v1");
    EXPECT_EQ(envelope->kind, type->name());
    auto back = New(type);
    ASSERT_TRUE(ParseSealedInput(sealed, back.get()).ok());
    EXPECT_EQ(Seal(kind, *back), sealed);
    EXPECT_EQ(Json(*back), Json(*message));
  }
}

TEST(RoundTripTest, EveryKindIsAnObjectInJson) {
  for (const KindInfo& kind : AllKinds()) {
    SCOPED_TRACE(kind.kind);
    std::unique_ptr<Message> message(kind.prototype->New());
    testing::FillMessage(message.get(), 3);
    std::string json;
    WriteObjectJson(kind, *message, 42, &json);
    const Result<JsonValue> value = JsonValue::Parse(json);
    ASSERT_TRUE(value.ok()) << json;
    EXPECT_EQ(value->Find("kind")->as_string(), kind.kind);
    EXPECT_EQ(value->Find("apiVersion")->as_string(), kind.ApiVersion());
    if (const JsonValue* metadata = value->Find("metadata"))
      EXPECT_EQ(metadata->Find("resourceVersion")->as_string(), "42");
    std::unique_ptr<Message> back(kind.prototype->New());
    JsonIssues issues;
    EXPECT_TRUE(ReadJson(json, back.get(), &issues).ok());
    EXPECT_TRUE(issues.messages.empty());
  }
}

}  // namespace
}  // namespace gantry::api
