"""The network between hosts: pods of both IP families talk across nodes, whatever happens to the agents."""

import json
import os
import time
import unittest
from pathlib import Path

from hosts import Cluster, Load, Network, close_all, main, run, wait_for

from cluster import pod

# Answers with the address that the request came from.
ECHO = ("mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR\\n' > /www/cgi-bin/who; "
        "chmod +x /www/cgi-bin/who; exec httpd -f -p 8080 -h /www")


def on(node):
    return f"nodeName: {node}"


class OverlayCase(unittest.TestCase):
    """A server and two agents; the hosts have addresses of both families."""

    CLUSTER_CIDR = "10.42.0.0/16,fd42:0:0:100::/56"
    ARGUMENTS = ()

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.network = Network()
        for number, name in enumerate(("server-1", "agent-1", "agent-2"), 1):
            host = cls.network.host(name)
            host.run("ip", "address", "add", f"fd99::{number}/64", "dev", "eth0", "nodad")
            host.run("ip", "route", "add", "default", "via", "fd99::ffff")
        cls.cluster = Cluster(cls.network, agents=2,
                              server_arguments=("--cluster-cidr", cls.CLUSTER_CIDR, *cls.ARGUMENTS))
        cls.cluster.start()
        cls.server = cls.cluster.server
        cls.server.apply("".join(pod(f"pod-{n}", ECHO, spec=on(f"agent-{n}")) +
                                 pod(f"host-{n}", ECHO.replace("8080", "8081"),
                                     spec=on(f"agent-{n}") + "\nhostNetwork: true") for n in (1, 2)))
        for n in (1, 2):
            cls.server.wait_pod(f"pod-{n}")
            cls.server.wait_pod(f"host-{n}")

    def ips(self, name):
        return self.server.get("pod", name, "{.status.podIPs[*].ip}").split()

    def ask(self, source, address, port=8080):
        """Whom the answering pod sees when `source` asks it."""
        host = f"[{address}]" if ":" in address else address
        answer = self.inside(source, "curl", "-sSf", "--max-time", "5", f"http://{host}:{port}/cgi-bin/who")
        if answer.returncode != 0:
            raise AssertionError(f"{source} asks {address}: {answer.stderr}")
        return answer.stdout.strip().strip("[]").removeprefix("::ffff:")

    def process_of(self, name):
        """The id of a process in the pod."""
        uid = self.server.get("pod", name, "{.metadata.uid}")
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if uid in (entry / "cgroup").read_text() and (entry / "comm").read_text().strip() == "httpd":
                    return entry.name
            except OSError:
                pass  # ended meanwhile
        raise AssertionError(f"no process in pod {name}")

    def inside(self, name, *command):
        """Runs a program of the machine in the network of a pod."""
        return run("nsenter", f"--net=/proc/{self.process_of(name)}/ns/net", "--", *command, check=False)

    def ping(self, name, address, size):
        """The exit code of a ping of that many bytes of IP, which no one may cut into pieces."""
        header = 48 if ":" in address else 28
        return self.inside(name, "ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", size - header,
                           address).returncode

    def routes(self, agent):
        return agent.machine.run("ip", "route").stdout + agent.machine.run("ip", "-6", "route").stdout


