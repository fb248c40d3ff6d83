"""What goes through the API server to a container and back: exec, attach, run -it, cp, port-forward, logs."""

import re
import subprocess
import unittest
from datetime import datetime, timedelta, timezone

from cluster import IMAGE, ClusterTest, main, pod, wait_for
from kubectl_test import debian_kubectl

COUNTER = "i=0; while true; do echo line $i; i=$((i+1)); usleep 200000; done"
# More than one rotation: the sizes are looked at every 10 s.
CHATTY = "i=0; while [ $i -lt 1500 ]; do echo $i filler filler filler; i=$((i+1)); usleep 10000; done"
TWO = """
initContainers:
- name: first
  image: %s
  command: [sh, -c, echo from the init container]
""" % IMAGE


class StreamsTest(ClusterTest):
    SERVER_ARGUMENTS = ("--container-log-max-size", "16Ki", "--container-log-max-files", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.apply(
            pod("chatty", CHATTY, "restartPolicy: Never") + pod("p", COUNTER) +
            pod("reader", "exec cat", "", "stdin: true") + pod("shell", "exec sh", "", "stdin: true\ntty: true") +
            pod("web", "echo page > /tmp/index.html; httpd -p [::1]:8083 -h /tmp; exec httpd -f -p 8080 -h /tmp") +
            pod("restarts", "echo run $(date +%s); sleep 1; exit 3") +
            pod("two", "echo from main; sleep 1000", TWO))
        for name in ("chatty", "p", "reader", "shell", "web"):
            cls.server.wait_pod(name)
        cls.follower = cls.server.spawn_kubectl("logs", "-f", "chatty", stdout=subprocess.PIPE, text=True)

    def typed(self, command, text="", before=""):
        """The exit code, and what a terminal shows when a user types `kubectl COMMAND` and then `text`."""
        child = self.machine.spawn("script", "-qec", f"{before}{self.server.client} {command}", "/dev/null",
                                   env=self.server.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        child.stdin.write(text)
        child.stdin.flush()
        shown = child.stdout.read()  # at the end of its input `script` would type something itself
        child.communicate()
        # kubectl's own words about a server that was faster than one of its threads.
        return child.returncode, re.sub(r"(?m)^E\d{4} .*\n", "", shown)

    def test_exec_of_what_is_not_there(self):
        failed = 'OCI runtime exec failed: exec failed: unable to start container process: exec: "{}": {}: unknown'
        cases = {"nothing": "executable file not found in $PATH", "/no/thing": "stat /no/thing: no such file or directory",
                 "/etc": "is a directory", "/etc/passwd": "permission denied"}
        for program, why in cases.items():
            for arguments in (("exec", "p"), ("exec", "-i", "p")):
                message = self.error(*arguments, "--", program)
                self.assertTrue(message.endswith("error executing command in container: " + failed.format(program, why)),
                                message)
        code, shown = self.typed("exec -it p -- nothing")
        self.assertEqual(code, 1)
        self.assertIn(failed.format("nothing", cases["nothing"]), shown)
        self.assertIn('container absent is not valid for pod p', self.error("exec", "p", "-c", "absent", "--", "true"))
        self.assertEqual(self.server.kubectl("exec", "p", "--", "sh", "-c", "kill -9 $$", check=False).returncode, 137)

    def test_exec_with_a_terminal(self):
        for _ in range(8):
            done = self.typed("exec -it p -- sh -c 'tty; exit 4'")
            self.assertEqual(done, (4, "/dev/pts/0\ncommand terminated with exit code 4\n"))
        self.assertEqual(self.typed("exec -it p -- sh -c 'sleep 0.3; stty size'", before="stty rows 33 cols 91;"),
                         (0, "33 91\n"))
        code, shown = self.typed("exec -it p -- sh", "echo $((6 * 7))\nexit\n")
        self.assertIn("42", shown)
        self.assertEqual(code, 0)

    def test_attach(self):
        watching = self.server.spawn_kubectl("attach", "p", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        first, second = (int(watching.stdout.readline().split()[1]) for _ in range(2))
        self.assertEqual(second, first + 1)
        watching.kill()
        watching.communicate()
        writing = self.server.spawn_kubectl("attach", "-i", "reader", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, text=True)
        writing.stdin.write("typed\n")
        writing.stdin.flush()
        self.assertEqual(writing.stdout.readline(), "typed\n")
        writing.kill()
        writing.communicate()
        self.assertEqual(self.server.get("pod", "reader", "{.status.containerStatuses[0].restartCount}"), "0")
        _, shown = self.typed("attach -it shell", "tty; echo $((6 * 7))\nexit 0\n")
        self.assertIn("/dev/pts/0", shown)
        self.assertIn("42", shown)

    def test_run(self):
        done = self.server.kubectl("run", "once", "-i", "--rm", "--restart=Never", "--image=" + IMAGE, "--command",
                                   "--", "cat", text_in="through and back\n")
        self.assertIn("through and back\n", done.stdout)
        self.assertIn('pod "once" deleted', done.stdout)
        _, shown = self.typed("run typed -it --rm --restart=Never --image=" + IMAGE + " --command -- sh",
                              "echo $((6 * 7))\nexit\n")
        self.assertIn("42", shown)
        self.assertIn('pod "typed" deleted', shown)
        self.assertEqual(self.out("get", "pods", "-l", "run", "-o", "name"), "")

    def test_copy(self):
        source = self.server.dir / "source"
        (source / "deep").mkdir(parents=True)
        data = "".join(f"{i}\n" for i in range(300000))
        (source / "deep/file").write_text(data)
        (source / "program").write_text("#!/bin/sh\necho ran\n")
        (source / "program").chmod(0o755)
        self.out("cp", source, "p:/tmp/copied")
        self.assertEqual(self.out("exec", "p", "--", "/tmp/copied/program"), "ran\n")
        self.out("cp", "p:/tmp/copied", self.server.dir / "back")
        self.assertEqual((self.server.dir / "back/deep/file").read_text(), data)

    def test_port_forward(self):
        forward = self.server.spawn_kubectl("port-forward", "pod/web", "8081:8080", "8082:9", "8083:8083",
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        url = "http://127.0.0.1:{}/"
        self.assertEqual(wait_for("the page", lambda: self.machine.fetch(url.format(8081))), "page\n")
        self.assertEqual(self.machine.fetch(url.format(8083)), "page\n", "of a program that listens on ::1 only")
        self.assertNotEqual(self.machine.run("curl", "-s", url.format(8082), check=False).returncode, 0)
        self.assertIn("connection refused", forward.stderr.readline())
        forward.terminate()
        forward.communicate()

    def test_logs(self):
        wait_for("a pause between two runs", lambda: self.server.get(
            "pod", "restarts", "{.status.containerStatuses[0].state.waiting.reason}") == "CrashLoopBackOff")
        previous = self.out("logs", "restarts", "-p")
        self.assertRegex(previous, r"^run \d+\n$")
        self.assertEqual(self.out("logs", "restarts", "-p", "--tail=1"), previous)
        wait_for("the same, as the next run has not begun",
                 lambda: self.out("logs", "restarts") == self.out("logs", "restarts", "-p"))
        self.server.wait_pod("two")
        self.assertEqual(self.out("logs", "two", "-c", "first"), "from the init container\n")
        self.assertEqual(self.out("logs", "two"), "from main\n")
        # kubectl takes them in any order.
        self.assertEqual(sorted(self.out("logs", "two", "--all-containers").splitlines()),
                         ["from main", "from the init container"])
        self.assertEqual(self.out("logs", "-l", "app=two", "--prefix", "-c", "main"), "[pod/two/main] from main\n")
        self.assertIn('container absent is not valid for pod two', self.error("logs", "two", "-c", "absent"))
        self.assertEqual(self.out("logs", "two", "--limit-bytes=4"), "from")
        stamped = self.out("logs", "two", "--timestamps").split()[0]
        self.assertRegex(stamped, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
        # By time: what is shown is not older.
        now = datetime.now(timezone.utc)
        for arguments, border in ((("--since=2s",), now - timedelta(seconds=2)),
                                  (("--since-time=" + now.strftime("%Y-%m-%dT%H:%M:%SZ"),), now.replace(microsecond=0))):
            wait_for("a line", lambda: self.out("logs", "p", *arguments))
            oldest = self.out("logs", "p", "--timestamps", *arguments).split()[0]
            self.assertGreaterEqual(oldest[:23], border.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23])
        self.assertEqual(self.out("logs", "p", "--since-time=2099-01-01T00:00:00Z"), "")

    def test_z_rotation(self):
        """A follower sees every line, over rotations, and ends with the container; the files stay few and small."""
        lines, _ = self.follower.communicate(timeout=60)
        self.assertEqual([int(line.split()[0]) for line in lines.splitlines()], list(range(1500)))
        self.assertEqual(self.server.get("pod", "chatty", "{.status.phase}"), "Succeeded")
        (directory,) = (self.server.data / "node/logs").glob("default_chatty_*/main")
        files = sorted(path.name for path in directory.iterdir())
        self.assertIn("0.log", files)
        self.assertIn(len(files), (2, 3), files)
        kept = self.out("logs", "chatty").splitlines()
        self.assertLess(len(kept), 1500)
        self.assertEqual(self.out("logs", "chatty", "--tail=1"), kept[-1] + "\n")


class DebianStreamsTest(StreamsTest):
    """The same through SPDY, with Debian's kubectl 1.20."""

    @classmethod
    def setUpClass(cls):
        client = debian_kubectl()
        if client is None:
            raise unittest.SkipTest("apt does not reach a mirror")
        super().setUpClass()
        cls.server.client = client

    test_z_rotation = None


if __name__ == "__main__":
    main(100)
