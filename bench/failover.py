#!/usr/bin/env python3
"""What a cluster does when its parts die: 3 servers, 3 members of etcd, 5 agents, a service of 20 replicas under load.

  failover [--gantry PATH] [--short]

One fault after another, each after the one before has healed: the leading server is killed, the leading member of etcd is
killed, a machine with containers loses its power, a machine with containers and the one of the leading server lose their
network. Prints a row for each, and the figures as JSON lines (bench/README.md). Everything runs in network namespaces of its
own and is removed at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/cluster"))

REPLICAS = 20
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {REPLICAS}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: example.local/busybox:1
        command: [sh, -c, "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
        readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
"""
PROBE = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: probe, image: "example.local/busybox:1", command: [sleep, "1000"]}}]
"""

# What was sent to a dead pod while the nodes heard that it is no endpoint any more.
HEARD_EVERYWHERE_S = 0.2


class Replicas:
    """The replicas as a watch tells of them, so that looking takes no time of its own."""

    LINE = '{.metadata.name} {.spec.nodeName} {.metadata.deletionTimestamp} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}'

    def __init__(self, server):
        self._watch = server.spawn_kubectl("get", "pods", "-l", "app=web", "--watch", "-o", "jsonpath=" + self.LINE,
                                           stdout=subprocess.PIPE, text=True)
        self._ready = {}  # by name: the node where it is ready, or None
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        for line in self._watch.stdout:
            name, node, deleted, ready = line.rstrip("\n").split(" ")
            self._ready[name] = node if ready == "True" and not deleted else None

    def ready_on(self, nodes):
        return sum(node in nodes for node in list(self._ready.values()))

    def close(self):
        self._watch.kill()


class Bench:
    def __init__(self, short):
        self.hold = 5 if short else 60  # seconds that a machine stays cut off
        self.margin = 0.5 if short else 2  # seconds of load before a fault and after it
        self.network = hosts.Network()
        etcd = hosts.Etcd([self.network.host(f"etcd-{number + 1}") for number in range(3)])
        self.cluster = hosts.Cluster(self.network, servers=3, agents=5, etcd=etcd,
                                     server_arguments=("--failover", "fast"))
        self.server = self.cluster.server  # whom we ask; another one while this one is away
        self.rows = []

    def start(self):
        self.cluster.start()
        self.server.apply(WEB)
        self.server.out("rollout", "status", "deployment/web", "--timeout=180s", timeout=190)
        self.address = self.server.get("service", "web", "{.spec.clusterIP}")
        servers = [f"https://{server.machine.address}:6443" for server in self.cluster.servers]
        self.writer = self.network.host("client").spawn(
            sys.executable, ROOT / "tests/cluster/writer.py", self.server.data / "kubeconfig", *servers,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready_on(self, nodes):
        """How many ready replicas stand on the nodes."""
        items = json.loads(self.server.out("get", "pods", "-l", "app=web", "-o", "json"))["items"]
        return sum(
            pod["spec"].get("nodeName") in nodes and "deletionTimestamp" not in pod["metadata"] and any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod["status"].get("conditions", ())) for pod in items)

    def leader(self):
        holder = self.server.get("lease", "gantry-control-plane", "{.spec.holderIdentity}", "-n", "kube-system")
        return next(server for server in self.cluster.servers if holder.startswith(server.machine.name))

    def fault(self, name, begin, recovered, heal):
        """Puts a load through a fault. `recovered` returns when things are as they should be. Where the fault takes pods
        away it returns when their endpoints went: until then requests may fail, from what was under way on."""
        load = hosts.Load(self.cluster.agents[0].machine, f"http://{self.address}/", timeout=2)
        time.sleep(self.margin)
        start = time.time()
        begin()
        endpoints_gone = recovered()
        recovery = time.time() - start
        heal(start)
        nodes = {agent.node for agent in self.cluster.agents}
        hosts.wait_for("all nodes", lambda: self.all_nodes_ready(nodes), seconds=90)
        hosts.wait_for("all replicas", lambda: self.ready_on(nodes) == REPLICAS, seconds=90)
        time.sleep(self.margin)
        record = load.stop()
        unexplained = [
            request for request in record.failures
            if not endpoints_gone or request.end < start or request.start > endpoints_gone + HEARD_EVERYWHERE_S]
        for request in unexplained[:5]:
            print(f"  unexplained, {request.start - start:.2f} s after the fault: {request.error}")
        self.rows.append({"fault": name, "recovery": recovery, "start": start, "end": time.time(),
                          "requests": len(record.requests), "failed": len(record.failures),
                          "unexplained": len(unexplained), "outage": record.longest_outage()})
        return recovery

    def all_nodes_ready(self, nodes):
        query = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'
        return set(self.server.out("get", "nodes", "-o", "jsonpath=" + query).split()) == {f"{n}=True" for n in nodes}

    def lose_the_leader(self, name, break_it, heal):
        leader = self.leader()
        self.server = next(server for server in self.cluster.servers if server is not leader)

        def new_leader_works():
            # What only controllers do: a replica set for a new deployment.
            self.server.apply(PROBE.format(name="probe"))
            hosts.wait_for("the next leader", lambda: self.server.out("get", "replicasets", "-l", "app=probe", "-o", "name"))

        recovery = self.fault(name, lambda: break_it(leader), new_leader_works, lambda start: heal(leader, start))
        self.server.out("delete", "deployment", "probe")
        return recovery

    def kill_the_leader(self):
        return self.lose_the_leader("kill -9 of the leading server", hosts.Server.kill, lambda leader, _: leader.start())

    def cut_the_leader_off(self):
        return self.lose_the_leader(f"the leading server cut off for {self.hold} s",
                                    lambda leader: self.network.cut(leader.machine), lambda _, start: self.heal(start))

    def kill_an_etcd_member(self):
        member = next(member for member in self.cluster.etcd.members if member.leads())
        return self.fault(
            "kill -9 of etcd's leader", member.kill,
            lambda: hosts.wait_for("a write", lambda: self.server.out("annotate", "node", "agent-1", f"at={time.time()}",
                                                                      "--overwrite")) and None,
            lambda _: member.start())

    def power_cut(self):
        machine = self.cluster.agents[1].machine
        return self.fault("power cut of an agent's machine", machine.power_off, lambda: self.replaced(machine),
                          lambda _: machine.power_on())

    def cut_a_machine_off(self):
        machine = self.cluster.agents[2].machine
        return self.fault(f"an agent's machine cut off for {self.hold} s", lambda: self.network.cut(machine),
                          lambda: self.replaced(machine), self.heal)

    def replaced(self, machine):
        """Waits until all replicas are ready on the other machines. When the endpoints on this one went."""
        others = {agent.node for agent in self.cluster.agents} - {machine.name}
        replicas = Replicas(self.server)
        used = f'{{.endpoints[?(@.nodeName=="{machine.name}")].conditions.ready}}'
        hosts.wait_for("the endpoints to go", lambda: "true" not in self.server.out(
            "get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o",
            "jsonpath={range .items[*]}" + used + "{end}"))
        gone = time.time()
        hosts.wait_for("replacements", lambda: replicas.ready_on(others) == REPLICAS, seconds=60)
        replicas.close()
        return gone

    def heal(self, start):
        """Puts the cables back when they have been out for long enough."""
        time.sleep(max(0, start + self.hold - time.time()))
        self.network.heal()

    def finish_writes(self):
        """Adds what the writer saw to the rows; returns what was acknowledged and is lost."""
        output, _ = self.writer.communicate(timeout=60)
        if self.writer.returncode != 0:
            raise AssertionError(f"the writer ended with {self.writer.returncode}")
        written = json.loads(output)
        times = written["times"]
        for row in self.rows:
            during = [at for at in times if row["start"] - 1 <= at <= row["end"]]
            row["writes"] = len(during)
            row["write_pause"] = max((b - a for a, b in zip(during, during[1:])), default=float("inf"))
        for name in written["lost"]:
            print(f"  lost: {name}")
        return written["lost"]

    def print_rows(self):
        print(f"{'fault':36} {'recovery':>9} {'requests':>9} {'failed':>7} {'unexpl.':>8} {'outage':>8} {'writes':>7} {'pause':>7}")
        for row in self.rows:
            print(f"{row['fault']:36} {row['recovery']:7.2f} s {row['requests']:9} {row['failed']:7} "
                  f"{row['unexplained']:8} {row['outage']:6.2f} s {row['writes']:7} {row['write_pause']:5.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gantry", default=os.environ.get("GANTRY_BINARY", str(Path(__file__).parent.parent / "gantry")))
    parser.add_argument("--short", action="store_true", help="under a minute")
    options = parser.parse_args()
    os.environ["GANTRY_BINARY"] = os.path.abspath(options.gantry)
    if os.geteuid() != 0:
        sys.exit("failover: containers and networks need root")
    global hosts
    import hosts
    try:
        bench = Bench(options.short)
        bench.start()
        leader = bench.kill_the_leader()
        bench.kill_an_etcd_member()
        node = bench.power_cut()
        bench.cut_a_machine_off()
        bench.cut_the_leader_off()
        lost = bench.finish_writes()
        bench.print_rows()
        figures = (("lost_writes", len(lost), "writes"),
                   ("unexplained_failed_requests", sum(row["unexplained"] for row in bench.rows), "requests"),
                   ("leader_recovery_s", round(leader, 2), "s"),
                   ("node_recovery_s", round(node, 2), "s"))
        for name, value, unit in figures:
            print(json.dumps({"name": name, "value": value, "unit": unit}))
    finally:
        hosts.close_all()


main()
