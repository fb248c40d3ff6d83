"""Cleans up for a test that could not do so itself, because it was killed.

A Guardian is a child process that reads on a pipe what there is to undo. When the pipe ends without the undoing having
been taken back, the test is dead, and the guardian runs what is left, the newest first.
"""

import contextlib
import json
import os
import subprocess
import sys


class Guardian:
    def __init__(self):
        self._child = None
        self._last = 0

    def add(self, *command):
        """Has the command run when this process dies before remove(). Returns what remove() wants."""
        if self._child is None:
            # A session of its own: what ends the test by its process group does not end the guardian.
            self._child = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        self._last += 1
        self._tell(self._last, [str(part) for part in command])
        return self._last

    def remove(self, number):
        self._tell(number, None)

    def _tell(self, number, command):
        self._child.stdin.write(json.dumps([number, command]) + "\n")
        self._child.stdin.flush()


def _main():
    undo = {}
    for line in sys.stdin:
        number, command = json.loads(line)
        if command is None:
            undo.pop(number, None)
        else:
            undo[number] = command
    os.chdir("/")
    for number in sorted(undo, reverse=True):
        with contextlib.suppress(subprocess.TimeoutExpired):  # the rest is to be undone nevertheless
            subprocess.run(undo[number], stdin=subprocess.DEVNULL, timeout=60, check=False)


if __name__ == "__main__":
    _main()
