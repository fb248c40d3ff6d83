"""Services across machines: who may come in where, who answers, and whose address the answerer sees.

Three nodes in three zones; an endpoint on the first two, a client pod on each, and a client outside.
"""

import sys
import unittest

from hosts import Cluster, Network, close_all, main, wait_for

IMAGE = "example.local/busybox:1"
WHO = r"""mkdir -p /www/cgi-bin
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n$(hostname) $REMOTE_ADDR\\n"\n' > /www/cgi-bin/who
chmod +x /www/cgi-bin/who
exec httpd -f -p 0.0.0.0:8080 -h /www"""
UDP_SERVER = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5353))
print("bound", flush=True)
while True:
    _, peer = server.recvfrom(64)
    server.sendto(sys.argv[1].encode(), peer)
"""
# Asks from one port all the time: to the kernel this is one flow.
UDP_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("0.0.0.0", 40000))
client.settimeout(1)
client.sendto(b"?", (sys.argv[1], 53))
print(client.recv(64).decode())
"""


def pod(name, node, command, labels="", ports=""):
    lines = "\n".join("          " + line for line in command.splitlines())
    return f"""
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels: {{{labels}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: {IMAGE}
    command:
    - sh
    - -c
    - |
{lines}
    ports: [{ports}]
---"""


class ServicesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.network = Network()
        cls.cluster = Cluster(cls.network, agents=3)
        cls.cluster.start()
        cls.server = cls.cluster.server
        cls.hosts = [agent.machine for agent in cls.cluster.agents]
        cls.addresses = [host.address for host in cls.hosts]
        cls.outside = cls.network.host("outside")
        for number, host in enumerate(cls.hosts, 1):
            cls.server.out("label", "node", host.name, f"topology.kubernetes.io/zone=z{number}")
        cls.connect_pods()
        cls.server.apply(
            "".join(pod(f"web-{n}", f"agent-{n}", WHO, "app: web", "{name: http, containerPort: 8080}") for n in (1, 2))
            + "".join(pod(f"client-{n}", f"agent-{n}", "exec sleep 100000") for n in (1, 2, 3))
            + """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
""")
        for name in ("web-1", "web-2", "client-1", "client-2", "client-3"):
            cls.server.wait_pod(name)
        cls.pod_ips = [cls.server.get("pod", f"client-{n}", "{.status.podIP}") for n in (1, 2, 3)]

    @classmethod
    def connect_pods(cls):
        """Leads pod addresses between the hosts, where nothing else does yet."""
        ranges = [cls.server.get("node", host.name, "{.spec.podCIDR}") for host in cls.hosts]
        for host in cls.hosts:
            for other, cidr in zip(cls.hosts, ranges):
                if other is not host and cidr not in host.run("ip", "route").stdout:
                    host.run("ip", "route", "add", cidr, "via", other.address)

    def setUp(self):
        self.patch(loadBalancerSourceRanges=None, externalTrafficPolicy="Cluster", internalTrafficPolicy="Cluster",
                   trafficDistribution=None, sessionAffinity="None")
        self.cluster_ip = self.field("clusterIP")
        self.node_port = self.field("ports[0].nodePort")

    def patch(self, **spec):
        text = ",".join(f'"{key}":' + ("null" if value is None else
                                       "[" + ",".join(f'"{item}"' for item in value) + "]" if isinstance(value, list)
                                       else f'"{value}"') for key, value in spec.items())
        self.server.out("patch", "service", "web", "--type=merge", "-p", '{"spec":{' + text + "}}")

    def field(self, path):
        return self.server.get("service", "web", "{.spec." + path + "}")

    def ingress(self):
        return self.server.get("service", "web", "{.status.loadBalancer.ingress[*].ip}").split()

    def ask(self, host, address, port=80, times=1):
        """What a host is answered: a set of "POD CLIENT", or of "" where it is not."""
        url = f"http://{address}:{port}/cgi-bin/who"
        return {host.run("curl", "-s", "--max-time", "1", url, check=False).stdout.strip() for _ in range(times)}

    def ask_pod(self, number, address, port=80, times=12):
        """The same of a pod."""
        loop = f"for i in $(seq {times}); do timeout 2 wget -qO- http://{address}:{port}/cgi-bin/who || echo; done"
        return set(self.server.out("exec", f"client-{number}", "--", "sh", "-c", loop).splitlines())

    def eventually(self, want, probe):
        def check():
            got = probe()
            assert got == want, got
            return True
        wait_for(f"{want}", check, seconds=20)

    @staticmethod
    def names(answers):
        return {answer.partition(" ")[0] for answer in answers}

    def test_balancer_on_every_node(self):
        self.eventually(self.addresses, self.ingress)
        for address in self.addresses:
            self.eventually({"web-1", "web-2"}, lambda: self.names(self.ask(self.outside, address, times=12)))
        self.eventually({"web-1", "web-2"},
                        lambda: self.names(self.ask(self.outside, self.addresses[2], self.node_port, times=12)))
        self.assertEqual(self.names(self.ask_pod(3, self.addresses[0])), {"web-1", "web-2"})
        # Inside the cluster the pod's address is kept, across machines too.
        self.assertEqual(self.ask_pod(3, self.cluster_ip),
                         {f"web-1 {self.pod_ips[2]}", f"web-2 {self.pod_ips[2]}"})
        # The nodes themselves are clients as well.
        for host in self.hosts:
            self.assertEqual(self.names(self.ask(host, self.cluster_ip, times=12)), {"web-1", "web-2"})

    def test_nodes_that_take_no_outside_traffic(self):
        label = "node.kubernetes.io/exclude-from-external-load-balancers"
        self.server.out("label", "node", "agent-2", f"{label}=")
        self.eventually([self.addresses[0], self.addresses[2]], self.ingress)
        self.server.out("label", "node", "agent-2", f"{label}-")
        self.eventually(self.addresses, self.ingress)

    def test_external_policy_local(self):
        self.patch(externalTrafficPolicy="Local")
        self.eventually(self.addresses[:2], self.ingress)
        outside = self.outside.address
        for number in (1, 2):
            for port in (80, self.node_port):
                self.eventually({f"web-{number} {outside}"},
                                lambda: self.ask(self.outside, self.addresses[number - 1], port, times=6))
        self.eventually({""}, lambda: self.ask(self.outside, self.addresses[2], self.node_port))
        # Who is inside may use them all.
        self.assertEqual(self.names(self.ask_pod(3, self.addresses[2], self.node_port)), {"web-1", "web-2"})

        health = self.field("healthCheckNodePort")
        for address, status, count in zip(self.addresses, ("200", "200", "503"), (1, 1, 0)):
            answer = self.outside.run("curl", "-s", "-w", "%{http_code}", f"http://{address}:{health}/").stdout
            self.assertTrue(answer.endswith(status), answer)
            self.assertIn('"service": {\n\t\t"namespace": "default",\n\t\t"name": "web"\n\t}', answer)
            self.assertIn(f'"localEndpoints": {count},\n\t"serviceProxyHealthy": true', answer)

    def test_internal_policy_local(self):
        self.patch(internalTrafficPolicy="Local")
        for number in (1, 2):
            self.eventually({f"web-{number}"}, lambda: self.names(self.ask_pod(number, self.cluster_ip)))
        self.eventually({""}, lambda: self.ask_pod(3, self.cluster_ip, times=1))

    def test_traffic_distribution(self):
        for wish in ("PreferSameZone", "PreferSameNode"):
            self.patch(trafficDistribution=wish)
            for number in (1, 2):
                self.eventually({f"web-{number}"}, lambda: self.names(self.ask_pod(number, self.cluster_ip)))
            self.assertEqual(self.names(self.ask_pod(3, self.cluster_ip, times=24)), {"web-1", "web-2"})
        hints = "{range .items[*].endpoints[*]}{.nodeName}={.hints.forZones[*].name}/{.hints.forNodes[*].name} {end}"
        self.assertEqual(
            sorted(self.server.out("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o",
                                   "jsonpath=" + hints).split()), ["agent-1=z1/agent-1", "agent-2=z2/agent-2"])

    def test_source_ranges(self):
        self.patch(loadBalancerSourceRanges=["10.42.0.0/16"])
        self.eventually({""}, lambda: self.ask(self.outside, self.addresses[2]))
        self.eventually({"web-1", "web-2"}, lambda: self.names(self.ask_pod(3, self.addresses[2])))
        self.assertEqual(len(self.names(self.ask(self.outside, self.addresses[2], self.node_port, times=12))), 2)
        self.patch(loadBalancerSourceRanges=[self.outside.address + "/32"])
        self.eventually({"web-1", "web-2"}, lambda: self.names(self.ask(self.outside, self.addresses[2], times=12)))

    def test_session_affinity(self):
        self.patch(sessionAffinity="ClientIP")
        self.eventually(1, lambda: len(self.names(self.ask_pod(3, self.cluster_ip))))
        self.assertEqual(len(self.names(self.ask(self.outside, self.addresses[2], times=12))), 1)

    def test_udp(self):
        """A flow leaves an endpoint that is gone, on every node; the endpoints are the hosts themselves."""
        servers = []
        for host in self.hosts[:2]:
            servers.append(host.spawn(sys.executable, "-c", UDP_SERVER, host.name, stdout=-1, text=True))
            servers[-1].stdout.readline()

        def put(host):
            self.server.apply(f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: dns-1, labels: {{kubernetes.io/service-name: dns}}}}
addressType: IPv4
ports: [{{name: dns, port: 5353, protocol: UDP}}]
endpoints: [{{addresses: [{host.address}], nodeName: {host.name}, conditions: {{ready: true}}}}]
""")

        self.server.apply("""
apiVersion: v1
kind: Service
metadata: {name: dns}
spec: {type: NodePort, ports: [{name: dns, port: 53, nodePort: 30053, protocol: UDP}], externalIPs: [192.0.2.53]}
""")
        address = self.server.get("service", "dns", "{.spec.clusterIP}")

        def asked():
            return [host.run(sys.executable, "-c", UDP_CLIENT, address, check=False).stdout.strip()
                    for host in self.hosts]

        put(self.hosts[0])
        self.eventually(["agent-1"] * 3, asked)
        put(self.hosts[1])
        self.eventually(["agent-2"] * 3, asked)
        self.outside.run("ip", "route", "add", "192.0.2.53/32", "via", self.addresses[2])
        self.eventually("agent-2", lambda: self.outside.run(
            sys.executable, "-c", UDP_CLIENT, "192.0.2.53", check=False).stdout.strip())
        for server in servers:
            server.kill()


if __name__ == "__main__":
    main(150)
