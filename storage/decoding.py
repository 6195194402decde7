"""Decoding that a hostile picture cannot turn against its worker: in child processes that may die.

A picture that crashes its decoder, hangs in it or eats memory ends a child, and the next picture gets another one. The
children live long, because starting an interpreter takes as long as decoding ten pictures; the file is handed over as a
descriptor, so that no picture is copied, whatever its size. What comes back is a few words, and is not trusted either.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from sceneshift.errors import SceneshiftError
from storage.decoder_answers import Ending, answer_of
from storage.images import DecoderFailedError, ImageFacts, ImageRejectedError, inspect_image

log = logging.getLogger(__name__)

CHILDREN = 2
"""So many pictures are decoded at once by one worker process, of which there is one per core."""
CHILD_PICTURES_MAX = 1000
"""After so many pictures a child is replaced, whatever a decoder may have leaked."""
MEMORY_PER_PIXEL_BYTES = 20
"""A progressive JPEG and a WEBP need the most: their coefficients or canvases, and then the pixels."""
MEMORY_BASE_BYTES = 64 * 1024 * 1024
TRIES = 2

_PROGRAM = (sys.executable, "-P", "-m", "storage.decoder_child")
_ANSWER_MAX_BYTES = 4096


class DecoderUnavailableError(SceneshiftError):
    """Raised when no decoder could be started, or somebody else ended it: the picture says nothing about that."""

    code = "decoder_unavailable"
    retryable = True


class ImageDecoder(Protocol):
    """Finds out what the image in a file really is. Thread-safe."""

    def inspect(self, file: BinaryIO, *, max_pixels: int) -> ImageFacts:
        """The facts of the image in this file, which is one on a disk; its position is anywhere afterwards.

        Raises:
            ImageRejectedError: it is not an image that may be stored.
            DecoderUnavailableError: it could not be looked at now.
        """
        ...


class InProcessDecoder:
    """Decodes in the calling thread: for platforms without descriptors to hand over, and where nothing is hostile."""

    def inspect(self, file: BinaryIO, *, max_pixels: int) -> ImageFacts:
        return inspect_image(file, max_pixels=max_pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLimits:
    """What one picture may cost its child.

    Attributes:
        timeout_seconds: of real time, for the case that the child waits for something that never comes.
        cpu_seconds: of processor time, which a busy machine does not use up.
        memory_bytes: of address space, beyond what the idle child has.
    """

    timeout_seconds: float = 120.0
    cpu_seconds: int = 20
    memory_bytes: int

    @classmethod
    def for_pictures(cls, *, max_bytes: int, max_pixels: int) -> DecoderLimits:
        """Enough for each allowed picture of each allowed kind."""
        return cls(memory_bytes=MEMORY_BASE_BYTES + 2 * max_bytes + MEMORY_PER_PIXEL_BYTES * max_pixels)


def open_decoder(*, max_bytes: int, max_pixels: int) -> ImageDecoder:
    """The safest decoder that this platform has; no process is started before the first picture."""
    if not hasattr(socket, "send_fds"):
        log.warning("decoder.not_isolated", extra={"platform": sys.platform})
        return InProcessDecoder()
    return IsolatedDecoder(DecoderLimits.for_pictures(max_bytes=max_bytes, max_pixels=max_pixels))


class IsolatedDecoder:
    """Decodes in child processes, which end with this one."""

    def __init__(
        self,
        limits: DecoderLimits,
        *,
        children: int = CHILDREN,
        program: Sequence[str] = _PROGRAM,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._program = program
        self._monotonic = monotonic
        self._turns = threading.BoundedSemaphore(children)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._owner = os.getpid()

    def inspect(self, file: BinaryIO, *, max_pixels: int) -> ImageFacts:
        """As `ImageDecoder.inspect`. A picture that ends two children is told from one that met a bad moment."""
        file.seek(0)
        # Asked for the descriptor, a spooled file goes to the disk; what a buffer still has follows.
        descriptor = file.fileno()
        file.flush()
        reason = ""
        with self._turns:
            for _ in range(TRIES):
                ending = self._tried(descriptor, max_pixels)
                if isinstance(ending, ImageFacts):
                    return ending
                if isinstance(ending, ImageRejectedError):
                    raise ending
                reason = ending.reason
                log.warning("decoder.ended", extra={"reason": reason})
                if not ending.by_the_picture:
                    raise DecoderUnavailableError(f"the decoder was ended from outside ({reason})")
        raise DecoderFailedError(f"decoding it ended the decoder {TRIES} times ({reason})")

    def close(self) -> None:
        """No child is left of those that are idle."""
        with self._lock:
            children, self._idle = self._idle, []
        for child in children:
            child.end()

    def _tried(self, descriptor: int, max_pixels: int) -> ImageFacts | ImageRejectedError | Ending:
        child = self._child()
        try:
            answer = child.ask(descriptor, max_pixels, self._limits, self._monotonic)
        except BaseException:
            child.end()
            raise
        if isinstance(answer, Ending) or child.pictures >= CHILD_PICTURES_MAX:
            child.end()
        else:
            with self._lock:
                self._idle.append(child)
        return answer

    def _child(self) -> _Child:
        with self._lock:
            if self._owner != os.getpid():
                # Forked: these are the children of another process, which goes on using them.
                self._owner = os.getpid()
                for inherited in self._idle:
                    inherited.connection.close()
                self._idle = []
            while self._idle:
                child = self._idle.pop()
                if child.is_alive:
                    return child
                child.end()
        try:
            return _Child(self._program, self._limits)
        except OSError as error:
            raise DecoderUnavailableError(f"no decoder could be started ({type(error).__name__})") from error


class _Child:
    """One decoder process and the socket to it."""

    def __init__(self, program: Sequence[str], limits: DecoderLimits) -> None:
        self.pictures = 0
        self.connection, theirs = socket.socketpair()
        try:
            with theirs:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    [*program, str(limits.memory_bytes)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # Nothing of the worker's settings and secrets is where a hostile picture is decoded.
                    env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    # A Ctrl-C in a terminal is for the worker, which then ends its children.
                    start_new_session=True,
                )
        except BaseException:
            self.connection.close()
            raise

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(
        self, descriptor: int, max_pixels: int, limits: DecoderLimits, monotonic: Callable[[], float]
    ) -> ImageFacts | ImageRejectedError | Ending:
        """What the child says of the picture, or how it ended."""
        self.pictures += 1
        request = json.dumps({"max_pixels": max_pixels, "cpu_seconds": limits.cpu_seconds}).encode() + b"\n"
        ends_at = monotonic() + limits.timeout_seconds
        answer = b""
        try:
            socket.send_fds(self.connection, [request], [descriptor])
            while not answer.endswith(b"\n") and len(answer) <= _ANSWER_MAX_BYTES:
                self.connection.settimeout(max(0.001, ends_at - monotonic()))
                piece = self.connection.recv(_ANSWER_MAX_BYTES)
                if not piece:
                    return self._ending()
                answer += piece
        except TimeoutError:
            return Ending(f"no answer within {limits.timeout_seconds:g} s")
        except OSError:
            return self._ending()
        return answer_of(answer, max_pixels=max_pixels)

    def _ending(self) -> Ending:
        """How the child has died; it hung up, so it is about to be gone."""
        try:
            status = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return Ending("it hung up")
        if status >= 0:
            return Ending(f"exit code {status}")
        name = signal.Signals(-status).name
        # Decoders do not kill themselves in this way; the system does, when memory runs out, and people do.
        return Ending(name, by_the_picture=name not in {"SIGKILL", "SIGTERM"})

    def end(self) -> None:
        """The process is gone, and nothing of it is left."""
        self._process.kill()
        self._process.wait()
        self.connection.close()
