"""relay.py LINK LINK MILLISECONDS: carries frames between two links, each late by so long, until its input ends."""

import collections
import select
import socket
import subprocess
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4


def open_link(name):
    # Frames as they would be on a cable: whole checksums, none larger than the MTU.
    subprocess.run(["ethtool", "-K", name, "tx", "off", "gso", "off", "tso", "off", "gro", "off"], check=False,
                   capture_output=True)
    subprocess.run(["ip", "link", "set", name, "promisc", "on"], check=True)
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    link.bind((name, ETH_P_ALL))
    return link


def main():
    links = [open_link(name) for name in sys.argv[1:3]]
    delay = float(sys.argv[3]) / 1000
    waiting = collections.deque()  # (when, link to send on, frame), in order of time
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([*links, sys.stdin], [], [], timeout)
        if sys.stdin in readable:
            return
        for link in readable:
            frame, address = link.recvfrom(65536)
            if address[2] != PACKET_OUTGOING:
                waiting.append((time.monotonic() + delay, links[1 - links.index(link)], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, link, frame = waiting.popleft()
            link.send(frame)


main()
