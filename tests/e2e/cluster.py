"""Real clusters for the end-to-end tests: machines, servers, agents and kubectl.

A Machine is a network namespace with an address of its own on a Switch; control groups and the file system are the
host's. Whatever is started here is stopped, cleaned up and checked for leaks by close(), which also runs at exit; the
guardian does it for a test that is killed.
"""

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from guardian import Guardian

SOURCE = Path(__file__).resolve().parents[2]
GANTRY = os.environ.get("GANTRY_BINARY", str(SOURCE / "build/release/gantry"))
IMAGE = "example.local/busybox:1"
# An area can be run with another runtime than the one that gantry takes by itself.
RUNTIME = [f"--oci-runtime={name}"] if (name := os.environ.get("GANTRY_TEST_RUNTIME")) else []

_open = []  # what close_all() still has to close, in order of creation
guardian = Guardian()


def close_all():
    problems = []
    while _open:
        try:
            _open.pop().close()
        except Exception as problem:  # the rest is to be closed nevertheless
            problems.append(str(problem))
    if problems:
        raise AssertionError("\n".join(problems))


def close_at_end(thing):
    """Has close_all() close a thing, after all that was started later."""
    _open.append(thing)


class Late(KeyboardInterrupt):
    """Ends the whole run, as unittest lets no other exception do."""


def main(seconds):
    """Runs the tests of the calling file. After `seconds` they fail, in time to clean up.

    GANTRY_TEST_SLOWNESS says how many times slower this machine is than an idle one.
    """
    seconds *= int(os.environ.get("GANTRY_TEST_SLOWNESS", "1"))
    if os.geteuid() != 0:
        sys.exit("these tests run containers and need root")
    for tool in ("ip", "nft", "nsenter", "busybox", "crun", "conmon", "kubectl", "curl"):
        if shutil.which(tool) is None:
            sys.exit(f"these tests need {tool}; scripts/install-deps test installs what Debian has")
    if not os.access(GANTRY, os.X_OK):
        sys.exit(f"{GANTRY} is missing; build it or set GANTRY_BINARY")

    def end(number, _):
        raise Late(f"not done after {seconds} s" if number == signal.SIGALRM else "stopped")

    signal.signal(signal.SIGALRM, end)
    signal.signal(signal.SIGTERM, end)
    signal.alarm(seconds)
    atexit.register(close_all)
    unittest.main(verbosity=2)


def run(*command, check=True, text_in=None, timeout=60, env=None):
    """Runs a command to its end; raises AssertionError with all output when it fails and `check` is set."""
    done = subprocess.run(
        [str(part) for part in command], input=text_in, capture_output=True, text=True, timeout=timeout, env=env,
        stdin=subprocess.DEVNULL if text_in is None else None)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(what, probe, seconds=40):
    """Polls until `probe` gives something true and returns that."""
    end = time.monotonic() + seconds
    while True:
        try:
            last = probe()
            if last:
                return last
        except (AssertionError, OSError) as problem:
            last = problem
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s; last: {last}")
        time.sleep(0.1)


def _hash(text):
    value = 14695981039346656037
    for byte in text.encode():
        value = ((value ^ byte) * 1099511628211) % 2**64
    return value


class BusyboxArchive:
    """The busybox image as a file, made once for all who import it."""

    _made = None

    @classmethod
    def path(cls):
        if cls._made is None:
            cls._made = cls()
        return cls._made.dir / "busybox.tar"

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="gantry-e2e-"))
        self._guard = guardian.add("rm", "-rf", self.dir)
        _open.append(self)
        run(SOURCE / "scripts/make-busybox-image", IMAGE, self.dir / "busybox.tar")

    def close(self):
        BusyboxArchive._made = None
        shutil.rmtree(self.dir, ignore_errors=True)
        guardian.remove(self._guard)


