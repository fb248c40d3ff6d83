"""A web application from `kubectl apply` to its deletion: addresses, names, scaling, rollouts, events."""

import re
import subprocess
import sys
from pathlib import Path

from cluster import SOURCE, ClusterTest, main, wait_for

PAGE = "Hello from a container run by gantry."


class WebTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # busybox' httpd does not end on SIGTERM: as in the example, but killed sooner.
        manifest = (SOURCE / "examples/web.yaml").read_text()
        cls.manifest = manifest.replace("      containers:\n", "      terminationGracePeriodSeconds: 1\n"
                                        "      containers:\n")
        applied = cls.server.apply(cls.manifest)
        assert applied == "configmap/web-page created\ndeployment.apps/web created\nservice/web created\n", applied
        cls.rollout("status", "--timeout=60s")
        cls.address = cls.server.get("service", "web", "{.spec.clusterIP}")

    @classmethod
    def rollout(cls, verb, *arguments):
        return cls.out("rollout", verb, "deployment/web", *arguments, timeout=70)

    def rolled_out(self):
        self.rollout("status", "--timeout=60s")
        wait_for("the old pods' end", lambda: len(self.out("get", "pods", "-o", "name").split()) ==
                 int(self.server.get("deployment", "web", "{.spec.replicas}")))

    def test_1_addresses_and_names(self):
        self.assertIn(PAGE, wait_for("the page", lambda: self.machine.fetch(f"http://{self.address}/")))
        self.assertIn(PAGE, self.machine.fetch("http://127.0.0.1:30080/"))
        self.assertIn(PAGE, self.machine.fetch(f"http://{self.machine.address}:30080/"))
        pod = self.server.pods("app=web")[0]
        for name in ("web", "web.default", "web.default.svc.cluster.local"):
            with self.subTest(name):
                self.assertIn(PAGE, self.out("exec", pod, "--", "wget", "-qO-", f"http://{name}/"))
        # Each pod answers by its own address, also to itself by way of the service.
        for _ in range(6):
            self.assertIn(PAGE, self.out("exec", pod, "--", "wget", "-qO-", f"http://{self.address}/"))
        slices = self.out("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o",
                          "jsonpath={.items[*].endpoints[*].conditions.ready}")
        self.assertEqual(slices, "true true true")

    def test_2_tables(self):
        deployment = self.out("get", "deployment", "web").splitlines()
        self.assertEqual(deployment[0].split(), ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"])
        self.assertEqual(deployment[1].split()[:4], ["web", "3/3", "3", "3"])
        pods = self.out("get", "pods", "-o", "wide").splitlines()
        self.assertEqual(re.split(r" {2,}", pods[0].strip()),
                         ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE",
                          "READINESS GATES"])
        self.assertEqual(len(pods), 4)
        for line in pods[1:]:
            self.assertRegex(line, r"^web-\w+-\w{5} +1/1 +Running +0 +\d+s +10\.42\.\d+\.\d+ +one +<none> +<none>$")
        service = self.out("get", "service", "web").splitlines()[1]
        self.assertRegex(service, rf"^web +NodePort +{re.escape(self.address)} +<none> +80:30080/TCP +\d+s$")

    def test_3_events_and_describe(self):
        pod = self.server.pods("app=web")[0]
        replica_set = self.server.get("pod", pod, "{.metadata.ownerReferences[0].name}")
        for reason, name, message in (
                ("Scheduled", pod, f"Successfully assigned default/{pod} to one"),
                ("Pulled", pod, 'Container image "example.local/busybox:1" already present on machine'),
                ("Created", pod, "Created container: web"),
                ("Started", pod, "Started container web"),
                ("SuccessfulCreate", replica_set, f"Created pod: {pod}"),
                ("ScalingReplicaSet", "web", f"Scaled up replica set {replica_set} from 0 to 3")):
            with self.subTest(reason):
                self.assertIn(message, self.events(reason, name))
        text = self.out("describe", "deployment", "web")
        for line in (r"^Replicas: +3 desired \| 3 updated \| 3 total \| 3 available \| 0 unavailable$",
                     r"^StrategyType: +RollingUpdate$",
                     r"^RollingUpdateStrategy: +25% max unavailable, 25% max surge$",
                     r"^ +Available +True +MinimumReplicasAvailable$",
                     r"^ +Progressing +True +NewReplicaSetAvailable$",
                     rf"^NewReplicaSet: +{replica_set} \(3/3 replicas created\)$"):
            self.assertRegex(text, re.compile(line, re.M))
        text = self.out("describe", "pod", pod)
        for line in (r"^Status: +Running$", rf"^Controlled By: +ReplicaSet/{replica_set}$", r"^QoS Class: +Burstable$",
                     r"^ +Readiness: +http-get http://:http/ delay=0s timeout=1s period=2s #success=1 #failure=3$",
                     r"^ +ContainersReady +True *$", r"^ +PodScheduled +True *$"):
            self.assertRegex(text, re.compile(line, re.M))
        endpoints = re.search(r"^Endpoints: +(.*)$", self.out("describe", "service", "web"), re.M).group(1)
        self.assertRegex(endpoints, r"^10\.42\.\d+\.\d+:8080(,10\.42\.\d+\.\d+:8080){2}$")

    def test_4_scale(self):
        self.assertEqual(self.out("scale", "deployment", "web", "--replicas=5"), "deployment.apps/web scaled\n")
        wait_for("five pods", lambda: self.server.get("deployment", "web", "{.status.readyReplicas}") == "5")
        self.out("scale", "deployment", "web", "--replicas=3")
        self.rolled_out()
        self.assertEqual(self.server.get("deployment", "web", "{.status.replicas}"), "3")

    def test_5_rolling_update_loses_no_request(self):
        load = self.machine.spawn(sys.executable, Path(__file__).parent / "load.py", f"http://{self.address}/",
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        before = set(self.server.pods("app=web"))
        self.assertEqual(self.out("set", "env", "deployment/web", "VERSION=2"), "deployment.apps/web env updated\n")
        self.rolled_out()
        requests, *failures = load.communicate("", timeout=20)[0].splitlines()
        self.assertGreater(int(requests), 20)
        self.assertEqual(failures, [])
        self.assertFalse(before & set(self.server.pods("app=web")))

    def test_6_history_undo_pause(self):
        self.assertRegex(self.rollout("history"), r"(?s)^deployment.apps/web \nREVISION +CHANGE-CAUSE\n1 .*\n2 ")
        self.assertIn("VERSION:\t2", self.rollout("history", "--revision=2"))
        self.assertEqual(self.rollout("undo"), "deployment.apps/web rolled back\n")
        self.rolled_out()
        self.assertEqual(self.server.get("deployment", "web", "{.spec.template.spec.containers[0].env}"), "")
        self.assertRegex(self.rollout("history"), r"(?s)REVISION +CHANGE-CAUSE\n2 .*\n3 ")
        self.assertEqual(self.rollout("pause"), "deployment.apps/web paused\n")
        before = self.server.pods("app=web")
        self.out("set", "env", "deployment/web", "VERSION=4")
        self.assertIn("can't restart paused deployment (run rollout resume first)", self.error(
            "rollout", "restart", "deployment/web"))
        wait_for("the pause seen", lambda: self.server.get(
            "deployment", "web", '{.status.conditions[?(@.type=="Progressing")].reason}') == "DeploymentPaused")
        self.assertEqual(self.server.pods("app=web"), before)
        self.assertEqual(self.rollout("resume"), "deployment.apps/web resumed\n")
        self.rolled_out()
        self.assertFalse(set(before) & set(self.server.pods("app=web")))

    def test_7_failing_rollout_keeps_the_old_pods(self):
        self.out("set", "image", "deployment/web", "web=example.local/absent:1")
        self.out("patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":3}}')
        failed = self.error("rollout", "status", "deployment/web", "--timeout=40s")
        self.assertIn('deployment "web" exceeded its progress deadline', failed)
        self.assertIn(PAGE, self.machine.fetch(f"http://{self.address}/"))
        self.assertEqual(self.server.get("deployment", "web", "{.status.availableReplicas}"), "3")
        self.rollout("undo")
        self.rolled_out()

    def test_8_delete(self):
        deleted = self.out("delete", "-f", "-", text_in=self.manifest)
        self.assertEqual(deleted.splitlines(), ['configmap "web-page" deleted', 'deployment.apps "web" deleted',
                                                'service "web" deleted'])
        wait_for("no pods", lambda: not self.out("get", "pods", "-o", "name"))
        self.assertEqual(self.out("get", "replicasets,endpointslices,endpoints", "-l", "app=web", "-o", "name"), "")
        refused = self.machine.run("curl", "-s", "--max-time", "2", "http://127.0.0.1:30080/", check=False)
        self.assertNotEqual(refused.returncode, 0)
        wait_for("no container", lambda: not self.server.container_processes())


if __name__ == "__main__":
    main(85)
