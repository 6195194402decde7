"""What `cancel()` answers is what the provider's own account says, and what lies in the bucket at the end.

A cancellation may fall between any two effects of a job's life, and anything may happen to the job between the read and
the write of a cancellation. Both are tried here, one by one, through the job store; the first through the real steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sceneshift.client import Client
from sceneshift.errors import StoreUnavailableError
from sceneshift.handle import CancelOutcome, Job
from sceneshift.jobs.change import StaleEventError
from sceneshift.jobs.events import ResolveAction
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.jobs.transitions import advance
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    QueryOutcome,
    Refused,
    RenderFailed,
    SubmitOutcome,
    Succeeded,
)
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from storage.names import job_folder, manifest_name
from storage.objects import StorageUnavailableError
from tests.factories import NOW
from tests.unit.jobs.moves import TABLE
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.storage.pictures import animation
from tests.unit.store.inspection import place
from tests.unit.tasks.chain import Chain, Town
from tests.unit.tasks.lifespan import KilledError, Lifespan
from tests.unit.tasks.ports import RESULT_KEY, result_urls
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.redis_server import RedisServer

MOVES = {"jobs.load", "jobs.transition", "provider.submit", "objects.put"}
"""The effects after which a cancellation finds another situation than before; the others only take time."""

CHARGED = {CancelOutcome.CHARGED_KEPT, CancelOutcome.CHARGED_DISCARDED}
LIVES_MAX = 30
ACCEPTED = Accepted(result_key=RESULT_KEY, request_id="REQ-1")
SUCCEEDED = Succeeded(urls=result_urls(2))
THROTTLED = Refused(error=ProviderError(kind=ErrorKind.THROTTLED, message="slow down", http_status=429))
REJECTED = Refused(error=ProviderError(kind=ErrorKind.CONTENT_REJECTED, message="not allowed"))
BROKEN = ProviderError(kind=ErrorKind.EXECUTION_FAILED, message="out of memory")
LOST = OutcomeUnknown(reason="read timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a provider, a bucket and a person do with a job.

    `submits` are the provider's answers, each with what it charged in truth; the last one is given again and again.
    `decisions` are a person's, about each time that the job is held; after the last one, it is given up.
    """

    submits: tuple[tuple[SubmitOutcome, int], ...] = ((ACCEPTED, 1),)
    queries: tuple[QueryOutcome, ...] = (SUCCEEDED,)
    lost_image: bool = False
    bucket_away: int = 0
    """So many writes of the second image fail."""
    dies_storing: int = 0
    """So many workers die before they write the second image."""
    decisions: tuple[ResolveAction, ...] = ()


STORIES: dict[str, Story] = {
    "all is well": Story(),
    "refused": Story(submits=((REJECTED, 0),)),
    "throttled, then accepted": Story(submits=((THROTTLED, 0), (ACCEPTED, 1))),
    "not sent, then accepted": Story(submits=((NotSent(reason="connect"), 0), (ACCEPTED, 1))),
    "answer lost, accepted, attached": Story(submits=((LOST, 1),), decisions=("attach",)),
    "answer lost, accepted, given up": Story(submits=((LOST, 1),)),
    "answer lost, accepted, submitted again": Story(submits=((LOST, 1), (ACCEPTED, 1)), decisions=("resubmit",)),
    "answer lost, never arrived, submitted again": Story(submits=((LOST, 0), (ACCEPTED, 1)), decisions=("resubmit",)),
    "answer lost, never arrived, refused then": Story(submits=((LOST, 0), (REJECTED, 0)), decisions=("resubmit",)),
    "rendering failed": Story(queries=(RenderFailed(error=BROKEN),)),
    "one image lost": Story(lost_image=True),
    "bucket away": Story(bucket_away=2),
    "held while storing, attached": Story(dies_storing=3, decisions=("attach",)),
    "held while storing, given up": Story(dies_storing=3),
    "held while storing, attached, result gone": Story(
        dies_storing=3, decisions=("attach",), queries=(SUCCEEDED, RenderFailed(error=BROKEN))
    ),
    "held while storing, submitted again": Story(dies_storing=3, decisions=("resubmit",)),
    "held while storing, submitted again, refused": Story(
        submits=((ACCEPTED, 1), (REJECTED, 0)), dies_storing=3, decisions=("resubmit",)
    ),
}


class Interruption(Lifespan):
    """Processes in a row, of which one is interrupted just before its effect with this number, counted over all."""

    def __init__(self, number: int, interrupt: Callable[[], None]) -> None:
        super().__init__()
        self._number = number
        self._interrupt = interrupt

    def perform(self, name: str, call: Callable[[], Any]) -> Any:
        if len(self.effects) + 1 == self._number:
            self._interrupt()
        return super().perform(name, call)


