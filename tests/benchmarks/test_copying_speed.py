"""What copying a verified image costs: copies per second of one core, memory of each in flight, and where time goes."""

from __future__ import annotations

import cProfile
import io
import pstats
import re
import resource
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image

from sceneshift.guarded_http import GuardedClient
from sceneshift.identifiers import new_job_id
from storage.copying import CopyLimits, copy_result
from storage.decoding import DecoderLimits, ImageDecoder, InProcessDecoder, IsolatedDecoder
from storage.directory import DirectoryStore
from storage.images import ImageFacts
from tests.benchmarks.test_rendering_speed import product
from tests.factories import NOW
from tests.loopback import Listener, answer

SIDE_PIXELS = 1024
COPIES = 150
AT_ONCE = 16
LIMITS = CopyLimits(max_bytes=50_000_000, max_pixels=40_000_000, timeout_seconds=120.0)
ALLOWED_BYTES = 8_000_000
ALLOWED_DECODES = 1.96
"""A copy may take so many times the decoding alone: 30 a second of a core that decodes the picture in 17 ms."""

pytestmark = pytest.mark.slow


class Unlooked:
    """No decoder: what copying costs without looking at the image."""

    def inspect(self, file: BinaryIO, *, max_pixels: int) -> ImageFacts:
        assert max_pixels > 0
        assert file.seekable()
        return ImageFacts(content_type="image/png", width=SIDE_PIXELS, height=SIDE_PIXELS)


@pytest.fixture(scope="module")
def result() -> bytes:
    """A photo as a PNG, as results are."""
    with Image.open(io.BytesIO(product(SIDE_PIXELS, "PNG"))) as image:
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=6)
        return file.getvalue()


@pytest.fixture
def place(tmp_path: Path, result: bytes) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, result, stack)


class Place:
    """A result server, the guarded client and a directory store."""

    def __init__(self, path: Path, result: bytes, stack: ExitStack) -> None:
        whole = answer(result)
        server = stack.enter_context(Listener(lambda connection, _request: connection.sendall(whole)))
        self.url = f"http://127.0.0.1:{server.port}/0.png"
        self.store = DirectoryStore(path)
        self.client = stack.enter_context(closing(GuardedClient(allow_hosts=("127.0.0.1",))))

    def copy(self, decoder: ImageDecoder, copies: int) -> None:
        """So many images are copied, one after the other, each of a job of its own."""
        for _ in range(copies):
            copy_result(
                self.client, self.store, decoder, url=self.url, job_id=new_job_id(NOW), index=0, limits=LIMITS,
                metadata={},
            )  # fmt: skip


def isolated(*, children: int = 1) -> IsolatedDecoder:
    limits = DecoderLimits.for_pictures(max_bytes=LIMITS.max_bytes, max_pixels=LIMITS.max_pixels)
    return IsolatedDecoder(limits, children=children)


def cpu_seconds() -> float:
    """Processor time of this process, in which the server is, too, and of the decoders that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@pytest.fixture(scope="module")
def decoding_seconds(result: bytes) -> float:
    """Processor time of decoding alone, which tells how fast this core is."""
    decoder = InProcessDecoder()
    with tempfile.TemporaryFile() as file:
        file.write(result)
        decoder.inspect(file, max_pixels=LIMITS.max_pixels)
        before = cpu_seconds()
        for _ in range(COPIES):
            decoder.inspect(file, max_pixels=LIMITS.max_pixels)
    return (cpu_seconds() - before) / COPIES


@pytest.mark.parametrize("kind", ["isolated", "in the worker", "not decoded"])
def test_copies_per_second_of_one_core(place: Place, result: bytes, decoding_seconds: float, kind: str) -> None:
    """A PNG of 1024 by 1024 pixels is fetched, decoded in full, hashed and written in the time of two decodings."""
    with ExitStack() as stack:
        decoders: dict[str, Callable[[], ImageDecoder]] = {
            "isolated": isolated,
            "in the worker": InProcessDecoder,
            "not decoded": Unlooked,
        }
        decoder = decoders[kind]()
        if isinstance(decoder, IsolatedDecoder):
            stack.enter_context(closing(decoder))
        place.copy(decoder, 3)
        before = cpu_seconds()
        place.copy(decoder, COPIES)
        stack.close()
        seconds = (cpu_seconds() - before) / COPIES
    print(  # noqa: T201  # the figure is what a benchmark is for
        f"\n{kind}: {1 / seconds:.0f} copies per second of one core ({seconds * 1000:.1f} ms of processor time each, "
        f"server included), {len(result) / 1e6:.1f} MB each; decoding alone takes {decoding_seconds * 1000:.1f} ms"
    )
    assert seconds < ALLOWED_DECODES * decoding_seconds


def test_memory_of_a_copy_in_flight(place: Place, result: bytes) -> None:
    """Sixteen copies at once take less than 8 MB each in the worker, and a decoder does not grow with their number."""
    with closing(isolated(children=2)) as decoder:
        place.copy(decoder, 3)
        tracemalloc.start()
        threads = [threading.Thread(target=place.copy, args=(decoder, 5)) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        peak = tracemalloc.get_traced_memory()[1] / AT_ONCE
        tracemalloc.stop()
        decoders = [peak_bytes(child._process.pid) for child in decoder._idle]
    print(  # noqa: T201  # see above
        f"\n{AT_ONCE} copies at once: {peak / 1e6:.1f} MB of the worker for each, server and client together "
        f"({len(result) / 1e6:.1f} MB per image); decoders at most {max(decoders) / 1e6:.0f} MB each"
    )
    assert peak < ALLOWED_BYTES


def peak_bytes(process_id: int) -> int:
    """The most resident memory that the process ever had (Linux)."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+)", status)[0])


def test_where_the_time_goes(place: Place, result: bytes) -> None:
    """The profile of copying with the decoder in the worker, where the profiler can see it; decoding leads."""
    place.copy(InProcessDecoder(), 3)
    profile = cProfile.Profile()
    profile.runcall(place.copy, InProcessDecoder(), COPIES)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(10)
    print(text.getvalue())  # noqa: T201  # see above
    with tempfile.TemporaryFile() as file:
        file.write(result)
        assert InProcessDecoder().inspect(file, max_pixels=LIMITS.max_pixels).width == SIDE_PIXELS
