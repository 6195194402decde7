"""A worker that slept sends nothing any more: others have gone on by then, and the provider forgets nonces.

Real sockets on loopback, and a clock that jumps at the stage of the request that a test names.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import httpcore
import pytest

from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.protocol import Accepted, NotSent, OutcomeUnknown
from sceneshift.settings import Settings
from sceneshift.store.limits import LimitStore
from tasks.sending import LEASE_SHARE
from tests.unit.tasks.workshop import Workshop

BODY = b'{"a":"picture"}'
ACCEPTANCE = b'{"success":true,"code":0,"data":{"result_key":"k-1"}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ACCEPTANCE)
MAX_SECONDS = 10.0


class Receiver:
    """A provider that accepts every whole request, and remembers each byte of it."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._last: object = None
        self.received: list[bytes] = []
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, peer = self._listener.accept()
                with closing(connection):
                    if peer == self._last:
                        return
                    connection.settimeout(MAX_SECONDS)
                    self.received.append(b"")
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        while chunk := connection.recv(65_536):
            self.received[-1] += chunk
            if self.received[-1].endswith(b"}"):
                connection.sendall(HEAD + ACCEPTANCE)
                return

    def close(self) -> None:
        """Nobody listens any more, and what was sent is all here: connections come in turn, and the last is ours."""
        if self._thread.is_alive():
            with socket.socket() as last:
                last.bind(("127.0.0.1", 0))
                self._last = last.getsockname()
                last.connect(self._listener.getsockname())
                self._thread.join(MAX_SECONDS)
        self._listener.close()

    @property
    def bytes_received(self) -> bytes:
        self.close()
        return b"".join(self.received)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(socket.create_server(("127.0.0.1", 0)))
    yield receiver
    receiver.close()


