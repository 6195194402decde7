"""The process in which pictures are decoded: `python -m storage.decoder_child MEMORY_BYTES`, its stdin a socket.

It takes one descriptor after the other, says what the picture is, and may die of it. It ends when the socket is closed,
and at once when that happens while it decodes, so that nothing is left of a worker that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from storage.decoder_answers import Ending, line_of
from storage.images import ImageFacts, ImageRejectedError, inspect_image

DESCRIPTORS_MAX = 32
_REQUEST_MAX_BYTES = 4096


class _Positioned(io.RawIOBase):
    """A file that is read from a position of its own, so that nobody else's moves."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        piece = os.pread(self._descriptor, len(view), self._position)
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        if start + offset < 0:
            raise OSError("before the beginning of the file")
        self._position = start + offset
        return self._position


def serve(
    connection: socket.socket, *, inspect: Callable[[BinaryIO, int], ImageFacts | ImageRejectedError | Ending]
) -> None:
    """Every picture that the worker hands over has been answered, until the worker is gone."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, _REQUEST_MAX_BYTES, 1)
        if not request:
            return
        words = json.loads(request)
        _allow_cpu(int(words["cpu_seconds"]))
        [descriptor] = descriptors
        try:
            with _ending_with(connection), io.BufferedReader(_Positioned(descriptor)) as file:
                answer = inspect(cast("BinaryIO", file), int(words["max_pixels"]))
        finally:
            os.close(descriptor)
        connection.sendall(line_of(answer))


def inspected(file: BinaryIO, max_pixels: int) -> ImageFacts | ImageRejectedError | Ending:
    """What the image in this file is, why it is none, or that it wanted more memory than it may have."""
    try:
        return inspect_image(file, max_pixels=max_pixels)
    except ImageRejectedError as error:
        return error
    except MemoryError:
        return Ending("more memory than a picture may need")


@contextlib.contextmanager
def _ending_with(connection: socket.socket) -> Iterator[None]:
    """This process ends as soon as the other end of the connection is closed, whatever it is at (Linux)."""
    descriptor = connection.fileno()
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        with contextlib.suppress(BlockingIOError):
            if not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                raise SystemExit
        yield
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _allow_cpu(seconds: int) -> None:
    """So much processor time from now on, after which the system ends this process."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415  # not on every platform

        usage = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def limit_resources(memory_bytes: int) -> list[str]:
    """This process can reserve so much more memory, write no file and leave no core; returns what cannot be limited."""
    try:
        import resource  # noqa: PLC0415  # see _allow_cpu
    except ImportError:
        return ["all"]
    limits = {
        "RLIMIT_AS": _reserved_bytes() + memory_bytes,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": DESCRIPTORS_MAX,
    }
    unlimited = []
    for name, limit in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (AttributeError, OSError, ValueError):
            unlimited.append(name)
    return unlimited


def _reserved_bytes() -> int:
    """The address space that this process has already; a gigabyte where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 1024 * 1024 * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def load_decoders() -> None:
    """The decoders of the three formats are in memory, before memory is limited."""
    for name in ("Jpeg", "Png", "WebP"):
        importlib.import_module(f"PIL.{name}ImagePlugin")


def main() -> None:
    """Pictures are decoded until the worker is gone."""
    load_decoders()
    limit_resources(int(sys.argv[1]))
    # The worker decides when it is over: it ends what it started, however it is told to stop.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    with socket.socket(fileno=0) as connection:
        serve(connection, inspect=inspected)


if __name__ == "__main__":
    main()
