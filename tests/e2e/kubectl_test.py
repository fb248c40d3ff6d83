"""What kubectl does, each command as a user types it; with the machine's kubectl and with Debian's 1.20."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster import IMAGE, SOURCE, ClusterTest, main, pod, run, wait_for

COUNTER = "i=0; while [ $i -lt 5 ]; do echo line $i; i=$((i+1)); done; exec httpd -f -p 8080 -h /etc"
CACHE = SOURCE / "build/debian-kubectl"


def debian_kubectl():
    """The path of Debian 12's own kubectl, fetched once; None, and a line that says so, when apt gives none."""
    found = next(CACHE.glob("usr/bin/kubectl"), None)
    if found is None:
        with tempfile.TemporaryDirectory() as directory:
            try:
                subprocess.run(["apt-get", "download", "-qq", "kubernetes-client"], cwd=directory, timeout=40,
                               check=True, capture_output=True)
            except (OSError, subprocess.SubprocessError):
                print("skipped: Debian's kubectl 1.20, as apt does not reach a mirror", flush=True)
                return None
            CACHE.mkdir(parents=True, exist_ok=True)
            run("dpkg", "-x", next(Path(directory).glob("*.deb")), CACHE)
        found = CACHE / "usr/bin/kubectl"
    return str(found)


