"""`gantry server --cni`: pods on the network of CNI plug-ins, here those of Debian's containernetworking-plugins."""

import json
import tempfile
from pathlib import Path

from cluster import ClusterTest, Machine, Server, Switch, close_all, close_at_end, main, pod, wait_for

WEB = "echo page > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"


class Scratch:
    """A directory for configurations and plug-ins, gone at the end."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="gantry-e2e-cni-")
        self.path = Path(self.dir.name)
        close_at_end(self)

    def close(self):
        self.dir.cleanup()


class CniTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.scratch = Scratch()
        cls.switch = Switch()
        cls.machine = Machine(cls.switch)
        cls.server = Server(cls.machine, "--cni", "--cni-conf-dir", cls.scratch.path, "--cni-bin-dir",
                            f"{cls.scratch.path},/usr/lib/cni", "--cluster-cidr", "10.22.0.0/16")
        cls.server.start(wait=False)
        cls.kubectl = cls.server.kubectl
        cls.out = cls.server.out
        cls.error = cls.server.error
        cls.not_ready = wait_for("a node that is not ready", cls.why_not_ready)
        cls.configure({"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True,
                       "ipam": {"type": "host-local", "dataDir": str(cls.scratch.path / "ipam"),
                                "ranges": [[{"subnet": "10.22.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
                      {"type": "portmap", "capabilities": {"portMappings": True}})
        cls.server.wait_ready()
        cls.server.import_image()

    @classmethod
    def configure(cls, *plugins):
        text = json.dumps({"cniVersion": "0.4.0", "name": "test", "plugins": plugins})
        (cls.scratch.path / "10-test.conflist").write_text(text)

    @classmethod
    def why_not_ready(cls):
        query = '{.status.conditions[?(@.type=="Ready")].message}'
        message = cls.server.kubectl("get", "node", "one", "-o", "jsonpath=" + query, check=False).stdout
        return message if "network" in message else None

    def test_1_not_ready_without_a_configuration(self):
        self.assertEqual(self.not_ready, "container runtime network not ready: NetworkReady=false "
                         "reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized")

    def test_2_pods_and_services(self):
        self.server.apply(pod("web", WEB, container="ports: [{containerPort: 8080, hostPort: 18080}]") +
                          pod("client", "sleep 1000") +
                          "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
                          "spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n")
        for name in ("web", "client"):
            self.server.wait_pod(name)
        address = self.server.get("pod", "web", "{.status.podIP}")
        self.assertTrue(address.startswith("10.22.0."), address)

        def fetch(url):
            return self.out("exec", "client", "--", "wget", "-qO-", url)

        self.assertEqual(fetch(f"http://{address}:8080/"), "page\n")
        self.assertEqual(wait_for("the service", lambda: fetch("http://web/")), "page\n")
        self.assertEqual(self.machine.fetch(f"http://{self.machine.address}:18080/"), "page\n")

    def test_3_containers_outlive_a_crash_and_addresses_are_released(self):
        address = self.server.get("pod", "web", "{.status.podIP}")
        self.server.kill()
        self.server.start()
        self.assertEqual(self.server.get("pod", "web", "{.status.podIP}"), address)
        self.assertEqual(self.machine.fetch(f"http://{address}:8080/"), "page\n")
        self.out("delete", "pod", "web", "client", "--wait")
        lease = self.scratch.path / "ipam/test" / address
        wait_for("the address to be free", lambda: not lease.exists())

    def test_4_failures_are_in_the_events(self):
        self.configure({"type": "nowhere"})
        self.server.apply(pod("late", "sleep 1000"))
        message = wait_for("an event", lambda: self.events("FailedCreatePodSandBox", "late"))[0]
        uid = self.server.get("pod", "late", "{.metadata.uid}")
        self.assertEqual(message, f'Failed to create pod sandbox: failed to setup network for sandbox "{uid}": '
                         f'plugin type="nowhere" failed (add): failed to find plugin "nowhere" in path '
                         f'[{self.scratch.path} /usr/lib/cni]')


if __name__ == "__main__":
    main(120)
