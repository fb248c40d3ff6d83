"""Volumes as the containers of a pod see them: contents, modes, owners, parts, updates, and what keeps a pod waiting."""

import base64
import json
import shutil
import tempfile
from pathlib import Path

from cluster import close_at_end, main, run, wait_for
from pods import PodsTest, condition, config_map, once, pod, secret, shell, status

FOREVER = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"
TREE = 'cd /v; find . -follow -type f | grep -v "\\.\\./\\|/\\.\\." | sort | while read f; do ' \
       'echo "$f $(stat -L -c "%a %u:%g" $f) $(cat $f)"; done'


def mounted(name, script, source, spec=None, mount=None, make=once, **main):
    """A pod with one volume at /v."""
    return make(name, script, main={"volumeMounts": [{"name": "v", "mountPath": "/v", **(mount or {})}], **main},
                volumes=[{"name": "v", **source}], **(spec or {}))


class HostDirectory:
    """What hostPath volumes show: `shared` is a shared mount. Ends after the servers."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="gantry-e2e-host-"))
        close_at_end(self)
        for name in ("dir", "shared/inner", "shared/later"):
            (self.path / name).mkdir(parents=True)
        (self.path / "file").write_text("from the host\n")
        run("mount", "--bind", self.path / "shared", self.path / "shared")
        run("mount", "--make-shared", self.path / "shared")

    def close(self):
        run("umount", "-R", self.path / "shared", check=False)
        shutil.rmtree(self.path)


class VolumesTest(PodsTest):
    @classmethod
    def setUpClass(cls):
        # Before the server: a node with its runtime in a mount namespace of its own sees only what was shared then.
        cls.host = HostDirectory().path
        super().setUpClass()

    @classmethod
    def prepare(cls):
        cls.create(config_map("config", one="1", two="2"), config_map("live", key="old", gone="soon"),
                   secret("secret", password="hunter2", user="me"))
        for kind, name in (("serviceaccount", "default"), ("configmap", "kube-root-ca.crt")):
            wait_for(name, lambda kind=kind, name=name: cls.out("get", kind, name, "-o", "name"))

    @classmethod
    def host_path(cls, name, kind=None):
        return {"hostPath": {"path": str(cls.host / name), **({"type": kind} if kind else {})}}

    @classmethod
    def manifests(cls):
        everything = {"projected": {"defaultMode": 0o440, "sources": [
            {"configMap": {"name": "config", "items": [{"key": "one", "path": "maps/first", "mode": 0o600}]}},
            {"secret": {"name": "secret", "items": [{"key": "user", "path": "user"}]}},
            {"downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "note", "fieldRef": {"fieldPath": "metadata.annotations['note']"}},
                {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu",
                                                     "divisor": "1m"}}]}},
            {"configMap": {"name": "nowhere", "optional": True}},
            {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}}]}}
        return [
            mounted("map", TREE + "; ls -a; readlink one; touch /v/x 2>&1; true", {"configMap": {"name": "config"}}),
            mounted("map-items", TREE, {"configMap": {"name": "config", "defaultMode": 0o400, "items": [
                {"key": "two", "path": "deep/er/zwei"}, {"key": "one", "path": "eins", "mode": 0o755}]}}),
            mounted("map-group", TREE + "; id -G; stat -c '%a %g' /v/..data/", {"secret": {
                "secretName": "secret", "defaultMode": 0o400}},
                spec={"securityContext": {"fsGroup": 1234, "runAsUser": 1000, "runAsGroup": 1000}}),
            mounted("map-absent", TREE + "; ls", {"configMap": {"name": "nowhere", "optional": True}}),
            mounted("key-absent", TREE, {"configMap": {"name": "config", "optional": True, "items": [
                {"key": "one", "path": "one"}, {"key": "nokey", "path": "x"}]}}),
            mounted("everything", "cat /v/token | cut -d. -f2; rm -f x; " + TREE.replace("grep -v", "grep -v token | grep -v"), everything,
                    spec={"meta": {"annotations": {"note": "noted"}, "labels": {"a": "1", "b": "two words".split()[0]}}},
                    resources={"limits": {"cpu": "1500m"}}),
            # The account's own volume, as root and as somebody else.
            once("account", "cd /var/run/secrets/kubernetes.io/serviceaccount; ls; cat namespace; echo; "
                 "grep -c BEGIN ca.crt; stat -L -c '%a %u' token; touch x 2>&1; mount | grep serviceaccount | grep -c ro,"),
            once("account-user", "cd /var/run/secrets/kubernetes.io/serviceaccount; wc -c <token; "
                 "stat -L -c '%a %u %g' token", securityContext={"runAsUser": 1000}),
            once("account-group", "cd /var/run/secrets/kubernetes.io/serviceaccount; wc -c <token; "
                 "stat -L -c '%a %u %g' token", securityContext={"runAsUser": 1000, "runAsGroup": 1000,
                                                                 "fsGroup": 2000}),
            once("no-account", "ls /var/run/secrets 2>&1; true", automountServiceAccountToken=False),
            # Emptiness.
            mounted("empty", "stat -c %a /v; touch /v/x; ls /v; chmod 700 /v; sleep 2; stat -c %a /v",
                    {"emptyDir": {}}, spec={"securityContext": {"fsGroup": 77}}),
            mounted("memory", "df -k /v | tail -1; grep ' /v ' /proc/mounts; dd if=/dev/zero of=/v/x bs=1M count=3 2>&1",
                    {"emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}}),
            once("between", "cat /b/word", initContainers=[shell("echo passed > /a/word", "first", volumeMounts=[
                {"name": "v", "mountPath": "/a"}])],
                 main={"volumeMounts": [{"name": "v", "mountPath": "/b", "readOnly": True}]},
                 volumes=[{"name": "v", "emptyDir": {}}]),
            mounted("full", "dd if=/dev/zero of=/v/x bs=1M count=4 2>/dev/null; sleep 1000",
                    {"emptyDir": {"sizeLimit": "1Mi"}}, make=pod),
            pod("written", "dd if=/dev/zero of=/x bs=1M count=4 2>/dev/null; sleep 1000",
                main={"resources": {"limits": {"ephemeral-storage": "2Mi"}}}),
            # The host's.
            mounted("host-dir", "echo written > /v/made; ls /v", cls.host_path("dir", "Directory")),
            mounted("host-file", "cat /v", cls.host_path("file", "File")),
            mounted("host-create", "touch /v/x; ls /v", cls.host_path("new/dir", "DirectoryOrCreate")),
            mounted("host-touch", "echo hello > /v", cls.host_path("newfile", "FileOrCreate")),
            mounted("host-any", "touch /v/x; stat -c %a /v", cls.host_path("any")),
            mounted("host-device", "echo gone > /v; test -c /v && echo device", {"hostPath": {
                "path": "/dev/null", "type": "CharDevice"}}, securityContext={"privileged": True}),
            mounted("host-wrong", "sleep 1000", cls.host_path("file", "Directory"), make=pod),
            mounted("host-none", "sleep 1000", cls.host_path("nofile", "File"), make=pod),
            mounted("host-nosocket", "sleep 1000", cls.host_path("file", "Socket"), make=pod),
            # Parts of volumes.
            once("parts", "cat /etc/one.conf; cat /w/deep/x; ls /logs; touch /logs/here; touch /fixed/x 2>&1; cat /over/word",
                 main={"env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                       "volumeMounts": [
                           {"name": "map", "mountPath": "/etc/one.conf", "subPath": "one"},
                           {"name": "scratch", "mountPath": "/w"},
                           {"name": "scratch", "mountPath": "/logs", "subPathExpr": "logs/$(POD)"},
                           {"name": "scratch", "mountPath": "/fixed", "subPath": "fixed", "readOnly": True},
                           {"name": "scratch", "mountPath": "/over", "subPath": "deep"},
                           {"name": "other", "mountPath": "/over/word", "subPath": "two"}]},
                 initContainers=[shell("mkdir -p /w/deep /w/fixed; echo x > /w/deep/x; echo under > /w/deep/word", "first", volumeMounts=[
                     {"name": "scratch", "mountPath": "/w"}])],
                 volumes=[{"name": "map", "configMap": {"name": "config"}}, {"name": "scratch", "emptyDir": {}},
                          {"name": "other", "configMap": {"name": "config"}}]),
            once("escape", "sleep 1000", main={"volumeMounts": [
                {"name": "scratch", "mountPath": "/w", "subPath": "link"}]},
                 initContainers=[shell("ln -s /etc /w/link", "first", volumeMounts=[
                     {"name": "scratch", "mountPath": "/w"}])],
                 volumes=[{"name": "scratch", "emptyDir": {}}]),
            # What changes.
            pod("live", FOREVER, main={"volumeMounts": [
                {"name": "map", "mountPath": "/map"}, {"name": "map", "mountPath": "/file", "subPath": "key"},
                {"name": "info", "mountPath": "/info"}]},
                volumes=[{"name": "map", "configMap": {"name": "live"}}, {"name": "info", "downwardAPI": {"items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]),
            # Mounts of mounts.
            mounted("giver", "mount -t tmpfs x /v/inner && touch /v/inner/seen && " +
                    FOREVER.replace("exit", "umount /v/inner; exit"), cls.host_path("shared"),
                    mount={"mountPropagation": "Bidirectional"}, make=pod, securityContext={"privileged": True}),
            mounted("taker", "until ls /v/inner/seen && ls /v/later/seen; do sleep 0.2; done 2>/dev/null",
                    cls.host_path("shared"), mount={"mountPropagation": "HostToContainer"}),
            mounted("alone", FOREVER, cls.host_path("shared"), make=pod),
            # What waits.
            mounted("wait-map", "sleep 1000", {"configMap": {"name": "nowhere"}}, make=pod),
            mounted("wait-key", "sleep 1000", {"configMap": {"name": "config", "items": [
                {"key": "nokey", "path": "x"}]}}, make=pod),
            mounted("wait-secret", "sleep 1000", {"secret": {"secretName": "nowhere"}}, make=pod),
            mounted("wait-secret-key", "sleep 1000", {"secret": {"secretName": "secret", "items": [
                {"key": "nokey", "path": "x"}]}}, make=pod),
            mounted("late", "cat /v/word", {"configMap": {"name": "late"}}),
        ]

    def log(self, name):
        return self.ended_log(name).splitlines()

    def test_01_config_maps_and_secrets(self):
        lines = self.log("map")
        self.assertEqual(lines[:2], ["./one 644 0:0 1", "./two 644 0:0 2"])
        self.assertRegex(" ".join(lines[2:]), r"^\. \.\. \.\.20\d\d_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+ \.\.data one two "
                         r"\.\.data/one touch: /v/x: Read-only file system$")
        self.assertEqual(self.log("map-items"), ["./deep/er/zwei 400 0:0 2", "./eins 755 0:0 1"])
        self.assertEqual(self.log("map-group"), ["./password 440 0:1234 hunter2", "./user 440 0:1234 me",
                                                 "1000 1234", "2755 1234"])
        self.assertEqual(self.log("map-absent"), [])
        self.assertEqual(self.log("key-absent"), ["./one 644 0:0 1"])

    def test_02_projected(self):
        claims, *lines = self.log("everything")
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.assertEqual(claims["aud"], ["vault"])
        self.assertEqual(claims["exp"] - claims["iat"], 600)
        self.assertEqual(claims["sub"], "system:serviceaccount:default:default")
        self.assertEqual(claims["kubernetes.io"]["pod"]["name"], "everything")
        self.assertEqual(lines, ["./cpu 440 0:0 1500", './labels 440 0:0 a="1"', 'b="two"',
                                 "./maps/first 600 0:0 1", "./note 440 0:0 noted", "./user 440 0:0 me"])

    def test_03_service_account(self):
        lines = self.log("account")
        self.assertEqual(lines[:6], ["ca.crt", "namespace", "token", "default", "1", "644 0"])
        self.assertIn("Read-only file system", lines[6])
        self.assertEqual(lines[7], "1")
        size, modes = self.log("account-user")
        self.assertGreater(int(size), 300)
        self.assertEqual(modes, "600 1000 0")
        size, modes = self.log("account-group")
        self.assertGreater(int(size), 300)
        self.assertEqual(modes, "640 1000 2000")
        self.assertIn("No such file", self.log("no-account")[0])

    def test_04_empty_dirs(self):
        self.assertEqual(self.log("empty"), ["2777", "x", "700"])
        lines = self.log("memory") if self.phase("memory", "Failed") is None else self.out("logs", "memory").splitlines()
        self.assertEqual(lines[0].split()[1], "2048")
        self.assertRegex(lines[1], r"^tmpfs /v tmpfs rw")
        self.assertIn("No space left on device", "\n".join(lines))
        self.assertEqual(self.log("between"), ["passed"])

    def test_05_size_limit(self):
        found = self.phase("full", "Failed", 60)
        message = 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
        self.assertEqual((found["status"]["reason"], found["status"]["message"]), ("Evicted", message))
        self.event("Evicted", "full", message)
        self.event("Killing", "full", "Stopping container main")
        self.assertEqual(condition(found, "DisruptionTarget"), ("True", "TerminationByKubelet", message))
        self.assertEqual(self.row("full")[1], "Error")
        self.assertEqual(self.phase("written", "Failed", 60)["status"]["message"],
                         "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ")

    def test_06_host_paths(self):
        self.assertEqual(self.log("host-dir"), ["made"])
        self.assertEqual((self.host / "dir/made").read_text(), "written\n")
        self.assertEqual(self.log("host-file"), ["from the host"])
        self.assertEqual(self.log("host-create"), ["x"])
        self.log("host-touch")
        self.assertEqual((self.host / "newfile").read_text(), "hello\n")
        self.assertEqual(self.log("host-any"), ["755"])
        self.assertEqual(self.log("host-device"), ["device"])
        for name, path, what in (("host-wrong", "file", "directory"), ("host-none", "nofile", "file"),
                                 ("host-nosocket", "file", "socket file")):
            with self.subTest(name):
                self.event("FailedMount", name, 'MountVolume.SetUp failed for volume "v" : hostPath type check '
                           f"failed: {self.host / path} is not a {what}")

    def test_07_parts(self):
        self.assertEqual(self.log("parts"), ["1x", "touch: /fixed/x: Read-only file system", "2"])
        message = self.waiting("escape", "CreateContainerConfigError")
        self.assertEqual(message, 'failed to prepare subPath for volumeMount "scratch" of container "main"')
        self.event("Failed", "escape", "Error: " + message)

    def test_08_updates(self):
        self.ready("live")
        read = lambda script: self.out("exec", "live", "--", "sh", "-c", script)
        self.assertEqual(read("cat /map/key /file; ls /map"), "oldoldgone\nkey\n")
        before = read("readlink /map/..data")
        self.out("patch", "configmap", "live", "--type=merge", "-p", '{"data":{"key":"new","gone":null,"more":"x"}}')
        self.out("label", "pod", "live", "added=yes")
        wait_for("the new contents", lambda: read("cat /map/key") == "new", 90)
        self.assertEqual(read("cat /file; ls /map"), "oldkey\nmore\n")
        self.assertNotEqual(read("readlink /map/..data"), before)
        wait_for("the new label", lambda: 'added="yes"' in read("cat /info/labels"), 90)

    def test_09_propagation(self):
        for name in ("giver", "alone"):
            self.ready(name)
        self.wait("taker", "running", lambda p: "running" in status(p)["state"])
        run("mount", "-t", "tmpfs", "x", self.host / "shared/later")
        (self.host / "shared/later/seen").touch()
        self.phase("taker", "Succeeded")
        self.assertEqual(self.out("exec", "alone", "--", "ls", "/v/later"), "")
        self.out("delete", "pod", "giver")

    def test_10_what_waits(self):
        for name, message in (("wait-map", 'configmap "nowhere" not found'),
                              ("wait-key", "configmap references non-existent config key: nokey"),
                              ("wait-secret", 'secret "nowhere" not found'),
                              ("wait-secret-key", "references non-existent secret key: nokey")):
            with self.subTest(name):
                self.event("FailedMount", name, 'MountVolume.SetUp failed for volume "v" : ' + message)
                self.assertEqual(self.waiting(name, "ContainerCreating"), "")
                self.assertEqual(self.row(name), ["0/1", "ContainerCreating", "0"])
        self.create(config_map("late", word="arrived"))
        self.assertEqual(self.log("late"), ["arrived"])
        self.out("delete", "pod", "wait-map", "--timeout=20s")


if __name__ == "__main__":
    main(90)
