// What it costs to read and write a pod of 2 KB: JSON, the binary envelope, and a list of 10,000.
//
// Prints one line of JSON per figure; each is the median of several rounds.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/envelope.h"
#include "api/json.h"
#include "api/kinds.h"
#include "api/object.h"

namespace {

using gantry::api::KindOf;
using gantry::api::core::v1::Pod;

constexpr char kPod[] =
    R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-7d4b9c6f5-x2x9k","generateName":"web-7d4b9c6f5-",)"
    R"("namespace":"default","uid":"0b5ad1d3-6f0c-4b5e-9a52-2c8f5d0e7a11","resourceVersion":"123456",)"
    R"("creationTimestamp":"2024-05-01T10:00:00Z","labels":{"app":"web","pod-template-hash":"7d4b9c6f5"},)"
    R"("ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d4b9c6f5",)"
    R"("uid":"9b5ad1d3-6f0c-4b5e-9a52-2c8f5d0e7a22","controller":true,"blockOwnerDeletion":true}]},)"
    R"("spec":{"volumes":[{"name":"kube-api-access-abcde","projected":{"sources":[{"serviceAccountToken":)"
    R"({"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt",)"
    R"("path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1",)"
    R"("fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],"containers":[{"name":"web","image":"nginx:1.27",)"
    R"("ports":[{"containerPort":80,"protocol":"TCP"}],"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}],)"
    R"("resources":{"limits":{"cpu":"500m","memory":"128Mi"},"requests":{"cpu":"100m","memory":"64Mi"}},)"
    R"("volumeMounts":[{"name":"kube-api-access-abcde","readOnly":true,)"
    R"("mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"readinessProbe":{"httpGet":{"path":"/","port":80,)"
    R"("scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},)"
    R"("terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",)"
    R"("imagePullPolicy":"IfNotPresent"}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,)"
    R"("dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","nodeName":"node-1",)"
    R"("securityContext":{},"schedulerName":"default-scheduler","tolerations":[{"key":"node.kubernetes.io/not-ready",)"
    R"("operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true,)"
    R"("preemptionPolicy":"PreemptLowerPriority"},"status":{"phase":"Pending","qosClass":"Burstable"}})";

double MedianMicroseconds(int iterations, const std::function<void()>& body) {
  std::vector<double> rounds;
  for (int round = 0; round < 7; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < iterations; ++i)
      body();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    rounds.push_back(took.count() / iterations);
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[rounds.size() / 2];
}

void Print(const char* name, double value, const char* unit) {
  std::printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", name, value, unit);
}

}  // namespace

int main() {
  const auto& kind = KindOf<Pod>();
  Pod pod;
  if (!gantry::api::ReadJson(kPod, &pod).ok()) return 1;
  std::string out;
  gantry::api::WriteObjectJson(kind, pod, 1, &out);
  Print("pod_json_bytes", static_cast<double>(out.size()), "B");
  const std::string sealed = gantry::api::Seal(kind, pod);
  Print("pod_binary_bytes", static_cast<double>(sealed.size()), "B");

  constexpr int kIterations = 20000;
  Print("json_read_us",
        MedianMicroseconds(kIterations,
                           [&] {
                             Pod read;
                             gantry::api::JsonIssues issues;
                             (void)gantry::api::ReadJson(kPod, &read, &issues);
                           }),
        "us");
  Print("json_write_us",
        MedianMicroseconds(kIterations,
                           [&] {
                             out.clear();
                             gantry::api::WriteObjectJson(kind, pod, 1, &out);
                           }),
        "us");
  Print("binary_read_us",
        MedianMicroseconds(kIterations,
                           [&] {
                             Pod read;
                             (void)gantry::api::ParseSealed(sealed, &read);
                           }),
        "us");
  Print("binary_write_us",
        MedianMicroseconds(kIterations, [&] { (void)gantry::api::Seal(kind, pod); }), "us");
  const auto stored = std::make_shared<const std::string>(sealed);
  Print("object_from_stored_us",
        MedianMicroseconds(kIterations,
                           [&] { (void)gantry::api::Object::FromStored(kind, stored, 7); }),
        "us");
  return 0;
}
