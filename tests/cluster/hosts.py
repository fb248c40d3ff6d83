"""Clusters of several hosts on one machine, and what can go wrong between them.

A Host is a machine with network, host name and mounts of its own, on a Network whose cables can be cut, slowed and made to
lose packets. Built on tests/e2e/cluster.py, which stops and removes everything at the end, also of a test that is killed.

    network = Network()
    cluster = Cluster(network, agents=2)
    cluster.start()
    load = Load(network.host("client"), f"http://{address}/")
    network.cut(cluster.agents[0].machine)
    assert load.stop().failures == []
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import cluster as e2e  # noqa: E402
from cluster import GANTRY, Machine, Server, Service, Switch, close_all, close_at_end, guardian, run, wait_for  # noqa: E402

HERE = Path(__file__).resolve().parent


class Network(Switch):
    """A switch with a cable to every host. Faults add up until heal() or, those of one cable, mend()."""

    def __init__(self, ipv6=False):
        super().__init__(ipv6)
        self.hosts = {}
        self._delays = {}
        self._drops = []  # (host or None, condition)
        self._nft("add table bridge faults; add chain bridge faults forward "
                  "{ type filter hook forward priority 0; policy accept; }")

    def host(self, name):
        """The host with this name; made at the first call."""
        if name not in self.hosts:
            self.hosts[name] = Host(self, name)
        return self.hosts[name]

    def cut(self, host):
        """Pulls the host's cable: nothing goes in or out, and nobody is told."""
        self._drop(f'iifname "{self.port(host)}"', host)
        self._drop(f'oifname "{self.port(host)}"', host)

    def partition(self, *sides):
        """No packet goes from a host of one side to a host of another. Hosts of no side reach all."""
        for side in sides:
            ports = ", ".join(f'"{self.port(host)}"' for host in side)
            others = ", ".join(f'"{self.port(host)}"' for other in sides if other is not side for host in other)
            self._drop(f"iifname {{ {ports} }} oifname {{ {others} }}")

    def lose(self, host, percent):
        """Drops that share (below 100) of the packets to the host and from it, by chance."""
        for direction in ("iifname", "oifname"):
            self._drop(f'{direction} "{self.port(host)}" numgen random mod 100 < {percent}', host)

    def delay(self, host, milliseconds):
        """Keeps each packet to the host and from it back for so long."""
        port, near, far = self.port(host), f"near{host.number}", f"far{host.number}"
        self._ip("link", "add", near, "type", "veth", "peer", "name", far)
        self._ip("link", "set", port, "nomaster")
        self._ip("link", "set", near, "master", "br0", "up")
        self._ip("link", "set", far, "up")
        relay = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name}", "--", sys.executable, HERE / "relay.py", port, far,
             str(milliseconds)], stdin=subprocess.PIPE)
        self._delays[host] = (relay, near)

    def mend(self, host):
        """Ends what cut() and lose() did to the host's cable."""
        self._drops = [(cable, condition) for cable, condition in self._drops if cable is not host]
        self._nft("flush chain bridge faults forward; " + "; ".join(
            f"add rule bridge faults forward {condition} drop" for _, condition in self._drops))

    def heal(self):
        """Ends all faults."""
        self._drops = []
        self._nft("flush chain bridge faults forward")
        for host, (relay, near) in self._delays.items():
            relay.stdin.close()
            relay.wait()
            self._ip("link", "del", near)
            self._ip("link", "set", self.port(host), "master", "br0")
        self._delays = {}

    def close(self):
        self.heal()
        super().close()

    def _drop(self, condition, cable=None):
        self._drops.append((cable, condition))
        self._nft(f"add rule bridge faults forward {condition} drop")

    def _nft(self, commands):
        run("ip", "netns", "exec", self.name, "nft", commands)


class Host(Machine):
    """A machine with host name and mounts of its own as well. Its services are added by Service and Server."""

    def __init__(self, network, name):
        super().__init__(network)
        self.name = name
        self.network = network
        # Keeps the namespaces; a process of the host's network namespace, so that it ends with it at the latest.
        self._holder = self.spawn("unshare", "--uts", "--mount", "--propagation", "private", "sh", "-c",
                                  f"hostname {name}; echo; exec sleep infinity", stdout=subprocess.PIPE)
        self._holder.stdout.readline()

    def inside(self, *command):
        if not hasattr(self, "_holder"):
            return super().inside(*command)
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--uts", "--mount", "--", *map(str, command)]

    def processes(self):
        return [pid for pid in super().processes() if pid != self._holder.pid]

    def power_off(self):
        """What a power cut does: nobody hears a word from the host or its containers any more."""
        self.network.cut(self)

        def running():
            found = set(self.processes())
            for service in self.services:
                found |= service.container_processes()
            return found

        for process in running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for service in self.services:
            service.process.wait()
        wait_for("no process", lambda: not running())

    def power_on(self):
        """Boots the host, with what a boot leaves: the disk. Its cable is mended; the services are started."""
        for service in self.services:
            service.forget_runtime()
        for link in self.run("ip", "-o", "-br", "link").stdout.splitlines():
            name = link.split()[0].split("@")[0]
            if name not in ("lo", "eth0"):
                self.run("ip", "link", "del", name, check=False)
        self.run("nft", "flush", "ruleset")
        self.network.mend(self)
        for service in self.services:
            service.boot()


