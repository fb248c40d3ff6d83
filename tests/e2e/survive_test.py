"""Stopping is crashing: kill -9 of the server and the loss of all containers, as in a reboot."""

import os
import signal

from cluster import ClusterTest, main, pod, wait_for

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: example.local/busybox:1
        command: [sh, -c, "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
"""
COUNTER = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.2; done"


class SurviveTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.apply(DEPLOYMENT + pod("counter", COUNTER))
        cls.out("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
        cls.server.wait_pod("counter")
        cls.address = cls.server.get("service", "web", "{.spec.clusterIP}")

    def restarts(self):
        return set(self.out("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
                   .split())

    def lines(self):
        return [int(line.split()[1]) for line in self.out("logs", "counter").splitlines()]

    def test_1_containers_outlive_the_server(self):
        names = self.server.pods("app")
        uids = self.out("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
        main_processes = {p for p in self.server.container_processes() if "sleep" not in _command(p)}
        before = self.lines()[-1]
        self.server.kill()
        # Nobody but the kernel and conmon serves now.
        self.machine.fetch(f"http://{self.address}/")
        self.assertTrue(all(os.path.exists(f"/proc/{p}") for p in main_processes))
        self.server.start()
        self.assertTrue(all(os.path.exists(f"/proc/{p}") for p in main_processes))
        wait_for("the logs to go on", lambda: self.lines()[-1] > before + 5)
        lines = self.lines()
        self.assertEqual(lines, list(range(len(lines))), "a log line is missing or double")
        self.assertEqual(self.server.pods("app"), names)
        self.assertEqual(self.out("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"), uids)
        self.assertEqual(self.restarts(), {"0"})
        self.assertEqual({p for p in self.server.container_processes() if "sleep" not in _command(p)}, main_processes)
        self.assertEqual(self.out("exec", "counter", "--", "echo", "here"), "here\n")
        self.machine.fetch(f"http://{self.address}/")

    def test_2_exit_while_the_server_was_down(self):
        self.server.apply(pod("short", "while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 3", "restartPolicy: Never"))
        self.server.wait_pod("short")
        group = next(p for p in self.server.container_processes() if "/tmp/end" in _command(p))
        self.server.kill()
        os.kill(group, signal.SIGKILL)
        wait_for("the container's end", lambda: not os.path.exists(f"/proc/{group}"))
        self.server.start()
        wait_for("the pod's end seen", lambda: self.server.get("pod", "short", "{.status.phase}") == "Failed")
        self.assertEqual(self.server.get(
            "pod", "short", "{.status.containerStatuses[0].state.terminated.exitCode}"), "137")
        self.out("delete", "pod", "short")

    def test_3_pod_deleted_by_a_server_without_node(self):
        """The agent is away when the pod is deleted: what it finds at its start, it clears away."""
        self.server.apply(pod("doomed", "sleep 1000"))
        self.server.wait_pod("doomed")
        uid = self.server.get("pod", "doomed", "{.metadata.uid}")
        self.server.kill()
        self.server.arguments += ("--no-agent",)
        self.server.node = None
        self.server.start()
        self.out("delete", "pod", "doomed", "--force", "--grace-period=0")
        self.server.kill()
        self.server.arguments = self.server.arguments[:-1]
        self.server.node = "one"
        self.server.start()
        wait_for("the orphan's end", lambda: not any(
            "sleep 1000" in _command(p) for p in self.server.container_processes()))
        wait_for("its directory's end", lambda: not (self.server.data / "node/pods" / uid).exists())
        self.assertEqual(self.restarts(), {"0"})

    def test_4_reboot(self):
        uids = self.out("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
        self.server.kill()
        self.lose_all_containers()
        self.server.start()
        self.out("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s", timeout=70)
        wait_for("restart counts", lambda: self.restarts() == {"1"})
        self.assertEqual(self.out("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"), uids)
        wait_for("the page", lambda: self.machine.fetch(f"http://{self.address}/"))
        self.assertIn("line 0", self.out("logs", "counter"))
        self.assertEqual(self.out("exec", "counter", "--", "echo", "here"), "here\n")

    def lose_all_containers(self):
        """What a reboot does: no process, mount, control group, link, table or run directory stays."""
        server = self.server
        for process in server.conmons() | server.container_processes():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for("no process", lambda: not server.container_processes() | server.conmons())
        server.forget_runtime()
        for name in self.machine.run("ip", "-o", "-br", "link").stdout.split("\n"):
            link = name.split("@")[0].split(" ")[0]
            if link.startswith((f"gantry-{server.ids[1]}", f"v{server.ids[1][:6]}")):
                self.machine.run("ip", "link", "del", link, check=False)
        self.machine.run("nft", "flush", "ruleset")


def _command(process):
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode()
    except OSError:
        return "sleep"  # ended meanwhile


if __name__ == "__main__":
    main(85)
