"""A server's append-only file, cut at the end as a power failure cuts it."""

from __future__ import annotations

from pathlib import Path

from workers.embedded.processes import kill
from workers.embedded.redis_server import RedisServer


def commands(server: RedisServer) -> list[int]:
    """Where each command of the file ends, in bytes."""
    content, ends, at = _file(server).read_bytes(), [], 0
    while at < len(content):
        line_end = content.index(b"\r\n", at)
        parts = int(content[at + 1 : line_end])
        at = line_end + 2
        for _ in range(parts):
            line_end = content.index(b"\r\n", at)
            at = line_end + 2 + int(content[at + 1 : line_end]) + 2
        ends.append(at)
    return ends


def cut(server: RedisServer, count: int) -> None:
    """The server has lost its last commands, and runs again on the same port."""
    assert server._process is not None
    kill(server._process)
    ends = commands(server)
    with _file(server).open("r+b") as file:
        file.truncate(ends[-count - 1])
    server.restart()


def _file(server: RedisServer) -> Path:
    [path] = server._directory.rglob("*.incr.aof")
    return path
