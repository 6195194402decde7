"""A receiver with many endpoints, as a process of its own: good ones, ones that fail, and black holes.

`python -m tests.benchmarks.many_endpoints` prints its port, and at the end of its input one line of JSON with what
arrived: unix time, endpoint and `webhook-id` of each request.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

ANSWER_SECONDS = 0.02
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_EVENT = re.compile(rb"webhook-id: (\S+)", re.IGNORECASE)

arrived: list[tuple[float, str, str]] = []


async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one answer, one connection: as with endpoints that are a thousand servers."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(_LENGTH.findall(head)[0]))
        path = head.split(b" ", 2)[1].decode()
        arrived.append((time.time(), path, _EVENT.findall(head)[0].decode()))
        if path.startswith("/black-hole"):
            await reader.read()
        else:
            await asyncio.sleep(ANSWER_SECONDS)
            status = b"500 Oh" if path.startswith("/error") else b"204 No Content"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serves until its input ends."""
    server = await asyncio.start_server(receive, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # whoever started it reads it
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(arrived), flush=True)  # noqa: T201
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
