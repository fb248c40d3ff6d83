"""Three servers that run their own etcd (--ha and --join), and what they survive."""

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from hosts import GANTRY, Network, Server, close_all, main, wait_for

SLOWNESS = int(os.environ.get("GANTRY_TEST_SLOWNESS", "1"))
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: none}]}
"""
VOTING = {f"server-{number}": "voting" for number in (1, 2, 3)}


class Member(Server):
    """A server with an etcd of its own on a host of its own."""

    def __init__(self, host, *arguments):
        super().__init__(host, "--no-agent", *arguments, node=host.name)

    def etcd(self):
        """The id of its etcd's process; 0: none."""
        try:
            pid = int((self.data / "etcd/process").read_text().split()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, IndexError, ValueError):
            return 0
        return pid if str(self.data).encode() in command else 0

    def members(self):
        """What `gantry members list` says of each."""
        listed = self.machine.run(GANTRY, "members", "list", "--data-dir", self.data).stdout.splitlines()
        assert listed[0].split() == ["NAME", "STATUS", "ADDRESS"], listed
        return {line.split()[0]: line.split()[1] for line in listed[1:]}


class HaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.network = Network()
        hosts = [cls.network.host(f"server-{number}") for number in (1, 2, 3)]
        cls.url = f"https://{hosts[0].address}:6443"
        # What the first one had before it became one of several comes along.
        first = Member(hosts[0])
        first.start()
        first.kubectl("create", "configmap", "from-before")
        first.stop()
        first.arguments = (*first.arguments, "--ha")
        first.start()
        cls.token = (first.data / "token").read_text().strip()
        others = [Member(host, "--join", cls.url, "--token", cls.token) for host in hosts[1:]]
        cls.servers = [first, *others]
        for server in others:
            server.start(wait=False)  # one after the other by themselves
        for server in others:
            server.wait_ready()

    def refused(self, *arguments):
        """The line with which a server on another host ends."""
        host = self.network.host("stranger")
        data = self.servers[0].dir / "refused"
        shutil.rmtree(data, ignore_errors=True)
        done = host.run(GANTRY, "server", "--no-agent", "--data-dir", data, *arguments, check=False, timeout=60)
        host.run(GANTRY, "cleanup", "--data-dir", data)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("gantry: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def refused_to(self, server, *arguments):
        """The same for one that is stopped meanwhile, with its data directory."""
        server.stop()
        done = server.machine.run(GANTRY, *arguments, "--data-dir", server.data, check=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr

    def all_write(self, name):
        """Every server writes, and sees at once what the others wrote."""
        for writer in self.servers:
            wait_for("a write", lambda: writer.kubectl("create", "configmap", f"{name}-{writer.machine.name}"))
            for reader in self.servers:
                reader.kubectl("get", "configmap", f"{name}-{writer.machine.name}")

    def test_1_three_members(self):
        for server in self.servers:
            self.assertEqual(server.members(), VOTING)
            server.kubectl("get", "configmap", "from-before")
        self.all_write("made")
        for server in self.servers:
            wait_for("a backup", lambda: list((server.data / "etcd/backups").glob("*.snapshot")))

    def test_2_refused(self):
        secret, pin = self.token.split("@")
        for arguments, message in (
                (("--join", self.url, "--token", f"abcdef.fedcba9876543210@{pin}"), "the cluster does not know the token"),
                (("--join", self.url, "--token", f"{secret}@sha256:{'0' * 64}"), "has another CA"),
                (("--join", self.url), "--join needs the cluster's token"),
                (("--join", "https://10.99.0.250:6443", "--token", self.token), "cannot reach https://10.99.0.250:6443"),
                (("--join", self.url, "--token", self.token, "--node-name", "server-2"), "there is a server server-2 already"),
                (("--join", self.url, "--token", self.token, "--cluster-domain", "other"), "--cluster-domain is other here"),
                (("--join", self.url, "--ha"), "--ha begins a cluster and --join enters one"),
                (("--ha", "--store", "etcd://127.0.0.1:1"), "leave out --store")):
            with self.subTest(message):
                self.assertIn(message, self.refused(*arguments))
        stranger = self.network.host("stranger")
        stranger.run("mount", "--bind", "/dev/null", shutil.which("etcd"))
        self.assertIn("apt-get install etcd-server", self.refused("--ha"))
        stranger.run("umount", shutil.which("etcd"))
        occupant = stranger.spawn(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "2379",
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("an occupied port", lambda: stranger.fetch("http://127.0.0.1:2379/"))
        for arguments in (("--ha",), ("--join", self.url, "--token", self.token)):
            self.assertIn("127.0.0.1:2379: bind: address already in use; stop the other etcd", self.refused(*arguments))
        occupant.kill()
        agents = self.servers[0].machine.run(GANTRY, "token", "create", "--data-dir", self.servers[0].data).stdout.strip()
        self.assertIn("lets machines join as agents", self.refused("--join", self.url, "--token", agents))
        self.assertEqual(self.servers[0].members(), VOTING)

    def test_3_a_server_is_killed(self):
        """Its etcd goes on, and the next one takes it up."""
        before = [server.etcd() for server in self.servers]
        self.assertTrue(all(before))
        second = self.servers[1]
        second.kill()
        self.assertEqual([server.etcd() for server in self.servers], before)
        self.servers[2].kubectl("create", "configmap", "meanwhile")
        second.start()
        second.kubectl("get", "configmap", "meanwhile")
        self.assertEqual([server.etcd() for server in self.servers], before)
        self.assertEqual(second.members(), VOTING)

    def test_3_b_a_machine_dies(self):
        """The one whose server runs the controllers; and comes back."""
        lease = ("lease", "gantry-control-plane", "{.spec.holderIdentity}", "-n", "kube-system")
        leader = self.servers[0].get(*lease).partition("_")[0]
        victim = next(server for server in self.servers if server.machine.name == leader)
        one, other = (server for server in self.servers if server is not victim)
        victim.machine.power_off()
        began = time.monotonic()
        wait_for("a write", lambda: one.apply(DEPLOYMENT))
        wait_for("a replica set", lambda: other.out("get", "rs", "-o", "name"))
        self.assertLessEqual(time.monotonic() - began, 5 * SLOWNESS)
        victim.machine.power_on()
        victim.wait_ready()
        self.assertEqual(victim.members(), VOTING)

    def test_4_an_etcd_is_killed(self):
        for server in self.servers[:2]:
            old = server.etcd()
            os.kill(old, signal.SIGKILL)
            server.kubectl("create", "configmap", f"killed-{server.machine.name}")
            wait_for("another etcd", lambda: server.etcd() not in (0, old))
            wait_for("all to vote", lambda: server.members() == VOTING)

    def test_5_a_member_is_damaged(self):
        """It comes in anew by way of the others."""
        server = self.servers[1]
        old = server.etcd()
        for log in (server.data / "etcd/data/member/wal").glob("*.wal"):
            log.write_bytes(os.urandom(1000))
        os.kill(old, signal.SIGKILL)
        server.kubectl("create", "configmap", "beside-the-damage")
        wait_for("the old data to be put aside", (server.data / "etcd/data.old").exists)
        wait_for("all to vote", lambda: server.members() == VOTING)

    def test_6_a_disk_is_lost(self):
        server = self.servers[2]
        server.kill()
        os.kill(server.etcd(), signal.SIGKILL)
        wait_for("no etcd", lambda: not server.etcd())
        stranger = Member(self.network.host("stranger"), "--join", self.url, "--token", self.token)
        stranger.start(wait=False)
        wait_for("a reason", lambda: "the etcd of server-3 does not answer; start that server" in stranger.tail())
        stranger.kill()
        shutil.rmtree(server.data)
        server.start()
        self.assertEqual(server.members(), VOTING)
        self.assertEqual(server.out("get", "configmap", "from-before", "-o", "name"), "configmap/from-before\n")
        self.all_write("after-the-loss")

    def test_7_one_leaves(self):
        first, second, third = self.servers
        done = first.machine.run(GANTRY, "members", "remove", "server-3", "--data-dir", first.data)
        self.assertEqual(done.stdout, 'member "server-3" removed\n')
        self.assertEqual(third.process.wait(60), 1)
        self.assertIn("this server was taken out of the cluster", third.tail())
        self.assertEqual(sorted(second.members()), ["server-1", "server-2"])
        third.start(wait=False)
        self.assertEqual(third.process.wait(60), 1)
        self.assertIn("gantry: this server was taken out of the cluster", third.tail())
        shutil.rmtree(third.data / "etcd")
        third.start()
        wait_for("all to vote", lambda: third.members() == VOTING)

    def test_8_all_start_again(self):
        """With the flags that they had."""
        self.assertIn("gantry: data directory", self.refused_to(self.servers[0], "server", "--no-agent"))
        for server in self.servers:
            if server.process.poll() is None:
                server.stop()
            self.assertEqual(server.etcd(), 0)
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.wait_ready()
            server.kubectl("get", "configmap", "from-before")
        self.assertEqual(self.servers[0].members(), VOTING)

    def test_9_a_majority_is_lost(self):
        """The third goes on alone, and the others come in anew."""
        first, second, third = self.servers
        for server in (second, third):
            server.kill()
            os.kill(server.etcd(), signal.SIGKILL)
            shutil.rmtree(server.data)
        first.stop()
        flags = first.arguments
        first.arguments = (*flags, "--force-new-cluster")
        first.start()
        first.kubectl("get", "configmap", "from-before")
        self.assertEqual(list(first.members()), ["server-1"])
        second.start()
        # Once more it would cut off the others.
        first.kill()
        first.start(wait=False)
        self.assertEqual(first.process.wait(60), 1)
        self.assertIn("this server's etcd has a majority", first.tail())
        first.arguments = flags
        first.start()
        self.assertEqual(list(first.members()), ["server-1", "server-2"])

    def test_a_restored(self):
        """From a backup, into an etcd that is begun anew."""
        first, second, _ = self.servers
        snapshot = first.dir / "snapshot"
        second.machine.run(GANTRY, "snapshot", "save", "--data-dir", second.data, snapshot)
        first.kubectl("create", "configmap", "later")
        for server in (first, second):
            server.stop()
        restore = (GANTRY, "snapshot", "restore", "--data-dir", first.data, snapshot)
        self.assertIn("this server has an etcd of its own", first.machine.run(*restore, check=False).stderr)
        for server in (first, second):
            (server.data / "etcd").rename(server.data / "etcd.old")
        first.machine.run(*restore)
        for server in (first, second):
            server.start()
            server.kubectl("get", "configmap", "from-before")
            self.assertIn("NotFound", server.error("get", "configmap", "later"))
        self.assertEqual(list(second.members()), ["server-1", "server-2"])


if __name__ == "__main__":
    main(300)
