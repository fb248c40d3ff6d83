#include <gtest/gtest.h>

#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "apiserver/registry/registry.h"
#include "apiserver/testing/api_fixture.h"
#include "base/wire/websocket.h"

namespace gantry::apiserver {
namespace {

constexpr const char* kPods = "/api/v1/namespaces/default/pods";

struct Access : ::testing::Test, ApiFixture {
  Access() { MakeDefaultAccount(); }
};

TEST_F(Access, ForbiddenSaysWhoWhatAndWhere) {
  struct Row {
    const char* method;
    const char* target;
    const char* message;
  };
  constexpr Row kRows[] = {
      {"GET", kPods,
       "pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" in the "
       "namespace \"default\""},
      {"GET", "/api/v1/namespaces/default/pods/a/log",
       "pods \"a\" is forbidden: User \"bob\" cannot get resource \"pods/log\" in API group \"\" "
       "in the namespace "
       "\"default\""},
      {"GET", "/apis/apps/v1/deployments",
       "deployments.apps is forbidden: User \"bob\" cannot list resource \"deployments\" in API "
       "group \"apps\" at the "
       "cluster scope"},
      {"DELETE", "/api/v1/nodes/n1",
       "nodes \"n1\" is forbidden: User \"bob\" cannot delete resource \"nodes\" in API group \"\" "
       "at the cluster scope"},
      {"GET", "/metrics", "forbidden: User \"bob\" cannot get path \"/metrics\""},
  };
  As("bob");
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.target);
    Reply reply = Send(row.method, row.target);
    EXPECT_EQ(reply.status, 403);
    EXPECT_EQ(reply.At("message"), row.message);
  }
}

TEST_F(Access, RolesAndBindingsGrant) {
  ASSERT_EQ(
      Post(
          "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
          R"({"metadata":{"name":"r"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}]})")
          .status,
      201);
  ASSERT_EQ(
      Post(
          "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
          R"({"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},)"
          R"("subjects":[{"kind":"User","name":"bob"}]})")
          .status,
      201);
  As("bob");
  EXPECT_EQ(Get(kPods).status, 200);
  EXPECT_EQ(Get("/api/v1/namespaces/kube-system/pods").status, 403);
  EXPECT_EQ(Get("/api").status, 200);
  Reply can = Post(
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      R"({"spec":{"resourceAttributes":{"namespace":"default","verb":"list","resource":"pods"}}})");
  EXPECT_EQ(can.status, 201) << can.body;
  EXPECT_EQ(can.At("status.allowed"), "true");
  Reply grant = Post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
                     R"({"metadata":{"name":"x"}})");
  EXPECT_EQ(grant.status, 403);

  As("");
  ASSERT_EQ(
      Post(
          "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
          R"({"metadata":{"name":"ed"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole",)"
          R"("name":"admin"},"subjects":[{"kind":"User","name":"eve"}]})")
          .status,
      201);
  As("eve");
  EXPECT_EQ(Get("/api/v1/namespaces/default/secrets").status, 200);
  Reply escalation = Post(
      "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
      R"({"metadata":{"name":"x"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["nodes"]}]})");
  EXPECT_EQ(escalation.status, 403);
  EXPECT_EQ(escalation.At("message"),
            "roles.rbac.authorization.k8s.io \"x\" is forbidden: user \"eve\" "
            "(groups=[\"system:authenticated\"]) is "
            "attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], "
            "Resources:[\"nodes\"], "
            "Verbs:[\"get\"]}");
}

TEST_F(Access, WhoIsAsking) {
  As("system:anonymous");
  EXPECT_EQ(Get(kPods).At("message"),
            "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API "
            "group \"\" in the "
            "namespace \"default\"");
  EXPECT_EQ(Get("/readyz").body, "ok");
  EXPECT_EQ(Get("/version").At("major"), "1");
  SetHeader("Authorization", "Bearer secret-token");
  Reply self = Post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
  EXPECT_EQ(self.At("status.userInfo.username"), "token-user") << self.body;
  for (const char* nothing : {"Basic YTpi", "Bearer", "Bearer "}) {
    SetHeader("Authorization", nothing);
    EXPECT_EQ(Get(kPods).status, 403) << nothing;
  }
  SetHeader("Authorization", "Bearer nonsense");
  Reply refused = Get(kPods);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.At("reason"), "Unauthorized");
}

