"""Decoding in processes of their own: what a picture can do to them, and what it can never do to the worker."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.decoding import DecoderLimits, DecoderUnavailableError, InProcessDecoder, IsolatedDecoder, open_decoder
from storage.images import DecoderFailedError, ImageFacts, TruncatedImageError
from tests.unit.storage import bad_decoder
from tests.unit.storage.pictures import picture

ROOT = Path(__file__).resolve().parents[3]
MAX_PIXELS = 1_000_000
LIMITS = DecoderLimits(timeout_seconds=60.0, cpu_seconds=1, memory_bytes=100_000_000)
BAD = (sys.executable, "-P", "-m", "tests.unit.storage.bad_decoder")
FACTS = ImageFacts(content_type="image/png", width=64, height=48)


@pytest.fixture
def decoder() -> Iterator[IsolatedDecoder]:
    """The real decoder process, one at a time."""
    with closing(IsolatedDecoder(LIMITS, children=1)) as decoder:
        yield decoder


@pytest.fixture
def fragile() -> Iterator[IsolatedDecoder]:
    """One decoder process that does what a file tells it to."""
    with closing(IsolatedDecoder(LIMITS, children=1, program=BAD)) as decoder:
        yield decoder


@contextlib.contextmanager
def closing(decoder: IsolatedDecoder) -> Iterator[IsolatedDecoder]:
    try:
        yield decoder
    finally:
        decoder.close()


def inspect(decoder: IsolatedDecoder, content: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        return decoder.inspect(file, max_pixels=max_pixels)


def pid_of(decoder: IsolatedDecoder) -> int:
    """The one decoder process that waits for its next picture."""
    [child] = decoder._idle
    return child._process.pid


def wait_for(condition: Callable[[], bool]) -> bool:
    ends_at = time.monotonic() + 10.0
    while not condition() and time.monotonic() < ends_at:
        time.sleep(0.01)
    return condition()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_many_pictures_share_one_process(decoder: IsolatedDecoder) -> None:
    """Good and bad ones are told apart as in the worker itself, and the process is the same before and after."""
    assert inspect(decoder, picture()) == FACTS
    first = pid_of(decoder)
    for share in (0.2, 0.5, 0.8):
        with pytest.raises(TruncatedImageError, match=r"damaged|does not decode"):
            inspect(decoder, picture(size=(256, 256))[: int(20_000 * share)])
        assert inspect(decoder, picture()) == FACTS
    assert pid_of(decoder) == first != os.getpid()


def test_the_file_s_position_stays_the_worker_s(decoder: IsolatedDecoder) -> None:
    """What is written next from the same file begins at its beginning, however far the decoder has read."""
    content = picture(size=(512, 512))
    with tempfile.SpooledTemporaryFile(max_size=10_000_000) as file:
        file.write(content)
        decoder.inspect(file, max_pixels=MAX_PIXELS)  # type: ignore[arg-type]  # as good as a BinaryIO
        assert file.tell() == 0
        assert file.read() == content


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        pytest.param(bad_decoder.CRASH, "SIGSEGV", id="crashes"),
        pytest.param(bad_decoder.SPIN, "SIGXCPU", id="never ends"),
        pytest.param(bad_decoder.EAT, "memory", id="eats memory"),
        pytest.param(bad_decoder.EXIT, "exit code 3", id="gives up"),
        pytest.param(bad_decoder.LIE, "no sense", id="is taken over"),
    ],
)
def test_a_picture_that_ends_its_decoder_costs_itself_alone(fragile: IsolatedDecoder, word: bytes, reason: str) -> None:
    """It is tried twice and then rejected for good, with what happened; the next picture is decoded as ever."""
    inspect(fragile, picture())
    with pytest.raises(DecoderFailedError, match=reason) as caught:
        inspect(fragile, word)
    assert (caught.value.code, caught.value.retryable) == ("decoder_failed", False)
    assert inspect(fragile, picture()) == FACTS


def test_a_decoder_that_waits_for_ever_is_ended() -> None:
    """After its time the process is gone, and the picture is rejected for good."""
    times: Iterator[float] = itertools.repeat(0.0)
    with closing(IsolatedDecoder(LIMITS, children=1, program=BAD, monotonic=lambda: next(times))) as decoder:
        inspect(decoder, picture())
        first = pid_of(decoder)
        times = itertools.count(0.0, LIMITS.timeout_seconds - 0.1)
        with pytest.raises(DecoderFailedError, match="no answer within 60 s"):
            inspect(decoder, bad_decoder.HANG)
        assert not is_running(first)


def test_a_decoder_that_somebody_else_ended_says_nothing_of_its_picture(fragile: IsolatedDecoder) -> None:
    """When the system takes the memory back, or a person kills it, the picture may be tried again later."""
    with pytest.raises(DecoderUnavailableError) as caught:
        inspect(fragile, bad_decoder.KILL)
    assert caught.value.retryable


def test_a_decoder_that_cannot_be_started_says_nothing_of_its_picture() -> None:
    """A machine without room for another process has the job wait."""
    with (
        closing(IsolatedDecoder(LIMITS, program=("/nonexistent",))) as decoder,
        pytest.raises(DecoderUnavailableError),
    ):
        inspect(decoder, picture())


def test_a_decoder_that_died_while_idle_is_replaced(decoder: IsolatedDecoder) -> None:
    """Nothing is noticed but that the process is another one."""
    inspect(decoder, picture())
    first = pid_of(decoder)
    os.kill(first, signal.SIGKILL)
    assert wait_for(lambda: not is_running(first))
    assert inspect(decoder, picture()) == FACTS
    assert pid_of(decoder) != first


def test_a_decoder_is_replaced_after_many_pictures(decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever decoders leak is given back now and then."""
    monkeypatch.setattr("storage.decoding.CHILD_PICTURES_MAX", 2)
    inspect(decoder, picture())
    first = pid_of(decoder)
    inspect(decoder, picture())
    inspect(decoder, picture())
    assert pid_of(decoder) != first
    assert not is_running(first)


