"""Three servers over three members of etcd and an agent, each on a host of its own, and what they survive."""

import json
import math
import os
import subprocess
import sys
import time
import unittest

from hosts import HERE, Cluster, Etcd, Network, Server, close_all, main, wait_for
from cluster import pod
from linearizability import INITIAL, Operation, violations

SLOWNESS = int(os.environ.get("GANTRY_TEST_SLOWNESS", "1"))
CHANGED = '{.status.conditions[?(@.type=="Ready")].lastTransitionTime}'
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {0}}}
spec:
  selector: {{matchLabels: {{app: {0}}}}}
  template:
    metadata: {{labels: {{app: {0}}}}}
    spec: {{containers: [{{name: main, image: none}}]}}
"""


class CheckerTest(unittest.TestCase):
    """The checker of histories itself."""

    def test_histories(self):
        def write(value, start, end):
            return Operation("write", "k", value, start, end)

        def read(value, start, end):
            return Operation("read", "k", value, start, end)

        good = {
            "nothing": [],
            "the first value": [read(INITIAL, 0, 1)],
            "one after another": [write("a", 0, 1), read("a", 2, 3), write("b", 4, 5), read("b", 6, 7)],
            "reads beside a write": [write("a", 0, 1), write("b", 2, 6), read("a", 3, 4), read("b", 4.5, 5)],
            "a lost write that was done": [write("a", 0, math.inf), read(INITIAL, 1, 2), read("a", 8, 9)],
            "a lost write that was not": [write("a", 0, math.inf), read(INITIAL, 8, 9)],
            "two writes at once": [write("a", 0, 5), write("b", 0, 5), read("b", 6, 7)],
        }
        bad = {
            "stale": [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)],
            "lost": [write("a", 0, 1), read(INITIAL, 2, 3)],
            "there and back": [write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("a", 5, 6)],
            "from the future": [read("a", 0, 1), write("a", 2, 3)],
            "out of the air": [read("x", 0, 1)],
            "in the middle of another": [write("a", 0, 1), read("a", 8, 9), write("b", 3, 4)],
        }
        for name, history in good.items():
            with self.subTest(name):
                self.assertEqual(violations(history), [])
        for name, history in bad.items():
            with self.subTest(name):
                self.assertTrue(violations(history))


class ServersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.network = Network()
        etcd = Etcd([cls.network.host(f"etcd-{number}") for number in (1, 2, 3)])
        cls.cluster = Cluster(cls.network, servers=3, agents=1, etcd=etcd, server_arguments=("--failover", "fast"))
        cls.cluster.start()
        cls.agent = cls.cluster.agents[0]
        cls.servers = cls.cluster.servers

    def tearDown(self):
        self.network.heal()

    def leader(self, server):
        return server.get("lease", "gantry-control-plane", "{.spec.holderIdentity}", "-n", "kube-system").partition("_")[0]

    def addresses(self, server):
        return server.get("endpoints", "kubernetes", "{.subsets[*].addresses[*].ip}").split()

    def controllers_work(self, server, name):
        """Seconds until the controllers have acted on what is written now."""
        began = time.monotonic()
        server.apply(DEPLOYMENT.format(name))
        wait_for("a replica set", lambda: server.out("get", "rs", "-l", "app=" + name, "-o", "name"))
        return time.monotonic() - began

    def test_1_one_cluster(self):
        """What is written through one server is there through the others at once; all are endpoints."""
        first, second, third = self.servers
        for number in range(5):
            first.kubectl("create", "configmap", f"made-{number}")
            third.kubectl("get", "configmap", f"made-{number}")
            second.kubectl("delete", "configmap", f"made-{number}")
            self.assertIn("NotFound", first.error("get", "configmap", f"made-{number}"))
        everybody = sorted(server.machine.address for server in self.servers)
        for server in self.servers:
            self.assertEqual(sorted(self.addresses(server)), everybody)
            slices = server.get("endpointslice", "kubernetes", "{.endpoints[*].addresses[0]}").split()
            self.assertEqual(sorted(slices), everybody)
        # A kubeconfig and a service account's token of one are good for all.
        token = first.out("create", "token", "default").strip()
        who = third.out("--token", token, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
        self.assertTrue(who)

    def test_2_wrong_token(self):
        host = self.network.host("stranger")
        for arguments, message in (
                (("--token", "abcdef.fedcba9876543210"), "the token is not the one of the cluster in this etcd"),
                ((), "there is a cluster in this etcd already; give its token"),
                (("--token", Cluster.TOKEN, "--service-cidr", "10.77.0.0/16"), "--cluster-dns is 10.77.0.10 here")):
            stranger = Server(host, "--no-agent", "--store", self.cluster.etcd.store, *arguments, node="stranger")
            stranger.start(wait=False)
            self.assertEqual(stranger.process.wait(30), 1)
            self.assertIn(message, stranger.tail())

    def test_3_the_leader_is_killed(self):
        leader = self.leader(self.servers[0])
        victim = next(server for server in self.servers if server.machine.name == leader)
        other, third = (server for server in self.servers if server is not victim)
        self.controllers_work(other, "before")
        victim.kill()
        took = self.controllers_work(other, "after")
        self.assertLessEqual(took, 3 * SLOWNESS)
        self.assertNotEqual(self.leader(third), leader)
        gone = victim.machine.address
        wait_for("the dead server to leave the endpoints", lambda: gone not in self.addresses(third), seconds=20)
        victim.start()
        wait_for("the server to be back", lambda: gone in self.addresses(third))

    def test_4_linearizable(self):
        """Through cut cables, a killed member of etcd and a killed server."""
        for number in range(3):
            self.servers[0].kubectl("create", "configmap", f"register-{number}")
        clients = [self.start_clients(server) for server in self.servers]
        time.sleep(1)
        self.network.cut(self.servers[1].machine)
        time.sleep(4)
        self.network.heal()
        member = next(member for member in self.cluster.etcd.members if member.leads())
        member.kill()
        time.sleep(3)
        member.start()
        lonely = next(other for other in self.cluster.etcd.members if other is not member)
        self.network.cut(lonely.machine)
        time.sleep(3)
        self.network.heal()
        self.servers[2].kill()
        self.servers[2].start()
        time.sleep(1)
        history = sum((self.history_of(process) for process in clients), [])
        self.assertEqual(violations(history), [])
        done = [operation for operation in history if operation.end < math.inf]
        for kind in ("read", "write"):
            self.assertGreater(sum(operation.kind == kind for operation in done), 100, "too little was done")

    def test_5_stale_reads_are_caught(self):
        """The checker sees it when a server that is cut off answers from what it remembers."""
        for number in range(3, 6):
            self.servers[0].kubectl("create", "configmap", f"register-{number}", check=False)
        # Those of the server that is cut off only read: with a write each would wait until the cut is over.
        lonely = self.servers[1]
        clients = [self.start_clients(server, "resourceVersion=0", writes=0 if server is lonely else 0.5)
                   for server in self.servers]
        time.sleep(1)
        self.network.cut(lonely.machine)
        time.sleep(2)
        self.network.heal()
        history = sum((self.history_of(process) for process in clients), [])
        self.assertTrue(violations(history))

    def test_6_without_etcd(self):
        """Nothing is answered that is not known, nothing is lost, and all goes on by itself."""
        server = self.servers[0]
        server.kubectl("create", "configmap", "kept")
        for member in self.cluster.etcd.members:
            member.kill()
        wait_for("readyz to tell", lambda: "[-]etcd failed" in server.kubectl(
            "get", "--raw", "/readyz?verbose", check=False).stderr + server.kubectl(
                "get", "--raw", "/readyz?verbose", check=False).stdout)
        self.assertRegex(server.error("get", "configmap", "kept", "--request-timeout=30s"), "etcd|dial tcp")
        self.assertRegex(server.error("create", "configmap", "new", "--request-timeout=30s"), "etcd|dial tcp")
        # One that is started now waits, and says for what.
        starting = self.servers[2]
        starting.kill()
        starting.log.write_text("")
        starting.start(wait=False)
        wait_for("a word", lambda: "etcd" in starting.log.read_text())
        self.assertIsNone(starting.process.poll())
        for member in self.cluster.etcd.members:
            member.start()
        for each in self.servers:
            wait_for("the server to go on", lambda: each.kubectl("get", "configmap", "kept"))
            wait_for("readyz", lambda: each.kubectl("get", "--raw", "/readyz").stdout == "ok")
            self.assertIsNone(each.process.poll())
        self.controllers_work(server, "later")

    def test_7_an_agent_changes_over(self):
        """The server that an agent speaks to is killed, or falls silent: everything goes on by way of the others."""
        self.servers[0].apply(pod("steady", "while sleep 0.1; do date +%s; done", spec="nodeName: agent-1"))
        self.servers[0].wait_pod("steady")
        since = self.servers[0].get("node", "agent-1", CHANGED)
        for number, (fault, end) in enumerate(((Server.kill, Server.start),
                                               (lambda victim: self.network.cut(victim.machine), lambda _: self.network.heal()))):
            victim = self.server_of(self.agent)
            others = [server for server in self.servers if server is not victim]
            for server in others:
                wait_for("the tunnel", lambda server=server: server.out("logs", "steady", "--tail=1"))
            follower = others[0].spawn_kubectl("logs", "-f", "steady", "--tail=1", stdout=subprocess.PIPE, text=True)
            follower.stdout.readline()
            began = time.time()
            fault(victim)
            wait_for("another server", lambda victim=victim: self.server_of(self.agent) not in (None, victim))
            took = time.time() - began
            print(f"at another server after {took:.2f} s")
            self.assertLessEqual(took, 2 * SLOWNESS)
            name = f"later-{number}"
            others[0].apply(pod(name, "echo here; sleep 1000", spec="nodeName: agent-1"))
            others[1].wait_pod(name, seconds=20)
            for server in others:
                self.assertEqual(server.out("logs", name), "here\n")
                self.assertEqual(server.out("exec", name, "--", "echo", "there"), "there\n")
            while int(follower.stdout.readline()) < time.time() - 2:
                pass  # its stream has not ended
            follower.kill()
            time.sleep(3.5)  # longer than the node's grace
            end(victim)
            self.assertEqual(others[0].get("node", "agent-1", CHANGED), since)
            wait_for("the server to be back", lambda victim=victim: victim.out("logs", "steady", "--tail=1"))
        self.servers[0].out("delete", "pod", "--all", "--grace-period=1", "--timeout=30s")

    def server_of(self, agent):
        """The server that gets the agent's requests: there is a tunnel to every server, and one connection more to that."""
        links = agent.machine.run("ss", "-Htn", "state", "established", "dport", "=", ":6443").stdout.split()
        counts = {server: links.count(f"{server.machine.address}:6443") for server in self.servers}
        return next((server for server, count in counts.items() if count > 1), None)

    def start_clients(self, server, *query, writes=0.5):
        first = 3 if query else 0
        return server.machine.spawn(
            sys.executable, HERE / "history.py", server.data / "kubeconfig", "https://127.0.0.1:6443",
            f"{server.machine.name}-{first}", first, 3, 3, writes, *query, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)

    def history_of(self, process):
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        return [Operation(*json.loads(line)) for line in output.splitlines()]


if __name__ == "__main__":
    main(300)
