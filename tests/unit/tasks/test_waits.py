"""Each gate that a step meets: `explain` names it, and a time within a second of when the job goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sceneshift.cli.explained import Next, what_next
from sceneshift.fetch_errors import FetchTimeoutError
from sceneshift.jobs.events import RenderingFailed
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.messages import message_for_due
from sceneshift.provider.protocol import ErrorKind, NotSent, OutcomeUnknown, ProviderError, QueryFailed, Refused
from sceneshift.store.jobs import JobStore
from sceneshift.store.permits import Limits, Permits
from sceneshift.store.scripts import Script
from storage.objects import StorageUnavailableError
from tests.unit.tasks.workshop import Workshop

TOLERANCE_SECONDS = 1.0

Gate = Callable[[Workshop], tuple[JobRecord, Callable[[], None]]]
"""Stops a job; returns it, and what opens the gate."""


def nothing() -> None:
    """The gate opens by itself, with time."""


def configured(work: Workshop, **settings: Any) -> None:
    changed = work.services.settings.model_copy(update=settings)
    work.use(settings=changed, policy=Policy.from_settings(changed))


def limited(work: Workshop, limits: Limits) -> None:
    store = replace(work.store, permits=Permits(work.store.client, work.store.keys, work.clock, limits))
    work.use(store=store)


def refused_with(kind: ErrorKind) -> Gate:
    """The provider refuses the submission for this reason, once."""

    def gate(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
        accept = work.provider.on_submit
        work.provider.on_submit = lambda: Refused(error=ProviderError(kind=kind, message="no"))
        job = work.accept()
        work.wake(job.id)
        return job, lambda: setattr(work.provider, "on_submit", accept)

    return gate


def no_connection(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The provider cannot be reached."""
    accept = work.provider.on_submit
    work.provider.on_submit = lambda: NotSent(reason="connect")
    job = work.accept()
    work.wake(job.id)
    return job, lambda: setattr(work.provider, "on_submit", accept)


