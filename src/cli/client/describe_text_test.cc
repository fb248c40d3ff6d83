#include "cli/client/describe_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/duration.h"

namespace gantry::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Describe, ShowsAPodInKubectlsLayout) {
  const auto pod = api::JsonValue::Parse(
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","labels":{"b":"2","a":"1"}},
    "spec":{"nodeName":"vm","serviceAccountName":"default","containers":[{"name":"main","image":"app:1","ports":[{"containerPort":80,"protocol":"TCP"}]}]},
    "status":{"phase":"Running","hostIP":"10.0.0.1","qosClass":"BestEffort","conditions":[{"type":"Ready","status":"True"}],
      "containerStatuses":[{"name":"main","ready":true,"restartCount":2,"state":{"running":{"startedAt":"2026-01-02T03:04:05Z"}}}]}})");
  const auto event = api::JsonValue::Parse(
      R"({"type":"Normal","reason":"Started","message":"Started container main",
    "source":{"component":"kubelet"},"lastTimestamp":"2026-01-02T03:04:05Z"})");
  Described what;
  what.object = *pod;
  what.events = {*event};
  what.now = *api::ParseTime("2026-01-02T03:05:05Z");
  const std::string text = DescribeObject(what);
  EXPECT_THAT(text, HasSubstr("Name:             web\n"));
  EXPECT_THAT(text, HasSubstr("Labels:           a=1\n                  b=2\n"));
  EXPECT_THAT(text, HasSubstr("Node:             vm/10.0.0.1\n"));
  EXPECT_THAT(text, HasSubstr("    Port:           80/TCP\n"));
  EXPECT_THAT(text, HasSubstr("      Started:      Fri, 02 Jan 2026 03:04:05 +0000\n"));
  EXPECT_THAT(text, HasSubstr("    Restart Count:  2\n"));
  EXPECT_THAT(text, HasSubstr("  Normal  Started  60s   kubelet  Started container main\n"));
}

TEST(Describe, ShowsANetworkPolicyInKubectlsLayout) {
  Described what;
  what.object = *api::JsonValue::Parse(
      R"({"kind":"NetworkPolicy","metadata":{"name":"full","namespace":"default","creationTimestamp":"2026-11-30T16:44:08Z"},
    "spec":{"podSelector":{"matchLabels":{"role":"db"}},"policyTypes":["Ingress","Egress"],
      "ingress":[{"from":[{"ipBlock":{"cidr":"172.17.0.0/16","except":["172.17.1.0/24","172.17.2.0/24"]}},
          {"namespaceSelector":{"matchLabels":{"project":"my"}},"podSelector":{}}],
        "ports":[{"protocol":"UDP","port":"dns"},{"protocol":"TCP","port":8000,"endPort":9000},{"protocol":"SCTP"}]},{}]}})");
  EXPECT_EQ(DescribeObject(what),
            "Name:         full\n"
            "Namespace:    default\n"
            "Created on:   2026-11-30 16:44:08 +0000 UTC\n"
            "Labels:       <none>\n"
            "Annotations:  <none>\n"
            "Spec:\n"
            "  PodSelector:     role=db\n"
            "  Allowing ingress traffic:\n"
            "    To Port: dns/UDP\n"
            "    To Port Range: 8000-9000/TCP\n"
            "    To Port: <nil>/SCTP\n"
            "    From:\n"
            "      IPBlock:\n"
            "        CIDR: 172.17.0.0/16\n"
            "        Except: 172.17.1.0/24, 172.17.2.0/24\n"
            "    From:\n"
            "      NamespaceSelector: project=my\n"
            "      PodSelector: <none>\n"
            "    ----------\n"
            "    To Port: <any> (traffic allowed to all ports)\n"
            "    From: <any> (traffic not restricted by source)\n"
            "  Allowing egress traffic:\n"
            "    <none> (Selected pods are isolated for egress connectivity)\n"
            "  Policy Types: Ingress, Egress\n");
}

TEST(Describe, DoesNotShowSecrets) {
  const auto secret = api::JsonValue::Parse(
      R"({"kind":"Secret","metadata":{"name":"s","namespace":"default"},"data":{"key":"c2VjcmV0"}})");
  Described what;
  what.object = *secret;
  const std::string text = DescribeObject(what);
  EXPECT_THAT(text, HasSubstr("6 bytes"));
  EXPECT_THAT(text, Not(HasSubstr("c2VjcmV0")));
}

TEST(Describe, ShowsWhatBelongsToAnObject) {
  struct Row {
    const char *object, *name, *related, *want;
  };
  const Row rows[] = {
      {R"({"kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":8080}]}})",
       "slices",
       R"([{"ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true}},
           {"addresses":["10.0.0.2"],"conditions":{"ready":false}}]}])",
       "Port:              http  80/TCP\nTargetPort:        8080/TCP\n"
       "Endpoints:         10.0.0.1:8080\n"},
      {R"({"kind":"Node","metadata":{"name":"vm"},"status":{"allocatable":{"cpu":"2"}}})", "pods",
       R"([{"metadata":{"name":"p","namespace":"default"},"spec":{"containers":[{"resources":{"requests":{"cpu":"500m"}}}]}}])",
       "  cpu                500m (25%)  0 (0%)\n"},
      {R"({"kind":"ReplicaSet","metadata":{"name":"web","uid":"u"},"spec":{"replicas":2},"status":{"replicas":1}})",
       "pods",
       R"([{"metadata":{"ownerReferences":[{"controller":true,"uid":"u"}]},"status":{"phase":"Pending"}},
           {"metadata":{},"status":{"phase":"Running"}}])",
       "Replicas:     1 current / 2 desired\n"
       "Pods Status:  0 Running / 1 Waiting / 0 Succeeded / 0 Failed\n"},
      {R"({"kind":"Odd","apiVersion":"example.com/v1","metadata":{"name":"a","uid":"u"},"spec":{"podIPs":["x"],"maxSize":3}})",
       "", "[]", "Spec:\n  Max Size:  3\n  Pod I Ps:\n    x\nEvents:  <none>\n"},
  };
  for (const Row& row : rows) {
    Described what;
    what.object = *api::JsonValue::Parse(row.object);
    what.related[row.name] = api::JsonValue::Parse(row.related)->as_array();
    EXPECT_THAT(DescribeObject(what), HasSubstr(row.want));
  }
}

}  // namespace
}  // namespace gantry::cli
