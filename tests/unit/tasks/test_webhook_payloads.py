"""The bodies of webhooks, as the receiver of a real job's events gets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

# jsonschema ships no types, and its stubs are not among the tools of this project.
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sceneshift.jobs.events import CancelRequested
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import (
    ErrorKind,
    OutcomeUnknown,
    Pending,
    ProviderError,
    Refused,
    RenderFailed,
    Succeeded,
)
from sceneshift.snapshots import result_of, snapshot_of
from sceneshift.webhook_bodies import webhook_body
from sceneshift.webhooks import API_VERSION, EVENT_TYPES, verify
from tests.factories import an_order
from tests.unit.storage.pictures import animation
from tests.unit.tasks.ports import result_urls
from tests.unit.tasks.workshop import Workshop
from tests.unit.test_webhook_compatibility import old_schema
from tests.webhook_material import SECRET

SCHEMAS = resources.files("sceneshift.webhooks") / "schemas" / API_VERSION
RUNNING = Pending(provider_status="RUNNING")


def succeeded(work: Workshop) -> str:
    job = work.storing()
    work.wake(job.id)
    return job.id


def partial(work: Workshop) -> str:
    work.web.files[result_urls(2)[1]] = animation("PNG")
    return succeeded(work)


def late(work: Workshop) -> str:
    job_id = overdue(work)
    work.provider.on_query = lambda _key: Succeeded(urls=result_urls(2))
    work.wake(job_id)
    work.wake(job_id)
    return job_id


def refused(work: Workshop) -> str:
    error = ProviderError(kind=ErrorKind.CONTENT_REJECTED, message="not allowed", request_id="REQ-9")
    work.provider.on_submit = lambda: Refused(error=error)
    return work.rendering().id


def without_images(work: Workshop) -> str:
    work.web.files = dict.fromkeys(result_urls(2), animation("PNG"))
    return succeeded(work)


def held(work: Workshop) -> str:
    work.provider.on_submit = lambda: OutcomeUnknown(reason="read timeout")
    return work.rendering().id


def overdue(work: Workshop) -> str:
    job = work.rendering()
    work.clock.advance(1801.0)
    work.provider.on_query = lambda _key: RUNNING
    work.wake(job.id)
    return job.id


def cancelled_free(work: Workshop) -> str:
    job = work.accept()
    work.store.jobs.transition(job, CancelRequested(keep_result=False))
    return job.id


def cancelled_kept(work: Workshop) -> str:
    job = work.storing()
    work.store.jobs.transition(job, CancelRequested(keep_result=True))
    work.wake(job.id)
    return job.id


ENDS: list[tuple[Callable[[Workshop], str], str, str, int]] = [
    (succeeded, "job.completed", "succeeded", 2),
    (partial, "job.completed", "partial", 1),
    (late, "job.completed", "succeeded", 2),
    (refused, "job.failed", "failed", 0),
    (without_images, "job.failed", "failed", 0),
    (held, "job.needs_attention", "needs_attention", 0),
    (overdue, "job.overdue", "rendering", 0),
    (cancelled_free, "job.cancelled", "cancelled", 0),
    (cancelled_kept, "job.cancelled", "cancelled", 2),
]


@pytest.fixture(autouse=True)
def signing(work: Workshop) -> None:
    """The workshop signs with the secret that these tests verify with."""
    work.use(settings=work.services.settings.model_validate({"webhook_secret": SECRET}))


def sent(work: Workshop, job_id: str) -> dict[str, Any]:
    """The body of the job's latest webhook, verified by its receiver and by its published schema."""
    assert work.deliver(job_id)["status"] == "delivered"
    post = work.web.posts[-1]
    assert verify(post.body, post.headers, SECRET, now=work.clock.now()).type in EVENT_TYPES
    body: dict[str, Any] = json.loads(post.body)
    schema = json.loads((SCHEMAS / f"{body['type']}.json").read_text(encoding="utf-8"))
    for each in (schema, old_schema(body["type"])):
        Draft202012Validator(each).validate(body)
    return body


