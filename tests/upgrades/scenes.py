"""The scenes of a corpus: between them, every kind of key, field and word that this release can leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sceneshift.jobs.endpoints import Endpoint
from sceneshift.jobs.events import CancelRequested, SubmissionAccepted
from sceneshift.jobs.intents import Merged
from sceneshift.jobs.lanes import EndpointWarning
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.jobs.system_events import trial_event
from sceneshift.provider.protocol import (
    ErrorKind,
    ProviderError,
    QueryFailed,
)
from sceneshift.store.bad_messages import BadMessage, Reason
from sceneshift.store.due import DueStep
from tasks.endpoint_warnings import announce
from tests.factories import a_job, an_order
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import RESULT_KEY
from tests.upgrades.scenes_of_endpoints import endpoints
from tests.upgrades.scenes_of_jobs import (
    LOST,
    NO_CREDITS,
    a_refusal,
    ended,
    happens,
    held,
    queued,
    rendering,
    storing,
    submitting,
)
from tests.upgrades.stage import Stage


def _outage(stage: Stage) -> None:
    """The breaker is open: jobs are parked by a step and by the timekeeper, and limits were set by hand."""
    stage.store.client.hset(stage.store.keys.limits, mapping={"submit_rate": "2", "submit_rate:by": "ann 1795392000"})
    stage.answering(lambda: a_refusal(ErrorKind.THROTTLED, retry_after_seconds=20.0), stage.order(JobState.SUCCEEDED))
    stage.clock.advance(20.5)
    empty = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: NO_CREDITS, empty)
    met = stage.order(JobState.SUCCEEDED)
    stage.wake(met.id)
    for _ in range(2):
        stage.order(JobState.SUCCEEDED)
    stage.tick(21.0)
    assert any(stage.store.client.hexists(stage.store.keys.job(job_id), "parked") for job_id in stage.ends)
    stranger = DueStep(
        subject_id="job_" + "0" * 26,
        step="verify-1",
        sku="",
        parent_step="",
        job_id="",
        waiting=False,
        claimed_until="0",
    )
    stage.store.due.put_off_unknown([(stranger, 5.0)])


def _slots(stage: Stage) -> None:
    """One slot: a lost submission has it, and two jobs wait for it."""
    lost = stage.order(JobState.NEEDS_ATTENTION)
    stage.answering(lambda: LOST, lost)
    stage.store.client.delete(stage.store.keys.breaker)
    for _ in range(2):
        stage.wake(stage.order(JobState.SUCCEEDED).id)


def _rate(stage: Stage) -> None:
    """Questions are rationed and lowered, urgent jobs have moments of their own, and bulk jobs wait behind them."""
    stage.provider.on_query = lambda _key: QueryFailed(
        error=ProviderError(kind=ErrorKind.THROTTLED, message="slow down", retry_after_seconds=5.0)
    )
    for _ in range(2):
        stage.wake(stage.order(JobState.SUCCEEDED).id)
        stage.clock.advance(5.0)
    stage.wake(next(iter(stage.ends)))
    stage.tick(120.0)
    assert "query_rate" in [stage.job(job_id).blocked_by for job_id in stage.ends]
    for _ in range(4):
        stage.wake(stage.order(JobState.SUCCEEDED).id)
    assert stage.job(next(reversed(stage.ends))).blocked_by == "submit_rate"
    for _ in range(2):
        job = a_job(order=an_order(num_output=2, lane="bulk"), created_at=stage.clock.now())
        stage.store.jobs.accept(job, publish=False)
        stage.expect(job, JobState.SUCCEEDED)
    stage.tick(0.1)


def _policy_fail(stage: Stage) -> None:
    """Lost answers end the job; one came after that."""
    stage.answering(lambda: LOST, stage.order(JobState.FAILED))
    late = stage.answering(lambda: LOST, stage.order(JobState.FAILED))
    happens(stage, late, SubmissionAccepted(result_key=RESULT_KEY, request_id="REQ-4", first_poll_in_seconds=4.0))


def _policy_resubmit(stage: Stage) -> None:
    """A lost answer has the job submitted again, and one job has had that once."""
    for times in (1, 2):
        job = stage.order(JobState.NEEDS_ATTENTION if times == 2 else JobState.SUCCEEDED)
        for _ in range(times):
            stage.clock.advance(60.0)
            stage.answering(lambda: LOST, job)
    stage.store.client.delete(stage.store.keys.breaker)


def _policy_probe(stage: Stage) -> None:
    """A lost answer is to be asked about again, with its own nonce, and one was once."""
    stage.answering(lambda: LOST, stage.order(JobState.NEEDS_ATTENTION))
    asked = stage.answering(lambda: LOST, stage.order(JobState.NEEDS_ATTENTION))
    stage.clock.advance(stage.due_in(asked.id))
    stage.answering(lambda: LOST, asked)
    stage.store.client.delete(stage.store.keys.breaker)


def _recovery(stage: Stage) -> None:
    """The job store has forgotten a submission, the bucket has it, and a job waits until that is merged."""
    stage.keeper.look()
    stage.store.recovery.begin("a copy was restored", by="ann")
    stage.store.recovery.note_merge(Merged(intents=2, held=1))
    stage.store.recovery.end(by="ann", note="nothing was lost")
    stage.keeper.look()
    forgotten = stage.order(JobState.NEEDS_ATTENTION)
    known = stage.store.client.hgetall(stage.store.keys.job(forgotten.id))
    stage.wake(forgotten.id)
    done = stage.order(JobState.SUCCEEDED)
    stage.wake(done.id)
    _forget(stage, forgotten, known)
    stage.store.recovery.begin("the job store has forgotten 1 submission that it had confirmed")
    stage.store.recovery.claim(120.0)
    stage.store.recovery.note_merge(Merged(intents=1, unclaimed=1))
    stage.wake(stage.order(JobState.SUCCEEDED).id)
    wanted_no_more = stage.order(JobState.CANCELLED)
    happens(stage, wanted_no_more, CancelRequested(keep_result=False, notes_only=True))


def _forget(stage: Stage, job: JobRecord, fields: Any) -> None:
    client, keys = stage.store.client, stage.store.keys
    client.delete(keys.job(job.id))
    client.hset(keys.job(job.id), mapping=fields)
    client.zrem(keys.jobs(JobState.RENDERING), job.id)
    client.zadd(keys.jobs(JobState.QUEUED), {job.id: stage.clock.now()})
    client.zadd(keys.due, {job.id: stage.clock.now()})


def _spooled(stage: Stage) -> None:
    """A worker was killed between the provider's answer and the job store: the key is in its spool."""
    job = stage.order(JobState.SUCCEEDED)
    transition = stage.store.jobs.transition

    def dying(job: JobRecord, event: Any, **options: Any) -> Any:
        if type(event).__name__ == "SubmissionAccepted":
            raise KilledError("before the store heard of it")
        return transition(job, event, **options)

    stage.store.jobs.transition = dying  # type: ignore[method-assign]
    stage.answering(stage.accepts, job)
    assert stage.store.jobs.is_on_disk()
    stage.store.jobs.transition = transition  # type: ignore[method-assign]


