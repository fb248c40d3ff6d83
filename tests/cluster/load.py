"""load.py URL CLIENTS TIMEOUT: fetches until its input ends; then prints one line of JSON for each request."""

import http.client
import json
import sys
import threading
import time
import urllib.request

PAUSE = 0.01


def fetch(url, timeout):
    start = time.time()
    answer = error = None
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            answer = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as problem:
        error = f"{type(problem).__name__}: {problem}"
    return {"start": start, "end": time.time(), "answer": answer, "error": error}


def main():
    url, clients, timeout = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ended = threading.Event()
    requests = []

    def client():
        while not ended.is_set():
            requests.append(fetch(url, timeout))
            ended.wait(PAUSE)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    for request in requests:
        print(json.dumps(request))


main()