class KubectlTest(ClusterTest):
    CLIENT = "kubectl"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.client = cls.CLIENT
        cls.server.apply(pod("p", COUNTER))
        cls.server.wait_pod("p")
        version = json.loads(cls.out("version", "-o", "json"))
        cls.minor = int(re.match(r"\d+", version["clientVersion"]["minor"]).group())
        assert version["serverVersion"]["major"] == "1", version

    def since(self, minor):
        return self.minor >= minor

    def test_get_formats(self):
        self.assertEqual(self.out("get", "pod", "p", "-o", "custom-columns=N:.metadata.name,I:.spec.containers[*].image"),
                         f"N     I\np     {IMAGE}\n")
        self.assertIn("  name: p\n", self.out("get", "pod", "p", "-o", "yaml"))
        self.assertEqual(json.loads(self.out("get", "pod", "p", "-o", "json"))["status"]["phase"], "Running")
        self.assertEqual(self.out("get", "pods", "-l", "app=p", "-o", "name"), "pod/p\n")
        self.assertEqual(self.out("get", "pods", "--no-headers", "--field-selector", "status.phase=Running").split()[:4],
                         ["p", "1/1", "Running", "0"])
        self.assertIn("LABELS", self.out("get", "pods", "--show-labels").splitlines()[0])
        self.assertIn("No resources found in default namespace.", self.kubectl("get", "deployments").stderr)
        watch = self.server.spawn_kubectl("get", "pods", "--watch", "-o", "name", stdout=subprocess.PIPE, text=True)
        self.assertEqual(watch.stdout.readline(), "pod/p\n")
        watch.kill()
        watch.communicate()

    def test_facts(self):
        self.assertIn("is running at", self.out("cluster-info"))
        resources = self.out("api-resources")
        for line in (r"^pods +po +v1 +true +Pod$", r"^deployments +deploy +apps/v1 +true +Deployment$"):
            if self.since(21):
                self.assertRegex(resources, re.compile(line, re.M))
        self.assertIn("apps/v1\n", self.out("api-versions"))
        text = self.out("explain", "pod.spec.containers.image")
        self.assertRegex(text, r"KIND: +Pod\n")
        self.assertIn("<string>", text)
        self.assertEqual(self.out("auth", "can-i", "create", "pods"), "yes\n")
        denied = self.kubectl("auth", "can-i", "create", "pods", "--as=nobody", check=False)
        self.assertEqual((denied.returncode, denied.stdout), (1, "no\n"))
        if self.since(28):
            self.assertRegex(self.out("auth", "whoami"), r"Username +kubernetes-admin\n")
            self.assertIn("Started container main", self.out("events", "--for", "pod/p"))

    def test_create_run_expose(self):
        self.assertEqual(self.out("create", "namespace", "n"), "namespace/n created\n")
        self.assertEqual(self.out("create", "configmap", "c", "-n", "n", "--from-literal=k=v"), "configmap/c created\n")
        self.assertEqual(self.out("create", "secret", "generic", "s", "-n", "n", "--from-literal=k=v"),
                         "secret/s created\n")
        self.assertEqual(self.server.get("secret", "s", "{.data.k}", "-n", "n"), "dg==")
        self.assertEqual(self.out("create", "serviceaccount", "a", "-n", "n"), "serviceaccount/a created\n")
        self.out("create", "role", "r", "-n", "n", "--verb=get", "--resource=pods")
        self.out("create", "rolebinding", "b", "-n", "n", "--role=r", "--serviceaccount=n:a")
        self.assertEqual(self.out("auth", "can-i", "get", "pods", "-n", "n", "--as=system:serviceaccount:n:a"), "yes\n")
        self.assertEqual(self.out("run", "once", "-n", "n", "--image=" + IMAGE, "--restart=Never", "--command", "--",
                                  "echo", "ran"), "pod/once created\n")
        wait_for("its end", lambda: self.server.get("pod", "once", "{.status.phase}", "-n", "n") == "Succeeded")
        self.assertEqual(self.out("logs", "once", "-n", "n"), "ran\n")
        self.assertEqual(self.out("expose", "pod", "p", "--port=80", "--target-port=8080", "--name=e"),
                         "service/e exposed\n")
        self.assertEqual(self.out("delete", "service", "e"), 'service "e" deleted\n')
        self.assertEqual(self.out("delete", "namespace", "n"), 'namespace "n" deleted\n')
        self.assertIn("NotFound", self.error("get", "namespace", "n"))

    def test_apply_and_change(self):
        manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1', b: '2'}\n"
        self.assertEqual(self.server.apply(manifest), "configmap/c created\n")
        self.assertEqual(self.server.apply(manifest), "configmap/c unchanged\n")
        changed = manifest.replace(", b: '2'", "")
        diff = self.kubectl("diff", "-f", "-", text_in=changed, check=False)
        self.assertEqual(diff.returncode, 1, diff.stderr)
        self.assertRegex(diff.stdout, r"(?m)^-  b: ")
        self.assertEqual(self.server.apply(changed), "configmap/c configured\n")
        self.assertEqual(self.server.get("configmap", "c", "{.data}"), '{"a":"1"}')
        for kind, patch in (("strategic", '{"data":{"x":"1"}}'), ("merge", '{"data":{"x":"2"}}'),
                            ("json", '[{"op":"replace","path":"/data/x","value":"3"}]')):
            self.assertEqual(self.out("patch", "configmap", "c", "--type", kind, "-p", patch), "configmap/c patched\n")
        self.assertEqual(self.server.get("configmap", "c", "{.data.x}"), "3")
        self.assertEqual(self.out("patch", "configmap", "c", "-p", '{"data":{"x":"3"}}'),
                         "configmap/c patched (no change)\n")
        self.assertEqual(self.out("label", "configmap", "c", "l=1"), "configmap/c labeled\n")
        self.assertEqual(self.out("annotate", "configmap", "c", "n=1"), "configmap/c annotated\n")
        self.assertEqual(self.out("replace", "-f", "-", text_in=manifest), "configmap/c replaced\n")
        script = self.server.dir / "editor"
        script.write_text("#!/bin/sh\nsed -i 's/  a: \"1\"/  a: edited/' \"$1\"\n")
        script.chmod(0o755)
        self.assertEqual(self.out("edit", "configmap", "c", env={"EDITOR": str(script)}), "configmap/c edited\n")
        self.assertEqual(self.server.get("configmap", "c", "{.data.a}"), "edited")
        self.out("delete", "configmap", "c")

    def test_server_side_apply(self):
        manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {a: '1'}\n"
        done = self.out("apply", "--server-side", "--field-manager=one", "-f", "-", text_in=manifest)
        self.assertEqual(done, "configmap/ssa serverside-applied\n")
        conflict = self.error("apply", "--server-side", "--field-manager=two", "-f", "-",
                              text_in=manifest.replace("'1'", "'2'"))
        self.assertIn('Apply failed with 1 conflict: conflict with "one": .data.a', conflict)
        self.out("apply", "--server-side", "--force-conflicts", "--field-manager=two", "-f", "-",
                 text_in=manifest.replace("'1'", "'2'"))
        self.assertEqual(self.server.get("configmap", "ssa", "{.data.a}"), "2")

    def test_workload_commands(self):
        self.assertEqual(self.out("create", "deployment", "d", "--image=" + IMAGE, "--replicas=0"),
                         "deployment.apps/d created\n")
        self.assertEqual(self.out("set", "image", "deployment/d", "busybox=" + IMAGE + "x"),
                         "deployment.apps/d image updated\n")
        self.assertEqual(self.out("set", "resources", "deployment/d", "--limits=cpu=100m"),
                         "deployment.apps/d resource requirements updated\n")
        self.assertEqual(self.out("autoscale", "deployment", "d", "--min=1", "--max=2"),
                         "horizontalpodautoscaler.autoscaling/d autoscaled\n")
        self.assertRegex(self.out("get", "hpa").splitlines()[1], r"^d +Deployment/d ")
        self.assertEqual(self.out("delete", "hpa", "d"), 'horizontalpodautoscaler.autoscaling "d" deleted\n')
        self.assertEqual(self.out("rollout", "restart", "deployment/d"), "deployment.apps/d restarted\n")
        self.out("delete", "deployment", "d", "--cascade=" + ("foreground" if self.since(20) else "true"))

    def test_cascades(self):
        for cascade, stays in (("orphan", True), ("background", False), ("foreground", False)):
            with self.subTest(cascade):
                self.out("create", "deployment", cascade, "--image=" + IMAGE)
                wait_for("its replica set", lambda: self.out("get", "rs", "-l", f"app={cascade}", "-o", "name"))
                self.out("delete", "deployment", cascade, "--cascade=" + cascade)
                if stays:
                    kept = self.out("get", "rs", "-l", f"app={cascade}", "-o", "jsonpath={.items[*].metadata."
                                    "ownerReferences}")
                    self.assertEqual(kept, "")
                    self.assertTrue(self.out("get", "rs", "-l", f"app={cascade}", "-o", "name"))
                    self.out("delete", "rs", "-l", f"app={cascade}")
                wait_for("its end", lambda: not self.out("get", "rs", "-l", f"app={cascade}", "-o", "name"))

    def test_logs(self):
        wait_for("the lines", lambda: self.out("logs", "p") == "".join(f"line {i}\n" for i in range(5)))
        self.assertEqual(self.out("logs", "p", "--tail=2"), "line 3\nline 4\n")
        self.assertEqual(self.out("logs", "p", "--limit-bytes=6"), "line 0")
        self.assertRegex(self.out("logs", "p", "--timestamps", "--tail=1"), r"^\d{4}-\d\d-\d\dT[\d:.]+Z line 4\n$")
        self.assertEqual(self.out("logs", "p", "--since=1h").count("line"), 5)
        self.assertIn('previous terminated container "main" in pod "p" not found', self.error("logs", "p", "-p"))
        self.server.apply(pod("talker", "sleep 1; echo one; sleep 0.5; echo two", "restartPolicy: Never"))
        self.server.wait_pod("talker")
        self.assertEqual(self.out("logs", "-f", "talker"), "one\ntwo\n")

    def test_exec(self):
        self.assertEqual(self.out("exec", "p", "--", "echo", "out"), "out\n")
        failed = self.kubectl("exec", "p", "--", "sh", "-c", "echo bad >&2; exit 42", check=False)
        self.assertEqual(failed.returncode, 42)
        self.assertEqual(failed.stderr, "bad\ncommand terminated with exit code 42\n")
        data = "".join(f"{i}\n" for i in range(20000))
        self.assertEqual(self.out("exec", "-i", "p", "--", "cat", text_in=data), data)
        typed = self.machine.run("script", "-qec", f"{self.CLIENT} exec -it p -- sh -c 'tty; stty size'", "/dev/null",
                                 env=self.server.environment()).stdout
        self.assertIn("/dev/pts/0", typed)
        missing = self.kubectl("exec", "p", "--", "nothing", check=False)
        self.assertNotEqual(missing.returncode, 0)
        self.assertRegex(missing.stderr, r"executable file .*not found in \$PATH")

    def test_copy(self):
        source = self.server.dir / "source"
        (source / "deep").mkdir(parents=True)
        (source / "deep/file").write_text("content\n" * 10000)
        self.out("cp", source, "p:/tmp/copied")
        self.out("cp", "p:/tmp/copied/deep/file", self.server.dir / "back")
        self.assertEqual((self.server.dir / "back").read_text(), "content\n" * 10000)

    def test_forward_and_proxy(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        forward = self.server.spawn_kubectl("port-forward", "pod/p", "8081:8080", **quiet)
        for _ in range(3):
            self.assertIn("nobody", wait_for("an answer", lambda: self.machine.fetch("http://127.0.0.1:8081/passwd")))
        forward.kill()
        proxy = self.server.spawn_kubectl("proxy", "--port=8001", **quiet)
        path = "http://127.0.0.1:8001/api/v1/namespaces/default/pods/p:8080/proxy/passwd"
        self.assertIn("nobody", wait_for("an answer", lambda: self.machine.fetch(path)))
        proxy.kill()

    def test_pages_of_a_node(self):
        page = lambda path: self.out("get", "--raw", f"/api/v1/nodes/one/proxy/{path}")
        self.assertEqual(page("healthz"), "ok")
        self.assertIn("p", [one["metadata"]["name"] for one in json.loads(page("pods"))["items"]])
        summary = json.loads(page("stats/summary"))
        self.assertGreater(summary["node"]["memory"]["workingSetBytes"], 0)
        mine = next(one for one in summary["pods"] if one["podRef"]["name"] == "p")
        self.assertGreater(mine["containers"][0]["memory"]["workingSetBytes"], 0)
        self.assertEqual(mine["network"]["name"], "eth0")
        labels = 'container="main",namespace="default",pod="p"'
        self.assertRegex(page("metrics/resource"), f"(?m)^container_memory_working_set_bytes{{{labels}}} [1-9]")
        self.assertIn('container_cpu_usage_seconds_total{container="main",cpu="total"', page("metrics/cadvisor"))
        self.assertIn("<pre>", page("logs/"))
        self.assertEqual(page("containerLogs/default/p/main"), self.out("logs", "p"))

    def test_secret_with_a_token(self):
        name = "robot"
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": {
            "name": name, "annotations": {"kubernetes.io/service-account.name": name}}}
        self.server.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [account, secret]}))
        token = base64.b64decode(wait_for("a token", lambda: self.server.get("secret", name, "{.data.token}"))).decode()
        self.assertIn("BEGIN CERTIFICATE", base64.b64decode(self.server.get("secret", name, "{.data.ca\\.crt}")).decode())
        ask = lambda: self.machine.run("curl", "-sk", "-H", f"Authorization: Bearer {token}",
                                       "https://127.0.0.1:6443/api/v1/namespaces/default/pods").stdout
        self.assertIn(f'User \\"system:serviceaccount:default:{name}\\" cannot list resource', ask())
        self.out("delete", "serviceaccount", name)
        wait_for("the secret to go with its account", lambda: "NotFound" in
                 self.kubectl("get", "secret", name, check=False).stderr)
        self.assertIn("Unauthorized", ask())

    def test_wait(self):
        self.assertEqual(self.out("wait", "--for=condition=Ready", "pod/p"), "pod/p condition met\n")
        self.assertIn("timed out waiting for the condition",
                      self.error("wait", "--for=condition=Never", "pod/p", "--timeout=1s"))
        if self.since(23):
            self.assertEqual(self.out("wait", "--for=jsonpath={.status.phase}=Running", "pod/p"), "pod/p condition met\n")

    def test_node_commands(self):
        self.assertEqual(self.out("cordon", "one"), "node/one cordoned\n")
        self.assertIn("Ready,SchedulingDisabled", self.out("get", "node", "one"))
        self.server.apply(pod("waits", "sleep 1000"))
        wait_for("the reason", lambda: "0/1 nodes are available: 1 node(s) were unschedulable" in
                 self.server.get("pod", "waits", '{.status.conditions[?(@.type=="PodScheduled")].message}'))
        self.assertEqual(self.out("uncordon", "one"), "node/one uncordoned\n")
        self.server.wait_pod("waits")
        self.assertEqual(self.out("taint", "node", "one", "k=v:PreferNoSchedule"), "node/one tainted\n")
        self.assertEqual(self.out("taint", "node", "one", "k-"), "node/one untainted\n")
        drained = self.out("drain", "one", "--force", "--pod-selector=app=waits", "--ignore-daemonsets")
        self.assertRegex(drained, "node/one (drained|evicted)")
        self.assertIn("NotFound", self.error("get", "pod", "waits"))
        self.out("uncordon", "one")


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(KubectlTest))
    debian = debian_kubectl()
    if debian and Path(debian).resolve() != Path(shutil.which("kubectl")).resolve():
        old = type("DebianKubectlTest", (KubectlTest,), {"CLIENT": debian})
        suite.addTests(loader.loadTestsFromTestCase(old))
    return suite


if __name__ == "__main__":
    main(540)