@pytest.mark.parametrize(("end", "event", "state", "images"), ENDS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_event_of_a_job_is_what_its_schema_says(
    work: Workshop, end: Callable[[Workshop], str], event: str, state: str, images: int
) -> None:
    """Type, state and images are those of the event, and the receiver's own `verify` reads it."""
    job_id = end(work)
    body = sent(work, job_id)
    data = body["data"]
    assert (body["type"], data["state"], len(data["outputs"])) == (event, state, images)
    assert (data["job_id"], data["sku"], data["requested"]) == (job_id, "PERF-050", 2)
    assert bool(data["error"]) == (event in {"job.failed", "job.needs_attention"})
    assert data["sequence"] == work.job(job_id).sequence


def test_every_event_type_of_a_job_is_among_them() -> None:
    """No event type is left unproved."""
    assert {event for _, event, _, _ in ENDS} == {name for name in EVENT_TYPES if name.startswith("job.")}


def test_an_output_says_where_it_is_and_until_when(work: Workshop) -> None:
    """Its place in the bucket, a link of its own with an end, and the hash and size of the stored bytes."""
    job_id = succeeded(work)
    outputs = sent(work, job_id)["data"]["outputs"]
    for number, (output, stored) in enumerate(zip(outputs, work.job(job_id).outputs, strict=True)):
        assert output == {
            "index": number,
            "key": stored.key,
            "s3_uri": f"s3://shots/{stored.key}",
            "url": f"https://shots.example/{stored.key}?signature={number + 1}",
            "url_expires_at": "2026-11-24T00:00:00Z",
            "sha256": stored.sha256,
            "content_type": "image/png",
            "width": 64,
            "height": 48,
            "size_bytes": stored.size_bytes,
        }


def test_an_event_that_arrives_late_is_still_that_event(work: Workshop) -> None:
    """What a job needed attention for is told as it was, even when the job has succeeded in the meantime."""
    job_id = overdue(work)
    delivery = work.delivery(job_id)
    work.provider.on_query = lambda _key: Succeeded(urls=result_urls(2))
    work.wake(job_id)
    work.wake(job_id)
    work.hand_out(delivery.id, delivery.step, job_id=job_id, parent_step="")
    body = json.loads(work.web.posts[-1].body)
    assert (body["type"], body["data"]["state"], body["data"]["outputs"]) == ("job.overdue", "rendering", [])
    assert (body["data"]["sequence"], body["timestamp"]) == (1, "2026-11-23T00:30:01.000Z")


def late_failed(work: Workshop) -> str:
    job_id = overdue(work)
    work.provider.on_query = lambda _key: RenderFailed(
        error=ProviderError(kind=ErrorKind.EXECUTION_FAILED, message="out of memory")
    )
    work.wake(job_id)
    return job_id


def late_cancelled(work: Workshop) -> str:
    job_id = overdue(work)
    work.store.jobs.transition(work.job(job_id), CancelRequested(keep_result=False))
    return job_id


@pytest.mark.parametrize(
    ("end", "is_late"),
    [
        (late, True),
        (late_failed, True),
        (late_cancelled, True),
        (succeeded, False),
        (refused, False),
        (cancelled_free, False),
        (overdue, False),
        (held, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_end_after_the_deadline_of_an_overdue_job_says_that_it_is_late(
    work: Workshop, end: Callable[[Workshop], str], *, is_late: bool
) -> None:
    """A shop may have stopped waiting: each end says so, and what is no end, or in time, does not."""
    job_id = end(work)
    assert sent(work, job_id)["data"]["late"] is is_late
    assert snapshot_of(work.job(job_id)).late is is_late


def test_an_end_before_the_deadline_is_not_late(work: Workshop) -> None:
    """Having been reported as overdue is not enough: the moment of the end is compared with the deadline."""
    job_id = overdue(work)
    work.store.client.hset(work.store.keys.job(job_id), "deadline_at", f"{work.clock.now() + 60.0:.3f}")
    work.provider.on_query = lambda _key: Succeeded(urls=result_urls(2))
    work.wake(job_id)
    work.wake(job_id)
    assert sent(work, job_id)["data"]["late"] is False


def test_a_late_end_stays_late_however_long_its_webhook_takes(work: Workshop) -> None:
    """It is the event that was late, also when it is told after the job has gone another way."""
    job_id = late_failed(work)
    delivery = work.delivery(job_id)
    assert JobState(delivery.state) is JobState.FAILED
    job = work.job(job_id).evolve(state=JobState.RENDERING, finished_at=None)
    body = json.loads(webhook_body(delivery, job, work.bucket, link_lifetime_seconds=60.0))
    assert (body["data"]["late"], snapshot_of(job).late) == (True, False)


def test_a_result_says_that_it_is_late(work: Workshop) -> None:
    """Whoever waited for it hears it like the receiver of the webhook."""
    job = work.job(late(work))
    assert result_of(job).late is True
    assert result_of(job.evolve(overdue=False)).late is False


def test_money_that_came_back_is_not_a_new_word_for_receivers(work: Workshop) -> None:
    """A refund is noted after the event, and the three words that receivers know do not become four."""
    job_id = refused(work)
    job = work.job(job_id).evolve(charge=Charge.REFUNDED_BY_HAND)
    body = json.loads(webhook_body(work.delivery(job_id), job, work.bucket, link_lifetime_seconds=60.0))
    assert body["data"]["charge"] == "charged"
    Draft202012Validator(old_schema("job.failed")).validate(body)


def test_a_source_is_named_without_what_signs_it(work: Workshop) -> None:
    """A webhook is logged by whoever gets it: the query of a presigned address is left out."""
    signed = "https://shop.example/perfume.jpg?X-Amz-Signature=secret"
    job = work.storing(order=an_order(num_output=2, image=signed, mask=signed))
    work.wake(job.id)
    body = sent(work, job.id)
    assert body["data"]["source"] == {"image": "https://shop.example/perfume.jpg"}
    assert "secret" not in json.dumps(body)


@pytest.mark.parametrize("character", ["m", "é", "袖"], ids=["ASCII", "Latin", "Chinese"])
def test_the_largest_webhook_is_under_20_kilobytes(work: Workshop, character: str) -> None:
    """Four images with the long links of temporary credentials, and all that an order may carry, in any language."""
    work.bucket.session_token = "&token=" + "t" * 1000
    metadata = {f"{number:040d}": character * (512 // len(character.encode())) for number in range(16)}
    image = "https://shop.example/" + "p" * 2000
    order = an_order(num_output=4, metadata=metadata, image=image, sku=character * 64, idempotency_key=character * 255)
    work.provider.on_query = lambda _key: Succeeded(urls=result_urls(4))
    job = work.storing(order=order)
    work.wake(job.id)
    assert len(sent(work, job.id)["data"]["outputs"]) == 4
    assert len(work.web.posts[-1].body) < 20_000