class Drowsy:
    """A monotonic clock that stands, and the places in a request where the worker falls asleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        self._monkeypatch = monkeypatch

    def __call__(self) -> float:
        return self.seconds

    def sleeps(self, seconds: float, *, after: str) -> None:
        """It sleeps so long once it has connected (`connect`), or has sent the headers (`headers`)."""
        real = httpcore.SyncBackend.connect_tcp

        def connect(*arguments: Any, **options: Any) -> httpcore.NetworkStream:
            stream = real(*arguments, **options)
            if after == "connect":
                self.seconds += seconds
            else:
                self._monkeypatch.setattr(stream, "write", self._after(stream.write, seconds))
            return stream

        self._monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)

    def _after(self, call: Callable[..., None], seconds: float) -> Callable[..., None]:
        def called(*arguments: Any) -> None:
            call(*arguments)
            self.seconds += seconds

        return called


@pytest.fixture
def drowsy(monkeypatch: pytest.MonkeyPatch) -> Drowsy:
    return Drowsy(monkeypatch)


def provider_of(receiver: Receiver, **options: Any) -> BgRepProvider:
    return BgRepProvider(
        base_url=receiver.url,
        appcode="test-appcode",
        connect_timeout_seconds=400,
        read_timeout_seconds=400,
        new_nonce=lambda: "unused",
        **options,
    )


@pytest.fixture
def provider(receiver: Receiver, drowsy: Drowsy) -> Iterator[BgRepProvider]:
    with provider_of(receiver, monotonic=drowsy) as provider:
        yield provider


def test_in_time_it_is_sent(provider: BgRepProvider, receiver: Receiver, drowsy: Drowsy) -> None:
    """The last moment is still good, and the body arrives whole."""
    assert isinstance(provider.submit(BODY, nonce="n-1", send_by=drowsy.seconds), Accepted)
    assert receiver.bytes_received.endswith(BODY)


def test_too_late_it_does_not_even_connect(provider: BgRepProvider, receiver: Receiver, drowsy: Drowsy) -> None:
    """The call of a worker that slept before it is not begun."""
    outcome = provider.submit(BODY, nonce="n-1", send_by=drowsy.seconds - 0.001)
    assert isinstance(outcome, NotSent)
    assert "asleep" in outcome.reason
    receiver.close()
    assert receiver.received == []


def test_a_worker_that_slept_while_it_connected_sends_nothing(
    provider: BgRepProvider, receiver: Receiver, drowsy: Drowsy
) -> None:
    """Not one byte of the request has arrived: the answer is "not sent", which is free."""
    drowsy.sleeps(31.0, after="connect")
    assert isinstance(provider.submit(BODY, nonce="n-1", send_by=drowsy.seconds + 30.0), NotSent)
    assert receiver.bytes_received == b""


def test_a_worker_that_slept_after_the_headers_sends_no_body(
    provider: BgRepProvider, receiver: Receiver, drowsy: Drowsy
) -> None:
    """The gateway has seen the nonce, so nobody knows: unknown, though the provider got nothing to work on."""
    drowsy.sleeps(31.0, after="headers")
    assert isinstance(provider.submit(BODY, nonce="n-1", send_by=drowsy.seconds + 30.0), OutcomeUnknown)
    arrived = receiver.bytes_received
    assert b"x-ca-nonce: n-1" in arrived.lower()
    assert BODY not in arrived


def test_without_a_limit_nothing_is_too_late(provider: BgRepProvider, receiver: Receiver, drowsy: Drowsy) -> None:
    """Who gives no time is not stopped, and one request's time is not the next one's."""
    assert isinstance(provider.submit(BODY, nonce="n-1", send_by=drowsy.seconds - 1.0), NotSent)
    drowsy.sleeps(31.0, after="connect")
    assert isinstance(provider.submit(BODY, nonce="n-2"), Accepted)
    assert b"n-1" not in receiver.bytes_received


def too_long(work: Workshop) -> float:
    """For so many seconds of sleep, a lease is not certain to last."""
    return LEASE_SHARE * work.store.due.lease_seconds + 0.5


def sleeps_at_the_intent(
    work: Workshop, drowsy: Drowsy, seconds: float, monkeypatch: pytest.MonkeyPatch, *, renewed: bool = False
) -> None:
    """The worker sleeps, or is slow and renews its lease, once its intent is stored, before it sends."""
    real = work.store.jobs.transition

    def transition(*arguments: Any, guard: Any = None) -> Any:
        change = real(*arguments, guard=guard)
        if guard is not None:
            drowsy.seconds += seconds
            work.clock.advance(seconds)
            if renewed:
                work.services.holds.note_renewed(work.services.holds.current(), drowsy())
        return change

    monkeypatch.setattr(work.store.jobs, "transition", transition)


def test_a_worker_that_slept_after_its_intent_gives_the_job_back(
    work: Workshop, provider: BgRepProvider, receiver: Receiver, drowsy: Drowsy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent and nothing is paid: the same submission, with its nonce, is tried again later."""
    work.use(provider=provider, monotonic=drowsy)
    sleeps_at_the_intent(work, drowsy, too_long(work), monkeypatch)
    job = work.accept()
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.charge, after.epoch) == (JobState.QUEUED, Charge.NOT_CHARGED, 1)
    receiver.close()
    assert receiver.received == []


