"""scripts/demo-cluster, as a person would use it."""

import os
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from hosts import GANTRY, main, run, wait_for
from cluster import IMAGE, SOURCE, _hash

DAEMON_SET = f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: everywhere}}
spec:
  selector: {{matchLabels: {{app: everywhere}}}}
  template:
    metadata: {{labels: {{app: everywhere}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: main, image: {IMAGE}, command: [sleep, "1000"]}}]
"""
PROMPT = "demo> "


class Demo:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, SOURCE / "scripts/demo-cluster", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True, env={**os.environ, "GANTRY_BINARY": GANTRY})
        self.directories = set()

    def read(self, mark=PROMPT):
        text = ""
        while not text.endswith(mark):
            character = self.process.stdout.read(1)
            if not character:
                raise AssertionError(f"ended:\n{text}")
            text += character
        return text

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def note_directories(self):
        """Finds the data directories by the command lines of what runs in the cluster."""
        for pid in self.processes():
            found = re.search(r"--data-dir\0(\S+?)\0", Path(f"/proc/{pid}/cmdline").read_text(errors="replace"))
            if found:
                self.directories.add(found[1])
        return len(self.directories)

    def namespaces(self):
        return [name.name for name in Path("/run/netns").glob(f"gantry-e2e-{self.process.pid}-*")]

    def processes(self):
        inodes = {f"net:[{os.stat(f'/run/netns/{name}').st_ino}]" for name in self.namespaces()}
        found = []
        for link in Path("/proc").glob("[0-9]*/ns/net"):
            try:
                if os.readlink(link) in inodes:
                    found.append(link.parts[2])
            except OSError:
                pass  # ended meanwhile
        return found

    def left(self):
        """What is still there after its end."""
        found = self.namespaces() + self.processes()
        if os.path.exists("/run/gantry-demo-cluster"):
            found.append("the state")
        groups = [group for group, _, _ in os.walk("/sys/fs/cgroup")]
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
        for directory in self.directories:
            node = f"{_hash(f'{directory}/node') % 2**32:08x}"
            if os.path.exists(os.path.dirname(directory)) or os.path.exists(f"/run/gantry/{node}"):
                found.append(directory)
            if directory in mounts:
                found.append(f"a mount below {directory}")
            found += [group for group in groups if f"gantry-{node}" in group]
            for command in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = command.read_text(errors="replace")
                except OSError:
                    continue
                if directory in text and "guardian" not in text:
                    found.append(text)
        return found


class DemoTest(unittest.TestCase):
    def start(self, *arguments):
        demo = Demo(*arguments)
        self.addCleanup(demo.process.wait)
        self.addCleanup(demo.process.stdout.close)
        self.addCleanup(demo.process.stdin.close)
        self.addCleanup(demo.process.terminate)
        return demo

    def nothing_left(self, demo):
        wait_for("nothing to be left", lambda: not demo.left())

    def test_as_it_says(self):
        demo = self.start("--agents", "2")
        introduction = demo.read()
        self.assertEqual(demo.note_directories(), 3)
        environment = {**os.environ, "KUBECONFIG": re.search(r"export KUBECONFIG=(\S+)", introduction)[1]}

        def kubectl(*arguments, **options):
            return run("kubectl", *arguments, env=environment, **options).stdout

        # A second one says so and leaves this one alone.
        second = self.start("--agents", "1")
        self.assertIn("one runs already", second.process.communicate(timeout=30)[0])
        self.assertEqual(second.process.returncode, 1)

        kubectl("apply", "-f", "-", text_in=DAEMON_SET)
        kubectl("rollout", "status", "daemonset/everywhere", "--timeout=50s")
        nodes = kubectl("get", "pods", "-l", "app=everywhere", "-o", "jsonpath={.items[*].spec.nodeName}")
        self.assertEqual(sorted(nodes.split()), ["agent-1", "agent-2"])
        self.assertRegex(run(*re.search(r"(curl) (http\S+)", introduction).groups(), "-sS").stdout, r"^web-\S+ on agent-\d$")

        kill, boot = (re.search(rf"{word} agent-1\b", introduction)[0] for word in ("kill", "boot"))
        self.assertIn("agent-1 is off", demo.say(kill))
        wait_for("the machine to be given up", lambda: "NotReady" in kubectl("get", "node", "agent-1"))
        wait_for("the application elsewhere", lambda: kubectl(
            "get", "pods", "-l", "app=web", "--field-selector", "spec.nodeName=agent-2", "-o", "name").count("\n") == 4)
        self.assertRegex(run("curl", "-sS", re.search(r"curl (http\S+)", introduction)[1]).stdout, "on agent-2")
        demo.say(boot)
        kubectl("wait", "--for=condition=Ready", "node/agent-1", "--timeout=40s")
        self.assertIn("agent-2", demo.say("kubectl get nodes | tail -n 1"))
        demo.say(kill)  # and it is off at the end
        demo.process.stdin.write("quit\n")
        demo.process.stdin.flush()
        self.assertEqual(demo.process.wait(30), 0, demo.process.stdout.read())
        self.assertEqual(demo.left(), [])

    def test_ctrl_c(self):
        demo = self.start("--agents", "1")
        demo.read()
        demo.note_directories()
        os.killpg(demo.process.pid, signal.SIGINT)
        self.assertEqual(demo.process.wait(30), 0, demo.process.stdout.read())
        self.assertEqual(demo.left(), [])

    def test_ended_while_it_starts(self):
        for number, code in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
            with self.subTest(number):
                demo = self.start("--agents", "1")
                wait_for("the server", demo.note_directories)
                time.sleep(0.2)
                demo.process.send_signal(number)
                self.assertEqual(demo.process.wait(30), code)
                self.nothing_left(demo)


if __name__ == "__main__":
    main(120)
