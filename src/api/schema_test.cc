#include "api/schema.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <thread>

#include "api/apps/v1/deployment.pb.h"
#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/source.pb.h"
#include "api/testing/all_types.h"

namespace gantry::api {
namespace {

using ::testing::ElementsAre;

const FieldSchema& Field(const google::protobuf::Descriptor* type, std::string_view name) {
  const FieldSchema* field = SchemaOf(type).Find(name);
  EXPECT_NE(field, nullptr) << name;
  return *field;
}

TEST(SchemaTest, FieldsOfInlinedMessagesBelongToTheObject) {
  const MessageSchema& schema = SchemaOf(core::v1::ConfigMapKeySelector::descriptor());
  std::vector<std::string_view> names;
  for (const FieldSchema& field : schema.fields())
    names.push_back(field.name);
  EXPECT_THAT(names, ElementsAre("name", "key", "optional"));
  EXPECT_THAT(Field(core::v1::ConfigMapKeySelector::descriptor(), "name").parents,
              ElementsAre(core::v1::ConfigMapKeySelector::descriptor()->FindFieldByName(
                  "local_object_reference")));
  EXPECT_EQ(schema.Find("localObjectReference"), nullptr);
  EXPECT_EQ(schema.Find("Name"), nullptr);
}

TEST(SchemaTest, MergeFacts) {
  const FieldSchema& ports = Field(core::v1::Container::descriptor(), "ports");
  EXPECT_EQ(ports.list_type, ListType::kMap);
  EXPECT_THAT(ports.keys, ElementsAre("containerPort", "protocol"));
  EXPECT_EQ(ports.merge_key, "containerPort");
  EXPECT_TRUE(ports.patch_merge);
  const FieldSchema& volumes = Field(core::v1::PodSpec::descriptor(), "volumes");
  EXPECT_TRUE(volumes.patch_merge && volumes.patch_retain_keys);
  EXPECT_TRUE(Field(core::v1::Container::descriptor(), "command").atomic);
  EXPECT_TRUE(Field(core::v1::PodSpec::descriptor(), "nodeSelector").atomic);
  EXPECT_TRUE(Field(apps::v1::DeploymentSpec::descriptor(), "selector").atomic);
  EXPECT_FALSE(Field(apps::v1::DeploymentSpec::descriptor(), "template").atomic);
  // Declared granular here, though the type is atomic elsewhere.
  EXPECT_FALSE(Field(core::v1::PersistentVolumeSpec::descriptor(), "claimRef").atomic);
}

TEST(SchemaTest, Names) {
  const MessageSchema& pod = SchemaOf(core::v1::Pod::descriptor());
  EXPECT_EQ(pod.k8s_name(), "k8s.io.api.core.v1.Pod");
  EXPECT_EQ(pod.openapi_name(), "io.k8s.api.core.v1.Pod");
  EXPECT_EQ(SchemaOf(meta::v1::ObjectMeta::descriptor()).openapi_name(),
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  EXPECT_EQ(Field(core::v1::Container::descriptor(), "ports").go_type, "[]v1.ContainerPort");
  EXPECT_EQ(Field(core::v1::ContainerPort::descriptor(), "protocol").go_type, "v1.Protocol");
  EXPECT_EQ(Field(core::v1::PodSpec::descriptor(), "overhead").go_type, "v1.ResourceList");
  EXPECT_THAT(Field(core::v1::ContainerPort::descriptor(), "protocol").enum_values,
              ElementsAre("TCP", "UDP", "SCTP"));
}

TEST(SchemaTest, EveryMessageAndFieldIsExplained) {
  for (const auto* type : testing::AllTypes()) {
    const MessageSchema& schema = SchemaOf(type);
    EXPECT_FALSE(DocOf(type).empty()) << type->full_name();
    if (schema.form() != JsonForm::kObject) continue;
    for (const FieldSchema& field : schema.fields())
      EXPECT_FALSE(DocOf(field.descriptor).empty()) << field.descriptor->full_name();
  }
  EXPECT_EQ(DocOf(core::v1::PodSpec::descriptor()->FindFieldByName("restart_policy")),
            "Always, OnFailure or Never. Default Always.");
}

TEST(SchemaTest, ManyThreadsSeeOneSchema) {
  std::vector<const MessageSchema*> seen(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < seen.size(); ++i)
    threads.emplace_back([&seen, i] { seen[i] = &SchemaOf(core::v1::PodList::descriptor()); });
  for (std::thread& thread : threads)
    thread.join();
  for (const MessageSchema* schema : seen)
    EXPECT_EQ(schema, seen[0]);
}

}  // namespace
}  // namespace gantry::api
