#include "node/volumes/payload.h"

#include <gtest/gtest.h>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/security.pb.h"

namespace gantry::node {
namespace {

using api::core::v1::Pod;
using api::core::v1::VolumeSource;

TEST(BuildPayload, NamesWhatIsMissing) {
  ReferencedObjects objects;
  objects.config_maps["there"] = api::Ref<api::core::v1::ConfigMap>::Of({});
  objects.secrets["there"] = api::Ref<api::core::v1::Secret>::Of({});
  Pod pod;
  PayloadInputs inputs;
  inputs.pod = &pod;
  inputs.objects = &objects;
  auto config_map = [&](const char* name, bool item, bool optional) {
    VolumeSource source;
    source.mutable_config_map()->mutable_local_object_reference()->set_name(name);
    source.mutable_config_map()->set_optional(optional);
    if (item) source.mutable_config_map()->add_items()->set_key("k");
    Result<Payload> payload = BuildPayload(source, inputs);
    return payload.ok() ? std::to_string(payload->size()) : payload.status().message();
  };
  auto secret = [&](const char* name, bool item) {
    VolumeSource source;
    source.mutable_secret()->set_secret_name(name);
    if (item) source.mutable_secret()->add_items()->set_key("k");
    return BuildPayload(source, inputs).status().message();
  };
  EXPECT_EQ(config_map("gone", false, false), "configmap \"gone\" not found");
  EXPECT_EQ(config_map("gone", false, true), "0");
  EXPECT_EQ(config_map("there", true, false), "configmap references non-existent config key: k");
  EXPECT_EQ(config_map("there", true, true), "0");
  EXPECT_EQ(secret("gone", false), "secret \"gone\" not found");
  EXPECT_EQ(secret("there", true), "references non-existent secret key: k");
}

TEST(BuildPayload, TokensAreForThePodsOnlyUser) {
  struct Row {
    const char* what;
    std::optional<int64_t> pod_user, first, second, group;
    int mode;
    std::optional<int64_t> owner;
  };
  const Row kRows[] = {
      {"nobody said", {}, {}, {}, {}, 0644, {}}, {"the pod's", 5, {}, {}, {}, 0600, 5},
      {"both the same", {}, 5, 5, {}, 0600, 5},  {"one is the image's", {}, 5, {}, {}, 0644, {}},
      {"two users", 5, 6, {}, {}, 0644, {}},     {"a group", {}, {}, {}, 7, 0600, {}},
  };
  VolumeSource source;
  source.mutable_projected()->add_sources()->mutable_service_account_token()->set_path("token");
  for (const Row& row : kRows) {
    Pod pod;
    auto* context = pod.mutable_spec()->mutable_security_context();
    if (row.pod_user) context->set_run_as_user(*row.pod_user);
    if (row.group) context->set_fs_group(*row.group);
    for (const auto& user : {row.first, row.second}) {
      auto* container = pod.mutable_spec()->add_containers();
      if (user) container->mutable_security_context()->set_run_as_user(*user);
    }
    PayloadInputs inputs;
    inputs.pod = &pod;
    inputs.tokens[{"", 3600}] = "secret";
    Result<Payload> payload = BuildPayload(source, inputs);
    ASSERT_TRUE(payload.ok()) << payload.status().message();
    EXPECT_EQ(payload->at("token").mode, row.mode) << row.what;
    EXPECT_EQ(payload->at("token").user, row.owner) << row.what;
  }
}

}  // namespace
}  // namespace gantry::node
