#include "api/object.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/envelope.h"

namespace gantry::api {
namespace {

using core::v1::ConfigMap;

std::unique_ptr<ConfigMap> Sample() {
  auto map = std::make_unique<ConfigMap>();
  map->mutable_metadata()->set_name("a");
  map->mutable_metadata()->set_namespace_("ns");
  map->mutable_metadata()->set_resource_version("5");
  (*map->mutable_data())["k"] = "v";
  return map;
}

TEST(ObjectTest, AnObjectThatIsWrittenGetsItsRevisionFromTheCommit) {
  auto object = Object::FromMessage(KindOf<ConfigMap>(), Sample());
  EXPECT_EQ(object->revision(), 0);
  EXPECT_EQ(object->Key(), "/registry/configmaps/ns/a");
  const auto stored = object->stored();
  object->Stamp(12);
  EXPECT_EQ(object->stored(), stored);
  EXPECT_EQ(object->meta().resource_version(), "12");
  EXPECT_EQ(object->As<ConfigMap>().metadata().resource_version(), "12");
  EXPECT_EQ(*object->json(),
            R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"ns",)"
            R"("resourceVersion":"12"},"data":{"k":"v"}})");
}

TEST(ObjectTest, StoredBytesCarryNoRevisionAndComeBackWithOne) {
  auto written = Object::FromMessage(KindOf<ConfigMap>(), Sample());
  written->Stamp(12);
  ConfigMap bare;
  ASSERT_TRUE(ParseSealed(*written->stored(), &bare).ok());
  EXPECT_FALSE(bare.metadata().has_resource_version());

  Result<ObjectPtr> read = Object::FromStored(KindOf<ConfigMap>(), written->stored(), 12);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ((*read)->meta().name(), "a");
  EXPECT_EQ((*read)->meta().resource_version(), "12");
  EXPECT_EQ(*(*read)->json(), *written->json());
  EXPECT_EQ((*read)->As<ConfigMap>().data().at("k"), "v");
  EXPECT_EQ((*read)->As<ConfigMap>().metadata().resource_version(), "12");
  ConfigMap wire;
  ASSERT_TRUE(ParseSealed((*read)->WireBytes(), &wire).ok());
  EXPECT_EQ(wire.metadata().resource_version(), "12");
}

TEST(ObjectTest, FromAServerTheRevisionIsThatOfTheMetadata) {
  ObjectPtr object = Object::FromServer(KindOf<ConfigMap>(), Sample());
  EXPECT_EQ(object->revision(), 5);
  ConfigMap bare;
  ASSERT_TRUE(ParseSealed(*object->stored(), &bare).ok());
  EXPECT_FALSE(bare.metadata().has_resource_version());
  EXPECT_EQ(object->As<ConfigMap>().metadata().resource_version(), "5");
  Ref<ConfigMap> ref(object);
  EXPECT_EQ(ref->data().at("k"), "v");
}

TEST(ObjectTest, DamagedBytesAreDataLoss) {
  const auto bytes = std::make_shared<const std::string>("k8s");
  EXPECT_EQ(Object::FromStored(KindOf<ConfigMap>(), bytes, 1).code(), Code::kDataLoss);
  const auto text = std::make_shared<const std::string>("{}");
  EXPECT_EQ(Object::FromStored(KindOf<ConfigMap>(), text, 1).code(), Code::kDataLoss);
}

TEST(ObjectTest, ManyReadersMakeEachFormOnce) {
  auto written = Object::FromMessage(KindOf<ConfigMap>(), Sample());
  written->Stamp(3);
  ObjectPtr object = *Object::FromStored(KindOf<ConfigMap>(), written->stored(), 3);
  std::vector<const google::protobuf::Message*> seen(8);
  std::vector<std::shared_ptr<const std::string>> json(8);
  std::vector<std::thread> readers;
  for (size_t i = 0; i < seen.size(); ++i) {
    readers.emplace_back([&, i] {
      json[i] = object->json();
      seen[i] = &object->message();
    });
  }
  for (std::thread& reader : readers)
    reader.join();
  for (size_t i = 1; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i], seen[0]);
    EXPECT_EQ(json[i], json[0]);
  }
}

}  // namespace
}  // namespace gantry::api
