"""Where pods go, and what is said of those that go nowhere: nodes that only the API knows, one real server whose
scheduler has two profiles and an extender."""

import json
import subprocess
import sys
import unittest

from cluster import GANTRY, Machine, Server, Switch, close_all, main, wait_for

# Two extenders, each for pods that want its resource. One turns node e away and likes node d; the other one lets only
# pods of node d be preempted, and binds with the client that it is given.
EXTENDER = r"""
import http.server, json, subprocess, sys

def bind(asked):
    binding = {"apiVersion": "v1", "kind": "Binding",
               "metadata": {"name": asked["PodName"], "uid": asked["PodUID"], "annotations": {"bound-by": "extender"}},
               "target": {"kind": "Node", "name": asked["Node"]}}
    path = "/api/v1/namespaces/%s/pods/%s/binding" % (asked["PodNamespace"], asked["PodName"])
    done = subprocess.run([sys.argv[1], "create", "--raw", path, "-f", "-"], input=json.dumps(binding),
                          text=True, capture_output=True)
    return {"error": done.stderr if done.returncode else ""}

class Extender(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        names = asked.get("NodeNames")
        if self.path == "/v2/preempt":
            victims = asked["NodeNameToVictims"]
            answer = {"nodeNameToMetaVictims": {name: {
                "pods": [{"uid": pod["metadata"]["uid"]} for pod in of["Pods"]],
                "numPDBViolations": of["NumPDBViolations"]} for name, of in victims.items() if name == "d"}}
        elif self.path == "/v2/bind":
            answer = bind(asked)
        elif self.path == "/v1/filter":
            answer = {"nodenames": [name for name in names if name != "e"], "failedNodes": {"e": "not to its taste"}}
        else:
            answer = [{"host": name, "score": 10 if name == "d" else 0} for name in names]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", 8888), Extender).serve_forever()
"""

CONFIGURATION = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: packer
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}
  plugins:
    score:
      disabled: [{name: "*"}]
      enabled: [{name: NodeResourcesFit, weight: 1}]
extenders:
- urlPrefix: http://127.0.0.1:8888/v1
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: 100
  nodeCacheCapable: true
  managedResources: [{name: example.com/widget, ignoredByScheduler: true}]
- urlPrefix: http://127.0.0.1:8888/v2
  preemptVerb: preempt
  bindVerb: bind
  managedResources: [{name: example.com/gadget, ignoredByScheduler: true}]