TEST_F(Access, ServiceAccountTokensLiveAsLongAsWhatTheyAreBoundTo) {
  Reply pod = Post(kPods, PodJson("p"));
  ASSERT_EQ(pod.status, 201);
  Reply token = Post("/api/v1/namespaces/default/serviceaccounts/default/token",
                     R"({"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"}}})");
  ASSERT_EQ(token.status, 201) << token.body;
  EXPECT_EQ(token.At("kind"), "TokenRequest");
  EXPECT_EQ(token.At("spec.expirationSeconds"), "3600");
  const std::string secret = token.At("status.token");
  ASSERT_FALSE(secret.empty());
  Reply review = Post("/apis/authentication.k8s.io/v1/tokenreviews",
                      R"({"spec":{"token":")" + secret + R"("}})");
  EXPECT_EQ(review.At("status.authenticated"), "true") << review.body;

  As("system:anonymous");
  SetHeader("Authorization", "Bearer " + secret);
  Reply self = Post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
  EXPECT_EQ(self.At("status.userInfo.username"), "system:serviceaccount:default:default");
  As("");
  ClearHeaders();
  EXPECT_EQ(Delete(std::string(kPods) + "/p").status, 200);
  As("system:anonymous");
  SetHeader("Authorization", "Bearer " + secret);
  EXPECT_EQ(Get("/api").status, 401);
  As("");
  ClearHeaders();
  EXPECT_EQ(Post("/api/v1/namespaces/default/serviceaccounts/default/token",
                 R"({"spec":{"expirationSeconds":1}})")
                .status,
            422);
}

TEST_F(Access, Impersonation) {
  SetHeader("Impersonate-User", "system:serviceaccount:short");
  EXPECT_EQ(Get(kPods).At("message"),
            "pods is forbidden: User \"system:serviceaccount:short\" cannot list resource "
            "\"pods\" in API group \"\" in the namespace \"default\"");
  SetHeader("Impersonate-User", "bob");
  EXPECT_EQ(Get(kPods).status, 403);
  Reply self = Post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
  EXPECT_EQ(self.At("status.userInfo.username"), "bob");
  As("carol");
  EXPECT_EQ(Get(kPods).At("message"),
            "users \"bob\" is forbidden: User \"carol\" cannot impersonate resource \"users\" in "
            "API group \"\" at the "
            "cluster scope");
}

// A token of a secret is good for as long as the secret holds it.
TEST_F(Access, TokensOfSecrets) {
  const std::string home = "/api/v1/namespaces/default";
  const std::string secrets = home + "/secrets";
  ASSERT_EQ(Post(secrets, R"({"metadata":{"name":"s","annotations":)"
                          R"({"kubernetes.io/service-account.name":"default"}},)"
                          R"("type":"kubernetes.io/service-account-token"})")
                .status,
            201);
  Registry& registry = server().registry();
  auto account = registry.Peek<api::core::v1::ServiceAccount>("default", "default");
  auto secret = registry.Peek<api::core::v1::Secret>("default", "s");
  Result<std::string> token = server().IssueSecretToken(*account, *secret);
  ASSERT_TRUE(token.ok()) << token.status().ToString();
  auto who = [&] {
    As("system:anonymous");
    SetHeader("Authorization", "Bearer " + *token);
    Reply self = Post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
    ClearHeaders();
    As("");
    return self.status == 201 ? self.At("status.userInfo.username") : std::to_string(self.status);
  };
  auto review = [&](std::string audiences) {
    return Post("/apis/authentication.k8s.io/v1/tokenreviews",
                R"({"spec":{"token":")" + *token + "\"" + audiences + "}}");
  };
  EXPECT_EQ(who(), "401") << "the secret does not hold it";
  const std::string data = R"({"data":{"token":")" + wire::Base64(*token) + R"("}})";
  ASSERT_EQ(Patch(secrets + "/s", "merge-patch+json", data).status, 200);
  EXPECT_EQ(who(), "system:serviceaccount:default:default");
  EXPECT_EQ(review("").At("status.authenticated"), "true");
  EXPECT_NE(review(R"(,"audiences":["vault"])").At("status.authenticated"), "true");
  env().Advance(std::chrono::hours(24 * 400));
  EXPECT_EQ(who(), "system:serviceaccount:default:default") << "it has no end";

  const std::string label = R"({"metadata":{"labels":{"kubernetes.io/legacy-token-invalid-since":)";
  Patch(secrets + "/s", "merge-patch+json", label + "\"2026-01-01\"}}}");
  EXPECT_EQ(who(), "401");
  Patch(secrets + "/s", "merge-patch+json", label + "null}}}");
  EXPECT_EQ(who(), "system:serviceaccount:default:default");

  ASSERT_EQ(Delete(home + "/serviceaccounts/default").status, 200);
  MakeDefaultAccount();
  EXPECT_EQ(who(), "401") << "another account of that name";
}

