"""history.py KUBECONFIG SERVER SEED FIRST KEYS CLIENTS WRITES [READ-QUERY]: reads and writes ConfigMaps through one server,
until its input ends.

Each of the clients picks a key at random and writes a value that nobody else writes (the share WRITES of the times, from 0
to 1), or reads it. Prints the history, an operation a line (JSON), with times of the monotonic clock, which all processes of
a machine share. READ-QUERY is added to reads: "resourceVersion=0" makes them ones that promise nothing.
"""

import json
import math
import random
import sys
import threading
import time

from api import Api, Refused, Unanswered

PATH = "/api/v1/namespaces/default/configmaps/"


def client(api, name, first, keys, writes, query, ended, history):
    dice = random.Random(name)
    number = 0
    while not ended.is_set():
        key = f"register-{first + dice.randrange(keys)}"
        start = time.monotonic()
        try:
            if dice.random() >= writes:
                value = api.request("GET", PATH + key + query).get("data", {}).get("value")
                history.append(("read", key, value, start, time.monotonic()))
            else:
                number += 1
                value = f"{name}-{number}"
                patch = {"data": {"value": value}}
                history.append(("write", key, value, start, math.inf))
                place = len(history) - 1
                api.request("PATCH", PATH + key, patch, "application/merge-patch+json")
                history[place] = ("write", key, value, start, time.monotonic())
        except Refused as refused:
            if refused.status != 409:  # many writers at once: it was given up, and not done
                raise
            history.pop(place)
        except Unanswered:
            time.sleep(0.1)


def main():
    kubeconfig, server, seed, first, keys, clients, writes, *query = sys.argv[1:]
    ended = threading.Event()
    histories = [[] for _ in range(int(clients))]
    threads = [threading.Thread(target=client, args=(
        Api([server], kubeconfig), f"{seed}-{number}", int(first), int(keys), float(writes), "?" + query[0] if query else "",
        ended, history)) for number, history in enumerate(histories)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    for history in histories:
        for operation in history:
            print(json.dumps(operation))


main()