@dataclass(slots=True)
class Trial:
    """One job's life by a story, cancelled before one of its effects; `charged` is the provider's own account."""

    chain: Chain
    story: Story
    settings: Settings
    charged: int = 0
    answer: CancelOutcome | None = None
    state_before: JobState | None = None
    _submits: Iterator[tuple[SubmitOutcome, int]] = field(init=False)
    _deaths: int = field(init=False)
    _failures: int = field(init=False)

    def __post_init__(self) -> None:
        work, story = self.chain.work, self.story
        self._submits = iter(story.submits)
        self._queries = iter(story.queries)
        self._deaths, self._failures = story.dies_storing, story.bucket_away
        work.provider.on_submit = self._submit
        work.provider.on_query = self._query
        work.bucket.before = self._write
        if story.lost_image:
            work.web.files[result_urls(2)[1]] = animation("PNG")

    _queries: Iterator[QueryOutcome] = field(init=False)

    def _submit(self) -> SubmitOutcome:
        outcome, charged = next(self._submits, self.story.submits[-1])
        self.charged += charged
        return outcome

    def _query(self, _key: str) -> QueryOutcome:
        return next(self._queries, self.story.queries[-1])

    def _write(self, operation: str, key: str) -> None:
        if operation != "put" or not key.endswith("/1.png"):
            return
        if self._deaths:
            self._deaths -= 1
            raise KilledError("while storing")
        if self._failures:
            self._failures -= 1
            raise StorageUnavailableError("the bucket is away")

    @property
    def job(self) -> Job:
        client = Client(self.settings, store=self.chain.work.store, publisher=self.chain.broker)
        return Job(id=self.chain.job_id, created=False, client=client)

    def run(self, *, cancelled_before: int, keep: bool) -> list[str]:
        """The whole life; returns the effects of its processes."""

        def cancel() -> None:
            self.state_before = self.chain.job.state
            self.answer = self.job.cancel(keep_result=keep)

        life = Interruption(cancelled_before, cancel)
        decisions = iter(self.story.decisions)
        for _ in range(LIVES_MAX):
            try:
                self.chain.live(life)
            except KilledError:
                continue
            if self.chain.job.state is not JobState.NEEDS_ATTENTION:
                return life.effects
            self.job.resolve(next(decisions, "fail"), by="ann", result_key=RESULT_KEY)
        raise AssertionError(f"still not over after {LIVES_MAX} processes")


@pytest.fixture
def town(
    redis_server: RedisServer, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Town]:
    """Chains on the real server, one after the other."""
    monkeypatch.setattr("tasks.services._services", None)
    town = Town(redis_server, settings, tmp_path)
    yield town
    town.client.close()


def assert_true(trial: Trial, where: str, *, keep: bool) -> None:
    """The answer agrees with the provider, with the record as it ended, and with the bucket."""
    job, answer, bucket = trial.chain.job, trial.answer, trial.chain.work.bucket
    stored = {key for key in bucket.objects if key.startswith(f"{job_folder(job.id)}/")}
    assert answer is not None, where
    assert job.state.is_final, where
    if job.charge is not Charge.UNKNOWN:
        assert (job.charge is Charge.CHARGED) == (trial.charged > 0), where
    if answer is CancelOutcome.FREE:
        assert (trial.charged, job.charge, stored) == (0, Charge.NOT_CHARGED, set()), where
    elif answer in CHARGED:
        assert trial.charged > 0, where
        assert job.charge is Charge.CHARGED, where
    images = {output.key for output in job.outputs}
    if answer is CancelOutcome.CHARGED_DISCARDED:
        # Without its manifest nothing is a result: what a failed job left behind waits for a person's retry.
        assert (images, manifest_name(job.id) in stored) == (set(), False), where
    if not keep and job.state is JobState.CANCELLED:
        assert (images, stored) == (set(), set()), where
    assert images <= stored, where
    if answer is CancelOutcome.CHARGED_KEPT and job.state in {JobState.SUCCEEDED, JobState.PARTIAL}:
        assert images, where
    told = [delivery.type for delivery in trial.chain.work.store.deliveries.of_job(job)]
    assert (told.count("job.cancelled") == 1) == (job.state is JobState.CANCELLED), where


@pytest.mark.parametrize("keep", [False, True], ids=["discard", "keep"])
@pytest.mark.parametrize("story", STORIES)
def test_a_cancellation_at_any_moment_says_what_turns_out_to_be_true(
    town: Town, settings: Settings, story: str, *, keep: bool
) -> None:
    """Before each single effect of a job's life, whoever is at work: free, charged and kept, charged and dropped."""
    undisturbed = Trial(town.chain(), STORIES[story], settings)
    effects, end = undisturbed.run(cancelled_before=0, keep=keep), undisturbed.chain.job.state
    first = effects.index("objects.put") + 1 if STORIES[story].dies_storing else 1
    numbers = [number for number in range(first + 1, len(effects) + 1) if effects[number - 2] in MOVES]
    for number in (first, *numbers):
        trial = Trial(town.chain(), STORIES[story], settings)
        trial.run(cancelled_before=number, keep=keep)
        where = f"{story}, cancelled before {effects[number - 1]}, effect {number}, while {trial.state_before}"
        assert_true(trial, f"{where}: {trial.answer}, {trial.chain.job.state}", keep=keep)
    assert trial.chain.job.state is end, "the last one comes after the end"