def test_no_more_pictures_at_once_than_decoders() -> None:
    """Sixteen threads share two processes, and every picture is decoded."""
    found: list[ImageFacts] = []
    with closing(IsolatedDecoder(LIMITS, children=2)) as decoder:
        threads = [threading.Thread(target=lambda: found.append(inspect(decoder, picture()))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(decoder._idle) <= 2
    assert found == [FACTS] * 16


def test_it_can_reserve_no_more_memory_than_a_picture_needs(decoder: IsolatedDecoder) -> None:
    """A picture whose pixels fit, but not into the decoder's memory, ends its decoder and not the worker."""
    with pytest.raises(DecoderFailedError, match="memory"):
        inspect(decoder, picture("PNG", (7000, 7000)), max_pixels=50_000_000)


def test_it_can_write_no_file_and_has_no_secret(decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limits are those of the system, and what the worker's environment holds is not in it."""
    monkeypatch.setenv("SCENESHIFT_PROVIDER_APPCODE", "test-appcode")
    inspect(decoder, picture())
    process = Path(f"/proc/{pid_of(decoder)}")
    assert b"appcode" not in (process / "environ").read_bytes()
    limits = {line[:25].strip(): line[26:].split()[0] for line in (process / "limits").read_text().splitlines()}
    assert (limits["Max file size"], limits["Max core file size"], limits["Max open files"]) == ("0", "0", "32")
    assert int(limits["Max address space"]) < 300_000_000


@pytest.mark.parametrize("word", [bad_decoder.HANG, b""], ids=["while it decodes", "while it is idle"])
def test_it_ends_with_a_worker_that_is_killed(word: bytes) -> None:
    """No decoder is left behind, not even one that hangs."""
    program = (
        "import sys, tempfile, time\n"
        "from storage.decoding import IsolatedDecoder\n"
        "from tests.unit.storage import test_decoding\n"
        "decoder = IsolatedDecoder(test_decoding.LIMITS, program=test_decoding.BAD)\n"
        "test_decoding.inspect(decoder, test_decoding.picture())\n"
        "print(test_decoding.pid_of(decoder), flush=True)\n"
        f"{'test_decoding.inspect(decoder, ' + repr(word) + ')' if word else 'time.sleep(3600)'}\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        if word:
            assert wait_for(lambda: "hrtimer" in Path(f"/proc/{pid}/wchan").read_text() or is_asleep(pid))
        worker.kill()
    assert wait_for(lambda: not is_running(pid))


def is_asleep(pid: int) -> bool:
    """The decoder sleeps in the picture that hangs it: it watches the worker's socket then."""
    flags = int(Path(f"/proc/{pid}/fdinfo/0").read_text().partition("flags:")[2].split()[0], 8)
    return bool(flags & os.O_ASYNC)


def test_a_forked_process_has_decoders_of_its_own(decoder: IsolatedDecoder) -> None:
    """What a process has inherited goes on working for the process that it belongs to."""
    inspect(decoder, picture())
    first = pid_of(decoder)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            found = inspect(decoder, picture())
            os._exit(0 if found == FACTS and pid_of(decoder) != first else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert inspect(decoder, picture()) == FACTS
    assert pid_of(decoder) == first


def test_a_platform_without_descriptors_to_hand_over_decodes_in_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It works there too, and the log says what is missing."""
    assert isinstance(open_decoder(max_bytes=1, max_pixels=1), IsolatedDecoder)
    monkeypatch.delattr("socket.send_fds")
    assert isinstance(open_decoder(max_bytes=1, max_pixels=1), InProcessDecoder)
    assert [record.message for record in caplog.records] == ["decoder.not_isolated"]