class Switch:
    """The wire between machines, 10.99.0.0/24; or fd99::/64, and nothing of the other family."""

    def __init__(self, ipv6=False):
        self.ipv6 = ipv6
        self.name = f"gantry-e2e-{os.getpid()}-switch"
        self.machines = 0
        self._guard = guardian.add("ip", "netns", "del", self.name)
        run("ip", "netns", "add", self.name)
        _open.append(self)
        self._ip("link", "add", "br0", "type", "bridge")
        self._ip("address", "add", self._address(254), "dev", "br0")
        self._ip("link", "set", "br0", "up")

    def _ip(self, *arguments):
        run("ip", "-n", self.name, *arguments)

    def port(self, machine):
        """The name of the machine's port here."""
        return f"port{machine.number}"

    def plug(self, namespace):
        """Gives the namespace an eth0 and returns its address."""
        self.machines += 1
        address = self._address(self.machines)
        port = f"port{self.machines}"
        self._ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        self._ip("link", "set", port, "master", "br0", "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "address", "add", address, "dev", "eth0", *(["nodad"] if self.ipv6 else []))
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        run("ip", "-n", namespace, "route", "add", "default", "via", self._address(254).partition("/")[0])
        return address.partition("/")[0]

    def _address(self, number):
        return f"fd99::{number:x}/64" if self.ipv6 else f"10.99.0.{number}/24"

    def close(self):
        run("ip", "netns", "del", self.name)
        guardian.remove(self._guard)


class Machine:
    def __init__(self, switch):
        self.number = switch.machines + 1
        self.namespace = f"gantry-e2e-{os.getpid()}-{self.number}"
        self._guard = guardian.add(
            "sh", "-c", f"ip netns pids {self.namespace} | xargs -r kill -9; ip netns del {self.namespace}")
        run("ip", "netns", "add", self.namespace)
        self.address = switch.plug(self.namespace)
        self.children = []
        self.services = []
        _open.append(self)

    @property
    def url_host(self):
        """Its address as it stands in a URL."""
        return f"[{self.address}]" if ":" in self.address else self.address

    def inside(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *map(str, command)]

    def run(self, *command, **options):
        return run(*self.inside(*command), **options)

    def spawn(self, *command, **options):
        """A process in the background; ended by close() at the latest."""
        child = subprocess.Popen(self.inside(*command), start_new_session=True, **options)
        self.children.append(child)
        return child

    def fetch(self, url):
        return self.run("curl", "-sSf", "--max-time", "10", url).stdout

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        try:
            wait_for("the machine's processes to be gone", lambda: not self.processes(), seconds=5)
        finally:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            run("ip", "netns", "del", self.namespace)
            guardian.remove(self._guard)

    def processes(self):
        """Who runs here, but for this test, which may have entered the namespace itself."""
        here = f"net:[{os.stat(f'/run/netns/{self.namespace}').st_ino}]"
        found = []
        for link in Path("/proc").glob("[0-9]*/ns/net"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.readlink(link) == here:
                    found.append(int(link.parts[2]))
        return [pid for pid in found if pid != os.getpid()]


class Service:
    """`gantry server` or `gantry agent` on a machine, with a data directory of its own."""

    def __init__(self, machine, *arguments):
        self.machine = machine
        self.arguments = arguments
        self.dir = Path(tempfile.mkdtemp(prefix="gantry-e2e-"))
        self.data = self.dir / "data"
        self.log = self.dir / "log"
        self.process = None
        command = " ".join(machine.inside(GANTRY, "cleanup", "--data-dir", self.data))
        # The pattern does not match the shell's own command line.
        self._guard = guardian.add("sh", "-c", f"pkill -9 -f '(server|agent) --data-dir {self.data}'; sleep 0.2; "
                                               f"{command}; rm -rf {self.dir}")
        machine.services.append(self)
        _open.append(self)

    def start(self):
        command = [GANTRY, self.arguments[0], "--data-dir", self.data, *RUNTIME, *self.arguments[1:]]
        with open(self.log, "a") as log:
            self.process = self.machine.spawn(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    boot = start  # without waiting for anything, where start() of a kind does

    def kill(self):
        self.process.kill()
        self.process.wait()

    def forget_runtime(self):
        """Removes what no boot leaves: mounts, control groups and the run directory."""
        for line in reversed(self.machine.run("cat", "/proc/self/mounts").stdout.splitlines()):
            target = line.split()[1]
            if target.startswith((f"{self.data}/", f"{self.run_dir}/")) or target == str(self.run_dir):
                self.machine.run("umount", "-l", target)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        for parent, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
            if f"/gantry-{self.ids[0]}" in parent:
                os.rmdir(parent)

    def import_image(self):
        self.machine.run(GANTRY, "image", "import", "--data-dir", self.data, BusyboxArchive.path())

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"does not stop on SIGTERM:\n{self.tail()}") from None

    def tail(self):
        return "".join(self.log.read_text().splitlines(keepends=True)[-30:])

    @property
    def ids(self):
        """The names' ids of the node's and of the network's things in the kernel."""
        network = _hash(str(self.data))
        network ^= network >> 32
        return f"{_hash(f'{self.data}/node') % 2**32:08x}", f"{network % 2**32:08x}"

    @property
    def run_dir(self):
        return Path("/run/gantry") / self.ids[0]

    def container_processes(self):
        """The ids of the processes in the containers' control groups, conmon's not counted."""
        found = set()
        mark = f"gantry-{self.ids[0]}/"
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "cgroup").read_text() and (entry / "comm").read_text().strip() != "conmon":
                    found.add(int(entry.name))
            except OSError:
                pass  # ended meanwhile
        return found

    def conmons(self):
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "comm").read_text().strip() == "conmon" and \
                        f"{self.data}/".encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
            except OSError:
                pass
        return found

    def leaks(self):
        """What of this data directory is still in the kernel, as lines of text."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                group = (entry / "cgroup").read_text()
                ended = "\nState:\tZ" in (entry / "status").read_text()
            except OSError:
                continue
            if ended:
                continue  # and the machine's first process has not noticed yet
            if str(self.data) in command or f"gantry-{self.ids[0]}" in group:
                found.append(f"process {entry.name}: {command}")
        for line in self.machine.run("cat", "/proc/self/mounts").stdout.splitlines():
            if str(self.data) in line or str(self.run_dir) in line:
                found.append(f"mount: {line}")
        # Unlike glob, walk does not mind what others remove meanwhile.
        found += [f"control group: {parent}" for parent, names, _ in os.walk("/sys/fs/cgroup")
                  if f"gantry-{self.ids[0]}" in names]
        if self.run_dir.exists():
            found.append(f"directory: {self.run_dir}")
        links = self.machine.run("ip", "-o", "link").stdout
        found += [f"link: {link}" for link in
                  re.findall(rf"gantry-{self.ids[1]}|gvxlan-{self.ids[1]}|v{self.ids[1][:6]}\w+", links)]
        tables = self.machine.run("nft", "list", "tables").stdout
        found += [f"table: {table}" for table in tables.splitlines() if f"gantry-{self.ids[1]}" in table]
        return found

    def close(self):
        problems = []
        try:
            if self.process is not None and self.process.poll() is None:
                try:
                    self.stop()
                except AssertionError as problem:
                    problems.append(str(problem))
            self.machine.run(GANTRY, "cleanup", "--data-dir", self.data)
            problems += self.leaks()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)
            guardian.remove(self._guard)
        if problems:
            raise AssertionError("left behind:\n" + "\n".join(problems))


class Server(Service):
    def __init__(self, machine, *arguments, node="one"):
        super().__init__(machine, "server", "--node-name", node, *arguments)
        self.node = None if "--no-agent" in arguments else node
        self.client = "kubectl"

    def start(self, wait=True):
        super().start()
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}:\n{self.tail()}")
            return self.kubectl("get", "--raw", "/readyz").stdout == "ok"

        wait_for("a ready server", ready)
        if self.node:
            self.wait_node(self.node)

    def wait_node(self, name):
        query = '{.status.conditions[?(@.type=="Ready")].status}'
        wait_for(f"a ready node {name}", lambda: self.get("node", name, query) == "True")

    def environment(self):
        return {**os.environ, "KUBECONFIG": str(self.data / "kubeconfig"), "HOME": str(self.dir)}

    def kubectl(self, *arguments, **options):
        environment = {**self.environment(), **options.pop("env", {})}
        return self.machine.run(self.client, *arguments, env=environment, **options)

    def spawn_kubectl(self, *arguments, **options):
        return self.machine.spawn(self.client, *arguments, env=self.environment(), **options)

    def out(self, *arguments, **options):
        return self.kubectl(*arguments, **options).stdout

    def error(self, *arguments, **options):
        """The error output of a command that has to fail with exit code 1."""
        done = self.kubectl(*arguments, check=False, **options)
        if done.returncode != 1:
            raise AssertionError(f"exit {done.returncode}, not 1: kubectl {arguments}\n{done.stdout}{done.stderr}")
        return done.stderr.strip()

    def get(self, kind, name, path, *arguments):
        return self.out("get", kind, name, "-o", "jsonpath=" + path, *arguments)

    def apply(self, manifest):
        return self.out("apply", "-f", "-", text_in=manifest)

    def pods(self, selector):
        """The names of the pods that a selector matches and that are not being deleted."""
        template = "{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"
        return self.out("get", "pods", "-l", selector, "-o", "go-template=" + template).split()

    def wait_pod(self, name, condition="Ready", seconds=60):
        self.kubectl("wait", f"--for=condition={condition}", f"pod/{name}", f"--timeout={seconds}s",
                     timeout=seconds + 10)


class ClusterTest(unittest.TestCase):
    """A test with one server that runs its own node and has the busybox image."""

    SERVER_ARGUMENTS = ()

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_all)  # also when what follows fails
        cls.switch = Switch()
        cls.machine = Machine(cls.switch)
        cls.server = Server(cls.machine, *cls.SERVER_ARGUMENTS)
        cls.server.start()
        cls.server.import_image()
        cls.kubectl = cls.server.kubectl
        cls.out = cls.server.out
        cls.error = cls.server.error

    @classmethod
    def tearDownClass(cls):
        close_all()

    def events(self, reason, name=None):
        """The messages of the events with this reason, of one object or of all."""
        select = f"reason={reason}" + (f",involvedObject.name={name}" if name else "")
        return self.out("get", "events", "--field-selector", select, "-o",
                        'jsonpath={range .items[*]}{.message}{"\\n"}{end}').splitlines()


def pod(name, command, spec="", container="", labels=""):
    """The manifest of a pod with one busybox container `main`; `spec` and `container` are further YAML lines."""

    def indent(text, spaces):
        return "".join(" " * spaces + line + "\n" for line in text.strip("\n").splitlines())

    return (f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{app: {name}{labels}}}\nspec:\n"
            f"  terminationGracePeriodSeconds: 1\n{indent(spec, 2)}"
            f"  containers:\n  - name: main\n    image: {IMAGE}\n    command: [sh, -c, {command!r}]\n"
            f"{indent(container, 4)}---\n")
