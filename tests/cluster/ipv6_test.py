"""A cluster that has IPv6 and nothing else: machines, pods, services, names, logs."""

import ipaddress
import json
import subprocess
import unittest
from pathlib import Path

from hosts import GANTRY, Cluster, Network, close_all, main, wait_for
from cluster import pod

PODS = ipaddress.ip_network("fd42::/56")
SERVICES = ipaddress.ip_network("fd43::/112")
PAGE = "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"
PROBE = "readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}"


class Ipv6Test(unittest.TestCase):
    """One server and two agents."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.network = Network(ipv6=True)
        cls.cluster = Cluster(cls.network, agents=2, server_arguments=(
            "--cluster-cidr", str(PODS), "--service-cidr", str(SERVICES)))
        cls.cluster.start()
        cls.server = cls.cluster.server
        cls.out = cls.server.out
        cls.server.apply("".join(pod(f"on-{node}", PAGE, spec=f"nodeName: {node}", container=PROBE, labels=", web: here")
                                 for node in ("agent-1", "agent-2")))
        for node in ("agent-1", "agent-2"):
            cls.server.wait_pod(f"on-{node}")
        cls.out("create", "service", "nodeport", "web", "--tcp=80:8080", "--node-port=30080")
        cls.out("set", "selector", "service/web", "web=here")

    def in_pod(self, name, *command):
        """Runs a program of this machine in the pod's network."""
        uid = self.server.get("pod", name, "{.metadata.uid}")
        agent = self.cluster.agent_of(self.server.get("pod", name, "{.spec.nodeName}"))
        process = next(pid for pid in agent.container_processes()
                       if uid.replace("-", "_") in Path(f"/proc/{pid}/cgroup").read_text().replace("-", "_"))
        return agent.machine.run("nsenter", f"--net=/proc/{process}/ns/net", "--", *command).stdout

    def fetch(self, name, url):
        return self.in_pod(name, "curl", "-sSf", "--max-time", "5", url)

    def answers(self, fetch, url):
        """Who answers, over a few connections."""
        return {fetch(url).strip() for _ in range(12)}

    def test_addresses(self):
        for line in self.out("get", "nodes", "-o", "jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDRs} "
                             "{.status.addresses[?(@.type=='InternalIP')].address}{'\\n'}{end}").splitlines():
            name, ranges, address = line.split()
            self.assertEqual(address, self.cluster.agent_of(name).machine.address)
            (own,) = json.loads(ranges)
            self.assertTrue(ipaddress.ip_network(own).subnet_of(PODS))
            on_node = json.loads(self.server.get("pod", f"on-{name}", "{.status.podIPs}"))
            self.assertEqual([ipaddress.ip_address(ip["ip"]) in ipaddress.ip_network(own) for ip in on_node], [True])
            self.assertEqual(self.server.get("pod", f"on-{name}", "{.status.hostIPs[*].ip}"), address)
        for service in ("web", "kubernetes"):
            self.assertIn(ipaddress.ip_address(self.server.get("service", service, "{.spec.clusterIP}")), SERVICES)
            self.assertEqual(self.server.get("service", service, "{.spec.ipFamilies[*]} {.spec.ipFamilyPolicy}"), "IPv6 SingleStack")
        command = self.server.machine.run(GANTRY, "token", "--data-dir", self.server.data, "create", "--print-join-command").stdout
        self.assertIn(f"--server https://[{self.server.machine.address}]:6443 ", command)

    def test_pods_and_services(self):
        there = self.server.get("pod", "on-agent-2", "{.status.podIP}")
        self.assertEqual(self.fetch("on-agent-1", f"http://[{there}]:8080/"), "on-agent-2\n")
        address = self.server.get("service", "web", "{.spec.clusterIP}")
        both = {"on-agent-1", "on-agent-2"}
        self.assertEqual(self.answers(lambda url: self.fetch("on-agent-1", url), f"http://[{address}]/"), both)
        host = self.cluster.agents[0].machine
        self.assertEqual(self.answers(host.fetch, f"http://[{address}]/"), both)
        client = self.network.host("client")
        self.assertEqual(self.answers(client.fetch, f"http://[{host.address}]:30080/"), both)

    def test_names(self):
        address = self.server.get("service", "web", "{.spec.clusterIP}")
        self.assertIn(f"nameserver {SERVICES[10]}\n", self.out("exec", "on-agent-1", "--", "cat", "/etc/resolv.conf"))
        answer = self.out("exec", "on-agent-1", "--", "nslookup", "web.default.svc.cluster.local")
        self.assertIn(f"Address: {address}\n", answer)
        self.assertEqual(self.in_pod("on-agent-1", "dig", "+short", f"@{SERVICES[10]}", "web.default.svc.cluster.local", "A"), "")

    def test_the_api_from_a_pod(self):
        self.assertEqual(self.out("exec", "on-agent-2", "--", "sh", "-c", "echo $KUBERNETES_SERVICE_HOST").strip(), str(SERVICES[1]))
        token = self.out("exec", "on-agent-2", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
        version = self.in_pod("on-agent-2", "curl", "-sSfk", "--max-time", "5", "-H", f"Authorization: Bearer {token}",
                              f"https://[{SERVICES[1]}]/version")
        self.assertIn("gitVersion", json.loads(version))

    def test_streams(self):
        self.server.apply(pod("talks", "echo here; sleep 1000", spec="nodeName: agent-1"))
        self.server.wait_pod("talks")
        self.assertEqual(self.out("logs", "talks"), "here\n")
        self.assertEqual(self.out("exec", "talks", "--", "echo", "there"), "there\n")
        forward = self.server.spawn_kubectl("port-forward", "--address=::1", "pod/on-agent-2", "9000:8080",
                                            stdout=subprocess.PIPE, text=True)
        self.assertIn("Forwarding from [::1]:9000", forward.stdout.readline())
        self.assertEqual(wait_for("the page", lambda: self.server.machine.fetch("http://[::1]:9000/")), "on-agent-2\n")
        forward.terminate()


if __name__ == "__main__":
    main(90)
