"""The look at the sources: what the provider would refuse costs nothing, and what it would take is never held up.

Real servers, the real client and the real task; only the provider and the clock are a test's own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sceneshift.fetch_errors import FetchStatusError
from sceneshift.guarded_http import GuardedClient
from sceneshift.identifiers import submission_nonce
from sceneshift.jobs.events import CancelRequested
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from storage.source_images import HEAD_MAX_BYTES
from tests.factories import an_order
from tests.loopback import answer
from tests.unit.storage.source_pictures import saved
from tests.unit.tasks.bad_sources import BAD_SOURCES, Bad, photo, those_that
from tests.unit.tasks.good_sources import GOOD_SOURCES, Good
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import RESULT_KEY, FakeWeb
from tests.unit.tasks.source_server import SourceServer, source_server
from tests.unit.tasks.workshop import Workshop

IMPATIENT_SECONDS = 0.3
BUSY = FetchStatusError("shop.example answered with status 503", status=503)


@pytest.fixture
def site() -> Iterator[tuple[SourceServer, GuardedClient]]:
    """A server of sources, and the client that the worker has."""
    with source_server() as running:
        yield running


def change_settings(work: Workshop, **values: Any) -> None:
    work.use(settings=work.services.settings.model_copy(update=values))


def submitted(work: Workshop, site: tuple[SourceServer, GuardedClient], pair: Bad | Good) -> JobRecord:
    """The job that orders this pair, after its first step."""
    server, client = site
    server.pages = {"image": pair.image, "mask": pair.mask}
    image = server.url("image")
    if isinstance(pair, Bad):
        image = pair.url.format(port=server.port) or image
        if pair.code == "source_timeout":
            change_settings(work, source_timeout_seconds=IMPATIENT_SECONDS)
    work.use(fetcher=client)
    job = work.accept(order=an_order(num_output=2, image=image, mask=server.url("mask")))
    work.wake(job.id)
    return work.job(job.id)


@pytest.mark.parametrize("bad", those_that("fails"), ids=lambda bad: bad.name)
def test_a_bad_source_ends_the_job_before_it_costs(
    work: Workshop, site: tuple[SourceServer, GuardedClient], bad: Bad
) -> None:
    """Its code says what is wrong, nothing was charged, and the provider never heard of it."""
    job = submitted(work, site, bad)
    assert job.error is not None
    assert (job.state, job.error.code, job.charge) == (JobState.FAILED, bad.code, Charge.NOT_CHARGED)
    assert (work.provider.submissions, job.submits) == ([], 0)
    assert work.delivery(job.id).type == "job.failed"
    assert job.error.message.startswith(f"{bad.param}: ")
    assert "canary" not in job.error.message


@pytest.mark.parametrize("bad", those_that("waits"), ids=lambda bad: bad.name)
def test_a_source_that_may_come_back_is_waited_for(
    work: Workshop, site: tuple[SourceServer, GuardedClient], bad: Bad
) -> None:
    """The job says what it waits for and until when; mended, it goes on under the same nonce as if nothing had been."""
    job = submitted(work, site, bad)
    assert (job.state, job.blocked_by, job.charge) == (JobState.QUEUED, bad.code, Charge.NOT_CHARGED)
    assert job.blocked_until == pytest.approx(work.due_at(job.id))
    assert work.due_in(job.id) == pytest.approx(20.0, rel=0.21)
    assert (work.provider.submissions, job.strikes) == ([], 1)
    message = work.store.timeline.read(job.id)[-1]["message"]
    assert message.startswith(f"{bad.param}: ")
    assert "canary" not in message
    work.use(fetcher=FakeWeb())
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.strikes, after.blocked_by) == (JobState.RENDERING, 0, "")
    assert work.provider.nonces == [submission_nonce(job.id, 1)]


def test_the_corpus_is_as_large_as_it_says() -> None:
    """At least 45 bad pairs, each under a name of its own, and at least 20 good ones."""
    assert len({bad.name for bad in BAD_SOURCES}) == len(BAD_SOURCES) >= 45
    assert len({good.name for good in GOOD_SOURCES}) == len(GOOD_SOURCES) >= 20


@pytest.mark.parametrize("good", GOOD_SOURCES, ids=lambda good: good.name)
def test_a_good_source_is_never_held_up(work: Workshop, site: tuple[SourceServer, GuardedClient], good: Good) -> None:
    """Whatever its colours, metadata or headers, the job is submitted by its first step, with the URLs of the order."""
    job = submitted(work, site, good)
    assert (job.state, job.error, job.blocked_by) == (JobState.RENDERING, None, "")
    assert len(work.provider.submissions) == 1
    assert job.order.image.encode() in work.provider.submissions[0][0]


def test_a_source_is_asked_for_as_the_provider_asks(work: Workshop, site: tuple[SourceServer, GuardedClient]) -> None:
    """A whole GET each, without a range, and no second one: a URL that works once per request works here too."""
    submitted(work, site, GOOD_SOURCES[0])
    server, _ = site
    assert [request.split(b" ")[:2] for request in server.requests] == [
        [b"GET", b"/image?signature=canary"],
        [b"GET", b"/mask?signature=canary"],
    ]
    assert not any(b"range:" in request.lower() for request in server.requests)


def test_a_redirect_is_looked_at_and_not_passed_on(work: Workshop, site: tuple[SourceServer, GuardedClient]) -> None:
    """What it leads to is judged, also against the mask, and the provider gets the URL of the order."""
    server, _ = site
    good = next(good for good in GOOD_SOURCES if good.name == "behind three redirects")
    job = submitted(work, site, good)
    assert [request.split(b" ")[1].partition(b"?")[0] for request in server.requests] == [
        b"/image", b"/two-hops", b"/one-hop", b"/photo", b"/mask"
    ]  # fmt: skip
    ((body, _nonce),) = work.provider.submissions
    assert job.order.image.encode() in body
    assert b"-hop" not in body


def test_a_blocked_address_is_in_the_log_and_not_in_the_error(
    work: Workshop, site: tuple[SourceServer, GuardedClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever chose the URL learns the remedy and nothing about the network; the operator finds the cause."""
    bad = next(bad for bad in BAD_SOURCES if bad.name == "a private address by name")
    with caplog.at_level(logging.WARNING):
        job = submitted(work, site, bad)
    assert job.error is not None
    assert "SCENESHIFT_ALLOW_HOSTS" in job.error.message
    assert "10.0.0.1" not in job.error.message
    (record,) = [record for record in caplog.records if record.msg == "request.blocked"]
    assert "10.0.0.1" in record.__dict__["reason"]