"""

ZONES = {"a": "left", "b": "left", "c": "right", "d": "right", "e": "right"}


def pod(name, cpu="100m", labels=None, **spec):
    requests = {"cpu": cpu, **spec.pop("requests", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "c", "image": "example.local/none:1",
                                     "resources": {"requests": requests, "limits": spec.pop("limits", {})}}], **spec}}


def terms(kind, key, labels, **more):
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": key, "labelSelector": {"matchLabels": labels}, **more}]}}


class SchedulingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)
        cls.machine = Machine(Switch())
        cls.server = Server(cls.machine, "--no-agent")
        cls.machine.spawn(sys.executable, "-c", EXTENDER, cls.server.client, env=cls.server.environment(),
                          stdin=subprocess.DEVNULL)
        configuration = cls.server.dir / "scheduler.yaml"
        configuration.write_text(CONFIGURATION)
        cls.server.arguments += ("--scheduler-config", configuration)
        cls.server.start()
        for name, zone in ZONES.items():
            cls.server.apply(json.dumps({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": zone}},
                "spec": {"taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]} if name == "e"
                else {}}))
            cls.server.out("patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": {
                "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "20"},
                "conditions": [{"type": "Ready", "status": "True", "reason": "Test"}]}}))
        wait_for("schedulable nodes", lambda: "not-ready" not in cls.server.out("get", "nodes", "-o", "yaml"))

    def tearDown(self):
        self.server.out("delete", "pods", "--all", "--grace-period=0", "--force")

    def create(self, *pods):
        self.server.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(pods)}))

    def node_of(self, name):
        return wait_for(f"a node for {name}", lambda: self.server.get("pod", name, "{.spec.nodeName}"))

    def message_of(self, name):
        path = '{.status.conditions[?(@.type=="PodScheduled")].message}'
        return wait_for(f"a verdict on {name}", lambda: self.server.get("pod", name, path))

    def why(self, name):
        return self.machine.run(GANTRY, "why", name, env=self.server.environment()).stdout

    def test_affinity_and_what_is_said_of_it(self):
        web = {"app": "web"}
        self.create(pod("web", labels=web, nodeSelector={"kubernetes.io/hostname": "a"}))
        self.assertEqual(self.node_of("web"), "a")
        self.create(pod("near", affinity=terms("podAffinity", "zone", web)),
                    pod("far", affinity=terms("podAntiAffinity", "zone", web, namespaceSelector={})),
                    pod("lost", affinity=terms("podAffinity", "zone", {"app": "nobody"})),
                    pod("huge", cpu="2200m"))
        self.assertIn(self.node_of("near"), "ab")
        self.assertIn(self.node_of("far"), "cd")
        self.assertEqual(
            self.message_of("lost"),
            "0/5 nodes are available: 1 node(s) had untolerated taint(s), 4 node(s) didn't match pod affinity rules. "
            "preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.")
        self.assertIn("making the required podAffinity a preferred one would allow 4 nodes", self.why("lost"))
        self.assertEqual(
            self.message_of("huge"),
            "0/5 nodes are available: 1 node(s) had untolerated taint(s), 4 Insufficient cpu. "
            "preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.")
        said = self.why("huge")
        self.assertRegex(said, r"it needs \d+m more cpu on node [a-d]")
        events = wait_for("an event", lambda: self.server.out(
            "get", "events", "--field-selector", "reason=FailedScheduling,involvedObject.name=huge",
            "-o", "jsonpath={.items[*].message}"))
        self.assertIn("4 Insufficient cpu", events)

    def test_taints_name_the_toleration_that_would_help(self):
        self.create(pod("picky", nodeSelector={"kubernetes.io/hostname": "e"}))
        self.assertEqual(
            self.message_of("picky"),
            "0/5 nodes are available: 1 node(s) had untolerated taint(s), 4 node(s) didn't match Pod's node "
            "affinity/selector. preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.")
        self.assertIn("a toleration for dedicated=gpu:NoSchedule would allow 1 node", self.why("picky"))

    def test_spread_over_zones(self):
        spread = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                   "labelSelector": {"matchLabels": {"app": "spread"}}}]
        self.create(*(pod(f"spread-{i}", labels={"app": "spread"}, topologySpreadConstraints=spread)
                      for i in range(6)))
        zones = [ZONES[self.node_of(f"spread-{i}")] for i in range(6)]
        self.assertEqual((zones.count("left"), zones.count("right")), (3, 3))

    def test_preemption(self):
        self.server.apply("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1000\n")
        self.create(*(pod(f"low-{name}", cpu="1500m", nodeSelector={"kubernetes.io/hostname": name})
                      for name in "abcd"))
        for name in "abcd":
            self.node_of(f"low-{name}")
        self.create(pod("high", cpu="1", priorityClassName="high", affinity={"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["c"]}]}]}}}))
        self.assertEqual(self.node_of("high"), "c")
        self.assertEqual(sorted(self.server.pods("")), ["high", "low-a", "low-b", "low-d"])
        self.assertEqual(self.server.get("pod", "high", "{.status.nominatedNodeName}"), "")
        uid = self.server.get("pod", "high", "{.metadata.uid}")
        wait_for("the event", lambda: f"Preempted by pod {uid} on node c" in self.server.out(
            "get", "events", "--field-selector", "reason=Preempted", "-o", "jsonpath={.items[*].message}"))

    def test_profiles_and_extender(self):
        self.create(pod("filled", cpu="1", nodeSelector={"kubernetes.io/hostname": "b"}))
        self.node_of("filled")
        self.create(pod("packed", schedulerName="packer"))
        self.assertEqual(self.node_of("packed"), "b")
        widget = {"requests": {"example.com/widget": "1"}, "limits": {"example.com/widget": "1"}}
        self.create(pod("liked", **widget))
        self.assertEqual(self.node_of("liked"), "d")
        self.create(pod("refused", nodeSelector={"kubernetes.io/hostname": "e"},
                        tolerations=[{"operator": "Exists"}], **widget))
        self.assertEqual(
            self.message_of("refused"),
            "0/5 nodes are available: 1 not to its taste, 4 node(s) didn't match Pod's node affinity/selector. "
            "preemption: 0/5 nodes are available: 1 No preemption victims found for incoming pod, 4 Preemption is not "
            "helpful for scheduling.")

    def test_an_extender_chooses_whom_to_preempt_and_binds(self):
        self.server.apply("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1000\n")
        self.create(*(pod(f"low-{name}", cpu="1500m", nodeSelector={"kubernetes.io/hostname": name})
                      for name in "abcd"))
        for name in "abcd":
            self.node_of(f"low-{name}")
        gadget = {"requests": {"example.com/gadget": "1"}, "limits": {"example.com/gadget": "1"}}
        self.create(pod("high", cpu="1", priorityClassName="high", **gadget))
        self.assertEqual(self.node_of("high"), "d")
        self.assertEqual(sorted(self.server.pods("")), ["high", "low-a", "low-b", "low-c"])
        self.assertEqual(self.server.get("pod", "high", "{.metadata.annotations.bound-by}"), "extender")

    def test_mistakes_in_the_configuration_are_one_line(self):
        bad = self.server.dir / "bad.yaml"
        bad.write_text(CONFIGURATION.replace("MostAllocated", "Most"))
        server = Server(self.machine, "--no-agent", "--https-port", "7443", "--scheduler-config", bad)
        done = self.machine.run(GANTRY, "server", "--data-dir", server.data, *server.arguments[1:], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"gantry: scheduler configuration {bad}: profiles[1].pluginConfig[0].args."
                         'scoringStrategy.type: unsupported value "Most": supported values: "LeastAllocated", '
                         '"MostAllocated", "RequestedToCapacityRatio"\n')


if __name__ == "__main__":
    main(120)
