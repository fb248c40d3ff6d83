"""A full disk: the store's and an agent's. Nothing that was acknowledged is lost, what runs goes on, and all goes on by itself
when there is room again."""

import subprocess
import unittest

from hosts import Agent, Cluster, Network, close_all, main, wait_for
from cluster import pod

SIZE = "32m"


def give_disk_of_its_own(service):
    service.machine.run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", service.dir)


def fill(service):
    done = service.machine.run("dd", "if=/dev/zero", f"of={service.dir}/ballast", "bs=4k", check=False)
    assert "No space left on device" in done.stderr, done.stderr


def make_room(service):
    service.machine.run("rm", f"{service.dir}/ballast")


class FullDiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        network = Network()
        # An impatient cluster: whatever says nothing for 3 s is given up and its pods with it.
        cls.cluster = Cluster(network, agents=0, server_arguments=("--failover", "fast"))
        cls.server = cls.cluster.server
        give_disk_of_its_own(cls.server)
        cls.server.start()
        cls.out = cls.server.out
        token = cls.server.machine.run("cat", cls.server.data / "token").stdout.strip()
        cls.agent = Agent(network.host("agent-1"), [cls.server], token)
        give_disk_of_its_own(cls.agent)
        cls.agent.import_image()
        cls.agent.start()
        cls.server.wait_node("agent-1")
        cls.server.apply(pod("steady", "sleep 1000"))
        cls.server.wait_pod("steady")

    def steady_goes_on(self):
        self.assertEqual(self.out("exec", "steady", "--", "echo", "here"), "here\n")
        self.assertEqual(self.server.get("pod", "steady", "{.status.containerStatuses[0].restartCount}"), "0")
        self.assertEqual(self.server.get("pod", "steady", "{.metadata.deletionTimestamp}"), "")

    def test_1_the_store(self):
        self.server.kubectl("create", "configmap", "first")
        watch = self.server.spawn_kubectl("get", "configmaps", "--watch", "-o", "name", stdout=subprocess.PIPE, text=True)
        self.assertEqual(watch.stdout.readline(), "configmap/first\n")
        self.assertEqual(watch.stdout.readline(), "configmap/kube-root-ca.crt\n")
        process = self.server.process
        fill(self.server)
        acknowledged = []

        def refusal():
            name = f"kept-{len(acknowledged)}"
            done = self.server.kubectl("create", "configmap", name, check=False)
            if done.returncode == 0:
                acknowledged.append(name)
            return done.stderr

        self.assertRegex(wait_for("a refused write", refusal), "no room on the disk of the store: nothing was written")
        self.assertRegex(self.server.error("label", "configmap", "first", "a=b"),
                         r"^Error from server \(ServiceUnavailable\): there is no room on the disk of the store")
        self.assertEqual(self.out("get", "--raw", "/readyz"), "ok")
        self.assertEqual(self.server.get("configmap", "first", "{.metadata.labels}"), "")
        # For longer than a node may be silent, twice 3 s while it is heard; it tries to renew its lease every second.
        wait_for("the node's time to be over", lambda: self.agent.log.read_text().count("lease was not renewed") > 9)
        self.steady_goes_on()
        make_room(self.server)
        wait_for("writes", lambda: self.server.kubectl("label", "configmap", "first", "a=b"))
        self.assertIs(self.server.process, process)
        self.assertIsNone(process.poll())
        for expected in [*acknowledged, "first"]:
            self.assertEqual(watch.stdout.readline(), f"configmap/{expected}\n")
        watch.kill()
        log = self.server.log.read_text()
        self.assertEqual((log.count("the disk is full"), log.count("there is room on the disk again")), (1, 1))
        # The node had its time to say that it lives.
        wait_for("the lease", lambda: self.server.get("lease", "agent-1", "{.spec.renewTime}", "-n", "kube-node-lease") >
                 self.server.get("configmap", "first", "{.metadata.managedFields[0].time}"))
        self.assertNotIn("NodeNotReady", self.out("get", "events", "-A"))
        self.steady_goes_on()
        self.server.kill()
        self.server.start()
        self.assertEqual(set(self.out("get", "configmaps", "-o", "name").split()) - {"configmap/kube-root-ca.crt"},
                         {f"configmap/{name}" for name in ["first", *acknowledged]})

    def test_2_the_agents(self):
        self.server.apply(pod("leaves", "sleep 1000"))
        self.server.wait_pod("leaves")
        fill(self.agent)
        self.server.apply(pod("late", "sleep 1000"))
        events = ("get", "events", "--field-selector", "involvedObject.name=late,type=Warning", "-o",
                  "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}")
        wait_for("an event", lambda: self.out(*events))
        self.assertRegex(self.out(*events), r"^FailedCreatePodSandBox: Failed to create pod sandbox: .*No space left on device\n")
        # It says so once, however often it tries.
        wait_for("a further attempt", lambda: int(self.out(
            "get", "events", "--field-selector", "involvedObject.name=late,type=Warning", "-o", "jsonpath={.items[0].count}")) > 2)
        self.assertEqual(self.out(*events).count("\n"), 1)
        self.steady_goes_on()
        self.out("delete", "pod", "leaves", "--timeout=20s")
        self.agent.kill()
        self.agent.start()
        wait_for("its tunnel", lambda: self.out("exec", "steady", "--", "echo", "here"))
        self.steady_goes_on()
        self.assertEqual(self.server.get("node", "agent-1", '{.status.conditions[?(@.type=="Ready")].status}'), "True")
        make_room(self.agent)
        self.server.wait_pod("late")
        self.steady_goes_on()


if __name__ == "__main__":
    main(90)
