"""How pods live and end: init containers, sidecars, probes, hooks, restarts, phases and conditions, deletion."""

import os
import re
import time

from cluster import main, wait_for
from pods import PodsTest, condition, full_name, once, pod, shell, status

FOREVER = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"
DEAF = "trap '' TERM; while true; do sleep 1000; done"
SCRATCH = {"volumes": [{"name": "v", "emptyDir": {}}]}
AT = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
SERVE = "mkdir /w; echo page > /w/index.html; exec httpd -f -p 8080 -h /w"
# Answers every request with 200 and writes what it was asked to its log.
# Takes connections and says nothing; one process, so that nothing is left of it.
SILENT = """
import socket
server, taken = socket.create_server(("", 5055)), []
while True:
    taken.append(server.accept())
"""
# Speaks gRPC: one port answers for the health of its services, the other one does not know what that is.
GRPC = """
import concurrent.futures, grpc, threading, time

def check(request, context):
    service = request[2:].decode()
    if service == "slow":
        time.sleep(5)
    if service not in ("", "down", "slow"):
        context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {service}")
    return b"\\x08\\x02" if service == "down" else b"\\x08\\x01"

def serve(port, services):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8))
    for name, methods in services.items():
        methods = {k: grpc.unary_unary_rpc_method_handler(m, bytes, bytes) for k, m in methods.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    assert server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    return server

servers = [serve(5056, {"grpc.health.v1.Health": {"Check": check}}), serve(5057, {"some.Other": {"Method": check}})]
threading.Event().wait()
"""
LISTEN = "while true; do printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n' | nc -l -p 8080; done"


def telling(name, file="/out/log", **fields):
    """A container that writes its name to a file of the host when it is told to end."""
    return shell(f"trap 'echo {name} >> {file}; exit 0' TERM; while true; do sleep 0.1; done", name,
                 volumeMounts=[{"name": "out", "mountPath": "/out"}], **fields)


def probe(kind="exec", **fields):
    """A probe that asks every second and is done after the first answer, if `fields` do not say else."""
    handler = {"exec": {"command": fields.pop("command", ["false"])}} if kind == "exec" else {kind: fields.pop("how")}
    return {**handler, "periodSeconds": 1, "failureThreshold": 1, **fields}


