"""Images: pulled from registries (plain, with credentials, with a certificate authority of our own), and imported."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from cluster import GANTRY, IMAGE, BusyboxArchive, ClusterTest, main, pod, run, wait_for

PLAIN, GUARDED, HELD = "127.0.0.1:5000", "127.0.0.1:5001", "127.0.0.1:5009"
RUNS = "sleep 1000"
# A registry that takes connections and never answers.
HOLD = "import socket; s = socket.create_server(('127.0.0.1', 5009)); k = []\nwhile True: k.append(s.accept())"
CERTIFICATES = Path("/etc/containers/certs.d")
DROP_INS = Path("/etc/containers/registries.conf.d")


def layer(*entries):
    """A layer's tar archive. An entry is (name, text), (name, kind, target) or a TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry[0])
            if len(entry) == 2:
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1].encode()))
            else:
                info.type, info.linkname = entry[1], entry[2]
                tar.addfile(info)
    return out.getvalue()


def docker_archive(path, tags, layers, extra=(), config=None, damage=None):
    """What `docker save` writes. `damage` may change the files (a dict of name to bytes) before they are written."""
    ids = [hashlib.sha256(one).hexdigest() for one in layers]
    text = json.dumps({"architecture": "amd64", "os": "linux", "config": config or {},
                       "rootfs": {"type": "layers", "diff_ids": ["sha256:" + one for one in ids]}}).encode()
    files = {"config.json": text, **{f"{one}.tar": data for one, data in zip(ids, layers)}}
    files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": tags,
                                          "Layers": [one + ".tar" for one in ids]}]).encode()
    if damage:
        damage(files)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, kind, target in extra:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return path


def docker_config(registry, user, password):
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {registry: {"username": user, "password": password, "auth": auth}}


class RegistryTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        for tool in ("skopeo", "docker-registry", "htpasswd", "openssl"):
            if shutil.which(tool) is None:
                sys.exit(f"these tests need {tool}; scripts/install-deps test installs what Debian has")
        super().setUpClass()
        cls.dir = cls.server.dir
        cls.secure = f"{cls.machine.address}:5002"
        passwords = run("htpasswd", "-Bbn", "alice", "secret").stdout
        (cls.dir / "htpasswd").write_text(passwords)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=test", "-addext",
            f"subjectAltName=IP:{cls.machine.address}", "-keyout", cls.dir / "key", "-out", cls.dir / "ca.crt")
        cls.serve("0.0.0.0:5000")
        cls.serve(GUARDED, f"auth: {{htpasswd: {{realm: test, path: {cls.dir}/htpasswd}}}}\n")
        cls.serve(cls.secure, tls=f"  tls: {{certificate: {cls.dir}/ca.crt, key: {cls.dir}/key}}\n")
        wait_for("the registry", lambda: cls.machine.fetch(f"http://{PLAIN}/v2/"))
        cls.archive = BusyboxArchive.path()
        cls.push(cls.archive, "team/app:v1")
        cls.push(cls.archive, "team/app:latest")

    @classmethod
    def serve(cls, address, more="", tls=""):
        config = cls.dir / f"registry-{address}.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: false}}}}\nstorage: {{filesystem: "
                          f"{{rootdirectory: {cls.dir}/registry}}}}\nhttp:\n  addr: {address}\n{tls}{more}")
        with open(cls.dir / f"registry-{address}.log", "w") as log:
            cls.machine.spawn("docker-registry", "serve", config, stdout=log, stderr=log)

    @classmethod
    def push(cls, archive, name):
        cls.machine.run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"docker-archive:{archive}",
                        f"docker://{PLAIN}/{name}")

    def digest(self, name):
        raw = subprocess.run(self.machine.inside("skopeo", "inspect", "--raw", "--tls-verify=false",
                                                 f"docker://{PLAIN}/{name}"), capture_output=True, check=True).stdout
        return "sha256:" + hashlib.sha256(raw).hexdigest()

    def fetched(self, what):
        """How often the plain registry was asked for what ends like this."""
        lines = (self.dir / "registry-0.0.0.0:5000.log").read_text().splitlines()
        return sum(1 for line in lines if '"GET ' in line and what in line)

    def start(self, name, image, spec="", policy=""):
        container = f"imagePullPolicy: {policy}" if policy else ""
        self.server.apply(pod(name, RUNS, spec, container).replace(IMAGE, image))

    def status(self, name, path):
        return self.server.get("pod", name, "{.status.containerStatuses[0]" + path + "}")

    def wait_waiting(self, name, reason):
        wait_for(f"{name}: {reason}", lambda: self.status(name, ".state.waiting.reason") == reason)
        return self.status(name, ".state.waiting.message")

    def wait_event(self, name, reason, pattern):
        def found():
            self.assertRegex("\n".join(self.events(reason, name)), pattern)
            return True
        wait_for(f"{name}: event {reason}", found)

    def test_tag_and_digest(self):
        digest = self.digest("team/app:v1")
        image = f"{PLAIN}/team/app:v1"
        self.start("by-tag", image)
        self.server.wait_pod("by-tag")
        self.assertEqual(self.status("by-tag", ".image"), image)
        self.assertEqual(self.status("by-tag", ".imageID"), f"{PLAIN}/team/app@{digest}")
        self.wait_event("by-tag", "Pulling", f'^Pulling image "{image}"$')
        self.wait_event("by-tag", "Pulled", rf'^Successfully pulled image "{image}" in \d[\d.]*m?s \(\d[\d.]*m?s '
                        r"including waiting\)\. Image size: \d+ bytes\.$")
        self.start("again", image)
        self.server.wait_pod("again")
        self.wait_event("again", "Pulled", f'^Container image "{image}" already present on machine$')
        self.start("by-digest", f"{PLAIN}/team/app@{digest}")
        self.server.wait_pod("by-digest")
        self.assertEqual(self.status("by-digest", ".image"), f"{PLAIN}/team/app@{digest}")
        self.assertEqual(self.status("by-digest", ".imageID"), f"{PLAIN}/team/app@{digest}")

    def test_policies(self):
        image = f"{PLAIN}/team/app"
        self.start("latest", image)
        self.server.wait_pod("latest")
        self.assertEqual(self.server.get("pod", "latest", "{.spec.containers[0].imagePullPolicy}"), "Always")
        before = self.status("latest", ".imageID")
        blobs = self.fetched("/team/app/blobs/")
        self.start("unchanged", image)
        self.server.wait_pod("unchanged")
        self.wait_event("unchanged", "Pulled", "^Successfully pulled image")
        self.assertEqual(self.fetched("/team/app/blobs/"), blobs, "what is here was fetched again")
        newer = docker_archive(self.dir / "newer.tar", ["x:1"], [self.busybox_layer(), layer(("new", "1"))])
        self.push(newer, "team/app:latest")
        self.start("changed", image)
        self.server.wait_pod("changed")
        self.assertNotEqual(self.status("changed", ".imageID"), before)
        self.assertEqual(self.out("exec", "changed", "--", "cat", "/new"), "1")
        self.start("never", f"{PLAIN}/team/app:absent", policy="Never")
        message = f'Container image "{PLAIN}/team/app:absent" is not present with pull policy of Never'
        self.assertEqual(self.wait_waiting("never", "ErrImageNeverPull"), message)
        self.wait_event("never", "ErrImageNeverPull", message)
        self.wait_event("never", "Failed", "^Error: ErrImageNeverPull$")

    def busybox_layer(self):
        with tarfile.open(self.archive) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))
            return tar.extractfile(manifest[0]["Layers"][0]).read()

    def test_credentials(self):
        self.push(self.archive, "private/app:v1")
        image = f"{GUARDED}/private/app:v1"
        good, bad = (docker_config(GUARDED, "alice", password) for password in ("secret", "wrong"))
        self.out("create", "secret", "docker-registry", "bad", "--docker-server=" + GUARDED, "--docker-username=alice",
                 "--docker-password=wrong")
        self.out("create", "secret", "docker-registry", "good", "--docker-server=" + GUARDED,
                 "--docker-username=alice", "--docker-password=secret")
        self.out("create", "secret", "generic", "old", "--type=kubernetes.io/dockercfg",
                 "--from-literal=.dockercfg=" + json.dumps(good))
        self.assertNotEqual(good, bad)
        resolve = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": pull access ' \
            "denied, repository does not exist or may require authorization: authorization failed: "
        self.start("none", image)
        self.start("wrong", image, "imagePullSecrets: [{name: bad}]")
        self.start("missing", image, "imagePullSecrets: [{name: nowhere}]")
        for name, why in (("none", "no basic auth credentials"), ("wrong", "the credentials were refused")):
            self.assertEqual(self.wait_waiting(name, "ImagePullBackOff"),
                             f'Back-off pulling image "{image}": ErrImagePull: {resolve}{why}')
            self.wait_event(name, "Failed", "(?m)^Failed to pull image " + f'"{image}": ')
            self.wait_event(name, "Failed", "(?m)^Error: ErrImagePull$")
            self.wait_event(name, "Failed", "(?m)^Error: ImagePullBackOff$")
            self.wait_event(name, "BackOff", f'^Back-off pulling image "{image}"$')
            self.assertIn("is waiting to start: trying and failing to pull image", self.error("logs", name))
        self.wait_event("missing", "FailedToRetrieveImagePullSecret", r"^Unable to retrieve some image pull secrets "
                        r"\(nowhere\); attempting to pull the image may not succeed\.$")
        for name, spec in (("good", "imagePullSecrets: [{name: good}]"), ("old", "imagePullSecrets: [{name: old}]"),
                           ("second", "imagePullSecrets: [{name: bad}, {name: good}]")):
            self.start(name, image, spec, "Always")
            self.server.wait_pod(name)
        self.out("create", "serviceaccount", "puller")
        self.out("patch", "serviceaccount", "puller", "-p", '{"imagePullSecrets":[{"name":"good"}]}')
        self.start("account", image, "serviceAccountName: puller", "Always")
        self.server.wait_pod("account")
        self.assertEqual(self.server.get("pod", "account", "{.spec.imagePullSecrets[0].name}"), "good")

    def test_what_is_not_there(self):
        names = {"tag": f"{PLAIN}/team/app:nope", "repository": f"{PLAIN}/nope/nope:v1",
                 "closed": "127.0.0.1:9/team/app:v1"}
        for name, image in names.items():
            self.start(name, image)
        for name, image in names.items():
            text = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
            text += 'failed to do request: Head "http://127.0.0.1:9/v2/team/app/manifests/v1": dial tcp 127.0.0.1:9: ' \
                "connect: connection refused" if name == "closed" else f"{image}: not found"
            self.assertEqual(self.wait_waiting(name, "ImagePullBackOff"),
                             f'Back-off pulling image "{image}": ErrImagePull: {text}')
        self.push(self.archive, "team/app:nope")
        self.server.wait_pod("tag")  # tried again by itself

    def test_certificates(self):
        image = f"{self.secure}/team/app:v1"
        self.start("untrusted", image)
        self.assertIn("certificate signed by unknown authority", self.wait_waiting("untrusted", "ImagePullBackOff"))
        trusted = CERTIFICATES / self.secure
        if not CERTIFICATES.exists():
            CERTIFICATES.mkdir()
            self.addCleanup(CERTIFICATES.rmdir)
        trusted.mkdir()
        self.addCleanup(shutil.rmtree, trusted)
        shutil.copy(self.dir / "ca.crt", trusted)
        self.start("trusted", image)
        self.server.wait_pod("trusted")
        insecure = f"{self.machine.address}:5000"
        self.start("plain", f"{insecure}/team/app:v1")
        self.assertIn("server gave HTTP response to HTTPS client", self.wait_waiting("plain", "ImagePullBackOff"))
        drop_in = DROP_INS / "gantry-e2e.conf"
        drop_in.write_text(f'[[registry]]\nlocation = "{insecure}"\ninsecure = true\n')
        self.addCleanup(drop_in.unlink)
        self.start("allowed", f"{insecure}/team/app:v1")
        self.server.wait_pod("allowed")

    def pulling(self):
        """How many connections to the registry that never answers there are."""
        table = self.machine.run("cat", "/proc/net/tcp").stdout
        return sum(1 for line in table.splitlines() if line.split()[2].endswith(":1391") and line.split()[3] == "01")

    def test_pulls_at_once(self):
        holder = self.machine.spawn("python3", "-c", HOLD)
        images = ["same", "same", "a", "b", "c", "d"]
        for index, image in enumerate(images):
            self.start(f"held-{index}", f"{HELD}/{image}:1", policy="Always")
        for index in range(len(images)):
            self.wait_event(f"held-{index}", "Pulling", "^Pulling image")
        wait_for("three pulls", lambda: self.pulling() == 3)
        # Nobody waits any more for one that is being deleted; the next one has its turn.
        self.out("delete", "pod", "held-0", "held-1", "--timeout=8s")
        wait_for("three pulls", lambda: self.pulling() == 3)
        self.out("delete", "pod", "held-2", "held-3", "held-4", "held-5", "--timeout=8s")
        wait_for("no pull", lambda: self.pulling() == 0)
        holder.kill()
        self.push(self.archive, "twice/app:v1")
        for index in range(4):
            self.start(f"twice-{index}", f"{PLAIN}/twice/app:v1", policy="Always")
        for index in range(4):
            self.server.wait_pod(f"twice-{index}")
        self.assertEqual(self.fetched("/twice/app/blobs/"), 2, "its configuration and its layer, once each")

    def test_z_stop(self):
        """A server ends while a pull hangs, and takes it along."""
        self.machine.spawn("python3", "-c", HOLD)
        self.start("hanging", f"{HELD}/hanging:1")
        wait_for("a pull", lambda: self.pulling() == 1)
        self.server.stop()
        self.assertEqual(self.pulling(), 0)

    def image(self, *arguments, **options):
        return self.machine.run(GANTRY, "image", arguments[0], "--data-dir", self.server.data, *arguments[1:],
                                **options)

    def test_import(self):
        two = docker_archive(self.dir / "two.tar", ["example.local/two:1", "two:2"], [self.busybox_layer()])
        self.assertEqual(self.image("import", two).stdout,
                         "Imported example.local/two:1\nImported docker.io/library/two:2\n")
        for kind, target in (("oci", self.dir / "layout"), ("oci-archive", self.dir / "layout.tar")):
            name = f"example.local/{kind}:1"
            self.machine.run("skopeo", "copy", "--quiet", "--dest-compress-format=zstd", "--format=oci",
                             f"docker-archive:{self.archive}", f"{kind}:{target}:{name}")
            self.assertEqual(self.image("import", target).stdout, f"Imported {name}\n")
            self.start(kind, name)
            self.server.wait_pod(kind)
        self.start("two", "two:2")
        self.server.wait_pod("two")
        self.wait_event("two", "Pulled", '^Container image "two:2" already present on machine$')
        listed = self.image("list").stdout
        self.assertRegex(listed, r"(?m)^docker\.io/library/two:2 +\w{12} +[\d.]+MB$")
        done = self.image("pull", f"{PLAIN}/team/app@{self.digest('team/app:v1')}")
        self.assertEqual(done.stdout, f"Pulled {PLAIN}/team/app@{self.digest('team/app:v1')}\n")
        self.image("rm", "two:2")
        self.assertEqual(self.out("exec", "two", "--", "echo", "here"), "here\n")
        self.image("rm", "example.local/two:1")
        self.assertEqual(self.out("exec", "two", "--", "echo", "here"), "here\n")
        gone = self.image("rm", "two:2", check=False)
        self.assertEqual((gone.returncode, gone.stderr), (1, 'gantry: image "two:2" not found\n'))

    def test_layers(self):
        lower = layer(("./d/", tarfile.DIRTYPE, ""), ("./d/old", "old"), ("gone", "x"), ("kept", "lower"),
                      ("many", "text"), ("also", tarfile.LNKTYPE, "many"))
        upper = layer(("d/.wh..wh..opq", ""), ("d/new", "new"), (".wh.gone", ""), ("kept", "upper"))
        path = docker_archive(self.dir / "layers.tar", ["example.local/layers:1"], [self.busybox_layer(), lower, upper])
        self.image("import", path)
        self.start("layers", "example.local/layers:1")
        self.server.wait_pod("layers")
        shown = self.out("exec", "layers", "--", "sh", "-c", "ls /d; cat /kept; echo; [ -e /gone ] || echo none; "
                         "stat -c %h /many; cat /also")
        self.assertEqual(shown, "new\nupper\nnone\n2\ntext")

    def test_hostile_archives(self):
        base = self.busybox_layer()
        outside = self.dir / "outside"
        outside.mkdir()
        victim = outside / "victim"
        up = "../" * 20

        def swap(files):
            name = next(key for key in files if key.endswith(".tar"))
            files[name] = layer(("other", "x"))

        def dangle(files):
            files["manifest.json"] = files["manifest.json"].replace(b"config.json", b"../../../../../etc/passwd")

        cases = {
            "a name above the root": ([base, layer((f"{up}{victim}", "x"))], {}, "leaves the root"),
            "a link, then a file behind it": ([base, layer(("out", tarfile.SYMTYPE, str(outside)), ("out/victim", "x"))],
                                              {}, None),
            "a hard link to above the root": ([base, layer(("h", tarfile.LNKTYPE, f"{up}etc/passwd"))], {},
                                              "leaves the root"),
            "a hard link to a file of the host": ([base, layer(("h", tarfile.LNKTYPE, "/etc/machine-id"))], {},
                                                     "inside the layer|link"),
            "another layer than was promised": ([layer(("promised", "x"))], {"damage": swap}, "does not match its digest"),
            "a configuration outside": ([base], {"damage": dangle}, "lacks|outside"),
            "a link in the archive itself": ([base], {"extra": [("config.json", tarfile.SYMTYPE, "/etc/passwd")]},
                                             "lacks|outside"),
        }
        before = self.image("list").stdout
        for number, (what, (layers, options, wording)) in enumerate(cases.items()):
            with self.subTest(what):
                name = f"example.local/hostile:{number}"
                path = docker_archive(self.dir / "hostile.tar", [name], layers, **options)
                done = self.image("import", path, check=False)
                self.assertFalse(victim.exists())
                if wording is None:
                    self.assertTrue(done.returncode in (0, 1), done.stderr)
                    if done.returncode == 0:
                        self.image("rm", name)
                    continue
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertRegex(done.stderr, rf"^gantry: [^\n]*({wording})[^\n]*\n$")
                self.assertEqual(self.image("list").stdout, before)
        whole = self.archive.read_bytes()
        for what, data in (("cut off", whole[:len(whole) // 2]), ("empty", b""), ("noise", b"x" * 5000)):
            with self.subTest(what):
                (self.dir / "damaged.tar").write_bytes(data)
                done = self.image("import", self.dir / "damaged.tar", check=False)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, r"^gantry: [^\n]+\n$")
                self.assertEqual(self.image("list").stdout, before)


if __name__ == "__main__":
    main(80)
