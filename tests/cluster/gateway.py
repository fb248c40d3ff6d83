"""gateway.py FD HOST:PORT...: leads connections to a listening socket on to the first of the targets that answers.

The socket may belong to another network namespace than this process: so a cluster in network namespaces is reached from
outside. Ends with its input.
"""

import asyncio
import contextlib
import socket
import sys

PATIENCE = 0.3  # seconds for a target to accept
# A target that dies without a word is noticed after about 3 s.
KEEPALIVE = {socket.TCP_KEEPIDLE: 1, socket.TCP_KEEPINTVL: 1, socket.TCP_KEEPCNT: 2, socket.TCP_USER_TIMEOUT: 3000}


async def connect(targets):
    for target in list(targets):
        host, _, port = target.rpartition(":")
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), PATIENCE)
        except (OSError, asyncio.TimeoutError):
            targets.append(targets.pop(0))  # the others are asked first from now on
            continue
        link = writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            link.setsockopt(socket.IPPROTO_TCP, option, value)
        return reader, writer
    raise ConnectionError("no target answers")


async def pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def main():
    listener = socket.socket(fileno=int(sys.argv[1]))
    targets = sys.argv[2:]

    async def serve(near_reader, near_writer):
        with contextlib.suppress(ConnectionError):
            far_reader, far_writer = await connect(targets)
            pumps = [asyncio.ensure_future(pump(near_reader, far_writer)), asyncio.ensure_future(pump(far_reader, near_writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for each in pumps:
                each.cancel()
            far_writer.close()
        near_writer.close()

    server = await asyncio.start_server(serve, sock=listener)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: sys.stdin.read(1) or ended.set())
    async with server:
        await ended.wait()


asyncio.run(main())