def test_a_mended_server_is_found_by_the_next_look(work: Workshop, site: tuple[SourceServer, GuardedClient]) -> None:
    """Nothing of the first answer is remembered."""
    server, _ = site
    bad = next(bad for bad in BAD_SOURCES if bad.name == "mask: 503")
    job = submitted(work, site, bad)
    server.pages["mask"] = answer(saved("PNG", "L"))
    work.wake(job.id)
    assert work.job(job.id).state is JobState.RENDERING


def test_a_pause_that_cannot_be_read_asks_for_nothing(work: Workshop, site: tuple[SourceServer, GuardedClient]) -> None:
    """A date beyond all calendars costs the job its usual pause, not its step."""
    headers = ["Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Date: Mon, 01 Jan 2024 00:00:00 GMT"]
    page = answer(status="503 Busy", headers=headers)
    job = submitted(work, site, Bad(name="", code="source_server_error", then="waits", image=page, mask=photo()))
    assert (job.state, job.blocked_by) == (JobState.QUEUED, "source_server_error")
    assert work.due_in(job.id) == pytest.approx(20.0, rel=0.21)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("300", pytest.approx(300.0)), ("1", pytest.approx(20.0, rel=0.21)), ("864000", pytest.approx(3600.0))],
    ids=["longer", "shorter", "ten days"],
)
def test_a_server_may_ask_for_patience_within_bounds(
    work: Workshop, site: tuple[SourceServer, GuardedClient], asked: str, waited: float
) -> None:
    """`Retry-After` stretches the pause, never shortens it, and never beyond an hour."""
    page = answer(status="503 Busy", headers=[f"Retry-After: {asked}"])
    bad = Bad(name="", code="source_server_error", then="waits", image=page, mask=photo())
    job = submitted(work, site, bad)
    assert work.due_in(job.id) == waited


def test_a_source_that_stays_away_fails_the_job_after_six_looks(work: Workshop) -> None:
    """The pauses grow to 40 minutes in all, and then the code is an error; nothing was ever sent."""
    job = work.accept()
    work.web.sources[job.order.mask] = BUSY
    waited_seconds = 0.0
    for look in range(1, 6):
        work.wake(job.id)
        assert work.job(job.id).strikes == look
        waited_seconds += work.due_in(job.id)
    assert waited_seconds == pytest.approx(2420.0, rel=0.2)
    work.wake(job.id)
    after = work.job(job.id)
    assert after.error is not None
    assert (after.state, after.error.code, after.charge) == (
        JobState.FAILED, "source_server_error", Charge.NOT_CHARGED
    )  # fmt: skip
    assert (work.provider.submissions, len(work.web.peeks)) == ([], 12)


