"""Pulling events: the same values as a verified webhook gives, from the library and from the command line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import pytest

import sceneshift
import sceneshift.client
from sceneshift import CursorExpiredError, InvalidRequestError, StoreUnavailableError, UnknownRecordError
from sceneshift.cli import main
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from sceneshift.webhook_bodies import webhook_body
from sceneshift.webhooks import JobCompleted, JobFailed, sign, verify
from storage.directory import DirectoryStore
from storage.opening import open_store
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port

SECRET = "whsec_" + "dGVzdC1zZWNyZXQtZm9yLXVuaXQtdGVzdHMtb25seQ=="


@pytest.fixture
def client(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Client:
    """This process's client, on a private store."""
    client = Client(settings, store=store, publisher=RecordingPublisher())
    monkeypatch.setattr(sceneshift.client, "_client", client)
    return client


def end(store: Store, situation: str, event: str) -> str:
    """A job of its own has ended by this event; returns its id."""
    job = SITUATIONS[situation].evolve(id=a_job().id, order=an_order(num_output=2))
    change = store.jobs.transition(place(store, job), EVENTS[event])
    assert change is not None
    return job.id


@pytest.mark.usefixtures("client")
def test_a_pulled_event_is_what_its_webhook_would_be(store: Store, settings: Settings) -> None:
    """Field by field the event that `verify` makes of the webhook's bytes, links included."""
    job_id = end(store, "storing", "all stored")
    (logged,) = sceneshift.events()
    job = store.jobs.load(job_id)
    assert job is not None
    (delivery,) = store.deliveries.of_job(job)
    objects = open_store(settings.storage_url)
    assert isinstance(objects, DirectoryStore)
    body = webhook_body(delivery, job, objects, link_lifetime_seconds=settings.url_lifetime_seconds)
    headers = sign(body, webhook_id=delivery.event_id, timestamp=int(NOW), secrets=[SECRET])
    assert logged.event == verify(body, headers, SECRET, now=NOW)
    assert isinstance(logged.event, JobCompleted)
    assert all(output.url for output in logged.event.data.outputs)


def test_without_the_service_events_have_no_links(store: Store, settings: Settings) -> None:
    """A shop's process that cannot reach the results' store still hears what happened, and which objects there are."""
    end(store, "storing", "all stored")
    client = Client(settings, store=store, publisher=RecordingPublisher())
    client.links = None
    (logged,) = client.events()
    assert isinstance(logged.event, JobCompleted)
    assert [output.url for output in logged.event.data.outputs] == [None] * len(logged.event.data.outputs)
    assert all(output.key for output in logged.event.data.outputs)


@pytest.mark.usefixtures("client")
def test_a_consumer_goes_on_where_it_was(store: Store) -> None:
    """By the cursor of the last event; nothing new is an empty list."""
    first, second = end(store, "rendering", "rendering failed"), end(store, "storing", "all stored")
    (logged,) = sceneshift.events(limit=1)
    assert isinstance(logged.event, JobFailed)
    assert logged.event.data.job_id == first
    (later,) = sceneshift.events(after=logged.cursor)
    assert isinstance(later.event, JobCompleted)
    assert later.event.data.job_id == second
    assert sceneshift.events(after=later.cursor) == []


@pytest.mark.usefixtures("client")
def test_events_of_jobs_that_are_gone_do_not_stop_the_others(store: Store) -> None:
    """Their records were lost; the log goes on to those that are there, also past a whole page."""
    for job_id in [end(store, "rendering", "rendering failed") for _ in range(3)]:
        store.client.delete(store.keys.job(job_id))
    left = end(store, "rendering", "rendering failed")
    (logged,) = sceneshift.events(limit=2)
    assert isinstance(logged.event, JobFailed)
    assert logged.event.data.job_id == left


@pytest.mark.usefixtures("client")
def test_what_a_later_release_wrote_ends_the_list_before_it(store: Store) -> None:
    """What comes before it is given, and then it is said instead of being skipped."""
    first, later = end(store, "rendering", "rendering failed"), end(store, "rendering", "rendering failed")
    store.client.hset(store.keys.job(later), "version", "99")
    (logged,) = sceneshift.events()
    assert isinstance(logged.event, JobFailed)
    assert logged.event.data.job_id == first
    with pytest.raises(UnknownRecordError):
        sceneshift.events(after=logged.cursor)
    store.client.xadd(
        store.keys.events,
        {"job": first, "type": "job.admired", "sequence": "2", "state": str(JobState.FAILED)},
        id=f"{int(NOW * 1000)}-3",
    )
    with pytest.raises(UnknownRecordError, match=r"job\.admired"):
        sceneshift.events(after=f"{int(NOW * 1000)}-2")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_has_bounds(limit: int) -> None:
    """1 to 1000."""
    with pytest.raises(InvalidRequestError, match="1 to 1000"):
        sceneshift.events(limit=limit)


def test_a_store_that_is_away_is_said(settings: Settings) -> None:
    """As for every other call that reads."""
    away = settings.model_copy(update={"redis_url": type(settings.redis_url)(f"redis://127.0.0.1:{free_port()}/0")})
    with pytest.raises(StoreUnavailableError, match="same cursor"):
        Client(away, publisher=RecordingPublisher()).events()


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:  # noqa: ARG001  # the command uses it
    """Runs `sceneshift webhooks events`; returns its exit code, standard output and standard error."""

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sceneshift", "webhooks", "events", *arguments])
        return (main(), *capsys.readouterr())

    return run_command


def test_the_command_prints_events_with_their_cursors(run: Run, store: Store) -> None:
    """One line each for people, one document each for programs, and `--after` goes on."""
    ids = [end(store, "rendering", "rendering failed") for _ in range(2)]
    code, out, _ = run()
    assert code == 0
    assert [line.split()[-2:] for line in out.splitlines()] == [[job_id, "PERF-050"] for job_id in ids]
    _, out, _ = run("--json")
    documents = [json.loads(line) for line in out.splitlines()]
    assert [each["data"]["job_id"] for each in documents] == ids
    assert documents[0]["id"] == f"evt_{ids[0][4:]}_1"
    _, out, _ = run("--after", documents[0]["cursor"], "--json")
    assert [json.loads(line)["data"]["job_id"] for line in out.splitlines()] == ids[1:]


def test_an_expired_cursor_is_an_error_of_the_command(
    run: Run, store: Store, clock: ManualClock, settings: Settings
) -> None:
    """It says from when events are still there, and ends with a failure."""
    end(store, "rendering", "rendering failed")
    _, out, _ = run("--json")
    cursor = json.loads(out)["cursor"]
    end(store, "rendering", "rendering failed")
    clock.advance(settings.job_retention_seconds + 60.0)
    end(store, "rendering", "rendering failed")
    code, _, err = run("--after", cursor)
    assert code == 1
    assert "the oldest that is still there is of 2026-12-23" in err
    with pytest.raises(CursorExpiredError):
        sceneshift.events(after=cursor)


def test_following_goes_on_with_what_happens(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its looks a job ends, and is printed; an interruption is the ordinary end."""
    end(store, "rendering", "rendering failed")
    later: list[str] = []

    def wait(_seconds: float) -> None:
        if later:
            raise KeyboardInterrupt
        later.append(end(store, "rendering", "rendering failed"))

    monkeypatch.setattr(time, "sleep", wait)
    code, out, _ = run("--follow")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert later[0] in out.splitlines()[1]
