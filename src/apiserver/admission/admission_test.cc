#include <gtest/gtest.h>

#include "apiserver/testing/api_fixture.h"

namespace gantry::apiserver {
namespace {

constexpr char kNamespace[] = "/api/v1/namespaces/default";
constexpr char kPods[] = "/api/v1/namespaces/default/pods";
constexpr char kQuotas[] = "/api/v1/namespaces/default/resourcequotas";

struct Admission : ::testing::Test, ApiFixture {
  Admission() { MakeDefaultAccount(); }

  // A quota that the controller has counted already.
  void MakeQuota(const std::string& name, const std::string& hard, const std::string& used,
                 const std::string& more = "") {
    ASSERT_EQ(Post(kQuotas,
                   R"({"metadata":{"name":")" + name + R"("},"spec":{"hard":)" + hard + more + "}}")
                  .status,
              201);
    Reply counted = Patch(std::string(kQuotas) + "/" + name + "/status", "merge-patch+json",
                          R"({"status":{"hard":)" + hard + R"(,"used":)" + used + "}}");
    ASSERT_EQ(counted.status, 200) << counted.body;
  }
  std::string Used(const std::string& name, const std::string& what) {
    const api::JsonValue quota = Get(std::string(kQuotas) + "/" + name).Json();
    const api::JsonValue* used = quota.Find("status")->Find("used")->Find(what);
    return used == nullptr ? "none" : used->as_string();
  }
};

std::string PodWith(const std::string& name, const std::string& resources) {
  return R"({"metadata":{"name":")" + name +
         R"("},"spec":{"containers":[{"name":"c","image":"i","resources":)" + resources + "}]}}";
}

TEST_F(Admission, QuotasAreChargedWithTheObject) {
  MakeQuota("q", R"({"pods":"2","requests.cpu":"1","secrets":"1"})",
            R"({"pods":"0","requests.cpu":"0","secrets":"0"})");
  Reply silent = Post(kPods, PodJson("p"));
  EXPECT_EQ(silent.status, 403);
  EXPECT_EQ(silent.At("message"),
            "pods \"p\" is forbidden: failed quota: q: must specify requests.cpu for: c");
  EXPECT_EQ(Post(kPods, PodWith("a", R"({"requests":{"cpu":"600m"}})")).status, 201);
  EXPECT_EQ(Used("q", "pods"), "1");
  EXPECT_EQ(Used("q", "requests.cpu"), "600m");
  Reply much = Post(kPods, PodWith("b", R"({"requests":{"cpu":"600m"}})"));
  EXPECT_EQ(much.status, 403);
  EXPECT_EQ(much.At("reason"), "Forbidden");
  EXPECT_EQ(much.At("message"),
            "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: "
            "requests.cpu=600m, limited: requests.cpu=1");
  EXPECT_EQ(Send("POST", std::string(kPods) + "?dryRun=All",
                 PodWith("b", R"({"requests":{"cpu":"100m"}})"))
                .status,
            201);
  EXPECT_EQ(Used("q", "pods"), "1");
  const std::string secrets = std::string(kNamespace) + "/secrets";
  EXPECT_EQ(Post(secrets, R"({"metadata":{"name":"s"}})").status, 201);
  EXPECT_EQ(Post(secrets, R"({"metadata":{"name":"t"}})").At("message"),
            "secrets \"t\" is forbidden: exceeded quota: q, requested: secrets=1, used: "
            "secrets=1, limited: secrets=1");
  // A generated name is in the message, as it would be in the object.
  EXPECT_EQ(Post(secrets, R"({"metadata":{"generateName":"t-"}})").At("message").substr(0, 11),
            "secrets \"t-");
}