class EtcdMember:
    """One member of an etcd cluster that the user runs, on a host."""

    def __init__(self, host, initial_cluster):
        self.machine = host
        self.dir = Path(tempfile.mkdtemp(prefix="gantry-etcd-"))
        self.process = None
        self._initial_cluster = initial_cluster
        self._guard = guardian.add("rm", "-rf", self.dir)
        host.services.append(self)
        close_at_end(self)

    @property
    def endpoint(self):
        return f"{self.machine.url_host}:2379"

    def start(self):
        client, peer = (f"http://{self.machine.url_host}:{port}" for port in (2379, 2380))
        with open(self.dir / "log", "a", encoding="utf-8") as log:
            self.process = self.machine.spawn(
                "etcd", "--name", self.machine.name, "--data-dir", self.dir / "data", "--listen-client-urls", client,
                "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", self._initial_cluster, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def container_processes(self):
        return set()

    def forget_runtime(self):
        """Nothing of it is lost with a boot."""

    def boot(self):
        self.start()

    def leads(self):
        status = self.machine.run("etcdctl", f"--endpoints={self.endpoint}", "endpoint", "status", "-w", "json",
                                  env={**os.environ, "ETCDCTL_API": "3"}).stdout
        status = json.loads(status)[0]["Status"]
        return status["leader"] == status["header"]["member_id"]

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
        guardian.remove(self._guard)


class Etcd:
    """An etcd cluster with a member on each of the hosts."""

    def __init__(self, hosts):
        initial = ",".join(f"{host.name}=http://{host.url_host}:2380" for host in hosts)
        self.members = [EtcdMember(host, initial) for host in hosts]

    @property
    def store(self):
        """What --store wants."""
        return "etcd://" + ",".join(member.endpoint for member in self.members)

    def start(self):
        for member in self.members:
            member.start()
        wait_for("etcd", lambda: any(member.leads() for member in self.members))


class Agent(Service):
    """`gantry agent` on a host, with the host's name."""

    def __init__(self, host, servers, token, *arguments):
        flags = [part for server in servers for part in ("--server", f"https://{server.machine.url_host}:6443")]
        super().__init__(host, "agent", *flags, "--token", token, *arguments)
        self.node = host.name


class Cluster:
    """Servers and agents on hosts of their own: server-1, server-2 ..., agent-1, agent-2 ...

    Several servers need `etcd` (an Etcd, which start() starts) and share a token.
    """

    TOKEN = "abcdef.0123456789abcdef"

    def __init__(self, network, servers=1, agents=2, etcd=None, server_arguments=(), agent_arguments=()):
        self.network = network
        self.etcd = etcd
        self.agent_arguments = agent_arguments
        shared = ("--store", etcd.store, "--token", self.TOKEN) if etcd else ()
        hosts = [network.host(f"server-{number + 1}") for number in range(servers)]
        self.servers = [Server(host, "--no-agent", *shared, *server_arguments, node=host.name) for host in hosts]
        self.agents = []
        self._wanted = agents

    @property
    def server(self):
        return self.servers[0]

    def start(self):
        if self.etcd:
            self.etcd.start()
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.wait_ready()
        for _ in range(self._wanted):
            self.add_agent()
        for agent in self.agents:
            self.server.wait_node(agent.node)

    def add_agent(self, *arguments):
        """A further agent, started and with the busybox image; does not wait for its node."""
        token = (self.server.data / "token").read_text().strip()
        host = self.network.host(f"agent-{len(self.agents) + 1}")
        agent = Agent(host, self.servers, token, *self.agent_arguments, *arguments)
        agent.import_image()
        agent.start()
        self.agents.append(agent)
        return agent

    def agent_of(self, node):
        return next(agent for agent in self.agents if agent.node == node)


class Load:
    """Clients on a host that fetch a URL all the time, `clients` at once, each request on a connection of its own."""

    def __init__(self, host, url, clients=4, timeout=5):
        self.process = host.spawn(sys.executable, HERE / "load.py", url, clients, timeout, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)

    def stop(self):
        output, _ = self.process.communicate(timeout=60)
        return Record([Request(**json.loads(line)) for line in output.splitlines()])


class Request:
    """One request: when it began and ended (time.time()), what was answered, or the error."""

    def __init__(self, start, end, answer, error):
        self.start, self.end, self.answer, self.error = start, end, answer, error

    def __repr__(self):
        return f"{self.start:.3f}+{self.end - self.start:.3f}s {self.error or self.answer!r}"


class Record:
    def __init__(self, requests):
        self.requests = requests

    @property
    def failures(self):
        return [request for request in self.requests if request.error]

    @property
    def answers(self):
        return {request.answer for request in self.requests if not request.error}

    def longest_outage(self):
        """Seconds from one success to the next, at the longest."""
        ends = sorted(request.end for request in self.requests if not request.error)
        return max((later - earlier for earlier, later in zip(ends, ends[1:])), default=float("inf"))


def main(seconds):
    """As cluster.main of the end-to-end tests."""
    for tool in ("hostname", "unshare"):
        if shutil.which(tool) is None:
            sys.exit(f"these tests need {tool}")
    e2e.main(seconds)


__all__ = ["GANTRY", "Agent", "Cluster", "Etcd", "EtcdMember", "Host", "Load", "Network", "Record", "Request", "Server",
           "Service", "close_all", "close_at_end", "guardian", "main", "run", "wait_for"]
