"""The library's own faults do what they say, and a test that is killed leaves nothing."""

import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from hosts import Load, Network, main, run, wait_for

VICTIM = """
import sys
sys.path.insert(0, {here!r})
from hosts import Cluster, Network
network = Network()
cluster = Cluster(network, agents=1)
cluster.start()
print(network.name, cluster.server.dir, cluster.agents[0].dir, flush=True)
sys.stdin.read()
"""


class FaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = Network()
        cls.a, cls.b, cls.c = (cls.network.host(name) for name in "abc")

    def tearDown(self):
        self.network.heal()

    def ping(self, source, target, *options):
        return source.run("ping", "-n", "-c", "1", "-W", "1", *options, target.address, check=False)

    def reaches(self, source, target):
        return self.ping(source, target).returncode == 0

    def test_host_names(self):
        self.assertEqual(self.a.run("hostname").stdout, "a\n")

    def test_cut_and_heal(self):
        self.assertTrue(self.reaches(self.a, self.b))
        self.network.cut(self.a)
        self.assertFalse(self.reaches(self.a, self.b))
        self.assertFalse(self.reaches(self.b, self.a))
        self.assertTrue(self.reaches(self.b, self.c))
        self.network.heal()
        self.assertTrue(self.reaches(self.a, self.b))

    def test_mend(self):
        self.network.cut(self.a)
        self.network.cut(self.b)
        self.network.mend(self.a)
        self.assertTrue(self.reaches(self.a, self.c))
        self.assertFalse(self.reaches(self.b, self.c))

    def test_partition(self):
        self.network.partition([self.a], [self.b, self.c])
        self.assertFalse(self.reaches(self.a, self.c))
        self.assertTrue(self.reaches(self.b, self.c))

    def test_lose(self):
        self.network.lose(self.a, 50)
        done = self.ping(self.b, self.a, "-c", "60", "-i", "0.02")
        self.assertNotIn(" 0% packet loss", done.stdout)
        self.assertNotIn(" 100% packet loss", done.stdout)

    def test_delay(self):
        self.network.delay(self.a, 50)
        done = wait_for("an answer", lambda: self.ping(self.b, self.a).stdout.partition(" time=")[2])
        self.assertGreaterEqual(float(done.split()[0]), 100)

    def test_load(self):
        server = self.a.spawn(sys.executable, "-m", "http.server", "8000", "--directory", "/nonexistent",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the server", lambda: self.b.run("curl", "-s", f"http://{self.a.address}:8000/"))
        load = Load(self.b, f"http://{self.a.address}:8000/", clients=2)
        time.sleep(0.5)
        server.kill()
        record = load.stop()
        self.assertTrue(record.failures)
        self.assertEqual(record.answers, set())  # 404 each


class KilledTest(unittest.TestCase):
    def test_nothing_stays(self):
        test = subprocess.Popen([sys.executable, "-c", VICTIM.format(here=str(Path(__file__).parent))],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        names = test.stdout.readline().split()
        self.assertEqual(len(names), 3)
        test.send_signal(signal.SIGKILL)
        test.wait()
        prefix = names[0].rpartition("-")[0]

        def left():
            found = [line for line in run("ip", "netns", "list").stdout.splitlines() if prefix in line]
            found += [name for name in names[1:] if os.path.exists(name)]
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    command = process.read_bytes().decode(errors="replace")
                except OSError:
                    continue
                found += [command for name in names[1:] if name in command and "guardian" not in command]
            return found

        wait_for("the guardian", lambda: not left(), seconds=30)


if __name__ == "__main__":
    main(60)
