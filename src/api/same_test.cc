#include "api/same.h"

#include <gtest/gtest.h>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/testing/from_yaml.h"

namespace gantry::api {
namespace {

using core::v1::ConfigMap;

ConfigMap Filled(int from, int to, int step) {
  ConfigMap map;
  for (int i = from; i != to; i += step)
    (*map.mutable_data())["key-" + std::to_string(i)] = std::to_string(i % 7);
  return map;
}

TEST(Same, TheOrderInWhichAMapWasFilledDoesNotMatter) {
  const ConfigMap up = Filled(0, 200, 1), down = Filled(199, -1, -1);
  EXPECT_TRUE(Same(up, down));
  EXPECT_EQ(CanonicalBytes(up), CanonicalBytes(down));
  ConfigMap other = down;
  (*other.mutable_data())["key-7"] = "x";  // the same size
  EXPECT_FALSE(Same(up, other));
  other.mutable_data()->erase("key-7");
  EXPECT_FALSE(Same(up, other));
}

TEST(Same, WhatIsHeldByValueIsTheSameUnsetAndEmpty) {
  const struct {
    const char* a;
    const char* b;
    bool same;
  } rows[] = {
      {"{}", "{metadata: {}}", true},
      {"{}", "{metadata: {creationTimestamp: null}, spec: {hostNetwork: false}}", true},
      {"{spec: {containers: [{name: c}]}}",
       "{spec: {containers: [{name: c, resources: {}, image: '', stdin: false}]}}", true},
      {"{spec: {containers: [{name: c}]}}",
       "{spec: {containers: [{name: c, resources: {limits: {}}}]}}", true},
      {"{spec: {containers: [{name: c}]}}",
       "{spec: {containers: [{name: c, resources: {limits: {cpu: 1}}}]}}", false},
      {"{spec: {}}", "{spec: {securityContext: {}}}", false},
      {"{spec: {}}", "{spec: {priority: 0}}", false},
      {"{spec: {volumes: [{name: v}]}}", "{spec: {volumes: [{name: v, emptyDir: {}}]}}", false},
  };
  for (const auto& row : rows) {
    const auto a = testing::FromYaml<core::v1::PodTemplateSpec>(row.a);
    const auto b = testing::FromYaml<core::v1::PodTemplateSpec>(row.b);
    EXPECT_EQ(Same(a, b), row.same) << row.b;
    EXPECT_EQ(CanonicalBytes(a) == CanonicalBytes(b), row.same) << row.b;
  }
}

TEST(Same, MapsAndLists) {
  EXPECT_TRUE(SameMap(Filled(0, 9, 1).data(), Filled(8, -1, -1).data()));
  EXPECT_FALSE(SameMap(Filled(0, 9, 1).data(), Filled(0, 8, 1).data()));
  const std::vector<ConfigMap> list = {Filled(0, 3, 1), Filled(0, 4, 1)};
  EXPECT_TRUE(SameList(list, std::vector<ConfigMap>(list)));
  EXPECT_FALSE(SameList(list, std::vector<ConfigMap>{list[1], list[0]}));
}

}  // namespace
}  // namespace gantry::api
