"""Fetches a URL again and again until its input ends; then prints how many requests there were and each failure."""

import sys
import threading
import urllib.request


def main():
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    requests, failures = 0, []
    while not ended.is_set():
        requests += 1
        try:
            with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
                answer.read()
        except OSError as problem:
            failures.append(f"request {requests}: {problem}")
        ended.wait(0.005)
    print("\n".join([str(requests), *failures]))


main()