TEST_F(Access, NodesReadWhatTheirPodsNeed) {
  for (const char* name : {"mine", "other"}) {
    ASSERT_EQ(Post("/api/v1/namespaces/default/secrets",
                   R"({"metadata":{"name":")" + std::string(name) + R"("}})")
                  .status,
              201);
  }
  ASSERT_EQ(
      Post(kPods,
           PodJson("p",
                   R"("nodeName":"n1","volumes":[{"name":"v","secret":{"secretName":"mine"}}],)"))
          .status,
      201);
  As("system:node:n1", {"system:nodes"});
  EXPECT_EQ(Get("/api/v1/namespaces/default/secrets/mine").status, 200);
  Reply refused = Get("/api/v1/namespaces/default/secrets/other");
  EXPECT_EQ(refused.At("message"),
            "secrets \"other\" is forbidden: User \"system:node:n1\" cannot get resource "
            "\"secrets\" in API group \"\" in "
            "the namespace \"default\": no relationship found between node 'n1' and this object");
  EXPECT_EQ(Get("/api/v1/namespaces/default/secrets").status, 403);
  EXPECT_EQ(Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})").status, 201);
  EXPECT_EQ(Post("/api/v1/nodes", R"({"metadata":{"name":"n2"}})").status, 403);
  EXPECT_EQ(
      Patch("/api/v1/nodes/n1/status", "merge-patch+json", R"({"status":{"phase":""}})").status,
      200);
  EXPECT_EQ(Patch(std::string(kPods) + "/p/status", "merge-patch+json",
                  R"({"status":{"phase":"Running"}})")
                .status,
            200);
  EXPECT_EQ(Delete(std::string(kPods) + "/p", R"({"gracePeriodSeconds":0})").status, 200);
}

TEST_F(Access, PodSecurityLevels) {
  ASSERT_EQ(
      Post(
          "/api/v1/namespaces",
          R"({"metadata":{"name":"safe","labels":{"pod-security.kubernetes.io/enforce":"baseline",)"
          R"("pod-security.kubernetes.io/warn":"restricted"}}})")
          .status,
      201);
  MakeDefaultAccount("safe");
  const std::string pods = "/api/v1/namespaces/safe/pods";
  Reply refused = Post(pods, PodJson("a", R"("hostNetwork":true,)"));
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.At("message"),
            "pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces "
            "(hostNetwork=true)");
  Reply warned = Post(pods, PodJson("a"));
  EXPECT_EQ(warned.status, 201);
  EXPECT_EQ(
      warned.headers.Get("warning"),
      "299 - \"would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation != "
      "false (container "
      "\\\"c\\\" must set securityContext.allowPrivilegeEscalation=false), unrestricted "
      "capabilities (container "
      "\\\"c\\\" must set securityContext.capabilities.drop=[\\\"ALL\\\"]), runAsNonRoot != true "
      "(pod or container "
      "\\\"c\\\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "
      "\\\"c\\\" must set "
      "securityContext.seccompProfile.type to \\\"RuntimeDefault\\\" or \\\"Localhost\\\")\"");
}

TEST_F(Access, NamespacesThatEndTakeNothingNew) {
  ASSERT_EQ(Post("/api/v1/namespaces", R"({"metadata":{"name":"gone"}})").status, 201);
  Reply going = Delete("/api/v1/namespaces/gone");
  EXPECT_EQ(going.At("status.phase"), "Terminating");
  Reply refused = Post("/api/v1/namespaces/gone/configmaps", R"({"metadata":{"name":"m"}})");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.At("message"),
            "configmaps \"m\" is forbidden: unable to create new content in namespace gone because "
            "it is being terminated");
  Reply finalized = Put("/api/v1/namespaces/gone/finalize",
                        R"({"metadata":{"name":"gone"},"spec":{"finalizers":[]}})");
  EXPECT_EQ(finalized.status, 200) << finalized.body;
  EXPECT_EQ(Get("/api/v1/namespaces/gone").status, 404);
}

TEST_F(Access, ServicesGetAddressesAndPorts) {
  const std::string services = "/api/v1/namespaces/default/services";
  Reply made = Post(
      services, R"({"metadata":{"name":"web"},"spec":{"type":"NodePort","ports":[{"port":80}]}})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.At("spec.clusterIP").substr(0, 6), "10.43.");
  EXPECT_EQ(made.At("spec.clusterIPs.0"), made.At("spec.clusterIP"));
  const int port = std::stoi(made.At("spec.ports.0.nodePort"));
  EXPECT_GE(port, 30000);
  EXPECT_LE(port, 32767);
  Reply twice = Post(services, R"({"metadata":{"name":"b"},"spec":{"clusterIP":")" +
                                   made.At("spec.clusterIP") + R"(","ports":[{"port":80}]}})");
  EXPECT_EQ(twice.status, 422);
  EXPECT_NE(twice.At("message").find("provided IP is already allocated"), std::string::npos)
      << twice.body;
  Reply patched =
      Patch(services + "/web", "merge-patch+json", R"({"spec":{"ports":[{"port":81}]}})");
  EXPECT_EQ(patched.At("spec.ports.0.nodePort"), std::to_string(port)) << patched.body;
  EXPECT_EQ(Delete(services + "/web").status, 200);
  Reply again = Post(services, R"({"metadata":{"name":"b"},"spec":{"clusterIP":")" +
                                   made.At("spec.clusterIP") + R"(","ports":[{"port":80}]}})");
  EXPECT_EQ(again.status, 201) << again.body;
}

