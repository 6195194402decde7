"""A decoder process that does what the first word of a file tells it to, and decodes all other files as the real one.

It stands for faults of decoders that nobody knows yet: run as `python -m tests.unit.storage.bad_decoder MEMORY_BYTES`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import BinaryIO

from storage.decoder_answers import Ending
from storage.decoder_child import inspected, limit_resources, load_decoders, serve
from storage.images import ImageFacts, ImageRejectedError

WORD_BYTES = 5
CRASH, HANG, SPIN, EAT, EXIT, KILL, LIE = b"CRASH", b"HANG.", b"SPIN.", b"EAT..", b"EXIT.", b"KILL.", b"LIE.."


def inspect(file: BinaryIO, max_pixels: int) -> ImageFacts | ImageRejectedError | Ending:
    """What the word brings about."""
    word = file.read(WORD_BYTES)
    if word in {CRASH, KILL}:
        os.kill(os.getpid(), signal.SIGSEGV if word == CRASH else signal.SIGKILL)
    if word == EXIT:
        os._exit(3)
    if word == HANG:
        time.sleep(3600)
    while word == SPIN:
        pass
    if word == EAT:
        eaten = [bytearray(1_000_000)]
        try:
            while True:
                eaten.append(bytearray(b"x" * 1_000_000))
        except MemoryError:
            return Ending("more memory than a picture may need")
    if word == LIE:
        return ImageFacts(content_type="text/html", width=1, height=1)
    file.seek(0)
    return inspected(file, max_pixels)


if __name__ == "__main__":
    load_decoders()
    limit_resources(int(sys.argv[1]))
    with socket.socket(fileno=0) as connection:
        serve(connection, inspect=inspect)