TEST_F(Admission, QuotasOfKindsScopesAndPorts) {
  MakeQuota("ports", R"({"services.nodeports":"1","services":"5","count/deployments.apps":"0"})",
            R"({"services.nodeports":"0","services":"0","count/deployments.apps":"0"})");
  MakeQuota("best", R"({"pods":"0"})", R"({"pods":"0"})", R"(,"scopes":["BestEffort"])");
  const std::string services = std::string(kNamespace) + "/services";
  EXPECT_EQ(Post(services, R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":1}]}})").status,
            201);
  EXPECT_EQ(Patch(services + "/s", "merge-patch+json", R"({"spec":{"type":"NodePort"}})").status,
            200);
  EXPECT_EQ(Used("ports", "services.nodeports"), "1");
  EXPECT_EQ(Used("ports", "services"), "1");
  EXPECT_EQ(
      Post(services, R"({"metadata":{"name":"t"},"spec":{"type":"NodePort","ports":[{"port":1}]}})")
          .At("message"),
      "services \"t\" is forbidden: exceeded quota: ports, requested: services.nodeports=1, used: "
      "services.nodeports=1, limited: services.nodeports=1");
  EXPECT_EQ(
      Post(
          "/apis/apps/v1/namespaces/default/deployments",
          R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":)"
          R"({"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})")
          .At("message"),
      "deployments.apps \"d\" is forbidden: exceeded quota: ports, requested: "
      "count/deployments.apps=1, used: count/deployments.apps=0, limited: "
      "count/deployments.apps=0");
  EXPECT_EQ(Post(kPods, PodJson("p")).At("message"),
            "pods \"p\" is forbidden: exceeded quota: best, requested: pods=1, used: pods=0, "
            "limited: pods=0");
  EXPECT_EQ(Post(kPods, PodWith("q", R"({"requests":{"cpu":"1"}})")).status, 201);
}

TEST_F(Admission, AQuotaThatWasNotCountedLetsNothingIn) {
  ASSERT_EQ(Post(kQuotas, R"({"metadata":{"name":"q"},"spec":{"hard":{"pods":"2","secrets":"1"}}})")
                .status,
            201);
  EXPECT_EQ(Post(kPods, PodJson("p")).At("message"),
            "pods \"p\" is forbidden: status unknown for quota: q, resources: pods");
}

TEST_F(Admission, LimitRangesBoundRatiosPodsAndClaims) {
  ASSERT_EQ(
      Post(
          std::string(kNamespace) + "/limitranges",
          R"({"metadata":{"name":"l"},"spec":{"limits":[{"type":"Container","maxLimitRequestRatio":{"cpu":"2"}},)"
          R"({"type":"Pod","max":{"memory":"1Gi"}},{"type":"PersistentVolumeClaim","min":{"storage":"1Gi"}}]}})")
          .status,
      201);
  struct Row {
    const char* resources;
    const char* why;
  };
  constexpr Row kRows[] = {
      {R"({"requests":{"cpu":"100m"},"limits":{"cpu":"300m","memory":"1Gi"}})",
       "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"},
      {R"({"limits":{"memory":"1Gi"}})",
       "cpu max limit to request ratio per Container is 2, but no request is specified or request "
       "is 0"},
      {R"({"limits":{"cpu":"1","memory":"2Gi"}})",
       "maximum memory usage per Pod is 1Gi, but limit is 2Gi"},
      {R"({"limits":{"cpu":"1"}})", "maximum memory usage per Pod is 1Gi.  No limit is specified"},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(Post(kPods, PodWith("p", row.resources)).At("message"),
              std::string("pods \"p\" is forbidden: ") + row.why);
  }
  EXPECT_EQ(Post(kPods, PodWith("p", R"({"limits":{"cpu":"1","memory":"1Gi"}})")).status, 201);
  EXPECT_EQ(
      Post(
          std::string(kNamespace) + "/persistentvolumeclaims",
          R"({"metadata":{"name":"c"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Mi"}}}})")
          .At("message"),
      "persistentvolumeclaims \"c\" is forbidden: minimum storage usage per PersistentVolumeClaim "
      "is 1Gi, but request is 1Mi");
}