INTERFERENCES = sorted({(row.situation, row.event) for row in TABLE if not row.event.startswith("cancel")})


@pytest.mark.parametrize("keep", [False, True], ids=["discard", "keep"])
@pytest.mark.parametrize(("situation", "event"), INTERFERENCES)
def test_what_happens_between_the_read_and_the_write_is_not_overlooked(  # noqa: PLR0917  # fixtures
    store: Store,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    situation: str,
    event: str,
    keep: bool,
) -> None:
    """The job moves after it was read: the wish is put to the job as it then is, and the answer is of that one."""
    seen = place(store, SITUATIONS[situation])
    job = Job(id=seen.id, created=False, client=Client(settings, store=store, publisher=RecordingPublisher()))
    load, moves = store.jobs.load, iter([event])

    def load_and_move(job_id: str) -> JobRecord | None:
        found = load(job_id)
        for name in moves:
            assert store.jobs.transition(seen, EVENTS[name])
        return found

    monkeypatch.setattr(store.jobs, "load", load_and_move)
    answer = job.cancel(keep_result=keep)
    after = load(seen.id)
    assert after is not None
    assert after.state.is_final or after.cancel, "the wish is lost"
    assert answer is told_of(after), f"{after.state} {after.charge} {after.cancel}"


def told_of(job: JobRecord) -> CancelOutcome:
    """What is true of a job that has ended, or has a wish on it, in the words of the documentation."""
    if job.charge is Charge.NOT_CHARGED:
        return CancelOutcome.FREE
    is_open = not job.state.is_final and not job.result_key
    if job.charge is Charge.UNKNOWN or (is_open and job.cancel == "keep"):
        return CancelOutcome.UNKNOWN
    kept = bool(job.outputs) if job.state.is_final else job.cancel == "keep"
    return CancelOutcome.CHARGED_KEPT if kept else CancelOutcome.CHARGED_DISCARDED


def outcomes_from(job: JobRecord, depth: int) -> Iterator[JobRecord]:
    """The job, and what any events in a row, up to so many, would make of it."""
    yield job
    if depth == 0 or job.state.is_final:
        return
    for name, event in EVENTS.items():
        if job.state is JobState.STORING and name == "rendering failed":
            continue
        try:
            after = advance(job, event, NOW).after
        except StaleEventError:
            continue
        yield from outcomes_from(after, depth - 1)


@pytest.mark.parametrize("keep", [False, True], ids=["discard", "keep"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_later_event_makes_an_answer_wrong(store: Store, settings: Settings, situation: str, *, keep: bool) -> None:
    """Whatever three events follow a cancellation: free stays free, charged stays charged, dropped leaves no image."""
    seen = place(store, SITUATIONS[situation])
    job = Job(id=seen.id, created=False, client=Client(settings, store=store, publisher=RecordingPublisher()))
    answer = job.cancel(keep_result=keep)
    after = store.jobs.load(seen.id)
    assert after is not None
    for later in outcomes_from(after, 3):
        if answer is CancelOutcome.FREE:
            assert (later.charge, later.submits) == (Charge.NOT_CHARGED, seen.submits)
        elif answer in CHARGED:
            assert later.charge is Charge.CHARGED
        if answer is CancelOutcome.CHARGED_DISCARDED and later.state.is_final:
            assert later.outputs == ()
        assert later.state is not JobState.QUEUED, "what its owner has cancelled is not submitted again"


def test_a_job_that_never_stands_still_is_not_said_to_be_cancelled(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every try comes too late, the caller hears that, and not what the job would have cost."""
    seen = place(store, SITUATIONS["rendering"])
    job = Job(id=seen.id, created=False, client=Client(settings, store=store, publisher=RecordingPublisher()))
    tries: list[Any] = []
    monkeypatch.setattr(store.jobs, "transition", lambda *arguments: tries.append(arguments))
    with pytest.raises(StoreUnavailableError, match="call again"):
        job.cancel()
    assert len(tries) > 1


def test_a_busy_job_is_cancelled_in_the_end(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coming too late once is no answer: the wish is put to the job again."""
    seen = place(store, SITUATIONS["rendering"])
    job = Job(id=seen.id, created=False, client=Client(settings, store=store, publisher=RecordingPublisher()))
    transition, misses = store.jobs.transition, iter(range(3))
    monkeypatch.setattr(
        store.jobs, "transition", lambda *arguments: None if next(misses, None) is not None else transition(*arguments)
    )
    assert job.cancel() is CancelOutcome.CHARGED_DISCARDED
    assert job.snapshot().state is JobState.CANCELLED
