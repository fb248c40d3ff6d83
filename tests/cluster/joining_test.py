"""Machines that join, fail and come back."""

import time
import unittest

from hosts import GANTRY, Agent, Cluster, Load, Network, close_all, main, wait_for
from cluster import IMAGE, pod

READY = '{.status.conditions[?(@.type=="Ready")].status}'
PAGE = "echo $HOSTNAME > /tmp/index.html; trap 'sleep 0.3; exit 0' TERM; httpd -f -p 8080 -h /tmp & wait"


def deployment(name, replicas, container="", spec=""):
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  strategy: {{rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 5
      {spec}
      containers:
      - name: main
        image: {IMAGE}
        command: [sh, -c, {PAGE!r}]
        readinessProbe: {{httpGet: {{port: 8080}}, periodSeconds: 1}}
        {container}
---
"""


STATEFUL_SET = f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: one}}
spec:
  replicas: 1
  serviceName: one
  selector: {{matchLabels: {{app: one}}}}
  template:
    metadata: {{labels: {{app: one}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: main, image: {IMAGE}, command: [sh, -c, "trap 'exit 0' TERM; sleep 1000 & wait"]}}
---
"""


def connect_pods(cluster):
    """Leads pod addresses to their hosts, where no overlay does it."""
    subnets = cluster.server.out("get", "nodes", "-o", "jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR}{'\\n'}{end}")
    for node, subnet in (line.split() for line in subnets.splitlines()):
        for agent in cluster.agents:
            if agent.node != node and subnet not in agent.machine.run("ip", "route").stdout:
                agent.machine.run("ip", "route", "add", subnet, "via", cluster.agent_of(node).machine.address)


class JoiningTest(unittest.TestCase):
    """One server in the fast profile and two agents."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.network = Network()
        cls.cluster = Cluster(cls.network, agents=2, server_arguments=("--failover", "fast",
                                                                       "--cluster-signing-duration", "60s"))
        cls.cluster.start()
        cls.server = cls.cluster.server
        cls.a, cls.b = cls.cluster.agents
        cls.identity = (cls.a.data / "pki/node.pem").read_text()
        cls.out = cls.server.out

    def tearDown(self):
        self.network.heal()
        wait_for("the pods to be gone, which the next test would count", lambda: not self.out("get", "pods", "-o", "name"))

    def ready(self, node):
        return self.server.get("node", node, READY)

    def refused(self, host, *arguments):
        """The line with which `gantry agent` ends at once."""
        data = self.server.dir / "refused"
        done = host.run(GANTRY, "agent", "--data-dir", data, *arguments, check=False, timeout=60)
        host.run(GANTRY, "cleanup", "--data-dir", data)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return [line for line in done.stderr.splitlines() if line.startswith("gantry: ")][-1]

    def url(self):
        return f"https://{self.server.machine.address}:6443"

    def token(self):
        return (self.server.data / "token").read_text().strip()

    def test_1_tokens(self):
        client = (GANTRY, "token", "--data-dir", self.server.data)
        token = self.server.machine.run(*client, "create", "--description", "a test", "--ttl", "1h").stdout.strip()
        self.assertRegex(token, r"^\w{6}\.\w{16}@sha256:\w{64}$")
        listed = self.server.machine.run(*client, "list").stdout.splitlines()
        self.assertRegex(listed[0], r"^TOKEN +TTL +EXPIRES +USAGES +DESCRIPTION +EXTRA GROUPS$")
        row = next(line for line in listed if line.startswith(token.partition("@")[0]))
        self.assertRegex(row, r"^\S+ +59m +\S+Z +authentication,signing +a test +<none>$")
        self.assertEqual(self.server.machine.run(*client, "delete", token).stdout,
                         f'bootstrap token "{token[:6]}" deleted\n')
        host = self.network.host("stranger")
        self.assertRegex(self.refused(host, "--server", self.url(), "--token", token), "does not know the token")
        short = self.server.machine.run(*client, "create", "--ttl", "1s").stdout.strip()
        wait_for("the cleaner", lambda: short[:6] not in self.server.machine.run(*client, "list").stdout)
        other = self.token()[:-1] + ("0" if self.token()[-1] != "0" else "1")
        self.assertRegex(self.refused(host, "--server", self.url(), "--token", other), "another CA .* than the token names")
        line = self.server.machine.run(*client, "create", "--print-join-command").stdout.split()
        self.assertEqual(line[:4] + line[4:5], ["gantry", "agent", "--server", self.url(), "--token"])

    def test_2_labels_and_taints(self):
        host = self.network.host("stranger")
        join = ("--server", self.url(), "--token", self.token())
        self.assertRegex(self.refused(host, *join, "--node-labels", "a=b,node-role.kubernetes.io/x="),
                         "may not give itself node-role.kubernetes.io/x")
        self.assertRegex(self.refused(host, *join, "--register-with-taints", "a=b:Sometimes"), "the effect must be")
        agent = self.cluster.add_agent("--node-labels", "disk=fast,topology.kubernetes.io/zone=north",
                                       "--register-with-taints", "only=me:NoSchedule")
        self.server.wait_node(agent.node)
        self.assertEqual(self.server.get("node", agent.node, "{.metadata.labels.disk} {.spec.taints[0].key}"), "fast only")
        # The next tests have this one as well.
        self.out("taint", "node", agent.node, "only-")

    def test_3_one_name_for_two(self):
        host = self.network.host("stranger")
        line = self.refused(host, "--server", self.url(), "--token", self.token(), "--node-name", self.a.node)
        self.assertRegex(line, f'node "{self.a.node}" is another machine of this cluster .{self.a.machine.address}. that is alive')
        self.assertEqual(self.ready(self.a.node), "True")

    def test_4_rollout_across_nodes(self):
        connect_pods(self.cluster)
        self.server.apply(deployment("web", 4))
        self.out("expose", "deployment", "web", "--port=80", "--target-port=8080")
        self.out("rollout", "status", "deployment/web", "--timeout=60s")
        nodes = set(self.out("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}").split())
        self.assertGreater(len(nodes), 1)
        address = self.server.get("service", "web", "{.spec.clusterIP}")
        loads = [Load(agent.machine, f"http://{address}/", clients=2) for agent in self.cluster.agents]
        time.sleep(0.5)
        self.out("rollout", "restart", "deployment/web")
        self.out("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
        time.sleep(0.5)
        for load in loads:
            record = load.stop()
            self.assertEqual(record.failures, [])
            self.assertGreater(len(record.requests), 50)
        self.out("delete", "deployment,service", "web", "--timeout=30s")

    def test_5_a_restarted_agent_loses_nothing(self):
        self.server.apply(pod("steady", "sleep 1000", spec=f"nodeName: {self.a.node}"))
        self.server.wait_pod("steady")
        before = self.a.container_processes()
        self.a.kill()
        self.a.start()
        time.sleep(4)  # longer than the grace
        self.assertEqual(self.ready(self.a.node), "True")
        self.assertEqual(self.a.container_processes(), before)
        self.assertEqual(self.server.get("pod", "steady", "{.status.containerStatuses[0].restartCount}"), "0")
        self.out("delete", "pod", "steady", "--grace-period=1")

    def test_6_a_machine_that_is_cut_off(self):
        others = [agent.node for agent in self.cluster.agents if agent is not self.a]
        self.out("cordon", *others)
        self.server.apply(STATEFUL_SET + pod("other", "sleep 1000", spec="tolerations: [{operator: Exists}]") +
                          deployment("moves", 1))
        for name in ("one-0", "other"):
            wait_for(name, lambda name=name: name in self.out("get", "pods", "-o", "name"))
            self.server.wait_pod(name)
        self.out("rollout", "status", "deployment/moves", "--timeout=60s", timeout=70)
        self.out("uncordon", *others)
        count = len(self.a.container_processes())
        began = time.monotonic()
        self.network.cut(self.a.machine)
        wait_for("the pod of the set to be stopped", lambda: len(self.a.container_processes()) < count, seconds=10)
        fenced = time.monotonic() - began
        self.assertEqual(self.ready(self.a.node), "True", "it stopped only after the cluster had given it up")
        self.assertTrue(self.a.container_processes(), "pods without an identity go on")
        wait_for("the node to be given up", lambda: self.ready(self.a.node) == "Unknown", seconds=10)
        running = '{.items[?(@.status.phase=="Running")].spec.nodeName}'
        wait_for("the deployment's pod to run elsewhere", lambda: set(others) & set(
            self.out("get", "pods", "-l", "app=moves", "-o", "jsonpath=" + running).split()), seconds=10)
        print(f"fenced after {fenced:.1f} s; runs elsewhere after {time.monotonic() - began:.1f} s")
        # The set's pod is marked, and stays until somebody says that the machine is gone.
        self.assertTrue(self.server.get("pod", "one-0", "{.metadata.deletionTimestamp}"))
        uid = self.server.get("pod", "one-0", "{.metadata.uid}")
        self.network.heal()
        wait_for("the node", lambda: self.ready(self.a.node) == "True", seconds=20)
        wait_for("the set's pod to be made anew", lambda: self.server.get("pod", "one-0", "{.metadata.uid}") != uid)
        self.server.wait_pod("one-0")
        self.assertEqual(self.server.get("pod", "other", "{.status.containerStatuses[0].restartCount}"), "0")
        self.out("delete", "statefulset/one", "deployment/moves", "pod/other", "--grace-period=1", "--timeout=30s")

    def test_6_b_an_agent_that_is_restarted_while_it_is_cut_off(self):
        others = [agent.node for agent in self.cluster.agents if agent is not self.a]
        self.out("cordon", *others)
        self.server.apply(STATEFUL_SET)
        wait_for("the set's pod", lambda: "one-0" in self.out("get", "pods", "-o", "name"))
        self.server.wait_pod("one-0")
        self.out("uncordon", *others)
        self.network.cut(self.a.machine)
        self.a.kill()
        self.a.start()
        wait_for("the set's pod to be stopped", lambda: not self.a.container_processes(), seconds=30)
        self.network.heal()
        wait_for("the node", lambda: self.ready(self.a.node) == "True", seconds=20)
        wait_for("the set's pod again", lambda: self.server.get("pod", "one-0", READY) == "True")
        self.out("delete", "statefulset/one", "--timeout=30s")

    def test_7_drain_and_delete(self):
        self.server.apply(deployment("web", 2))
        self.out("rollout", "status", "deployment/web", "--timeout=60s")
        self.out("drain", self.a.node, "--ignore-daemonsets", "--timeout=60s", timeout=70)
        self.assertEqual(self.out("get", "pods", "-A", "-o", "name", "--field-selector", f"spec.nodeName={self.a.node}"), "")
        self.assertEqual(self.server.get("node", self.a.node, "{.spec.unschedulable}"), "true")
        before = self.server.get("node", self.a.node, "{.metadata.uid}")
        self.out("delete", "node", self.a.node)
        wait_for("the node to register again",
                 lambda: self.server.get("node", self.a.node, "{.metadata.uid}") not in ("", before))
        self.server.wait_node(self.a.node)
        self.assertEqual(self.server.get("node", self.a.node, "{.spec.unschedulable}"), "")
        self.out("delete", "deployment", "web")

    def test_8_certificates_are_renewed(self):
        wait_for("another certificate", lambda: (self.a.data / "pki/node.pem").read_text() != self.identity, seconds=90)
        self.server.apply(pod("after", "echo here; sleep 1000", spec=f"nodeName: {self.a.node}"))
        self.server.wait_pod("after")
        self.assertEqual(self.out("logs", "after"), "here\n")
        self.assertEqual(self.ready(self.a.node), "True")
        self.out("delete", "pod", "after", "--grace-period=1")

    def test_9_a_machine_takes_the_place_of_one_that_is_gone(self):
        self.b.machine.power_off()
        host = self.network.host("spare")
        spare = Agent(host, [self.server], self.token(), "--node-name", self.b.node)
        spare.start()
        wait_for("the spare machine", lambda: self.server.get(
            "node", self.b.node, '{.status.addresses[?(@.type=="InternalIP")].address}') == host.address, seconds=20)
        self.server.wait_node(self.b.node)
        # The first one comes back and finds its place taken.
        self.b.machine.power_on()
        self.assertEqual(self.b.process.wait(30), 1)
        self.assertRegex(self.b.log.read_text(), "another machine")
        self.server.wait_node(self.b.node)


class FailoverTest(unittest.TestCase):
    """Two ways to a server, of which one falls silent."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        network = Network()
        cls.cluster = Cluster(network, agents=0)
        cls.cluster.start()
        cls.server = cls.cluster.server
        host = cls.server.machine
        # The same server behind another port.
        host.run("nft", "add table ip ways; add chain ip ways in { type nat hook prerouting priority dstnat; }; "
                        "add rule ip ways in tcp dport 7443 redirect to :6443")
        cls.agent = cls.cluster.add_agent("--server", f"https://{host.address}:7443")
        cls.server.wait_node(cls.agent.node)

    def test_a_silent_way_is_left_within_a_second(self):
        host = self.server.machine
        host.run("nft", "add table ip mute; add chain ip mute in { type filter hook prerouting priority raw; }; "
                        "add rule ip mute in iifname eth0 tcp dport 6443 drop")
        began = time.monotonic()
        self.server.apply(pod("later", "sleep 1000"))
        self.server.wait_pod("later", seconds=20)
        print(f"a pod ran {time.monotonic() - began:.1f} s after the way had fallen silent")
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.server.out("exec", "later", "--", "echo", "here"), "here\n")


if __name__ == "__main__":
    main(240)
