"""Scenes of webhooks: endpoints that are down, want no more, catch up, or are just being called."""

from __future__ import annotations

from contextlib import suppress

from sceneshift.fetch_errors import FetchBlockedError
from sceneshift.guarded_http import Answer
from sceneshift.jobs.lanes import lane_of_url
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.due import DueStep
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import Post, answer
from tests.upgrades.stage import Stage
from workers.timekeeper import WEBHOOKS_BATCH_FROM, messages_for

DAY = 86_400.0


def endpoints(stage: Stage) -> None:
    """One of each kind, some with events that wait, and a batch of webhooks that nobody has taken yet."""
    for _ in range(3):
        _answered(stage, _event(stage, "down"), answer(500))
    _answered(stage, _event(stage, "down"), answer(500))
    stage.clock.advance(2.6 * DAY)
    assert stage.store.lanes.take_look(apart_seconds=60.0)
    (warning,) = stage.store.lanes.look(_lane("down"))
    stage.store.lanes.note_warning(warning)
    _answered(stage, _event(stage, "aborting"), answer(422, webhook_delivery="abort"))
    _answered(stage, _event(stage, "forbidden"), FetchBlockedError(reason="private"))
    _answered(stage, _event(stage, "gone"), answer(410))
    _answered(stage, _event(stage, "gone"), answer(204))
    back = _event(stage, "back")
    _answered(stage, back, answer(410))
    stage.store.lanes.enable(_lane("back"))
    _answered(stage, back, answer(500))
    stage.clock.advance(0.01)
    _answered(stage, _event(stage, "back"), answer(500))
    _answered(stage, _event(stage, "back"), answer(204))
    stage.store.lanes.disable(_lane("unwanted"), url=_url("unwanted"))
    _answered(stage, _event(stage, "unwanted"), answer(204))
    _killed(stage, _event(stage, "fatal"))
    _answered(stage, _event(stage, "fatal"), answer(204))
    due = [_due(stage, _event(stage, "waiting"))]
    handed_out = stage.store.due.hand_out(due) * WEBHOOKS_BATCH_FROM
    stage.publisher.publish(messages_for("sceneshift.notify", handed_out))


def _url(host: str) -> str:
    return f"https://{host}.example/hooks"


def _lane(host: str) -> str:
    return lane_of_url(_url(host))


def _event(stage: Stage, host: str) -> JobRecord:
    """A job has succeeded, and its webhook goes to that host."""
    job = stage.order(JobState.SUCCEEDED, order={"webhook_url": _url(host)})
    for _ in range(3):
        stage.wake(job.id)
    return stage.job(job.id)


def _answered(stage: Stage, job: JobRecord, reply: Answer | FetchBlockedError) -> None:
    """The job's webhook was attempted, if its lane lets it, and answered so."""

    def react(_post: Post) -> Answer:
        if isinstance(reply, FetchBlockedError):
            raise reply
        return reply

    stage.web.on_post = react
    stage.deliver(job.id)
    stage.clock.advance(0.2)


def _killed(stage: Stage, job: JobRecord) -> None:
    """The worker died while it called."""

    def die(_post: Post) -> Answer:
        raise KilledError

    stage.web.on_post = die
    with suppress(KilledError):
        stage.deliver(job.id)


def _due(stage: Stage, job: JobRecord) -> DueStep:
    delivery = stage.delivery(job.id)
    return DueStep(
        subject_id=delivery.id, step=delivery.step, sku=delivery.sku, parent_step="", job_id=job.id, waiting=False
    )
