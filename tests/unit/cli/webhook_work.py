"""Webhooks in every condition, for the commands that look at them and send them once more."""

from __future__ import annotations

from typing import Any

from sceneshift.fetch_errors import FetchBlockedError
from sceneshift.guarded_http import Answer
from sceneshift.jobs.endpoints import Endpoint, new_endpoint
from sceneshift.jobs.lanes import lane_of_url
from sceneshift.jobs.record import JobRecord
from sceneshift.store.resending import resend
from tests.factories import WEBHOOK_URL
from tests.unit.tasks.ports import Post, answer
from tests.unit.tasks.workshop import Workshop

LANE = lane_of_url(WEBHOOK_URL)


def finished(work: Workshop, **values: Any) -> JobRecord:
    """A job that has succeeded, with a webhook that is due."""
    job = work.storing(**values)
    work.wake(job.id)
    return work.job(job.id)


def given_up(work: Workshop, **values: Any) -> JobRecord:
    """A job whose webhook was given up, because its URL is not allowed."""

    def refuse(_post: Post) -> Answer:
        raise FetchBlockedError("shop.example: not allowed")

    job = finished(work, **values)
    work.web.on_post = refuse
    assert work.deliver(job.id)["status"] == "exhausted"
    work.web.on_post = lambda _post: answer(204)
    return job


def sent_again(work: Workshop, job: JobRecord) -> str:
    """What becomes of the job's latest webhook when it is sent once more."""
    [(_, outcome)] = resend(work.store, [work.delivery(job.id)])
    return outcome


def add_endpoint(work: Workshop, name: str, *events: str) -> Endpoint:
    """An operator has added this endpoint."""
    endpoint = new_endpoint(
        name=name,
        url=f"https://{name}.example/hooks",
        events=events,
        now=work.clock.now(),
        ed25519=False,
        allow_hosts=(),
    )
    work.store.endpoints.add(endpoint)
    return endpoint