TEST_F(Admission, ClaimsGetTheDefaultClassAndGrowWhereItAllows) {
  const std::string classes = "/apis/storage.k8s.io/v1/storageclasses";
  const std::string claims = std::string(kNamespace) + "/persistentvolumeclaims";
  ASSERT_EQ(
      Post(
          classes,
          R"({"metadata":{"name":"fast","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"x"})")
          .status,
      201);
  auto claim = [&](const std::string& name, const std::string& more) {
    return Post(
        claims,
        R"({"metadata":{"name":")" + name +
            R"("},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}})" +
            more + "}}");
  };
  EXPECT_EQ(claim("a", "").At("spec.storageClassName"), "fast");
  EXPECT_EQ(claim("b", R"(,"storageClassName":"")").At("spec.storageClassName"), "");
  ASSERT_EQ(Patch(claims + "/a", "merge-patch+json", R"({"spec":{"volumeName":"v"}})").status, 200);
  ASSERT_EQ(
      Patch(claims + "/a/status", "merge-patch+json", R"({"status":{"phase":"Bound"}})").status,
      200);
  const std::string grow = R"({"spec":{"resources":{"requests":{"storage":"2Gi"}}}})";
  EXPECT_EQ(Patch(claims + "/a", "merge-patch+json", grow).At("message"),
            "persistentvolumeclaims \"a\" is forbidden: only dynamically provisioned pvc can be "
            "resized and the storageclass that provisions the pvc must support resize");
  ASSERT_EQ(Patch(classes + "/fast", "merge-patch+json", R"({"allowVolumeExpansion":true})").status,
            200);
  Reply grown = Patch(claims + "/a", "merge-patch+json", grow);
  EXPECT_EQ(grown.status, 200) << grown.body;
}

TEST_F(Admission, VolumesAndClaimsAreProtected) {
  Reply claim =
      Post(std::string(kNamespace) + "/persistentvolumeclaims",
           R"({"metadata":{"name":"c","finalizers":["example.com/mine"]},"spec":)"
           R"({"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}})");
  ASSERT_EQ(claim.status, 201) << claim.body;
  EXPECT_EQ(claim.At("metadata.finalizers"),
            R"(["example.com/mine","kubernetes.io/pvc-protection"])");
  Reply volume = Post("/api/v1/persistentvolumes",
                      R"({"metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],)"
                      R"("capacity":{"storage":"1Gi"},"hostPath":{"path":"/tmp"}}})");
  ASSERT_EQ(volume.status, 201) << volume.body;
  EXPECT_EQ(volume.At("metadata.finalizers"), R"(["kubernetes.io/pv-protection"])");
}

TEST_F(Admission, RuntimeClassesAddOverheadAndPlacement) {
  ASSERT_EQ(
      Post(
          "/apis/node.k8s.io/v1/runtimeclasses",
          R"({"metadata":{"name":"heavy"},"handler":"h","overhead":{"podFixed":{"cpu":"250m"}},)"
          R"("scheduling":{"nodeSelector":{"kind":"big"},"tolerations":[{"key":"big","operator":"Exists"}]}})")
          .status,
      201);
  Reply made = Post(kPods, PodJson("p", R"("runtimeClassName":"heavy",)"));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.At("spec.overhead.cpu"), "250m");
  EXPECT_EQ(made.At("spec.nodeSelector.kind"), "big");
  struct Row {
    const char* spec;
    const char* why;
  };
  constexpr Row kRows[] = {
      {R"("runtimeClassName":"none",)", "pod rejected: RuntimeClass \"none\" not found"},
      {R"("runtimeClassName":"heavy","overhead":{"cpu":"1"},)",
       "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"},
      {R"("overhead":{"cpu":"1"},)",
       "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"},
      {R"("runtimeClassName":"heavy","nodeSelector":{"kind":"small"},)",
       "conflict: runtimeClass.scheduling.nodeSelector[kind] = big; "
       "pod.spec.nodeSelector[kind] = small; admission denied"},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(Post(kPods, PodJson("q", row.spec)).At("message"),
              std::string("pods \"q\" is forbidden: ") + row.why);
  }
}

