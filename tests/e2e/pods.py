"""Helpers for the tests of single pods: many are created at once, then each is looked at."""

import hashlib
import io
import json
import tarfile

from cluster import GANTRY, IMAGE, BusyboxArchive, ClusterTest, wait_for


class PodsTest(ClusterTest):
    """A cluster to which all manifests of the class are applied before its first test."""

    @classmethod
    def prepare(cls):
        """What has to be there before the pods."""

    @classmethod
    def manifests(cls):
        return []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prepare()
        cls.create(*cls.manifests())

    @classmethod
    def create(cls, *objects):
        cls.server.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    @classmethod
    def read(cls, name):
        return json.loads(cls.out("get", "pod", name, "-o", "json"))

    def wait(self, name, what, probe, seconds=40):
        """The pod as soon as `probe` is true of it."""

        def look():
            found = self.read(name)
            return found if probe(found) else None

        try:
            return wait_for(what, look, seconds)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.out('describe', 'pod', name)}") from None

    def ready(self, name, seconds=40):
        return self.wait(name, "ready", lambda pod: condition(pod, "Ready")[0] == "True", seconds)

    def phase(self, name, phase, seconds=40):
        return self.wait(name, phase, lambda pod: pod["status"].get("phase") == phase, seconds)

    def waiting(self, name, reason, container="main", seconds=40):
        """The message with which a container waits for this reason."""
        found = self.wait(name, reason, lambda pod: status(pod, container)["state"].get("waiting", {}).get(
            "reason") == reason, seconds)
        return status(found, container)["state"]["waiting"].get("message", "")

    def ended_log(self, name, phase="Succeeded", container="main"):
        """The whole log of a container of a pod that ends."""
        self.phase(name, phase)
        return self.out("logs", name, "-c", container)

    def event(self, reason, name, message):
        """Waits for an event; `message` is its whole text."""
        wait_for(f"{reason} of {name}: {message}", lambda: message in self.events(reason, name) or
                 self.fail(str(self.events(reason, name))), 20)

    def event_like(self, reason, name, pattern):
        def look():
            self.assertRegex("\n".join(self.events(reason, name)), f"(?m)^{pattern}$")
            return True

        wait_for(f"{reason} of {name}", look, 20)

    def row(self, name):
        """READY, STATUS and RESTARTS as `kubectl get pod` shows them."""
        return self.out("get", "pod", name, "--no-headers").split()[1:4]

    @classmethod
    def import_variant(cls, name, **config):
        """The busybox image with another configuration."""
        source, target = BusyboxArchive.path(), cls.server.dir / "variant.tar"
        with tarfile.open(source) as old, tarfile.open(target, "w") as new:
            manifest = json.load(old.extractfile("manifest.json"))[0]
            image = json.load(old.extractfile(manifest["Config"]))
            image["config"] = {key: value for key, value in {**image["config"], **config}.items() if value is not None}

            def add(path, data):
                info = tarfile.TarInfo(path)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))

            text = json.dumps(image).encode()
            manifest["Config"] = hashlib.sha256(text).hexdigest() + ".json"
            manifest["RepoTags"] = [name]
            add("manifest.json", json.dumps([manifest]).encode())
            add(manifest["Config"], text)
            for layer in manifest["Layers"]:
                new.addfile(old.getmember(layer), old.extractfile(layer))
        cls.machine.run(GANTRY, "image", "import", "--data-dir", cls.server.data, target)
        target.unlink()


def shell(script, name="main", **fields):
    """A container that runs a script in busybox' shell."""
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def pod(name, script=None, main=None, meta=None, **spec):
    """A pod with the container `main`, which runs a script or is what `main` says besides; it ends within a second."""
    container = {**(shell(script) if script else {"name": "main", "image": IMAGE}), **(main or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}, **(meta or {})},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}}


def once(name, script=None, main=None, meta=None, **spec):
    """A pod that runs once."""
    return pod(name, script, main, meta, **{"restartPolicy": "Never", **spec})


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def condition(pod, name):
    """A condition's status, reason and message."""
    for one in pod["status"].get("conditions", []):
        if one["type"] == name:
            return one["status"], one.get("reason", ""), one.get("message", "")
    return "", "", ""


def status(pod, container="main"):
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for one in pod["status"].get(kind, []):
            if one["name"] == container:
                return one
    return {"state": {}, "lastState": {}, "ready": False, "restartCount": 0}


def full_name(pod):
    """A pod as kubelet's messages name it."""
    meta = pod["metadata"]
    return f"{meta['name']}_{meta['namespace']}({meta['uid']})"