def a_lost_answer(policy: str) -> Gate:
    """The policy has the request sent again."""

    def gate(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
        configured(work, unknown_outcome=policy, nonce_contract="verified")
        accept = work.provider.on_submit
        work.provider.on_submit = lambda: OutcomeUnknown(reason="read timeout")
        job = work.accept()
        work.wake(job.id)
        return job, lambda: setattr(work.provider, "on_submit", accept)

    return gate


def our_own_rate(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The third of three jobs, at one submission in seven seconds."""
    limited(work, Limits(submit_rate=1 / 7))
    jobs = [work.accept() for _ in range(3)]
    for job in jobs:
        work.wake(job.id)
    return jobs[-1], nothing


def no_slot(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The provider is at as many jobs as it may be."""
    limited(work, Limits(max_in_flight=1))
    at_work, job = work.rendering(), work.accept()
    work.wake(job.id)

    def free() -> None:
        fault = JobFault(code="execution_failed", message="no")
        assert work.store.jobs.transition(at_work, RenderingFailed(fault=fault))

    return job, free


def recovery_mode(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The job store has lost recent writes."""
    work.store.recovery.begin("it was restored from a copy")
    job = work.accept()
    work.wake(job.id)

    def end() -> None:
        assert work.store.recovery.end(by="ann", note="merged") == "ended"

    return job, end


def no_intent_in_the_bucket(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The intent log is in the bucket, which takes nothing."""
    configured(work, intent_log="storage")
    job = work.accept()
    opens = shut_bucket(work)
    work.wake(job.id)
    return job, opens


def shut_bucket(work: Workshop) -> Callable[[], None]:
    """The bucket refuses every write until what is returned is called."""

    def refuse(operation: str, _key: str) -> None:
        if operation == "put":
            raise StorageUnavailableError("503")

    work.bucket.before = refuse
    return lambda: setattr(work.bucket, "before", lambda _operation, _key: None)


class StuckDisk:
    """A server's disk that confirms nothing, until it is mended."""

    def __init__(self) -> None:
        self.is_stuck = True

    def call(self, script: Script, keys: Sequence[str], args: Sequence[str | float]) -> tuple[Any, bool | None]:
        return script(keys=keys, args=args), not self.is_stuck


def a_stuck_disk(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The job store does not confirm the intent."""
    job, disk, store = work.accept(), StuckDisk(), work.store
    jobs = JobStore(
        store.client,
        store.keys,
        work.clock,
        lease_seconds=store.due.lease_seconds,
        retention_seconds=work.services.settings.job_retention_seconds,
        disk=disk,
    )
    work.use(store=replace(store, jobs=jobs))
    work.wake(job.id)
    return job, lambda: setattr(disk, "is_stuck", False)


def a_bad_source(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The shop's server is slow."""
    job = work.accept()
    work.web.sources[job.order.image] = FetchTimeoutError("too slow")
    work.wake(job.id)
    return job, work.web.sources.clear


def an_odd_verdict(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The provider says something grave about the job."""
    job, answer = work.rendering(), work.provider.on_query
    error = ProviderError(kind=ErrorKind.EXECUTION_FAILED, message="no")
    work.provider.on_query = lambda _key: QueryFailed(error=error)
    work.wake(job.id)
    return job, lambda: setattr(work.provider, "on_query", answer)


def an_unanswered_question(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The provider is busy, and asks for patience."""
    job, answer = work.rendering(), work.provider.on_query
    error = ProviderError(kind=ErrorKind.THROTTLED, message="no", retry_after_seconds=42.0)
    work.provider.on_query = lambda _key: QueryFailed(error=error)
    work.wake(job.id)
    return job, lambda: setattr(work.provider, "on_query", answer)


def a_bucket_that_takes_no_image(work: Workshop) -> tuple[JobRecord, Callable[[], None]]:
    """The result cannot be stored."""
    job = work.storing()
    opens = shut_bucket(work)
    work.wake(job.id)
    return job, opens


GATES: dict[str, tuple[Gate, str]] = {
    "throttled": (refused_with(ErrorKind.THROTTLED), "provider_throttled"),
    "no credits": (refused_with(ErrorKind.CREDITS_EXHAUSTED), "provider_credits"),
    "unauthorized": (refused_with(ErrorKind.UNAUTHORIZED), "provider_authorization"),
    "misconfigured": (refused_with(ErrorKind.MISCONFIGURED), "provider_configuration"),
    "away": (refused_with(ErrorKind.TRANSIENT), "provider_unavailable"),
    "no connection": (no_connection, "provider_unreachable"),
    "probe": (a_lost_answer("probe"), "unknown_outcome"),
    "resubmit": (a_lost_answer("resubmit(1, 100)"), "unknown_outcome"),
    "our own rate": (our_own_rate, "submit_rate"),
    "no slot": (no_slot, "in_flight"),
    "recovery": (recovery_mode, "recovery"),
    "no intent in the bucket": (no_intent_in_the_bucket, "intent_log"),
    "a stuck disk": (a_stuck_disk, "job_store_disk"),
    "a bad source": (a_bad_source, "source_timeout"),
    "an odd verdict": (an_odd_verdict, "provider_verdict"),
    "an unanswered question": (an_unanswered_question, "provider_throttled"),
    "a bucket that takes no image": (a_bucket_that_takes_no_image, "storage_unavailable"),
}


def explained(work: Workshop, job_id: str) -> Next:
    """What `sceneshift jobs explain` says of the job now."""
    return what_next(work.job(job_id), work.due_at(job_id), work.clock.now(), lambda _queue: None)


def run_due(work: Workshop) -> set[str]:
    """What is due was handed out and done; returns the jobs of it."""
    ready = work.store.due.hand_out(work.store.due.claim(100))
    for step in ready:
        work.run(message_for_due(step))
    return {step.job_id for step in ready}


@pytest.mark.parametrize("name", GATES)
def test_a_job_that_was_stopped_says_by_what_and_when_it_goes_on(work: Workshop, name: str) -> None:
    """A second before that time nothing happens to it; a second after it, with the gate open, it has gone on."""
    gate, word = GATES[name]
    job, opens = gate(work)
    said, stopped = explained(work, job.id), work.job(job.id)
    assert (said.blocked_by, stopped.blocked_by) == (word, word)
    assert said.at is not None
    assert said.until == pytest.approx(said.at, abs=TOLERANCE_SECONDS)
    work.clock.advance(said.at - TOLERANCE_SECONDS - 0.01 - work.clock.now())
    assert job.id not in run_due(work)
    opens()
    work.clock.advance(2 * TOLERANCE_SECONDS)
    assert job.id in run_due(work)
    after = work.job(job.id)
    assert after.revision > stopped.revision
    assert after.blocked_by != word
