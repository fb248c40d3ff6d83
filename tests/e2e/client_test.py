"""The client that is built into gantry, on a machine without kubectl: every command as a user types it."""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time

from cluster import GANTRY, IMAGE, ClusterTest, Machine, Server, Switch, main, pod, wait_for

WEB = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: page, labels: {{app: web}}}}
data: {{index.html: "hello\\n"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: keys}}
stringData: {{user: admin}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{app: web}}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: {IMAGE}
        command: [sh, -c, "echo started; trap exit TERM; httpd -p 8080 -h /www; while true; do sleep 0.2; done"]
        ports: [{{containerPort: 8080, name: http}}]
        env: [{{name: USER_NAME, valueFrom: {{secretKeyRef: {{name: keys, key: user}}}}}}]
        readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1}}
        volumeMounts: [{{name: www, mountPath: /www}}]
      volumes: [{{name: www, configMap: {{name: page}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
"""


class ClientTest(ClusterTest):
    """No test here runs kubectl: `out`, `error` and `kubectl` of the library run gantry."""

    @classmethod
    def setUpClass(cls):
        cls.switch = Switch()
        cls.machine = Machine(cls.switch)
        cls.server = Server(cls.machine)
        cls.server.client = GANTRY
        cls.server.start()
        cls.server.import_image()
        cls.run_client = cls.server.kubectl
        cls.out = cls.server.out
        cls.error = cls.server.error
        cls.web = cls.server.dir / "web.yaml"
        cls.web.write_text(WEB)
        cls.first = cls.out("apply", "-f", cls.web)
        cls.out("rollout", "status", "deploy/web", "--timeout=60s", timeout=70)

    def pods_of_web(self):
        return self.out("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}").split()

    def test_apply_says_what_it_did(self):
        self.assertEqual(self.first, "configmap/page created\nsecret/keys created\ndeployment.apps/web created\n"
                                     "service/web created\n")
        self.assertEqual(self.out("apply", "-f", self.web).split("\n")[2], "deployment.apps/web unchanged")
        changed = WEB.replace("labels: {app: web}}\ndata", "labels: {app: web, tier: front}}\ndata")
        dry = self.out("apply", "-f", "-", "--dry-run=server", text_in=changed)
        self.assertTrue(dry.startswith("configmap/page configured (server dry run)\n"), dry)
        self.assertIn("configmap/page configured (dry run)\n", self.out("apply", "-f", self.web, "--dry-run=client"))
        self.assertIn("configmap/page serverside-applied\n", self.out("apply", "-f", self.web, "--server-side"))
        self.assertEqual(self.error("apply", "-f", "nosuch"), 'error: the path "nosuch" does not exist')
        self.assertEqual(self.error("apply"), "error: must specify one of -f and -k")
        bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Upper}\n"
        self.assertTrue(self.error("apply", "-f", "-", text_in=bad).startswith('The ConfigMap "Upper" is invalid: '))
        unknown = "apiVersion: v1\nkind: Nothing\nmetadata: {name: a}\n"
        self.assertIn('no matches for kind "Nothing" in version "v1"', self.error("apply", "-f", "-", text_in=unknown))

    def test_apply_takes_a_field_away_again(self):
        two = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fields}\ndata: {a: '1', b: '2'}\n"
        one = two.replace(", b: '2'", "")
        self.out("apply", "-f", "-", text_in=two)
        self.assertEqual(self.out("apply", "-f", "-", text_in=one), "configmap/fields configured\n")
        self.assertEqual(json.loads(self.server.get("cm", "fields", "{.data}")), {"a": "1"})
        # Also what a client-side kubectl apply has set.
        owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"a": "1", "b": "2"}}
        self.out("create", "-f", "-", "--field-manager=kubectl-client-side-apply", text_in=json.dumps(owned))
        self.out("apply", "-f", "-", text_in=one.replace("fields", "theirs"))
        self.assertEqual(json.loads(self.server.get("cm", "theirs", "{.data}")), {"a": "1"})

    def test_diff(self):
        same = self.run_client("diff", "-f", self.web, check=False)
        self.assertEqual((same.returncode, same.stdout), (0, ""), same.stderr)
        changed = self.run_client("diff", "-f", "-", check=False,
                                  text_in=WEB.replace("hello", "goodbye").replace("user: admin", "user: root"))
        self.assertEqual(changed.returncode, 1, changed.stderr)
        self.assertIn("-    hello\n+    goodbye\n", changed.stdout)
        self.assertIn("-  user: '*** (before)'\n+  user: '*** (after)'\n", changed.stdout)
        self.assertEqual(self.run_client("diff", "-f", "nosuch", check=False).returncode, 2)

    def test_create_and_delete(self):
        directory = self.server.dir / "some"
        (directory / "below").mkdir(parents=True)
        (directory / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
        (directory / "below/b.json").write_text('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}')
        self.assertEqual(self.out("create", "-f", directory), "configmap/a created\n")
        self.assertIn("(AlreadyExists)", self.error("create", "-R", "-f", directory))  # and b is made
        self.assertEqual(self.out("delete", "-R", "-f", directory), 'configmap "a" deleted\nconfigmap "b" deleted\n')
        self.assertIn("Error from server (NotFound): error when deleting", self.error("delete", "-f", directory))
        self.out("delete", "-f", directory, "--ignore-not-found")
        self.assertEqual(self.out("create", "configmap", "lit", "--from-literal=k=v", f"--from-file={self.web}"),
                         "configmap/lit created\n")
        self.assertEqual(self.server.get("cm", "lit", "{.data.k}"), "v")
        self.out("create", "secret", "generic", "lit", "--from-literal=k=v")
        self.assertEqual(self.server.get("secret", "lit", "{.data.k}"), "dg==")
        self.assertEqual(self.out("delete", "cm/lit", "secret/lit", "-o", "name"), "configmap/lit\nsecret/lit\n")
        self.out("create", "namespace", "short")
        self.out("create", "serviceaccount", "robot", "-n", "short")
        self.assertEqual(self.out("delete", "ns", "short", "--timeout=40s"), 'namespace "short" deleted\n')
        self.assertEqual(self.error("get", "ns", "short"), 'Error from server (NotFound): namespaces "short" not found')
        self.assertEqual(self.error("delete", "pods"), "error: resource(s) were provided, but no name was specified")
        self.server.apply(pod("doomed", "sleep 1000", labels=", group: doomed"))
        self.server.wait_pod("doomed")
        self.assertIn("(dry run)", self.out("delete", "pod", "doomed", "--dry-run=client"))
        self.assertEqual(self.out("delete", "pods", "-l", "group=doomed", "--grace-period=1"), 'pod "doomed" deleted\n')
        self.assertEqual(self.out("wait", "pod/doomed", "--for=delete", "--timeout=5s"), "pod/doomed condition met\n")

    def test_get(self):
        first = self.pods_of_web()[0]
        wide = self.out("get", "po", "-o", "wide", "-l", "app=web").splitlines()
        self.assertEqual(wide[0].split()[:7], ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"])
        self.assertEqual(wide[1].split()[1:3], ["1/1", "Running"])
        both = self.out("get", "po,svc")
        self.assertIn(f"pod/{first} ", both)
        self.assertIn("\nservice/web ", both)
        self.assertIn("NAMESPACE", self.out("get", "cm", "-A").splitlines()[0])
        self.assertIn("deployment.apps/web", self.out("get", "deploy/web", "pod/" + first))
        self.assertEqual(self.out("get", "Deployment.apps", "web", "-o", "name"), "deployment.apps/web\n")
        self.assertEqual(self.out("get", "deployments.v1.apps", "-o", "name"), "deployment.apps/web\n")
        self.assertTrue(self.out("get", "po", "-L", "app").splitlines()[0].endswith("APP"))
        self.assertIn("app=web,pod-template-hash=", self.out("get", "po", "--show-labels"))
        columns = self.out("get", "svc", "-o", "custom-columns=N:.metadata.name,X:.spec.nope", "--sort-by=.metadata.name",
                           "--no-headers")
        self.assertEqual(columns.split(), ["kubernetes", "<none>", "web", "<none>"])
        self.assertEqual(json.loads(self.out("get", "cm", "page", "-o", "json"))["data"], {"index.html": "hello\n"})
        self.assertIn("  index.html: |\n", self.out("get", "cm", "page", "-o", "yaml"))
        self.assertEqual(self.out("get", "--raw", "/readyz"), "ok")
        self.assertEqual(self.run_client("get", "jobs").stderr, "No resources found in default namespace.\n")
        self.assertEqual(self.run_client("get", "pod", "nosuch", "--ignore-not-found").stdout, "")
        for line, want in {
            "get pods nosuch": 'Error from server (NotFound): pods "nosuch" not found',
            "get nosuch": 'error: the server doesn\'t have a resource type "nosuch"',
            "get pods --nosuch": "error: unknown flag: --nosuch\nSee 'gantry get --help' for usage.",
            "get pods x -l a=b": "error: name cannot be provided when a selector is specified",
            "get pods -l a=,,": "Unable to find \"/v1, Resource=pods\" that match label selector \"a=,,\"",
            "get pods --field-selector foo=bar": "field label not supported: foo",
        }.items():
            self.assertIn(want, self.error(*line.split()), line)

    def test_get_watch(self):
        self.assertIn("NotFound", self.error("get", "cm", "watched", "-w"))
        self.out("create", "configmap", "watched")
        watch = self.server.spawn_kubectl("get", "cm", "watched", "-w", "--output-watch-events", stdout=subprocess.PIPE,
                                          text=True)
        self.assertEqual(watch.stdout.readline().split(), ["EVENT", "NAME", "DATA", "AGE"])
        self.assertEqual(watch.stdout.readline().split()[:3], ["ADDED", "watched", "0"])
        self.out("patch", "cm", "watched", "-p", '{"data":{"a":"b"}}')
        self.assertEqual(watch.stdout.readline().split()[:3], ["MODIFIED", "watched", "1"])
        self.out("delete", "cm", "watched")
        self.assertEqual(watch.stdout.readline().split()[:3], ["DELETED", "watched", "1"])
        watch.kill()

    def test_describe(self):
        text = self.out("describe", "pod", self.pods_of_web()[0])
        self.assertIn("Controlled By:  ReplicaSet/web-", text)
        self.assertIn("      USER_NAME:  <set to the key 'user' in secret 'keys'>  Optional: false\n", text)
        self.assertIn("    Readiness:      http-get http://:http/ delay=0s timeout=1s period=1s #success=1 #failure=3\n",
                      text)
        self.assertRegex(text, r"  Normal +Scheduled +\S+ +default-scheduler +Successfully assigned default/web-")
        self.assertIn("NewReplicaSet:   web-", self.out("describe", "deploy/web"))
        self.assertIn("Pods Status:    2 Running / 0 Waiting / 0 Succeeded / 0 Failed\n", self.out("describe", "rs", "web-"))
        self.assertRegex(self.out("describe", "svc", "web"), r"Endpoints: +10\.\S+:8080,10\.\S+:8080\n")
        node = self.out("describe", "node", "one")
        self.assertIn("Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n", node)
        self.assertIn("  HolderIdentity:  one\n", node)
        self.assertIn("user:  5 bytes\n", self.out("describe", "secret", "keys"))
        self.assertIn("index.html:\n----\nhello\n\n\n", self.out("describe", "cm", "page"))
        self.assertIn("No resource quota.\n", self.out("describe", "ns", "default"))
        self.assertIn("  Lease Duration Seconds:  40\n", self.out("describe", "lease", "one", "-n", "kube-node-lease"))
        self.assertEqual(self.error("describe", "pod", "nosuch"), 'Error from server (NotFound): pods "nosuch" not found')

    def test_logs(self):
        self.assertEqual(self.out("logs", "-l", "app=web", "--tail=1"), "started\nstarted\n")
        prefixed = self.out("logs", "-l", "app=web", "--prefix").splitlines()
        self.assertTrue(all(line.startswith("[pod/web-") and line.endswith("/main] started") for line in prefixed))
        self.assertIn("Found 2 pods, using pod/web-", self.run_client("logs", "deploy/web").stderr)
        self.server.apply(pod("talker", "for i in 1 2 3; do echo line $i; done; sleep 1; echo end; exit 0",
                              spec="restartPolicy: Never"))
        self.out("wait", "pod/talker", "--for=jsonpath={.status.phase}=Running", "--timeout=30s")
        self.assertEqual(self.out("logs", "talker", "-f"), "line 1\nline 2\nline 3\nend\n")
        self.assertEqual(self.out("logs", "talker", "--tail=1"), "end\n")
        self.assertRegex(self.out("logs", "talker", "--timestamps", "--tail=1"), r"^\d{4}-\d\d-\d\dT\S+Z end\n$")
        self.assertEqual(self.error("logs", "talker", "-c", "nope"), "error: container nope is not valid for pod talker")
        self.assertEqual(self.error("logs", "nosuch"),
                         'error: error from server (NotFound): pods "nosuch" not found in namespace "default"')
        self.assertIn("POD or TYPE/NAME is a required argument", self.error("logs"))

    def test_exec(self):
        self.assertEqual(self.out("exec", "deploy/web", "--", "cat", "/www/index.html"), "hello\n")
        self.assertEqual(self.out("exec", "-i", "deploy/web", "--", "cat", text_in="through\n"), "through\n")
        failed = self.run_client("exec", "deploy/web", "--", "sh", "-c", "echo bad >&2; exit 7", check=False)
        self.assertEqual((failed.returncode, failed.stderr), (7, "bad\ncommand terminated with exit code 7\n"))
        self.assertIn("at least one command", self.error("exec", "deploy/web"))
        self.assertEqual(self.error("exec", "nosuch", "--", "true"), 'Error from server (NotFound): pods "nosuch" not found')
        # A terminal, with its size.
        leader, follower = pty.openpty()
        os.set_blocking(leader, False)
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        shell = self.server.spawn_kubectl("exec", "-it", self.pods_of_web()[0], "--", "sh", stdin=follower,
                                          stdout=follower, stderr=follower)
        os.close(follower)
        os.write(leader, b"stty size; exit 3\n")
        said = b""
        end = time.monotonic() + 30
        try:
            while time.monotonic() < end:
                if select.select([leader], [], [], 0.1)[0]:
                    said += os.read(leader, 4096)
        except OSError:
            pass  # nobody has the other end any more
        os.close(leader)
        self.assertEqual(shell.wait(5), 3, said)
        self.assertIn(b"33 101", said)

    def test_attach(self):
        self.server.apply(pod("echoes", "cat", container="stdin: true\nstdinOnce: true", spec="restartPolicy: Never"))
        self.server.wait_pod("echoes")
        self.assertEqual(self.out("attach", "-i", "echoes", text_in="one\ntwo\n"), "one\ntwo\n")
        self.assertIn("at least 1 argument", self.error("attach"))

    def test_api_resources(self):
        rows = [line.split() for line in self.out("api-resources", "--api-group=apps").splitlines()]
        self.assertEqual(rows[0], ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"])
        self.assertIn(["deployments", "deploy", "apps/v1", "true", "Deployment"], rows)
        self.assertIn("nodes\n", self.out("api-resources", "--namespaced=false", "-o", "name"))

    def test_scale_and_rollout(self):
        extra = WEB.split("---")[2].replace("name: web", "name: other").replace("app: web", "app: other")
        self.server.apply(extra)
        self.assertEqual(self.out("scale", "deploy/other", "--current-replicas=2", "--replicas=1"),
                         "deployment.apps/other scaled\n")
        self.assertEqual(self.error("scale", "deploy/other", "--current-replicas=5", "--replicas=2"),
                         "error: Expected replicas to be 5, was 1")
        self.assertIn('deployments.apps "nosuch" not found', self.error("scale", "deploy/nosuch", "--replicas=2"))
        self.assertEqual(self.error("rollout", "undo", "deploy/other"),
                         'error: no rollout history found for deployment "other"')
        self.assertEqual(self.out("rollout", "pause", "deploy/other"), "deployment.apps/other paused\n")
        self.assertIn("is already paused", self.error("rollout", "pause", "deploy/other"))
        self.assertIn("can't restart paused", self.error("rollout", "restart", "deploy/other"))
        self.assertEqual(self.out("rollout", "resume", "deploy/other"), "deployment.apps/other resumed\n")
        self.assertEqual(self.out("rollout", "restart", "deploy/other"), "deployment.apps/other restarted\n")
        self.out("annotate", "deploy/other", "kubernetes.io/change-cause=again")
        done = self.out("rollout", "status", "deploy/other", "--timeout=60s", timeout=70)
        self.assertTrue(done.endswith('deployment "other" successfully rolled out\n'), done)
        history = wait_for("the cause in the history", lambda: "again" in (
            text := self.out("rollout", "history", "deploy/other")) and text)
        self.assertEqual(history.splitlines()[0], "deployment.apps/other ")
        self.assertIn("kubectl.kubernetes.io/restartedAt",
                      self.out("rollout", "history", "deploy/other", "--revision=2"))
        self.assertEqual(self.out("rollout", "undo", "deploy/other", "--to-revision=1"),
                         "deployment.apps/other rolled back\n")
        self.assertIn("unable to find specified revision 9",
                      self.error("rollout", "undo", "deploy/other", "--to-revision=9"))
        self.out("delete", "deploy", "other")

    def test_edit_nodes_and_labels(self):
        self.assertEqual(self.out("label", "node", "one", "disk=ssd"), "node/one labeled\n")
        self.assertIn("--overwrite is false", self.error("label", "node", "one", "disk=hdd"))
        self.assertEqual(self.out("label", "node", "one", "disk-"), "node/one unlabeled\n")
        self.assertEqual(self.out("taint", "node", "one", "gpu=yes:PreferNoSchedule"), "node/one tainted\n")
        self.assertEqual(self.out("taint", "node", "one", "gpu:PreferNoSchedule-"), "node/one untainted\n")
        self.assertEqual(self.out("patch", "cm", "page", "-p", '{"metadata":{"labels":{"x":"y"}}}'),
                         "configmap/page patched\n")

    def test_events(self):
        self.server.apply(pod("huge", "true", container="resources: {requests: {cpu: 64}}"))
        lines = wait_for("the event", lambda: self.out("events", "--for", "pod/huge", "--types=Warning").splitlines())
        self.assertEqual(lines[0].split(), ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"])
        self.assertIn("0/1 nodes are available: 1 Insufficient cpu.", lines[1])
        self.assertIn("No events found", self.run_client("events", "--for", "pod/nosuch").stderr)
        self.assertEqual(self.error("events", "--types=Odd"), "error: valid --types are Normal or Warning")

    def why(self, what, *wanted):
        """Asks until the answer has all that is wanted; every answer ends with a command."""

        def answer():
            text = self.out("why", *what.split())
            assert text.splitlines()[-1].startswith("More: gantry "), text
            missing = [part for part in wanted if part not in text]
            assert not missing, f"{missing} not in\n{text}"
            return text

        return wait_for(f"why {what}", answer)

    def test_why(self):
        self.server.apply(
            pod("w-big", "true", container="resources: {requests: {cpu: 64}}") +
            pod("w-disk", "true", spec="nodeSelector: {disk: fast}") +
            pod("w-gate", "true", spec="schedulingGates: [{name: example.com/wait}]") +
            pod("w-crash", "echo boom; exit 3") +
            pod("w-map", "true", container="envFrom: [{configMapRef: {name: missing}}]") +
            pod("w-probe", "sleep 1000", container="readinessProbe: {httpGet: {port: 81}, periodSeconds: 1}") +
            pod("w-init", "true", spec="initContainers:\n- name: first\n  image: " + IMAGE +
                "\n  command: [sh, -c, 'echo no database; exit 1']") +
            pod("w-image", "true").replace(IMAGE, "127.0.0.1:1/nope:1") +
            "apiVersion: v1\nkind: Service\nmetadata: {name: w-none}\nspec: {selector: {app: wep}, ports: [{port: 80}]}\n"
            "---\napiVersion: v1\nkind: Service\nmetadata: {name: w-port}\n"
            "spec: {selector: {app: web}, ports: [{port: 80, targetPort: nosuch}]}\n"
            "---\n" + WEB.split("---")[2].replace("name: web", "name: w-account").replace(
                "app: web", "app: w-account").replace("terminationGrace", "serviceAccountName: nobody\n      terminationGrace"))
        self.why("w-big", "1 Insufficient cpu", "it needs 64 cpu; the largest free is")
        self.why("w-disk", "node one has no label disk=fast", "Fix: gantry label node one disk=fast")
        self.why("w-gate", "gate example.com/wait")
        self.why("w-crash", "ended with exit code 3", "  | boom", "gantry logs w-crash -c main -p")
        self.why("pod/w-map", 'configmap "missing" not found', "gantry create configmap missing")
        self.why("w-probe", "its readiness probe does not succeed", "nothing listens on that port yet")
        self.why("w-init", "container first", "  | no database")
        self.why("w-image", 'image "127.0.0.1:1/nope:1" cannot be pulled', "the registry does not answer")
        self.why("svc/w-none", "no pod in namespace default has the labels that it selects: app=wep",
                 "pods with app=web: 2")
        self.why("svc/w-port", 'none of its pods has a port with the name "nosuch"')
        self.why("deploy/w-account", 'serviceaccount "nobody" not found', "gantry create serviceaccount nobody")
        self.why("web", "deployment/web has 2 pods, ready", "Nothing is wrong with it.")
        self.why("node/one", "Nothing is wrong with it.")
        self.assertEqual(self.error("why", "nosuch"), 'Error from server (NotFound): pods "nosuch" not found')

    def test_logging_in(self):
        config = self.server.data / "kubeconfig"
        both = {"KUBECONFIG": f"/nonexistent:{config}"}
        self.assertIn("one ", self.out("get", "nodes", env=both))
        self.assertEqual(self.error("get", "pods", "--context=other"), 'error: context "other" does not exist')
        self.assertIn("no such file or directory", self.error("get", "pods", "--kubeconfig=/nonexistent"))
        self.assertEqual(self.error("get", "pods", "--as=eve"),
                         'Error from server (Forbidden): pods is forbidden: User "eve" cannot list resource "pods" in API '
                         'group "" in the namespace "default"')
        self.assertIn("You must be logged in to the server", self.error("get", "pods", "--token=wrong"))
        refused = self.error("get", "pods", "--server=https://127.0.0.1:1")
        self.assertEqual(refused, "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or "
                                  "port?")
        self.assertIn("no cluster is configured", self.error("get", "pods", env={"KUBECONFIG": "/nonexistent"}))
        token = self.out("get", "--raw", "/version", "--kubeconfig", config)
        self.assertIn("gitVersion", token)

    def test_help(self):
        commands = ("get describe apply diff create delete patch label annotate logs exec attach scale rollout wait cordon "
                    "uncordon taint events api-resources top why").split()
        overview = self.out("--help")
        for command in commands:
            self.assertIn(f"\n  {command} ", overview)
            text = self.out(command, "--help")
            self.assertIn("\nUsage:\n  gantry " + command, text)
            self.assertIn("\nExamples:\n", text)


if __name__ == "__main__":
    main(60)