def _stranger(stage: Stage) -> None:
    """Somebody wrote into a queue what is no message of ours."""
    stage.store.bad_messages.note(
        BadMessage(queue="sceneshift.poll", reason=Reason.UNREADABLE, size_bytes=11, beginning="hello world")
    )


Play = Callable[[Stage], None]


def _named_endpoints(stage: Stage) -> None:
    """Events for two named endpoints and for a job's own URL wait; one was told of the other, and one is tried."""
    now = stage.clock.now()
    shop = Endpoint(
        id="ep_0000000001",
        name="shop",
        url="https://shop.example/hook",
        events=("job.*",),
        created_at=now,
        ed25519=False,
    )
    pager = Endpoint(
        id="ep_0000000002", name="pager", url="https://pager.example/hook", events=("*",), created_at=now, ed25519=False
    )
    for endpoint in (shop, pager):
        stage.store.endpoints.add(endpoint)
    stage.store.endpoints.update("shop", lambda seen: seen.rotated(now, 86_400.0))
    for url in (None, "https://shop.example/own"):
        job = stage.order(JobState.SUCCEEDED, order={"webhook_url": url})
        for _ in range(3):
            stage.wake(job.id)
    stage.store.deliveries.tell(trial_event(shop, now), shop.id)
    for percent in (50, 100):
        announce(
            stage.services,
            EndpointWarning(
                lane_id=shop.id,
                name="shop",
                url="https://shop.example/hook",
                percent=percent,
                failing_since=now - 3600.0,
                disables_at=now + 3600.0,
                last_status="503",
            ),
        )


SCENES: dict[str, tuple[dict[str, Any], Play]] = {
    "queued": ({}, queued),
    "submitting": ({}, submitting),
    "held": ({}, held),
    "rendering": ({}, rendering),
    "storing": ({}, storing),
    "ended": ({}, ended),
    "outage": ({}, _outage),
    "slots": ({"max_in_flight": 1}, _slots),
    "rate": ({"submit_rate": 0.5, "query_rate": 1.0}, _rate),
    "policy_fail": ({"unknown_outcome": "fail"}, _policy_fail),
    "policy_resubmit": ({"unknown_outcome": "resubmit(1, 20)"}, _policy_resubmit),
    "policy_probe": ({"unknown_outcome": "probe", "nonce_contract": "verified"}, _policy_probe),
    "recovery": ({"intent_log": "storage"}, _recovery),
    "spooled": ({"intent_log": "storage"}, _spooled),
    "stranger": ({}, _stranger),
    "endpoints": ({}, endpoints),
    "named_endpoints": (
        {"webhook_endpoint_key": "whsec_" + "ZW5kcG9pbnQta2V5LWZvci11bml0LXRlc3RzLW9ubHk="},
        _named_endpoints,
    ),
}
"""By name: the settings, and what has happened."""