def test_a_worker_whose_lease_was_renewed_meanwhile_sends_however_long_the_intent_took(
    work: Workshop, provider: BgRepProvider, receiver: Receiver, drowsy: Drowsy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was slow and not asleep: nobody took it for dead, and nobody else has gone on."""
    work.use(provider=provider, monotonic=drowsy)
    sleeps_at_the_intent(work, drowsy, too_long(work), monkeypatch, renewed=True)
    job = work.accept()
    work.wake(job.id)
    assert work.job(job.id).state is JobState.RENDERING
    assert receiver.bytes_received.count(b"POST ") == 1


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="no clock of this platform goes on during sleep")
@pytest.mark.parametrize(("asleep_in", "sent"), [("", True), ("the intent", False), ("the connection", False)])
def test_a_machine_that_was_suspended_sends_nothing(
    work: Workshop, receiver: Receiver, drowsy: Drowsy, monkeypatch: pytest.MonkeyPatch, asleep_in: str, *, sent: bool
) -> None:
    """Real clocks, of which only the one that goes on during sleep has noticed it: this time, and once before."""
    real = time.clock_gettime

    def boot_time(clock: int) -> float:
        return real(clock) + (drowsy.seconds if clock == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", boot_time)
    if asleep_in == "the intent":
        sleeps_at_the_intent(work, drowsy, too_long(work), monkeypatch)
    elif asleep_in:
        drowsy.sleeps(too_long(work), after="connect")
    with provider_of(receiver) as provider:
        work.use(provider=provider)
        job = work.accept()
        work.wake(job.id)
    assert bool(receiver.bytes_received) is sent
    assert work.job(job.id).state is (JobState.RENDERING if sent else JobState.QUEUED)


PROBE_SECONDS = 720.0


def lost_job(work: Workshop, settings: Settings) -> JobRecord:
    """A job whose answer was lost just now, to be probed."""
    probing = {"unknown_outcome": "probe", "nonce_contract": "verified"}
    changed = settings.model_copy(update=probing)
    work.use(settings=changed, policy=Policy.from_settings(changed))
    job = work.accept()
    work.provider.on_submit = lambda: OutcomeUnknown(reason="cut")
    work.wake(job.id)
    job = work.job(job.id)
    assert (job.state, job.blocked_by) == (JobState.SUBMITTING, "unknown_outcome")
    return job


@pytest.mark.parametrize(("left_seconds", "sent"), [(20.0, True), (5.0, False)])
def test_no_probe_is_sent_after_the_window(  # noqa: PLR0917  # the parts of a deployment
    work: Workshop,
    settings: Settings,
    provider: BgRepProvider,
    receiver: Receiver,
    drowsy: Drowsy,
    monkeypatch: pytest.MonkeyPatch,
    left_seconds: float,
    *,
    sent: bool,
) -> None:
    """A worker that sleeps ten seconds before it probes does so only when that is still inside the window."""
    job = lost_job(work, settings)
    work.use(provider=provider, monotonic=drowsy)
    work.clock.advance(PROBE_SECONDS - left_seconds)
    sleeps_at_the_intent(work, drowsy, 10.0, monkeypatch)
    work.wake(job.id)
    assert bool(receiver.bytes_received) is sent
    assert work.job(job.id).state is (JobState.RENDERING if sent else JobState.SUBMITTING)
    if not sent:
        work.wake(job.id)
        assert work.job(job.id).state is JobState.NEEDS_ATTENTION


def test_a_worker_that_sleeps_while_it_reads_the_time_has_less_of_it(  # noqa: PLR0917  # the parts of a deployment
    work: Workshop,
    settings: Settings,
    provider: BgRepProvider,
    receiver: Receiver,
    drowsy: Drowsy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The window is read from one clock and kept by another: a sleep between the two never moves its end.

    It is less than the clocks may differ by, and more than what is left of the window.
    """
    job = lost_job(work, settings)
    work.use(provider=provider, monotonic=drowsy)
    real = work.clock.read

    def sleeps_after_looking() -> float:
        now = real()
        monkeypatch.setattr(work.clock, "read", real)
        drowsy.seconds += 40.0
        work.clock.advance(40.0)
        return now

    work.clock.advance(PROBE_SECONDS - 20.0)
    body = work.services.provider.request_body

    def then_sleepy(item: Any) -> bytes:
        monkeypatch.setattr(work.clock, "read", sleeps_after_looking)
        return body(item)

    monkeypatch.setattr(provider, "request_body", then_sleepy)
    work.wake(job.id)
    receiver.close()
    assert receiver.received == []


def test_the_fault_of_a_late_probe_is_the_unknown_outcome(work: Workshop, settings: Settings) -> None:
    """Once the window is over the job is held as what it is."""
    job = lost_job(work, settings)
    work.clock.advance(PROBE_SECONDS)
    work.wake(job.id)
    held = work.job(job.id)
    assert (held.state, held.charge, len(work.provider.submissions)) == (
        JobState.NEEDS_ATTENTION, Charge.UNKNOWN, 1,
    )  # fmt: skip
    assert held.error is not None
    assert held.error.code == "outcome_unknown"


def test_a_job_that_is_not_to_be_asked_about_waits_for_no_moment(work: Workshop, settings: Settings) -> None:
    """Nothing will be sent for it: it is held at once, though the next moment is a quarter of an hour away."""
    job = lost_job(work, settings)
    work.clock.advance(PROBE_SECONDS)
    store = work.store
    LimitStore(store.client, store.keys, store.clock).set({"submit_rate": "0.001"}, by="ann")
    store.permits.reserve_submission("job_other")
    work.wake(job.id)
    assert work.job(job.id).state is JobState.NEEDS_ATTENTION
