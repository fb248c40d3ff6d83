"""writer.py KUBECONFIG SERVER...: writes through any of the servers until its input ends, then checks what is there.

Creates ConfigMaps, and counts in one of them, without a pause. Prints one line of JSON: how many writes were
acknowledged, the seconds of the longest time without one, and what was acknowledged and is lost.
"""

import json
import sys
import threading
import time

from api import Api, Unanswered

NAMESPACE = "/api/v1/namespaces/default/configmaps"


class Writer:
    def __init__(self, api):
        self.api = api
        self.created = []  # names that were acknowledged
        self.counted = 0  # the highest count that was acknowledged
        self.acknowledged = []  # when
        self.problems = []

    def run(self, ended):
        number = 0
        while not ended.is_set():
            number += 1
            self.attempt(self.create, f"written-{number}")
            self.attempt(self.count, number)

    def attempt(self, write, argument):
        try:
            write(argument)
            self.acknowledged.append(time.time())
        except Unanswered as problem:
            self.problems.append([time.time(), str(problem)])
            time.sleep(0.05)

    def create(self, name):
        self.api.request("POST", NAMESPACE, {"metadata": {"name": name}})
        self.created.append(name)

    def count(self, number):
        patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "count"}, "data": {"count": str(number)}}
        self.api.request("PATCH", NAMESPACE + "/count?fieldManager=writer&force=true", patch,
                         "application/apply-patch+yaml")
        self.counted = number

    def lost(self):
        items = self.api.request("GET", NAMESPACE)["items"]
        there = {item["metadata"]["name"]: item for item in items}
        lost = [name for name in self.created if name not in there]
        count = int(there["count"]["data"]["count"]) if "count" in there else 0
        if count < self.counted:
            lost.append(f"count {self.counted}, found {count}")
        return lost


def main():
    kubeconfig, *servers = sys.argv[1:]
    writer = Writer(Api(servers, kubeconfig))
    ended = threading.Event()

    def end_with_input():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=end_with_input, daemon=True).start()
    writer.run(ended)  # ends with what is raised when a write is refused
    times = writer.acknowledged
    print(json.dumps({
        "acknowledged": len(times),
        "longest_pause": max((b - a for a, b in zip(times, times[1:])), default=None),
        "lost": writer.lost(),
        "times": times,
        "problems": writer.problems,
    }))


main()
