"""What the controllers and the scheduler tell their users, on a real cluster of one node."""

import base64
import json
import time

from cluster import IMAGE, ClusterTest, main, pod, wait_for


def deployment(name, replicas, command="sleep 1000", more=""):
    return (f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n"
            f"  selector: {{matchLabels: {{app: {name}}}}}\n{more}"
            f"  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n"
            f"      containers:\n      - {{name: main, image: '{IMAGE}', command: [sh, -c, '{command}']}}\n---\n")


class ControllersTest(ClusterTest):
    def condition(self, kind, name, type_, field):
        return self.server.get(kind, name, f'{{.status.conditions[?(@.type=="{type_}")].{field}}}')

    def test_a_pod_that_fits_nowhere(self):
        self.server.apply(pod("huge", "true", container='resources: {requests: {cpu: "1000"}}'))
        want = ("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
                "1 Preemption is not helpful for scheduling.")
        wait_for("the condition", lambda: self.condition("pod", "huge", "PodScheduled", "message") == want)
        self.assertEqual(self.condition("pod", "huge", "PodScheduled", "reason"), "Unschedulable")
        wait_for("the event", lambda: self.events("FailedScheduling", "huge") == [want])
        self.out("delete", "pod", "huge")

    def test_a_disruption_budget_holds_evictions_back(self):
        self.server.apply(deployment("kept", 2))
        self.server.apply("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: kept}\n"
                          "spec: {minAvailable: 2, selector: {matchLabels: {app: kept}}}\n")
        self.out("rollout", "status", "deployment/kept")
        wait_for("the budget", lambda: self.server.get("pdb", "kept", "{.status.currentHealthy}") == "2")
        self.assertEqual(self.server.get("pdb", "kept", "{.status.disruptionsAllowed}"), "0")
        self.assertEqual(self.condition("pdb", "kept", "DisruptionAllowed", "reason"), "InsufficientPods")
        refused = self.error("drain", "one", "--pod-selector=app=kept", "--timeout=3s")
        self.assertIn("Cannot evict pod as it would violate the pod's disruption budget.", refused)
        self.out("patch", "pdb", "kept", "-p", '{"spec":{"minAvailable":0}}')
        wait_for("the budget", lambda: self.server.get("pdb", "kept", "{.status.disruptionsAllowed}") == "2")
        self.out("drain", "one", "--pod-selector=app=kept", "--timeout=60s")
        self.out("uncordon", "one")
        self.out("delete", "deployment/kept", "pdb/kept")

    def test_endpoints_by_hand_are_mirrored(self):
        self.server.apply("apiVersion: v1\nkind: Service\nmetadata: {name: outside}\nspec: {ports: [{port: 80}]}\n---\n"
                          "apiVersion: v1\nkind: Endpoints\nmetadata: {name: outside}\n"
                          "subsets: [{addresses: [{ip: 192.0.2.7}], ports: [{port: 8080}]}]\n")
        select = ("get", "endpointslices", "-l", "kubernetes.io/service-name=outside", "-o",
                  "jsonpath={.items[*].endpoints[*].addresses[*]}:{.items[*].ports[*].port}")
        wait_for("the slice", lambda: self.out(*select) == "192.0.2.7:8080")
        self.out("delete", "service", "outside")
        wait_for("its end", lambda: self.out(*select) == ":")

    def test_a_rollout_says_what_it_does(self):
        self.server.apply(deployment("told", 2))
        self.out("rollout", "status", "deployment/told")
        self.assertEqual(self.condition("deployment", "told", "Progressing", "reason"), "NewReplicaSetAvailable")
        first = self.out("get", "rs", "-l", "app=told", "-o", "name").strip().split("/")[1]
        self.assertEqual(self.events("ScalingReplicaSet", "told"), [f"Scaled up replica set {first} from 0 to 2"])
        self.out("set", "env", "deployment/told", "A=b")
        self.out("rollout", "status", "deployment/told")
        self.assertIn(f"Scaled down replica set {first} from 2 to 1", self.events("ScalingReplicaSet", "told"))
        self.out("rollout", "undo", "deployment/told", "--to-revision=1")
        self.out("rollout", "status", "deployment/told")
        annotations = json.loads(self.server.get("rs", first, "{.metadata.annotations}"))
        self.assertEqual(annotations["deployment.kubernetes.io/revision"], "3")
        self.assertEqual(annotations["deployment.kubernetes.io/revision-history"], "1")
        self.assertEqual(len(self.out("get", "rs", "-l", "app=told", "-o", "name").split()), 2)
        # Written back as it was read it is what it was, also where JSON shows what is empty.
        before = self.server.get("deployment", "told", "{.metadata.generation}")
        read = json.loads(self.out("get", "deployment", "told", "-o", "json"))
        del read["metadata"]["resourceVersion"]
        self.out("replace", "-f", "-", text_in=json.dumps(read))
        self.assertEqual(self.server.get("deployment", "told", "{.metadata.generation}"), before)
        self.out("delete", "deployment/told")

    def test_a_rollout_that_cannot_make_pods(self):
        self.server.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: \"1\"}}\n")
        wait_for("the quota", lambda: self.server.get("quota", "few", "{.status.hard.pods}") == "1")
        self.server.apply(deployment("limited", 3, more="  progressDeadlineSeconds: 5\n"))
        wait_for("the failure",
                 lambda: self.condition("deployment", "limited", "ReplicaFailure", "reason") == "FailedCreate")
        self.assertIn("exceeded quota: few", self.condition("deployment", "limited", "ReplicaFailure", "message"))
        wait_for("the deadline", lambda: self.condition("deployment", "limited", "Progressing", "reason") ==
                 "ProgressDeadlineExceeded", seconds=60)
        revision = self.server.get("deployment", "limited", "{.metadata.resourceVersion}")
        time.sleep(3)
        self.assertEqual(self.server.get("deployment", "limited", "{.metadata.resourceVersion}"), revision,
                         "what is known is not written again")
        self.assertIn("exceeded its progress deadline", self.error("rollout", "status", "deployment/limited"))
        self.out("delete", "quota", "few")
        self.out("delete", "deployment/limited")

    def request(self, name, usages):
        self.machine.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                         "-keyout", f"{self.server.data}/{name}.key", "-out", f"{self.server.data}/{name}.csr", "-subj",
                         "/CN=jane/O=people")
        with open(f"{self.server.data}/{name}.csr", "rb") as file:
            text = base64.b64encode(file.read()).decode()
        self.server.apply("apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\n"
                          f"metadata: {{name: {name}}}\nspec: {{request: {text}, signerName: "
                          f"kubernetes.io/kube-apiserver-client, usages: [{usages}]}}\n")
        self.out("certificate", "approve", name)

    def test_certificates(self):
        self.request("jane", "client auth")
        wait_for("the certificate", lambda: self.server.get("csr", "jane", "{.status.certificate}") != "")
        self.assertIn("Approved,Issued", self.out("get", "csr", "jane"))
        self.request("server", "server auth")
        wait_for("the failure", lambda: self.condition("csr", "server", "Failed", "reason") == "SignerValidationFailure")
        self.assertEqual(self.condition("csr", "server", "Failed", "message"),
                         "invalid usage for client certificate: server auth")
        self.out("delete", "csr", "--all")

    def test_the_node_is_announced(self):
        self.assertIn("Node one event: Registered Node one in Controller", self.events("RegisteredNode", "one"))

    def test_a_stateful_set_keeps_names_and_order(self):
        self.server.apply("""
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: peers
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: %s
        command: [sh, -c, "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
""" % IMAGE)
        self.out("rollout", "status", "statefulset/db", "--timeout=60s", timeout=70)
        self.assertEqual(self.server.pods("app=db"), ["db-0", "db-1"])
        wait_for("the page by the pod's name", lambda: self.out(
            "exec", "db-0", "--", "wget", "-qO-", "http://db-1.peers:8080/") == "db-1\n")
        first = self.server.get("statefulset", "db", "{.status.currentRevision}")
        self.out("set", "env", "statefulset/db", "ROUND=2")
        self.out("rollout", "status", "statefulset/db", "--timeout=60s", timeout=70)
        self.assertNotEqual(self.server.get("statefulset", "db", "{.status.currentRevision}"), first)
        self.assertEqual(self.out("exec", "db-1", "--", "sh", "-c", "echo $ROUND"), "2\n")
        self.out("rollout", "undo", "statefulset/db")
        wait_for("the first revision",
                 lambda: self.server.get("statefulset", "db", "{.status.currentRevision}") == first)
        self.assertRegex(self.out("rollout", "history", "statefulset/db"), r"(?m)^2 .*\n3 ")
        self.out("scale", "statefulset/db", "--replicas=1")
        self.out("wait", "--for=delete", "pod/db-1", "--timeout=30s")
        self.assertEqual(self.server.pods("app=db"), ["db-0"])
        self.out("delete", "statefulset/db", "service/peers")

    def test_a_daemon_set_runs_on_the_node(self):
        manifest = deployment("logs", 1).replace("kind: Deployment", "kind: DaemonSet").replace("  replicas: 1\n", "")
        self.server.apply(manifest)
        self.out("rollout", "status", "daemonset/logs", "--timeout=60s", timeout=70)
        before = self.server.pods("app=logs")
        self.assertEqual(len(before), 1)
        self.assertRegex(self.out("get", "daemonset", "logs", "--no-headers"), r"^logs +1 +1 +1 +1 +1 +<none> ")
        refused = self.error("drain", "one", "--pod-selector=app=logs", "--timeout=3s")
        self.assertIn("cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", refused)
        self.out("drain", "one", "--pod-selector=app=logs", "--ignore-daemonsets", "--timeout=10s")
        self.assertEqual(self.server.pods("app=logs"), before)
        self.out("set", "env", "daemonset/logs", "ROUND=2")
        self.out("rollout", "status", "daemonset/logs", "--timeout=60s", timeout=70)
        self.assertNotEqual(self.server.pods("app=logs"), before)
        self.out("uncordon", "one")
        self.out("delete", "daemonset/logs")

    def test_jobs_run_to_their_end(self):
        self.out("create", "job", "sum", f"--image={IMAGE}", "--", "sh", "-c", "echo done")
        self.out("wait", "--for=condition=Complete", "job/sum", "--timeout=60s", timeout=70)
        self.assertEqual(self.out("logs", "job/sum"), "done\n")
        self.assertRegex(self.out("get", "job", "sum", "--no-headers"), r"^sum +Complete +1/1 +\d+s +\d+s\n$")
        self.assertIn("Job completed", self.events("Completed", "sum"))
        # Its pod is not held by the counting any more, and goes with the job.
        self.out("delete", "job", "sum")
        wait_for("the pods' end", lambda: not self.out("get", "pods", "-l", "job-name=sum", "-o", "name"))
        self.server.apply(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: broken}\nspec:\n  backoffLimit: 0\n  template:\n    spec:\n"
            f"      restartPolicy: Never\n      containers: [{{name: main, image: '{IMAGE}', command: [sh, -c, exit 3]}}]\n")
        self.out("wait", "--for=condition=Failed", "job/broken", "--timeout=60s", timeout=70)
        self.assertEqual(self.condition("job", "broken", "Failed", "reason"), "BackoffLimitExceeded")
        self.out("delete", "job", "broken")
        self.out("create", "cronjob", "tick", f"--image={IMAGE}", "--schedule=* * * * *", "--", "true")
        self.out("create", "job", "now", "--from=cronjob/tick")
        self.out("wait", "--for=condition=Complete", "job/now", "--timeout=60s", timeout=70)
        self.out("delete", "cronjob", "tick")


if __name__ == "__main__":
    main(240)
