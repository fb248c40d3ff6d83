// Every message with every field filled: JSON to proto to JSON, and the binary envelope.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
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

// What stands in the store of an object, filled by chance.
std::string RawBytes(const KindInfo& kind, const Message& message) {
  return std::string(OpenEnvelope(Seal(kind, message))->raw);
}

std::string ObjectJson(const KindInfo& kind, const Message& message) {
  std::string json;
  WriteObjectJson(kind, message, 42, &json);
  return json;
}

TEST(RoundTripTest, StoredBytesGiveTheJsonOfTheMessage) {
  int decoded_only = 0;
  for (const KindInfo& kind : AllKinds()) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(std::string(kind.kind) + " with seed " + std::to_string(seed));
      std::unique_ptr<Message> message(kind.prototype->New());
      testing::FillMessage(message.get(), seed);
      std::string json = "before";
      if (WriteStoredJson(kind, RawBytes(kind, *message), 42, &json)) {
        EXPECT_EQ(json, "before" + ObjectJson(kind, *message));
      } else {
        EXPECT_EQ(json, "before");
        ++decoded_only;
      }
    }
    std::unique_ptr<Message> empty(kind.prototype->New());
    std::string json;
    ASSERT_TRUE(WriteStoredJson(kind, RawBytes(kind, *empty), 42, &json));
    EXPECT_EQ(json, ObjectJson(kind, *empty));
  }
  // Those with schemas, and with lists as values of a map.
  EXPECT_LE(decoded_only, 8 * 3);
}

// Whatever bytes are there, nothing is read beyond them, and what is written is what their message
// holds.
TEST(RoundTripTest, DamagedBytesGiveTheJsonOfTheirMessageOrNone) {
  for (const KindInfo& kind : AllKinds()) {
    std::unique_ptr<Message> message(kind.prototype->New());
    testing::FillMessage(message.get(), 5);
    const std::string whole = RawBytes(kind, *message);
    for (uint32_t round = 0; round < 40; ++round) {
      std::string bytes = whole;
      const size_t at = (round * 2654435761u) % bytes.size();
      if (round % 4 == 0) {
        bytes.resize(at);
      } else {
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << round % 8));
      }
      // In a buffer of its own, so that reading beyond it is found out.
      const std::vector<char> exact(bytes.begin(), bytes.end());
      std::string json;
      if (!WriteStoredJson(kind, {exact.data(), exact.size()}, 42, &json)) continue;
      std::unique_ptr<Message> read(kind.prototype->New());
      if (read->ParseFromString(bytes)) {
        EXPECT_EQ(json, ObjectJson(kind, *read)) << kind.kind << " in round " << round;
      }
    }
  }
}

// A message may be laid out in other ways than ours: such bytes are decoded.
TEST(RoundTripTest, BytesOfAnotherLayoutAreNotTaken) {
  const KindInfo& kind = KindOf<core::v1::Pod>();
  core::v1::Pod head, tail;
  head.mutable_metadata()->set_name("one");
  head.mutable_spec()->add_containers()->set_name("a");
  tail.mutable_metadata()->set_namespace_("two");
  tail.mutable_spec()->add_containers()->set_name("b");
  std::string json;
  EXPECT_FALSE(
      WriteStoredJson(kind, head.SerializeAsString() + tail.SerializeAsString(), 42, &json));
  EXPECT_EQ(json, "");
}

}  // namespace
}  // namespace gantry::api
