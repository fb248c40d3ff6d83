"""scripts/quickstart: twice in a row, without a terminal; with --stop nothing is left."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster import GANTRY, SOURCE, Machine, Service, Switch, close_all, main, wait_for

PAGE = "Hello from a container run by gantry."


class QuickstartTest(unittest.TestCase):
    def tearDown(self):
        close_all()

    def test_twice_then_stop(self):
        machine = Machine(Switch())
        service = Service(machine)  # gives the directory, its clean-up and the leak check
        environment = {**os.environ, "HOME": str(service.dir), "GANTRY_BINARY": GANTRY,
                       "GANTRY_QUICKSTART_DIR": str(service.data)}
        environment.pop("KUBECONFIG", None)

        def quickstart(*arguments):
            # Its output goes to a file: the server that it leaves behind must hold no pipe of ours.
            with tempfile.TemporaryFile("w+") as output:
                child = machine.spawn(SOURCE / "scripts/quickstart", *arguments, env=environment, stdout=output,
                                      stderr=output, stdin=subprocess.DEVNULL)
                code = child.wait(120)
                output.seek(0)
                text = output.read()
            self.assertEqual(code, 0, text)
            return text

        for attempt in (1, 2):
            with self.subTest(attempt=attempt):
                text = quickstart()
                self.assertEqual(text.count(PAGE), 3, text)
                self.assertIn("scripts/quickstart --stop", text)
                self.assertIn(f"export KUBECONFIG={service.data}/kubeconfig", text)
        server = int(Path(service.data / "lock").read_text())
        self.assertIn("Stopped; nothing is left.", quickstart("--stop"))
        wait_for("the server's end", lambda: not os.path.exists(f"/proc/{server}"))
        self.assertEqual(service.leaks(), [])
        self.assertFalse(service.data.exists())
        self.assertIn("Stopped; nothing is left.", quickstart("--stop"))


if __name__ == "__main__":
    main(85)
