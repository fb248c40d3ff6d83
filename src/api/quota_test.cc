#include "api/quota.h"

#include <gtest/gtest.h>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/testing/from_yaml.h"

namespace gantry::api {
namespace {

using core::v1::Pod;
using core::v1::ResourceQuotaSpec;
using testing::FromYaml;

std::string Text(const QuotaAmounts& amounts) {
  std::string text;
  for (const auto& [name, amount] : amounts)
    text += (text.empty() ? "" : " ") + name + "=" + amount.ToString();
  return text;
}

std::string PodUsage(const std::string& spec) {
  return Text(QuotaUsage(KindOf<Pod>(), FromYaml<Pod>("{spec: " + spec + "}")));
}

TEST(Quota, PodsCountTheirPeak) {
  EXPECT_EQ(PodUsage("{containers: [{name: c}]}"), "count/pods=1 pods=1");
  EXPECT_EQ(PodUsage("{containers: [{name: c, resources: {requests: {cpu: 100m, example.com/gpu: "
                     "2}, limits: {cpu: 1, memory: 1Gi}}}]}"),
            "count/pods=1 cpu=100m limits.cpu=1 limits.memory=1Gi pods=1 requests.cpu=100m "
            "requests.example.com/gpu=2");
  EXPECT_EQ(PodUsage("{initContainers: [{name: i, resources: {requests: {cpu: 3}}}], containers: "
                     "[{name: c, resources: {requests: {cpu: 1}}}, {name: d, resources: {requests: "
                     "{cpu: 1}}}]}"),
            "count/pods=1 cpu=3 pods=1 requests.cpu=3");
  EXPECT_EQ(PodUsage("{initContainers: [{name: i, restartPolicy: Always, resources: {requests: "
                     "{cpu: 1}}}], containers: [{name: c, resources: {requests: {cpu: 1}}}], "
                     "overhead: {cpu: 500m}}"),
            "count/pods=1 cpu=2500m pods=1 requests.cpu=2500m");
  Pod done = FromYaml<Pod>("{status: {phase: Failed}, spec: {containers: [{name: c}]}}");
  EXPECT_EQ(Text(QuotaUsage(KindOf<Pod>(), done)), "count/pods=1");
}

TEST(Quota, ServicesCountTheirPorts) {
  auto usage = [](const char* spec) {
    return Text(QuotaUsage(KindOf<core::v1::Service>(),
                           FromYaml<core::v1::Service>(std::string("{spec: ") + spec + "}")));
  };
  EXPECT_EQ(usage("{type: ClusterIP, ports: [{port: 1}]}"),
            "count/services=1 services=1 services.loadbalancers=0 services.nodeports=0");
  EXPECT_EQ(usage("{type: LoadBalancer, ports: [{port: 1}, {port: 2}]}"),
            "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2");
}

TEST(Quota, Scopes) {
  struct {
    const char* quota;
    const char* pod;
    bool in;
  } rows[] = {
      {"{}", "{containers: [{name: c}]}", true},
      {"{scopes: [BestEffort]}", "{containers: [{name: c}]}", true},
      {"{scopes: [NotBestEffort]}", "{containers: [{name: c}]}", false},
      {"{scopes: [Terminating]}", "{activeDeadlineSeconds: 5}", true},
      {"{scopes: [Terminating, BestEffort]}", "{containers: [{name: c}]}", false},
      {"{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: "
       "[high]}]}}",
       "{priorityClassName: high}", true},
      {"{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: "
       "[high]}]}}",
       "{priorityClassName: low}", false},
      {"{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Exists}]}}", "{}",
       false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(InQuotaScopes(FromYaml<ResourceQuotaSpec>(row.quota), KindOf<Pod>(),
                            FromYaml<Pod>(std::string("{spec: ") + row.pod + "}")),
              row.in)
        << row.quota << " " << row.pod;
  }
  EXPECT_FALSE(InQuotaScopes(FromYaml<ResourceQuotaSpec>("{scopes: [BestEffort]}"),
                             KindOf<core::v1::Service>(), core::v1::Service()));
}

TEST(Quota, WhatMustBeSaid) {
  Pod pod =
      FromYaml<Pod>("{spec: {containers: [{name: b, resources: {limits: {cpu: 1}}}, {name: a}]}}");
  EXPECT_EQ(MissingForQuota(pod.spec(), {"limits.cpu", "requests.memory", "pods"}),
            "limits.cpu for: a; requests.memory for: a,b");
  EXPECT_EQ(MissingForQuota(pod.spec(), {"pods", "requests.storage"}), "");
}

}  // namespace
}  // namespace gantry::api
