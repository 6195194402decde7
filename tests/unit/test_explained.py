"""`sceneshift jobs explain`: what a job waits for, and what happens next and when, as sentences and as values."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

import sceneshift.client
from sceneshift import queues
from sceneshift.cli import main
from sceneshift.cli.explained import OTHER, STORING, WAITS, what_next
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.jobs import faults, gates
from sceneshift.jobs.record import JobRecord
from sceneshift.messages import CeleryPublisher, step_message
from sceneshift.settings import Settings
from sceneshift.store.due import BACKLOG, BROKER, LANE, QUERY_RATE, DueStep
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import FINALS, SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
NEVER_ASKED = "nobody should ask the broker"


def no_queue(queue: str) -> int:
    raise AssertionError(f"{NEVER_ASKED} about {queue}")


def documented_words() -> set[str]:
    """Every word that the page on errors lists as what a job waits for."""
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    table = text.partition("## What a job waits for")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def retried_codes(heading: str) -> set[str]:
    """The codes under this heading that are tried again."""
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    table = text.partition(f"### {heading}")[2].partition("\n##")[0]
    return set(re.findall(r"^\| `(\w+)` \|[^|]+\| (?:yes|for) ?[^|]*\|", table, re.MULTILINE))


WORDS = (
    documented_words()
    | {BACKLOG, BROKER, LANE, QUERY_RATE, gates.IN_FLIGHT, gates.SUBMIT_RATE}
    | {faults.UNKNOWN_OUTCOME, faults.RECOVERY, faults.INTENT_LOG, faults.STORE_DISK, *faults.WAITS_FOR.values()}
)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_gate_has_a_sentence_of_its_own(word: str) -> None:
    """No word that a job may wait for is only repeated."""
    assert word in WAITS
    job = a_job(blocked_by=word, blocked_until=NOW + 30.0)
    assert what_next(job, NOW + 30.0, NOW, no_queue).text.startswith(f"{WAITS[word]} It is taken up for its submission")


@pytest.mark.parametrize("code", sorted(retried_codes("A source is bad")))
def test_a_bad_source_is_named(code: str) -> None:
    """Each code of a source that is looked at again says that it is about the image or its mask."""
    text = what_next(a_job(blocked_by=code, blocked_until=NOW + 30.0), NOW + 30.0, NOW, no_queue).text
    assert text.startswith(f"Its image or mask cannot be had now ({code}). ")


@pytest.mark.parametrize("code", sorted(retried_codes("An image could not be stored")))
def test_a_failed_copy_is_named(code: str) -> None:
    """Each code of a copy that is tried again has a sentence of its own, or one that names it."""
    job = SITUATIONS["storing"].evolve(blocked_by=code, blocked_until=NOW + 30.0)
    text = what_next(job, NOW + 30.0, NOW, no_queue).text
    assert text.startswith(WAITS.get(code) or STORING.format(word=code))
    assert text.endswith("Its images are copied (finalize-1) at 2026-11-23 00:00:30 UTC, in 30 s.")


def test_the_tables_of_codes_were_found() -> None:
    """The two tests above have something to look at."""
    assert {"source_timeout", "source_server_error"} <= retried_codes("A source is bad")
    assert {"storage_unavailable", "truncated", "http_status"} <= retried_codes("An image could not be stored")
    assert {"submit_rate", "operator"} <= documented_words()


def test_a_word_of_a_later_version_is_repeated() -> None:
    """What is not known here is still told."""
    job = a_job(blocked_by="novelty", blocked_until=NOW + 3.0)
    assert what_next(job, NOW + 3.0, NOW, no_queue).text.startswith(OTHER.format(word="novelty"))


@pytest.mark.parametrize("state", FINALS)
def test_a_final_job_waits_for_nothing(state: str) -> None:
    """There is no next step, and the time of its end is said."""
    said = what_next(SITUATIONS[state], None, NOW, no_queue)
    assert (said.step, said.at, said.blocked_by, said.until) == (None, None, None, None)
    assert said.text == f"Nothing happens any more: the job is {state} since 2026-11-22 23:59:59 UTC."


def test_a_held_job_waits_for_a_person() -> None:
    """The fault is said, and the command that decides."""
    job = SITUATIONS["held, answer lost"]
    said = what_next(job, math.inf, NOW, no_queue)
    assert (said.step, said.at, said.blocked_by) == ("resolve-1", None, "operator")
    assert "outcome_unknown: the answer was lost." in said.text
    assert said.text.endswith(f"sceneshift jobs resolve {job.id}")


@pytest.mark.parametrize(
    ("situation", "text"),
    [
        ("queued", "It waits for its turn; urgent jobs go first. It is taken up for its submission (submit-1)"),
        ("rendering", "The provider renders it. The provider is asked for its result (poll-003)"),
        ("rendering, overdue", "It is past its deadline; it is paid, so it goes on. The provider is asked for its"),
        ("storing", "Its images are copied (finalize-1)"),
    ],
)
def test_an_untroubled_job_has_a_next_step_too(situation: str, text: str) -> None:
    """Its step and time are said, and nothing that would be in its way."""
    said = what_next(SITUATIONS[situation], NOW + 90.0, NOW, no_queue)
    assert (said.step, said.at, said.blocked_by) == (SITUATIONS[situation].step, NOW + 90.0, None)
    assert said.text.startswith(text)
    assert said.text.endswith(" at 2026-11-23 00:01:30 UTC, in 90 s.")


def test_a_wait_that_ends_after_the_next_look_is_told_by_its_end() -> None:
    """A parked job is looked at every few seconds, and goes on when the provider is back."""
    job = a_job(blocked_by="provider_credits", blocked_until=NOW + 60.0)
    said = what_next(job, NOW + 2.0, NOW, no_queue)
    assert (said.at, said.until) == (NOW + 60.0, NOW + 60.0)


def test_a_job_that_should_have_gone_on_says_so() -> None:
    """When nobody looks after due jobs, that is the answer."""
    said = what_next(SITUATIONS["rendering"], NOW - 5.0, NOW, no_queue)
    assert said.text.endswith("If this does not change, no worker is running.")


@pytest.mark.parametrize(
    ("situation", "text"),
    [("queued", "A worker is at submit-1."), ("submitting", "A worker is sending its request to the provider.")],
)
def test_a_job_that_a_worker_is_at_says_so(situation: str, text: str) -> None:
    """And when another would take over."""
    said = what_next(SITUATIONS[situation].evolve(fence=1, begun=1), NOW + 20.0, NOW, no_queue)
    assert said.text == f"{text} Should that worker be dead, another takes over at 2026-11-23 00:00:20 UTC, in 20 s."


@pytest.mark.parametrize("starts", [2, 3])
def test_a_step_that_was_started_before_says_so(starts: int) -> None:
    """BRK2, BRK16: its earlier workers died or hang, and after three the job is held."""
    job = SITUATIONS["rendering"].evolve(fence=starts, begun=starts, starts=starts)
    said = what_next(job, NOW + 20.0, NOW, no_queue)
    assert said.text.endswith(f"This is start {starts} of {job.step}; after 3 without an end, the job is held.")


@pytest.mark.parametrize(
    ("length", "messages"),
    [(0, "0 messages"), (1, "1 message"), (70, "70 messages"), (None, "an unknown number of messages")],
)
@pytest.mark.parametrize("blocked_until", [None, NOW - 1.0], ids=["first", "after a wait"])
def test_a_message_in_the_queue_is_told(length: int | None, messages: str, blocked_until: float | None) -> None:
    """Whoever has been handed out, and not taken, waits for a worker; a wait that is over is not what is said."""
    word = "provider_throttled" if blocked_until else ""
    job = a_job(fence=1, blocked_by=word, blocked_until=blocked_until)
    asked: list[str] = []

    def waiting_messages(queue: str) -> int | None:
        asked.append(queue)
        return length

    said = what_next(job, NOW + 20.0, NOW, waiting_messages)
    assert said.text.startswith(f"Its message waits in the queue sceneshift.submit ({messages}) for a worker.")
    assert (said.blocked_by, said.at, said.until) == ("backlog", NOW + 20.0, NOW + 20.0)
    assert asked == ["sceneshift.submit"]


def test_a_message_that_was_put_off_is_told_by_its_mark() -> None:
    """What a timekeeper has found out is more than what can be guessed."""
    job = a_job(fence=1, blocked_by="backlog", blocked_until=NOW + 45.0)
    assert what_next(job, NOW + 45.0, NOW, no_queue).text.startswith(WAITS["backlog"])


# The command


@pytest.fixture
def placed(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> JobRecord:
    """A queued job in the store that the commands use, whose broker is away."""
    settings = settings.model_copy(update={"broker_url": SecretStr(f"redis://127.0.0.1:{free_port()}/0")})
    monkeypatch.setattr(sceneshift.client, "_client", Client(settings, store=store, publisher=RecordingPublisher()))
    return place(store, SITUATIONS["queued"])


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["sceneshift", *arguments])
    assert main() == 0
    return capsys.readouterr().out


def test_the_command_tells_the_gate_for_programs_and_people(
    placed: JobRecord,
    store: Store,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The value and the sentence are of the store's clock, and the sentence is the last line."""
    step = DueStep(subject_id=placed.id, step="submit-1", sku="", parent_step="", job_id=placed.id, waiting=False)
    store.due.postpone([step], 30.0, blocked_by="lane")
    clock.advance(10.0)
    document = json.loads(run(monkeypatch, capsys, "jobs", "explain", placed.id, "--json"))
    assert set(document) == {"job", "timeline", "next", "unreadable_answer"}
    assert (document["job"]["blocked_by"], document["job"]["blocked_until"]) == ("lane", NOW + 30.0)
    text = f"{WAITS['lane']} It is taken up for its submission (submit-1) at 2026-11-23 00:00:30 UTC, in 20 s."
    assert document["next"] == {
        "step": "submit-1", "at": NOW + 30.0, "blocked_by": "lane", "until": NOW + 30.0, "text": text,
    }  # fmt: skip
    assert run(monkeypatch, capsys, "jobs", "explain", placed.id).splitlines()[-1] == text


def test_a_broker_that_is_away_is_no_error(
    placed: JobRecord, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The length of its queue is not known, and all else is said."""
    store.client.hset(store.keys.job(placed.id), "fence", "1")
    out = run(monkeypatch, capsys, "jobs", "explain", placed.id)
    assert "waits in the queue sceneshift.submit (an unknown number of messages)" in out


def test_the_broker_is_asked_for_what_waits(redis_server: RedisServer, settings: Settings) -> None:
    """The messages of this queue are counted, and a queue that nobody has used is empty."""
    settings = settings.model_copy(update={"broker_url": SecretStr(redis_server.url), "key_prefix": "{explained}"})
    message = step_message(subject_id="job_1", step="submit-1", sku="", parent_step="", job_id="job_1")
    assert CeleryPublisher(settings).publish([message, message])
    assert queues.waiting_messages(settings, "sceneshift.submit") == 2
    assert queues.waiting_messages(settings, "sceneshift.poll") == 0
