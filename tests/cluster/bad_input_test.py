"""Machines that are told wrong things, or know the wrong time: each is told what is wrong in a line, and harms nobody.

Wrong tokens and duplicate names are in joining_test.py, an etcd that does not answer in servers_test.py, full disks in
full_disk_test.py.
"""

import os
import unittest
from pathlib import Path

from hosts import GANTRY, Agent, Cluster, Network, close_all, main, run, wait_for
from cluster import pod

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.network = Network()
        cls.cluster = Cluster(cls.network, agents=0)
        cls.cluster.start()
        cls.server = cls.cluster.server
        cls.join = ("--server", f"https://{cls.server.machine.address}:6443",
                    "--token", (cls.server.data / "token").read_text().strip())

    def line(self, host, *command):
        """The line with which a command ends at once."""
        data = self.server.dir / "refused"
        done = host.run(*command, "--data-dir", data, check=False, timeout=60)
        host.run(GANTRY, "cleanup", "--data-dir", data)
        run("rm", "-rf", data)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return [line for line in done.stderr.splitlines() if line.startswith("gantry: ")][-1]

    def agent_with_clock(self, name, offset):
        """An agent on a host of this name whose clock is so far off."""
        agent = Agent(self.network.host(name), [self.server], self.join[-1])
        agent.import_image()
        inside = agent.machine.inside
        clock = ["env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={offset}", "DONT_FAKE_MONOTONIC=1"]

        def inside_with_clock(*command):
            return inside(*(clock if command[:2] == (GANTRY, "agent") else []), *command)

        agent.machine.inside = inside_with_clock
        agent.start()
        return agent

    def set_clock_right(self, agent):
        del agent.machine.inside

    def test_a_clock_an_hour_ahead(self):
        """It works, and says so."""
        agent = self.agent_with_clock("ahead", "+1h")
        self.server.wait_node("ahead")
        self.assertIn("this machine's clock and the server's differ", agent.log.read_text())
        self.server.apply(pod("on-time", "echo here; sleep 1000", spec="nodeName: ahead"))
        self.server.wait_pod("on-time")
        self.assertEqual(self.server.out("logs", "on-time"), "here\n")
        agent.stop()
        self.server.out("delete", "node", "ahead")

    def test_a_clock_an_hour_behind(self):
        """The cluster is younger than that: it says what to look at, and joins once the clock is right."""
        agent = self.agent_with_clock("behind", "-1h")
        self.assertEqual(agent.process.wait(30), 1)
        self.assertRegex(agent.log.read_text(), "^gantry: the cluster's CA is valid only from .*; check this machine's clock, which says ")
        self.set_clock_right(agent)
        agent.start()
        self.server.wait_node("behind")
        agent.stop()
        self.server.out("delete", "node", "behind")

    def test_versions(self):
        """An agent two versions newer or older than the server."""
        version = run(GANTRY, "--version").stdout.split()[-1]
        self.assertRegex(version, r"^\d\.\d\.\d$")
        host = self.network.host("stranger")
        newer = self.server.dir / "newer"
        major, minor, patch = version.split(".")
        other = f"{major}.{int(minor) + 2}.{patch}"
        newer.write_bytes(Path(GANTRY).read_bytes().replace(version.encode() + b"\0", other.encode() + b"\0"))
        newer.chmod(0o700)
        self.assertIn("upgrade the servers", self.line(host, newer, "agent", *self.join))
        # The other way round: that server and this agent.
        old = self.server
        machine = self.network.host("newer-server")
        log = open(self.server.dir / "newer-log", "w", encoding="utf-8")
        data = self.server.dir / "newer-data"
        server = machine.spawn(newer, "server", "--no-agent", "--data-dir", data, stdout=log, stderr=log)
        wait_for("its token", lambda: (data / "token").exists() and machine.run(
            "curl", "-sk", "https://127.0.0.1:6443/readyz").stdout == "ok")
        refused = self.line(host, GANTRY, "agent", "--server", f"https://{machine.address}:6443", "--token",
                            (data / "token").read_text().strip())
        self.assertIn("upgrade the agent", refused)
        server.terminate()
        server.wait(20)
        log.close()
        self.assertEqual(old.out("get", "--raw", "/readyz"), "ok")

    def test_overlapping_networks(self):
        host = self.network.host("stranger")
        for arguments, message in (
                (("--cluster-cidr", "10.42.0.0/16", "--service-cidr", "10.42.128.0/20", "--cluster-dns", "10.42.128.10"),
                 r"10\.42\.0\.0/16 .*10\.42\.128\.0/20.* overlap"),
                (("--cluster-cidr", "10.99.0.0/16"), r"--cluster-cidr 10\.99\.0\.0/16 overlaps with .*10\.99\.0\."),
                (("--service-cidr", "10.99.0.0/20", "--cluster-dns", "10.99.0.10"), r"--service-cidr 10\.99\.0\.0/20 overlaps with ")):
            with self.subTest(arguments):
                self.assertRegex(self.line(host, GANTRY, "server", *arguments), message)
        # An agent whose machine is in a network that the cluster uses for pods.
        host.run("ip", "link", "add", "other", "type", "bridge")
        host.run("ip", "address", "add", "10.42.7.1/24", "dev", "other")
        host.run("ip", "link", "set", "other", "up")
        self.assertRegex(self.line(host, GANTRY, "agent", *self.join), r"10\.42\.0\.0/16 overlaps with .*10\.42\.7\.")
        host.run("ip", "link", "del", "other")


if __name__ == "__main__":
    if not os.path.exists(FAKETIME):
        raise SystemExit("this test needs faketime; scripts/install-deps test installs it")
    main(120)
