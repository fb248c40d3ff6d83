#include "api/envelope.h"

#include <gtest/gtest.h>

#include "api/apps/v1/deployment.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/kinds.h"

namespace gantry::api {
namespace {

core::v1::ConfigMap Sample() {
  core::v1::ConfigMap map;
  map.mutable_metadata()->set_name("a");
  (*map.mutable_data())["k"] = "v";
  return map;
}

TEST(EnvelopeTest, BytesAreThoseOfAKubernetesEtcd) {
  const std::string sealed = Seal(KindOf<core::v1::ConfigMap>(), Sample());
  const std::string expected(
      "k8s\0"
      "\n\x0f\n\x02v1\x12\x09"
      "ConfigMap"
      "\x12\x0d"
      "\n\x03\n\x01"
      "a"
      "\x12\x06\n\x01k\x12\x01v"
      "\x1a\0"
      "\"\0",
      4 + 17 + 15 + 4);
  EXPECT_EQ(sealed, expected);
}

TEST(EnvelopeTest, RevisionIsMergedWithoutDecoding) {
  const std::string sealed = Seal(KindOf<core::v1::ConfigMap>(), Sample());
  core::v1::ConfigMap back;
  ASSERT_TRUE(ParseSealed(SealedWithRevision(sealed, 1234567890123), &back).ok());
  EXPECT_EQ(back.metadata().resource_version(), "1234567890123");
  EXPECT_EQ(back.metadata().name(), "a");
  EXPECT_EQ(back.data().at("k"), "v");
}

TEST(EnvelopeTest, EqualObjectsGiveEqualBytes) {
  core::v1::ConfigMap a, b;
  for (int i = 0; i < 50; ++i)
    (*a.mutable_data())[std::to_string(i)] = "x";
  for (int i = 49; i >= 0; --i)
    (*b.mutable_data())[std::to_string(i)] = "x";
  EXPECT_EQ(Seal(KindOf<core::v1::ConfigMap>(), a), Seal(KindOf<core::v1::ConfigMap>(), b));
}

TEST(EnvelopeTest, AnyDamageIsAnErrorOrAnotherObjectButNeverACrash) {
  const std::string sealed = Seal(KindOf<core::v1::ConfigMap>(), Sample());
  for (size_t length = 0; length < sealed.size() - 4; ++length) {
    // Cut between two fields it is the envelope of an empty message.
    const bool between_fields = length == 4 || length == 21;
    core::v1::ConfigMap out;
    EXPECT_EQ(ParseSealed(std::string_view(sealed).substr(0, length), &out).ok(), between_fields)
        << length;
  }
  for (size_t i = 0; i < sealed.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = sealed;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      core::v1::ConfigMap out;
      (void)ParseSealedInput(damaged, &out);
    }
  }
  EXPECT_FALSE(OpenEnvelope("{}").ok());
  EXPECT_FALSE(OpenEnvelope("").ok());
  // A length that says more than there is.
  EXPECT_FALSE(OpenEnvelope(std::string("k8s\0\x12\xff\xff\xff\xff\x0f", 10)).ok());
}

TEST(EnvelopeTest, UnknownFieldsOfClientsAreDropped) {
  std::string raw;
  Sample().SerializeToString(&raw);
  raw += std::string("\xfa\x3e\x03xyz", 6);  // field 1007
  core::v1::ConfigMap known;
  known.ParseFromString(raw);
  const std::string sealed = Seal(KindOf<core::v1::ConfigMap>(), known);
  core::v1::ConfigMap out;
  ASSERT_TRUE(ParseSealedInput(sealed, &out).ok());
  EXPECT_EQ(Seal(KindOf<core::v1::ConfigMap>(), out),
            Seal(KindOf<core::v1::ConfigMap>(), Sample()));
}

}  // namespace
}  // namespace gantry::api