class NodeTest(PodsTest):
    @classmethod
    def prepare(cls):
        cls.shared = cls.server.dir / "out"
        cls.shared.mkdir()
        # A registry that takes connections and never answers.
        cls.silent = cls.machine.spawn("python3", "-c", SILENT)
        cls.grpc = cls.machine.spawn("/usr/bin/python3", "-c", GRPC)  # Debian's own, which has the library
        wait_for("the default service account", lambda: cls.out("get", "serviceaccount", "default", "-o", "name"))

    @classmethod
    def out_volume(cls, name):
        (cls.shared / name).mkdir(exist_ok=True)
        return [{"name": "out", "hostPath": {"path": str(cls.shared / name)}}]

    @classmethod
    def written(cls, name):
        return (cls.shared / name / "log").read_text().split()

    @classmethod
    def manifests(cls):
        say = lambda word: shell(f"echo {word} >> /v/order", word, **AT)
        writes = {"volumeMounts": [{"name": "out", "mountPath": "/out"}]}
        small = {"resources": {"limits": {"cpu": "100m", "memory": "24Mi"}}}
        return [
            # Init containers and sidecars.
            once("init", "cat /v/order", main=AT, initContainers=[say("one"), say("two"), say("three")], **SCRATCH),
            once("init-never", "true", initContainers=[shell("exit 4", "first"), shell("true", "second")]),
            pod("init-crash", "true", initContainers=[shell("echo trying; exit 5", "first"), shell("true", "second")]),
            pod("init-wait", FOREVER, initContainers=[shell("until test -e /v/go; do sleep 0.1; done", "first", **AT),
                                                      shell("true", "second")], **SCRATCH),
            once("sidecar", "test -e /v/up && echo main >> /v/order; cat /v/order", main=AT, initContainers=[
                shell("echo a >> /v/order; sleep 1; touch /v/up; echo up >> /v/order; " + FOREVER, "a",
                      restartPolicy="Always", startupProbe=probe(command=["test", "-e", "/v/up"], failureThreshold=30),
                      **AT),
                shell("test -e /v/up && echo init >> /v/order", "b", **AT),
                shell("echo c >> /v/order; " + FOREVER, "c", restartPolicy="Always", **AT)], **SCRATCH),
            pod("sidecar-end", None, containers=[telling("main")], initContainers=[
                telling("first", restartPolicy="Always"), telling("second", restartPolicy="Always")],
                volumes=cls.out_volume("sidecar-end"), terminationGracePeriodSeconds=30),
            pod("sidecar-crash", FOREVER, initContainers=[shell("exit 1", "side", restartPolicy="Always")]),
            # Probes.
            pod("live-exec", FOREVER, main={"livenessProbe": probe(command=["sh", "-c", "echo out; echo err >&2; exit 1"])}),
            pod("live-http", SERVE, main={"livenessProbe": probe("httpGet", how={"path": "/nope", "port": 8080}, failureThreshold=3)}),
            pod("live-tcp", FOREVER, main={"livenessProbe": probe("tcpSocket", how={"port": 81})}),
            pod("live-grpc", FOREVER, main={"livenessProbe": probe("grpc", how={"port": 82})}),
            pod("live-slow", FOREVER, main={"livenessProbe": probe(command=["sleep", "1000"])}),
            once("live-never", DEAF, main={"livenessProbe": probe()}),
            pod("live-deaf", DEAF, main={"livenessProbe": probe(terminationGracePeriodSeconds=1)},
                terminationGracePeriodSeconds=600),
            pod("live-term", None, shareProcessNamespace=True, containers=[
                shell("exec sleep 1000", livenessProbe=probe())], terminationGracePeriodSeconds=30),
            pod("start-fails", FOREVER, main={"startupProbe": probe(), "livenessProbe": probe(command=["true"])}),
            pod("start-gates", "sleep 2; touch /started; " + FOREVER, main={
                "startupProbe": probe(command=["test", "-e", "/started"], failureThreshold=30),
                "livenessProbe": probe(command=["test", "-e", "/started"])}),
            pod("ready-later", SERVE.replace("mkdir", "sleep 1; mkdir"), main={"ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": probe("httpGet", how={"path": "/index.html", "port": "http"}, successThreshold=2)}),
            pod("ready-tcp", SERVE, main={"readinessProbe": probe("tcpSocket", how={"port": 8080}, failureThreshold=30)}),
            pod("ready-never", FOREVER, main={"readinessProbe": probe()}),
            pod("ready-delay", FOREVER, main={"readinessProbe": probe(command=["true"], initialDelaySeconds=600)}),
            pod("ready-flips", "touch /ok; " + FOREVER, main={"readinessProbe": probe(command=["test", "-e", "/ok"])}),
            pod("ready-https", FOREVER, main={"readinessProbe": probe("httpGet", how={
                "path": "/livez", "port": 6443, "host": cls.machine.address, "scheme": "HTTPS"})}),
            pod("ready-headers", LISTEN, main={"readinessProbe": probe("httpGet", how={
                "path": "/asked?x=1", "port": 8080, "httpHeaders": [
                    {"name": "X-Asked-By", "value": "probe"}, {"name": "Host", "value": "name.example"}]})}),
            # In the machine's network, where the servers are.
            *(pod("grpc-" + name, FOREVER, main={"readinessProbe": probe("grpc", how={"port": port, "service": service})},
                  hostNetwork=True)
              for name, port, service in (("up", 5056, ""), ("down", 5056, "down"), ("slow", 5056, "slow"),
                                          ("unknown", 5056, "nowhere"), ("other", 5057, ""), ("silent", 5055, ""))),
            pod("ready-noport", FOREVER, main={"readinessProbe": probe("httpGet", how={"port": "nowhere"})}),
            pod("gated", FOREVER, readinessGates=[{"conditionType": "example.com/gate"}]),
            # Hooks.
            pod("hooks", FOREVER, main={**writes, "lifecycle": {
                "postStart": {"exec": {"command": ["sh", "-c", "echo started >> /out/log"]}},
                "preStop": {"exec": {"command": ["sh", "-c", "sleep 1; echo stopping >> /out/log"]}}}},
                volumes=cls.out_volume("hooks"), terminationGracePeriodSeconds=30),
            pod("hook-http", LISTEN, main={"lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 8080}}}}),
            pod("hook-sleep", FOREVER, main={"lifecycle": {"preStop": {"sleep": {"seconds": 2}}}},
                terminationGracePeriodSeconds=30),
            pod("hook-fails", FOREVER, main={"lifecycle": {"postStart": {"exec": {
                "command": ["sh", "-c", "echo said; echo why >&2; exit 3"]}}}}),
            pod("hook-http-fails", FOREVER, main={"lifecycle": {"postStart": {"httpGet": {"path": "/x", "port": 81}}}}),
            pod("hook-start-sleep", FOREVER, main={"lifecycle": {"postStart": {"sleep": {"seconds": 1}}}}),
            pod("hook-stop-fails", FOREVER, main={"lifecycle": {"preStop": {"exec": {"command": ["false"]}}}}),
            pod("hook-endless", FOREVER, main={"lifecycle": {"preStop": {"exec": {"command": ["sleep", "1000"]}}}},
                terminationGracePeriodSeconds=600),
            pod("hook-start-endless", FOREVER, main={"lifecycle": {"postStart": {"exec": {
                "command": ["sleep", "1000"]}}}}),
            # Ends.
            pod("always", "echo run; exit 0"),
            pod("crash", "echo trying; echo last words > /dev/termination-log; exit 9"),
            once("never", "exit 6"),
            once("done", "echo first; echo second"),
            pod("on-failure", "test -e /v/again && exit 0; touch /v/again; exit 2", main=AT, restartPolicy="OnFailure",
                **SCRATCH),
            once("mixed", None, containers=[shell("exit 0", "good"), shell("exit 1", "bad")]),
            once("words", "echo from the log; exit 1", main={"terminationMessagePolicy": "FallbackToLogsOnError"}),
            once("own-words", "echo hidden; echo told > /tmp/words; exit 1", main={
                "terminationMessagePath": "/tmp/words", "terminationMessagePolicy": "FallbackToLogsOnError"}),
            once("many-words", "for i in $(seq 1000); do echo line $i; done > /dev/termination-log"),
            once("oom", "x=a; while true; do x=$x$x; done", main=small),
            pod("deadline", DEAF, activeDeadlineSeconds=2),
            once("guaranteed", "true", main=small),
            once("burstable", "true", main={"resources": {"requests": {"cpu": "1m"}}}),
            once("best-effort", "true"),
            once("many", None, containers=[shell(f"echo {i}", f"c{i}") for i in range(12)]),
            # Deletion.
            pod("pulling", "true", main={"image": f"{cls.machine.address}:5055/slow:1"}),
            pod("creating", "true", volumes=[{"name": "v", "configMap": {"name": "nowhere"}}]),
            pod("initialising", FOREVER, initContainers=[shell(DEAF, "first")], terminationGracePeriodSeconds=600),
            pod("deaf", DEAF, terminationGracePeriodSeconds=600),
            pod("deaf-now", DEAF, terminationGracePeriodSeconds=600),
            pod("deaf-short", DEAF, terminationGracePeriodSeconds=2),
            pod("zero", DEAF, terminationGracePeriodSeconds=0),
        ]

    def restarted(self, name, container="main", count=1):
        found = self.wait(name, "restarted", lambda p: status(p, container)["restartCount"] >= count and
                          "terminated" in status(p, container)["lastState"], 60)
        return status(found, container)["lastState"]["terminated"]

    def reasons(self, name):
        return self.out("get", "events", "--field-selector", "involvedObject.name=" + name, "-o",
                        'jsonpath={range .items[*]}{.reason}{"\\n"}{end}').split()

    def delete(self, name, *arguments, seconds=20):
        """Deletes a pod, waits until it is gone and returns how long that took."""
        begin = time.monotonic()
        self.out("delete", "pod", name, f"--timeout={seconds}s", *arguments, timeout=seconds + 5)
        return time.monotonic() - begin

    def test_00_deletion_before_the_start(self):
        self.event("Pulling", "pulling", f'Pulling image "{self.machine.address}:5055/slow:1"')
        self.assertEqual(self.row("pulling")[1], "ContainerCreating")
        for name in ("pulling", "creating"):
            self.assertLess(self.delete(name), 10)

    def test_01_init_containers(self):
        found = self.phase("init", "Succeeded")
        self.assertEqual(self.out("logs", "init", "-c", "main"), "one\ntwo\nthree\n")
        self.assertEqual(condition(found, "Initialized"), ("True", "PodCompleted", ""))
        self.assertEqual(condition(found, "Ready"), ("False", "PodCompleted", ""))
        self.assertEqual(condition(found, "PodReadyToStartContainers")[0], "False")
        self.assertEqual(self.row("init"), ["0/1", "Completed", "0"])
        found = self.phase("init-never", "Failed")
        self.assertEqual(self.row("init-never"), ["0/1", "Init:Error", "0"])
        self.assertEqual(condition(found, "Initialized"), (
            "False", "ContainersNotInitialized", "containers with incomplete status: [first second]"))
        self.assertEqual(condition(found, "Ready"), ("False", "PodFailed", ""))
        self.assertEqual(status(found)["state"], {"waiting": {"reason": "PodInitializing"}})
        self.assertEqual(status(found, "second")["state"], {"waiting": {"reason": "PodInitializing"}})
        found = self.wait("init-crash", "back-off", lambda p: status(p, "first")["state"].get("waiting", {}).get(
            "reason") == "CrashLoopBackOff")
        self.assertEqual(found["status"]["phase"], "Pending")
        self.assertEqual(status(found, "first")["state"]["waiting"]["message"],
                         f"back-off 10s restarting failed container=first pod={full_name(found)}")
        self.assertEqual(self.row("init-crash")[1], "Init:CrashLoopBackOff")
        self.event("BackOff", "init-crash", f"Back-off restarting failed container first in pod {full_name(found)}")
        self.assertEqual(self.out("logs", "-p", "init-crash", "-c", "first"), "trying\n")
        self.wait("init-wait", "first init container", lambda p: "running" in status(p, "first")["state"])
        self.assertEqual(self.row("init-wait"), ["0/1", "Init:0/2", "0"])
        self.assertIn('container "main" in pod "init-wait" is waiting to start: PodInitializing',
                      self.error("logs", "init-wait"))
        self.out("exec", "init-wait", "-c", "first", "--", "touch", "/v/go")
        found = self.ready("init-wait")
        self.assertEqual([one["state"]["terminated"]["reason"] for one in found["status"]["initContainerStatuses"]],
                         ["Completed", "Completed"])

    def test_02_sidecars(self):
        found = self.phase("sidecar", "Succeeded")
        self.assertEqual(self.out("logs", "sidecar", "-c", "main"), "a\nup\ninit\nc\nmain\n")
        self.assertEqual(status(found, "a")["state"]["terminated"]["exitCode"], 0)
        self.event("Killing", "sidecar", "Stopping container a")
        self.ready("sidecar-end")
        self.assertEqual(self.row("sidecar-end"), ["3/3", "Running", "0"])
        self.assertLess(self.delete("sidecar-end"), 10)
        self.assertEqual(self.written("sidecar-end"), ["main", "second", "first"])
        found = self.wait("sidecar-crash", "back-off", lambda p: status(p, "side")["state"].get("waiting", {}).get(
            "reason") == "CrashLoopBackOff")
        self.assertGreaterEqual(status(found, "side")["restartCount"], 1)

    def test_03_liveness(self):
        for name, message in (("live-exec", "out\nerr\n"),
                              ("live-http", "HTTP probe failed with statuscode: 404"),
                              ("live-tcp", "dial tcp {ip}:81: connect: connection refused"),
                              ("live-grpc", 'timeout: failed to connect service "{ip}:82" within 1s: '
                               "context deadline exceeded"),
                              ("live-slow", 'command timed out: "sleep 1000" timed out after 1s')):
            with self.subTest(name):
                last = self.restarted(name)
                self.assertIn(last["exitCode"], (0, 137))
                message = message.format(ip=self.read(name)["status"]["podIP"])
                self.assertIn(f"Liveness probe failed: {message}".strip(), "\n".join(self.events("Unhealthy", name)))
                self.event("Killing", name, "Container main failed liveness probe, will be restarted")
        found = self.phase("live-never", "Failed")
        self.assertEqual(status(found)["state"]["terminated"]["exitCode"], 137)
        self.event("Killing", "live-never", "Container main failed liveness probe")
        self.assertEqual(self.restarted("live-deaf")["exitCode"], 137)
        self.assertEqual(self.restarted("live-term")["exitCode"], 143)

    def test_04_startup(self):
        self.restarted("start-fails")
        self.event_like("Unhealthy", "start-fails", "Startup probe failed: *")
        self.event("Killing", "start-fails", "Container main failed startup probe, will be restarted")
        self.assertFalse(status(self.read("start-fails"))["ready"])
        found = self.ready("start-gates")
        self.assertTrue(status(found)["started"])
        self.assertEqual(status(found)["restartCount"], 0)

    def test_05_readiness(self):
        self.ready("ready-later")
        self.event_like("Unhealthy", "ready-later", r'Readiness probe failed: Get "http://[\d.]+:8080/index.html": '
                        r"dial tcp [\d.]+:8080: connect: connection refused")
        for name in ("ready-never", "ready-delay", "ready-noport"):
            found = self.wait(name, "running", lambda p: "running" in status(p)["state"])
            expected = ("False", "ContainersNotReady", "containers with unready status: [main]")
            self.assertEqual(condition(found, "Ready"), expected)
            self.assertEqual(condition(found, "ContainersReady"), expected)
            self.assertEqual(condition(found, "Initialized"), ("True", "", ""))
            self.assertEqual(condition(found, "PodReadyToStartContainers"), ("True", "", ""))
            self.assertEqual(condition(found, "PodScheduled"), ("True", "", ""))
            self.assertEqual(self.row(name), ["0/1", "Running", "0"])
        self.event_like("Unhealthy", "ready-never", "Readiness probe failed: *")
        self.assertEqual(self.events("Unhealthy", "ready-delay"), [])
        self.event("Unhealthy", "ready-noport", "Readiness probe errored and resulted in unknown state: "
                   'strconv.Atoi: parsing "nowhere": invalid syntax')
        self.ready("ready-flips")
        self.out("exec", "ready-flips", "--", "rm", "/ok")
        self.wait("ready-flips", "unready", lambda p: condition(p, "Ready")[0] == "False")
        self.out("exec", "ready-flips", "--", "touch", "/ok")
        self.ready("ready-flips")
        self.ready("ready-https")
        self.ready("ready-tcp")
        self.ready("ready-headers")
        asked = self.out("logs", "ready-headers").splitlines()
        for line in ("GET /asked?x=1 HTTP/1.1", "Host: name.example", "User-Agent: kube-probe/", "X-Asked-By: probe",
                     "Accept: */*", "Connection: close"):
            self.assertIn(line.split(":")[0].lower(), "\n".join(asked).lower())
            self.assertTrue(any(one.startswith(line) for one in asked), (line, asked[:10]))
        gate = "example.com/gate"
        found = self.wait("gated", "containers ready", lambda p: condition(p, "ContainersReady")[0] == "True")
        self.assertEqual(condition(found, "Ready"), ("False", "ReadinessGatesNotReady", "corresponding condition of pod "
                                                     f'readiness gate "{gate}" does not exist.'))
        self.out("patch", "pod", "gated", "--subresource=status", "-p",
                 f'{{"status":{{"conditions":[{{"type":"{gate}","status":"True"}}]}}}}')
        self.ready("gated")

    def test_05_grpc(self):
        self.ready("grpc-up")
        silent = f'timeout: failed to connect service "{self.machine.address}:5055" within 1s: context deadline exceeded'
        for name, message in (
                ("down", 'service unhealthy (responded with "NOT_SERVING")'),
                ("slow", "timeout: health rpc did not complete within 1s"),
                ("unknown", "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service nowhere"),
                ("other", "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
                 "Method not found!"),
                ("silent", silent)):
            self.event("Unhealthy", "grpc-" + name, "Readiness probe failed: " + message)
            self.assertEqual(condition(self.read("grpc-" + name), "Ready")[0], "False")

    def test_06_hooks(self):
        self.ready("hooks")
        self.assertEqual(self.written("hooks"), ["started"])
        self.delete("hooks")
        self.assertEqual(self.written("hooks"), ["started", "stopping"])
        self.ready("hook-http")
        follow = self.server.spawn_kubectl("logs", "-f", "hook-http", stdout=-1, text=True)
        self.delete("hook-http")
        self.assertRegex(follow.communicate(timeout=20)[0], "GET /bye HTTP/1.1")
        self.ready("hook-sleep")
        took = self.delete("hook-sleep")
        self.assertGreater(took, 2)
        self.ready("hook-stop-fails")
        self.delete("hook-stop-fails")
        self.event("FailedPreStopHook", "hook-stop-fails", "PreStopHook failed")
        self.event("FailedPostStartHook", "hook-fails", "PostStartHook failed")
        self.event("Killing", "hook-fails", "FailedPostStartHook")
        found = self.wait("hook-fails", "restarted", lambda p: "terminated" in status(p)["lastState"])
        state = self.wait("hook-fails", "PostStartHookError", lambda p: status(p)["state"].get("waiting", {}).get(
            "reason") in ("PostStartHookError", "CrashLoopBackOff"))
        if status(state)["state"]["waiting"]["reason"] == "PostStartHookError":
            self.assertEqual(status(state)["state"]["waiting"]["message"],
                             "Exec lifecycle hook ([sh -c echo said; echo why >&2; exit 3]) for Container \"main\" in Pod "
                             f"\"{full_name(found)}\" failed - error: command 'sh -c echo said; echo why >&2; exit 3' "
                             'exited with 3: why\n, message: "said\\nwhy\\n"')
        self.assertFalse(status(found)["ready"])
        self.event("FailedPostStartHook", "hook-http-fails", "PostStartHook failed")
        self.assertEqual(status(self.ready("hook-start-sleep"))["restartCount"], 0)
        self.ready("hook-endless")
        self.out("delete", "pod", "hook-endless", "--wait=false")
        self.event("Killing", "hook-endless", "Stopping container main")
        self.assertLess(self.delete("hook-endless", "--grace-period=1"), 10)
        self.event("Started", "hook-start-endless", "Started container main")
        self.assertLess(self.delete("hook-start-endless"), 10)

    def test_07_restarts(self):
        found = self.wait("crash", "back-off", lambda p: status(p)["state"].get("waiting", {}).get(
            "reason") == "CrashLoopBackOff")
        one = status(found)
        self.assertEqual(found["status"]["phase"], "Running")
        self.assertRegex(one["state"]["waiting"]["message"], "^back-off (10s|20s|40s|1m20s|2m40s|5m0s) "
                         "restarting failed container=main pod=" +
                         re.escape(full_name(found)) + "$")
        self.assertGreaterEqual(one["restartCount"], 1)
        last = one["lastState"]["terminated"]
        self.assertEqual((last["exitCode"], last["reason"], last["message"]), (9, "Error", "last words\n"))
        self.assertEqual(self.out("logs", "-p", "crash"), "trying\n")
        self.event("BackOff", "crash", f"Back-off restarting failed container main in pod {full_name(found)}")
        self.assertRegex(" ".join(self.row("crash")[:2]), "^0/1 (CrashLoopBackOff|Error)$")
        last = self.restarted("always")
        self.assertEqual((last["exitCode"], last["reason"]), (0, "Completed"))
        self.assertEqual(self.read("always")["status"]["phase"], "Running")
        found = self.phase("never", "Failed")
        self.assertEqual((status(found)["state"]["terminated"]["exitCode"], status(found)["restartCount"]), (6, 0))
        self.assertEqual(self.row("never"), ["0/1", "Error", "0"])
        self.assertEqual(condition(found, "ContainersReady"), ("False", "PodFailed", ""))
        self.assertEqual(self.out("logs", "done"), "first\nsecond\n")
        self.assertIn('previous terminated container "main" in pod "done" not found', self.error("logs", "-p", "done"))
        found = self.phase("on-failure", "Succeeded")
        self.assertEqual(status(found)["restartCount"], 1)
        self.assertEqual(status(found)["lastState"]["terminated"]["exitCode"], 2)
        self.phase("mixed", "Failed")
        self.assertEqual(self.row("mixed")[0], "0/2")

    def test_08_last_words(self):
        said = lambda name, phase="Failed": status(self.phase(name, phase))["state"]["terminated"].get("message")
        self.assertEqual(said("words"), "from the log\n")
        self.assertEqual(said("own-words"), "told\n")
        words = said("many-words", "Succeeded")
        self.assertEqual(len(words), 4096)
        self.assertTrue(words.endswith("line 999\nline 1000\n"))

    def test_09_limits_and_deadlines(self):
        found = self.phase("oom", "Failed")
        ended = status(found)["state"]["terminated"]
        self.assertEqual((ended["exitCode"], ended["reason"]), (137, "OOMKilled"))
        self.assertEqual(self.row("oom"), ["0/1", "OOMKilled", "0"])
        self.assertFalse(os.path.exists("oom"), "left where gantry was started")
        message = "Pod was active on the node longer than the specified deadline"
        found = self.phase("deadline", "Failed")
        self.assertEqual((found["status"]["reason"], found["status"]["message"]), ("DeadlineExceeded", message))
        self.event("DeadlineExceeded", "deadline", message)
        self.event("Killing", "deadline", "Stopping container main")
        self.assertIn("Reason:           DeadlineExceeded", self.out("describe", "pod", "deadline"))
        for name, quality in (("guaranteed", "Guaranteed"), ("burstable", "Burstable"), ("best-effort", "BestEffort")):
            self.assertEqual(self.phase(name, "Succeeded")["status"]["qosClass"], quality)
        self.phase("many", "Succeeded")
        said = self.out("logs", "many", "--all-containers").split()
        self.assertEqual(sorted(map(int, said)), list(range(12)))

    def test_10_deletion(self):
        self.wait("initialising", "its init container", lambda p: "running" in status(p, "first")["state"])
        self.assertLess(self.delete("initialising", "--grace-period=1"), 10)
        self.ready("deaf-short")
        self.assertGreater(self.delete("deaf-short"), 2)
        self.ready("zero")
        self.assertLess(self.delete("zero"), 10)
        # Patience that is withdrawn, and a pod that is forgotten at once while its containers still have to go.
        self.ready("deaf")
        self.out("delete", "pod", "deaf", "--wait=false")
        self.assertEqual(self.row("deaf"), ["1/1", "Terminating", "0"])
        self.assertLess(self.delete("deaf", "--grace-period=1"), 10)
        uid = self.ready("deaf-now")["metadata"]["uid"]
        done = self.kubectl("delete", "pod", "deaf-now", "--force", "--grace-period=0")
        self.assertIn("Immediate deletion does not wait for confirmation", done.stderr)
        self.assertIn('pod "deaf-now" force deleted', done.stdout)
        self.assertIn('"deaf-now" not found', self.error("get", "pod", "deaf-now"))
        wait_for("the forgotten pod's end", lambda: not (self.server.data / "node/pods" / uid).exists(), 20)


if __name__ == "__main__":
    main(90)