def test_looks_that_end_well_are_forgotten(work: Workshop) -> None:
    """The strikes of the source do not count against the result."""
    job = work.accept()
    work.web.sources[job.order.image] = BUSY
    for _ in range(5):
        work.wake(job.id)
    del work.web.sources[job.order.image]
    work.wake(job.id)
    assert (work.job(job.id).state, work.job(job.id).strikes) == (JobState.RENDERING, 0)


def test_the_first_bad_source_decides(work: Workshop) -> None:
    """A thread is not held by a second server when the first has settled it."""
    job = work.accept()
    work.web.sources[job.order.image] = BUSY
    work.wake(job.id)
    assert work.web.peeks == [job.order.image]


def test_switched_off_nothing_is_fetched(work: Workshop) -> None:
    """The provider is then the first to look, and says itself what it thinks of the source."""
    change_settings(work, preflight=False)
    job = work.accept()
    work.web.sources[job.order.image] = BUSY
    work.wake(job.id)
    assert (work.job(job.id).state, work.web.peeks) == (JobState.RENDERING, [])


def test_the_limits_are_those_of_the_settings(work: Workshop) -> None:
    """The announced size is held against `source_max_bytes`."""
    change_settings(work, source_max_bytes=100)
    job = work.accept()
    work.wake(job.id)
    error = work.job(job.id).error
    assert error is not None
    assert error.code == "source_too_large"
    assert "SCENESHIFT_SOURCE_MAX_BYTES" in error.message


def test_each_look_has_its_time_and_its_bytes(work: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source is given the seconds of the setting and 8 MiB, so that a worker's cost per job is bounded."""
    change_settings(work, source_timeout_seconds=7.5)
    asked: list[dict[str, Any]] = []
    peek = FakeWeb.peek

    def remember(web: FakeWeb, url: str, **limits: Any) -> Any:
        asked.append(limits)
        return peek(web, url, **limits)

    monkeypatch.setattr(FakeWeb, "peek", remember)
    work.wake(work.accept().id)
    assert [(limits["timeout_seconds"], limits["max_bytes"]) for limits in asked] == [(7.5, HEAD_MAX_BYTES)] * 2
    assert HEAD_MAX_BYTES == 8 * 1024 * 1024


def test_a_worker_that_dies_while_it_looks_loses_nothing(work: Workshop) -> None:
    """Nothing was sent, so the next worker looks again and submits, once."""
    job = work.accept()

    def die(_url: str) -> None:
        raise KilledError

    work.web.on_peek = die
    with pytest.raises(KilledError):
        work.wake(job.id)
    between = work.job(job.id)
    assert (between.state, between.charge, between.submits) == (JobState.QUEUED, Charge.NOT_CHARGED, 0)
    work.web.on_peek = lambda _url: None
    assert [report["state"] for report in work.bring_back()] == ["rendering"]
    assert work.provider.nonces == [submission_nonce(job.id, 1)]


@pytest.mark.parametrize("finding", [BUSY, FetchStatusError("shop.example answered with status 404", status=404)])
def test_a_look_that_outlives_its_lease_disturbs_nobody(work: Workshop, finding: FetchStatusError) -> None:
    """Another worker has the job submitted meanwhile: what the slow one found neither fails nor repeats it."""
    job = work.accept()
    slow = [job.order.image]

    def let_another_go_ahead(url: str) -> None:
        if slow and url == slow.pop():
            work.bring_back()
            assert work.job(job.id).result_key == RESULT_KEY
            work.web.sources[url] = finding

    work.web.on_peek = let_another_go_ahead
    assert work.wake(job.id) == {"skipped": "stale"}
    after = work.job(job.id)
    assert (after.state, after.charge, after.strikes) == (JobState.RENDERING, Charge.CHARGED, 0)
    assert len(work.provider.submissions) == 1


def test_a_job_that_is_cancelled_while_its_sources_are_looked_at(work: Workshop) -> None:
    """The cancellation wins, is free, and what the look found changes nothing."""
    job = work.accept()
    work.web.sources[job.order.image] = BUSY
    work.web.on_peek = lambda _url: work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=False))
    assert work.wake(job.id) == {"skipped": "stale"}
    assert (work.job(job.id).state, work.job(job.id).charge) == (JobState.CANCELLED, Charge.NOT_CHARGED)
    assert work.provider.submissions == []


def test_a_failed_look_gives_the_idempotency_key_back(work: Workshop) -> None:
    """The owner corrects the URL and orders again under the same key."""
    order = an_order(num_output=2, idempotency_key="order-1")
    job = work.accept(order=order)
    work.web.sources[order.image] = FetchStatusError("shop.example answered with status 404", status=404)
    work.wake(job.id)
    again = work.accept(order=an_order(num_output=2, idempotency_key="order-1", image="https://shop.example/b.jpg"))
    work.wake(again.id)
    assert work.job(again.id).state is JobState.RENDERING