TEST_F(Access, PodsAreBoundOnceAndEvictedWithinTheirBudget) {
  ASSERT_EQ(Post(kPods, PodJson("p")).status, 201);
  const std::string binding = R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}})";
  Reply bound = Post(std::string(kPods) + "/p/binding", binding);
  EXPECT_EQ(bound.status, 201) << bound.body;
  EXPECT_EQ(bound.At("status"), "Success");
  Reply pod = Get(std::string(kPods) + "/p");
  EXPECT_EQ(pod.At("spec.nodeName"), "n1");
  EXPECT_EQ(pod.At("status.conditions.0.type"), "PodScheduled");
  Reply twice = Post(std::string(kPods) + "/p/binding", binding);
  EXPECT_EQ(twice.status, 409);
  EXPECT_EQ(twice.At("message"),
            "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to "
            "node \"n1\"");

  Patch(std::string(kPods) + "/p/status", "merge-patch+json", R"({"status":{"phase":"Running"}})");
  const std::string budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  ASSERT_EQ(
      Post(
          budgets,
          R"({"metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"web"}}}})")
          .status,
      201);
  Patch(budgets + "/b/status", "merge-patch+json", R"({"status":{"observedGeneration":1}})");
  Reply refused = Post(std::string(kPods) + "/p/eviction",
                       R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}})");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.At("message"),
            "Cannot evict pod as it would violate the pod's disruption budget.");
  Patch(budgets + "/b/status", "merge-patch+json",
        R"({"status":{"observedGeneration":1,"disruptionsAllowed":1}})");
  Reply evicted = Post(std::string(kPods) + "/p/eviction",
                       R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}})");
  EXPECT_EQ(evicted.status, 201) << evicted.body;
  EXPECT_NE(Get(std::string(kPods) + "/p").At("metadata.deletionTimestamp"), "");
}

TEST_F(Access, LimitRangesGiveDefaultsAndBounds) {
  ASSERT_EQ(
      Post(
          "/api/v1/namespaces/default/limitranges",
          R"({"metadata":{"name":"l"},"spec":{"limits":[{"type":"Container","default":{"cpu":"500m"},)"
          R"("defaultRequest":{"cpu":"100m"},"max":{"cpu":"1"}}]}})")
          .status,
      201);
  Reply made = Post(kPods, PodJson("a"));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.At("spec.containers.0.resources.limits.cpu"), "500m");
  EXPECT_EQ(made.At("spec.containers.0.resources.requests.cpu"), "100m");
  EXPECT_EQ(made.At("status.qosClass"), "Burstable");
  Reply refused =
      Post(kPods, R"({"metadata":{"name":"b"},"spec":{"containers":[{"name":"c","image":"i",)"
                  R"("resources":{"limits":{"cpu":"2"}}}]}})");
  EXPECT_EQ(refused.At("message"),
            "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2");
}

TEST_F(Access, PrioritiesComeFromClasses) {
  Reply made = Post(kPods, PodJson("a", R"("priorityClassName":"system-node-critical",)"));
  EXPECT_EQ(made.At("spec.priority"), "2000001000") << made.body;
  EXPECT_EQ(made.At("spec.preemptionPolicy"), "PreemptLowerPriority");
  EXPECT_EQ(Post(kPods, PodJson("b", R"("priorityClassName":"none",)")).At("message"),
            "pods \"b\" is forbidden: no PriorityClass with name none was found");
}

TEST_F(Access, RequestsAreCounted) {
  EXPECT_EQ(Get(kPods).status, 200);
  EXPECT_NE(
      Get("/metrics")
          .body.find(
              "apiserver_request_total{verb=\"LIST\",group=\"\",version=\"v1\",resource=\"pods\","),
      std::string::npos);
}

TEST_F(Access, Discovery) {
  EXPECT_EQ(Get("/api/v1").At("kind"), "APIResourceList");
  EXPECT_EQ(Get("/apis/apps/v1").At("groupVersion"), "apps/v1");
  EXPECT_EQ(Get("/openapi/v3").status, 200);
  EXPECT_NE(Get("/livez?verbose").body.find("[+]ping ok"), std::string::npos);
  EXPECT_EQ(Get("/readyz/ping").body, "ok");
  EXPECT_EQ(Get("/nothing").status, 404);
}

}  // namespace
}  // namespace gantry::apiserver