TEST_F(Admission, NamespacesSayHowSecureTheirPodsAre) {
  ASSERT_EQ(Post(kPods, PodJson("a")).status, 201);
  ASSERT_EQ(Post(kPods, PodJson("b")).status, 201);
  ASSERT_EQ(Post(kPods, PodJson("h", R"("hostNetwork":true,)")).status, 201);
  Reply wrong = Post(
      "/api/v1/namespaces",
      R"({"metadata":{"name":"n","labels":{"pod-security.kubernetes.io/enforce":"high","pod-security.kubernetes.io/warn-version":"1"}}})");
  EXPECT_EQ(wrong.status, 422);
  EXPECT_EQ(wrong.At("message"),
            "Namespace \"n\" is invalid: "
            "[metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"high\": must "
            "be one of privileged, baseline, restricted, "
            "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1\": must "
            "be \"latest\" or \"v1.x\"]");
  Reply labelled = Patch(
      kNamespace, "merge-patch+json",
      R"({"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted","pod-security.kubernetes.io/enforce-version":"v1.21"}}})");
  ASSERT_EQ(labelled.status, 200) << labelled.body;
  std::vector<std::string> warnings;
  for (const auto& [name, value] : labelled.headers.all()) {
    if (name == "Warning") warnings.push_back(value);
  }
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_EQ(warnings[0],
            "299 - \"existing pods in namespace \\\"default\\\" violate the new PodSecurity "
            "enforce level \\\"restricted:v1.21\\\"\"");
  EXPECT_EQ(warnings[1],
            "299 - \"a (and 1 other pod): allowPrivilegeEscalation != false, runAsNonRoot != "
            "true, seccompProfile\"");
  EXPECT_EQ(warnings[2].substr(0, 29), "299 - \"h: host namespaces, al");
}

TEST_F(Admission, NodesSayOfThemselvesOnlyWhatTheyAre) {
  As("system:node:n1", {"system:nodes"});
  Reply made = Post(
      "/api/v1/nodes",
      R"({"metadata":{"name":"n1","labels":{"node-role.kubernetes.io/control-plane":"","a":"b","team.node-restriction.kubernetes.io/x":"y"}}})");
  EXPECT_EQ(made.status, 403);
  EXPECT_EQ(made.At("message"),
            "nodes \"n1\" is forbidden: node \"n1\" is not allowed to set the following labels: "
            "node-role.kubernetes.io/control-plane, team.node-restriction.kubernetes.io/x");
  ASSERT_EQ(
      Post(
          "/api/v1/nodes",
          R"({"metadata":{"name":"n1","labels":{"kubernetes.io/hostname":"n1","node.kubernetes.io/instance-type":"small","a":"b"}}})")
          .status,
      201);
  EXPECT_EQ(Patch("/api/v1/nodes/n1", "merge-patch+json",
                  R"({"metadata":{"labels":{"kubernetes.io/role":"x","a":"c"}}})")
                .At("message"),
            "nodes \"n1\" is forbidden: is not allowed to modify labels: kubernetes.io/role");
  EXPECT_EQ(
      Patch("/api/v1/nodes/n1", "merge-patch+json", R"({"metadata":{"labels":{"a":"c"}}})").status,
      200);
}

TEST_F(Admission, ControllersHaveTheRolesOfKubernetes) {
  const std::string rbac = "/apis/rbac.authorization.k8s.io/v1/";
  EXPECT_EQ(Get(rbac + "clusterroles/system:controller:deployment-controller").status, 200);
  Reply binding = Get(rbac + "clusterrolebindings/system:controller:job-controller");
  EXPECT_EQ(binding.At("subjects.0.name"), "job-controller");
  EXPECT_EQ(binding.At("subjects.0.namespace"), "kube-system");
  EXPECT_EQ(binding.At("roleRef.name"), "system:controller:job-controller");
}

}  // namespace
}  // namespace gantry::apiserver
