"""`gantry agent`: a machine of its own that joins, runs pods, and is reached through the tunnel that it opened."""

import subprocess
import unittest

from cluster import GANTRY, Machine, Server, Service, Switch, close_all, main, pod, wait_for

COUNTER = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.2; done"


class AgentTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        switch = Switch()
        cls.machine = Machine(switch)
        cls.server = Server(cls.machine, "--no-agent")
        cls.server.start()
        cls.out = cls.server.out
        other = Machine(switch)
        token = (cls.server.data / "token").read_text().strip()
        cls.agent = Service(other, "agent", "--server", f"https://{cls.machine.address}:6443", "--token", token,
                            "--node-name", "two")
        cls.agent.start()
        cls.server.wait_node("two")
        cls.agent.import_image()
        cls.server.apply(pod("counter", COUNTER) + pod("web", "echo page > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"))
        cls.server.wait_pod("counter")
        cls.server.wait_pod("web")

    @classmethod
    def tearDownClass(cls):
        close_all()

    def lines(self):
        return [int(line.split()[1]) for line in self.out("logs", "counter").splitlines()]

    def test_1_node(self):
        self.assertEqual(self.out("get", "nodes", "-o", "name"), "node/two\n")
        self.assertEqual(self.server.get("node", "two", '{.status.addresses[?(@.type=="InternalIP")].address}'),
                         self.agent.machine.address)
        self.assertEqual(self.server.get("pod", "web", "{.spec.nodeName} {.status.hostIP}"),
                         f"two {self.agent.machine.address}")
        self.assertEqual(self.out("get", "lease", "-n", "kube-node-lease", "-o", "name"),
                         "lease.coordination.k8s.io/two\n")

    def test_2_streams(self):
        self.assertEqual(self.lines()[0], 0)
        self.assertEqual(self.out("exec", "-i", "web", "--", "cat", text_in="through the tunnel"), "through the tunnel")
        self.assertEqual(self.server.kubectl("exec", "web", "--", "sh", "-c", "exit 7", check=False).returncode, 7)
        attached = self.server.spawn_kubectl("attach", "counter", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                             text=True)
        self.assertRegex(attached.stdout.readline(), r"^line \d+\n$")
        attached.kill()
        attached.communicate()
        self.assertIn("executable file not found in $PATH", self.server.error("exec", "web", "--", "nothing"))
        forward = self.server.spawn_kubectl("port-forward", "pod/web", "8081:8080", stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
        self.assertEqual(wait_for("the page", lambda: self.machine.fetch("http://127.0.0.1:8081/")), "page\n")
        forward.terminate()
        self.assertEqual(self.out("get", "--raw", "/api/v1/namespaces/default/pods/web:8080/proxy/"), "page\n")

    def test_3_service_on_the_node(self):
        self.out("expose", "pod", "web", "--port=80", "--target-port=8080")
        address = self.server.get("service", "web", "{.spec.clusterIP}")
        self.assertEqual(wait_for("the page", lambda: self.agent.machine.fetch(f"http://{address}/")), "page\n")
        self.assertEqual(self.out("exec", "counter", "--", "wget", "-qO-", "http://web/"), "page\n")

    def test_4_kill_the_agent(self):
        before = self.lines()[-1]
        processes = self.agent.conmons()
        self.agent.kill()
        self.assertEqual(self.agent.conmons(), processes)
        self.agent.start()
        wait_for("the logs to go on", lambda: self.lines()[-1] > before + 5)
        self.check_unharmed(processes)

    def test_4_two_that_want_one_port(self):
        self.agent.kill()
        for name in ("twin-a", "twin-b"):
            self.server.apply(pod(name, COUNTER, "nodeName: two", "ports: [{containerPort: 80, hostPort: 8099}]"))
        self.agent.start()  # and it hears of both at once
        path = "{.status.phase} {.status.reason}"
        wait_for("one to run and one to be refused", lambda: sorted(
            self.server.get("pod", name, path) for name in ("twin-a", "twin-b")) == ["Failed NodePorts", "Running "])
        self.out("delete", "pod", "twin-a", "twin-b", "--now")

    def test_5_kill_the_server(self):
        before = self.lines()[-1]
        processes = self.agent.conmons()
        self.server.kill()
        self.server.start()
        wait_for("the agent to be back", lambda: self.lines()[-1] > before + 5)
        self.check_unharmed(processes)
        self.server.apply(pod("later", "sleep 1000"))
        self.server.wait_pod("later")

    def test_6_wrong_token(self):
        token = (self.server.data / "token").read_text().strip()
        last = token[-1]
        service = Service(self.machine, "agent")
        done = self.machine.run(GANTRY, "agent", "--server", f"https://{self.machine.address}:6443", "--token",
                                token[:-1] + ("0" if last != "0" else "1"), "--data-dir", service.data, "--node-name",
                                "three", check=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"^gantry: [^\n]*token[^\n]*\n$")
        self.assertEqual(self.out("get", "nodes", "-o", "name"), "node/two\n")

    def check_unharmed(self, processes):
        lines = self.lines()
        self.assertEqual(lines, list(range(len(lines))), "a log line is missing or double")
        self.assertEqual(self.agent.conmons(), processes)
        self.assertEqual(set(self.out("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*]"
                                      ".restartCount}").split()), {"0"})
        self.assertEqual(self.out("exec", "web", "--", "echo", "here"), "here\n")


if __name__ == "__main__":
    main(85)