class VxlanTest(OverlayCase):
    ARGUMENTS = ("--node-cidr-mask-size-ipv4", "25")
    MTU = 1450

    def test_addresses(self):
        for n in (1, 2):
            node = json.loads(self.server.out("get", "node", f"agent-{n}", "-o", "json"))
            v4, v6 = node["spec"]["podCIDRs"]
            self.assertTrue(v4.endswith("/25") and v6.endswith("/64"), (v4, v6))
            internal = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
            self.assertEqual(len(internal), 2, internal)
            self.assertIn("fd99::", internal[1])
            self.assertEqual(len(self.ips(f"pod-{n}")), 2)
            self.assertEqual(self.server.get("pod", f"pod-{n}", "{.status.hostIPs[*].ip}").split(), internal)
            self.assertEqual(self.ips(f"host-{n}"), internal)

    def test_pods_talk_and_keep_their_addresses(self):
        for here, there in ((1, 2), (2, 1)):
            for own, other in zip(self.ips(f"pod-{here}"), self.ips(f"pod-{there}")):
                self.assertEqual(self.ask(f"pod-{here}", other), own)

    def test_hosts_and_pods_of_other_nodes(self):
        for here, there in ((1, 2), (2, 1)):
            for family in (0, 1):
                node = self.ips(f"host-{there}")[family]
                # To the outside of the pods' network, also to nodes, a pod looks like its node.
                self.assertEqual(self.ask(f"pod-{here}", node, 8081), self.ips(f"host-{here}")[family])
                self.assertEqual(self.ask(f"host-{here}", node, 8081), self.ips(f"host-{here}")[family])
                self.assertTrue(self.ask(f"host-{here}", self.ips(f"pod-{there}")[family]))

    def test_largest_packet(self):
        for address in self.ips("pod-2"):
            self.assertEqual(self.ping("pod-1", address, self.MTU), 0, address)
            self.assertNotEqual(self.ping("pod-1", address, self.MTU + 1), 0, address)

    def test_crash_while_traffic_flows(self):
        load = Load(self.cluster.agents[0].machine, f"http://{self.ips('pod-2')[0]}:8080/cgi-bin/who")
        for agent in self.cluster.agents:
            agent.kill()
        time.sleep(0.5)
        for agent in self.cluster.agents:
            agent.start()
        for agent in self.cluster.agents:
            self.server.wait_node(agent.node)
        record = load.stop()
        self.assertEqual(record.failures, [])
        self.assertTrue(record.requests)

    def test_flags_that_contradict_the_cluster(self):
        agent = self.cluster.agents[1]
        agent.stop()
        arguments, agent.arguments = agent.arguments, (*agent.arguments, "--overlay", "host-routes")
        try:
            agent.start()
            self.assertEqual(agent.process.wait(30), 1)
            self.assertIn("--overlay host-routes is not what the cluster has (vxlan)", agent.tail())
        finally:
            agent.arguments = arguments
            agent.start()
        self.server.wait_node(agent.node)

    def test_z_node_goes_and_comes(self):
        first, second = self.cluster.agents
        networks = self.server.get("node", second.node, "{.spec.podCIDRs[*]}").split()
        for network in networks:
            self.assertIn(network, self.routes(first))
        second.kill()
        self.server.out("delete", "node", second.node)
        wait_for("no route", lambda: not any(network in self.routes(first) for network in networks), seconds=10)
        forwarding = first.machine.run("bridge", "fdb", "show", "dev", f"gvxlan-{first.ids[1]}").stdout
        self.assertNotIn(second.machine.address, forwarding)
        second.start()
        self.server.wait_node(second.node)
        self.server.apply(pod("pod-3", ECHO, spec=on(second.node)))
        self.server.wait_pod("pod-3")
        for own, other in zip(self.ips("pod-1"), self.ips("pod-3")):
            self.assertEqual(self.ask("pod-1", other), own)


class HostRoutesTest(OverlayCase):
    ARGUMENTS = ("--overlay", "host-routes")

    def test_pods_talk(self):
        for here, there in ((1, 2), (2, 1)):
            for own, other in zip(self.ips(f"pod-{here}"), self.ips(f"pod-{there}")):
                self.assertEqual(self.ask(f"pod-{here}", other), own)
        for address in self.ips("pod-2"):
            self.assertEqual(self.ping("pod-1", address, 1500), 0, address)

    def test_the_mtu_follows_the_uplink(self):
        agent = self.cluster.agents[0]
        agent.machine.run("ip", "link", "set", "eth0", "mtu", "1400")

        def mtu():
            links = self.inside("pod-1", "ip", "-o", "link").stdout
            return "eth0" in links and "mtu 1400" in links

        try:
            wait_for("the pod's MTU", mtu, seconds=10)
        finally:
            agent.machine.run("ip", "link", "set", "eth0", "mtu", "1500")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    main(120)
