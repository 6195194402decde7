"""Webhooks of named endpoints, and the health of all: found by name, switched by hand, sent what they missed."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable

import pytest

from sceneshift import identifiers
from sceneshift.jobs.attempts import Attempt
from sceneshift.jobs.system_events import trial_event
from sceneshift.messages import message_for_due
from sceneshift.store.deliveries import Settlement
from sceneshift.store.resending import events_missed, send_missed
from tests.factories import WEBHOOK_URL
from tests.unit.cli.webhook_work import LANE, add_endpoint, finished
from tests.unit.store.inspection import everything
from tests.unit.tasks.ports import answer
from tests.unit.tasks.workshop import Workshop

Run = Callable[..., tuple[int, str, str]]


def test_webhooks_of_named_endpoints_are_found(work: Workshop, run: Run) -> None:
    """An event's webhooks are listed for each of its receivers, and one receiver's by its name, its lane or its URL."""
    endpoint = add_endpoint(work, "stock", "job.completed")
    add_endpoint(work, "alarms", "job.failed")
    job = finished(work)

    def ids(*options: str) -> list[str]:
        return [each["id"] for each in json.loads(run("webhooks", *options, "--json")[1])["deliveries"]]

    own = work.store.deliveries.of_job(work.job(job.id))[-1]
    theirs = identifiers.endpoint_delivery_id(own.event_id, endpoint.id)
    assert ids("list") == ids("list", "--job", job.id) == ids("show", own.event_id) == [own.id, theirs]
    assert ids("list", "--endpoint", "stock") == ids("list", "--endpoint", endpoint.id) == [theirs]
    assert ids("list", "--endpoint", WEBHOOK_URL) == [own.id]
    assert ids("list", "--endpoint", "alarms") == []
    assert ids("show", theirs) == [theirs]
    assert "stock https://stock.example/hooks" in run("webhooks", "show", theirs)[1]


def test_a_test_that_did_not_arrive_is_listed_in_its_place(work: Workshop, run: Run) -> None:
    """An event that is about no job stands among the others, while it is on its way and when it was given up."""
    endpoint = add_endpoint(work, "stock", "job.completed")
    older = finished(work)
    work.clock.advance(60)
    tried = work.store.deliveries.tell(trial_event(endpoint, work.clock.now()), endpoint.id)
    work.clock.advance(60)
    newer = finished(work)

    def types(*options: str) -> list[str]:
        return [each["type"] for each in json.loads(run("webhooks", "list", "--json", *options)[1])["deliveries"]]

    assert types("--endpoint", "stock") == ["job.completed", "webhook.test", "job.completed"]
    assert types("--status", "exhausted") == []
    assert types("--job", older.id) == types("--job", newer.id) == ["job.completed"] * 2

    delivery = work.store.deliveries.get(tried)
    assert delivery is not None
    attempt = Attempt(at=work.clock.now(), number=1, outcome="blocked", latency_ms=5, answer="")
    ended = Settlement(status="exhausted", attempt=attempt, counted_as="exhausted", due_at=None)
    assert work.store.deliveries.settle(delivery, ended) is not None
    assert types("--status", "exhausted") == ["webhook.test"]
    document = json.loads(run("webhooks", "resend", "--failed", "--json")[1])
    assert document["outcomes"] == {tried: "resent"}


def test_what_a_removed_endpoint_did_not_get_is_listed_and_not_sent(work: Workshop, run: Run) -> None:
    """Its webhooks are found by job and by lane, on their way and when they have ended, and are sent nowhere."""
    endpoint = add_endpoint(work, "stock", "job.completed")
    job, other = finished(work), finished(work)
    own = work.store.deliveries.of_job(work.job(job.id))[0]
    theirs = identifiers.endpoint_delivery_id(own.event_id, endpoint.id)
    work.store.endpoints.remove("stock")

    def statuses(*options: str) -> dict[str, str]:
        found = json.loads(run("webhooks", "list", "--json", *options)[1])["deliveries"]
        return {each["id"]: each["status"] for each in found}

    assert statuses("--job", job.id) == {own.id: "pending", theirs: "pending"}
    assert len(statuses("--endpoint", endpoint.id)) == 2
    work.hand_out(theirs, "notify-01", job_id=job.id, parent_step="")
    assert statuses("--job", job.id)[theirs] == "exhausted"
    assert theirs not in statuses("--job", other.id)
    assert run("webhooks", "resend", "--failed")[1] == "there is nothing to send\n"
    work.store.lanes.disable(endpoint.id, url=endpoint.url, name="stock")
    assert json.loads(run("webhooks", "endpoints", "health", "--json")[1]) == []


def test_an_endpoint_that_was_added_later_gets_what_it_missed(work: Workshop, run: Run) -> None:
    """Events of the types that it takes are sent to it once, the oldest first, under their own ids, and only to it."""
    jobs = []
    for _ in range(2):
        jobs.append(finished(work))
        work.clock.advance(60)
    endpoint = add_endpoint(work, "stock", "job.completed")
    add_endpoint(work, "alarms", "job.failed")
    got = finished(work)
    before = everything(work.store.client)
    events = [work.store.deliveries.of_job(work.job(job.id))[-1].event_id for job in jobs]
    shown = run("webhooks", "resend", "--missing", "--endpoint", "stock", "--dry-run")[1]
    assert "2 to send" in shown
    assert shown.index(events[0]) < shown.index(events[1])
    assert everything(work.store.client) == before
    document = json.loads(run("webhooks", "resend", "--missing", "--endpoint", "stock", "--json")[1])
    theirs = [identifiers.endpoint_delivery_id(event_id, endpoint.id) for event_id in events]
    assert document["outcomes"] == dict.fromkeys(theirs, "resent")
    pause_seconds = 1 / work.services.settings.webhook_catch_up_rate
    assert [work.due_in(each) for each in theirs] == pytest.approx([0, pause_seconds])
    for job, delivery_id, event_id in zip(jobs, theirs, events, strict=True):
        delivery = work.store.deliveries.get(delivery_id)
        assert delivery is not None
        assert (delivery.job_id, delivery.event_id, delivery.lane_id) == (job.id, event_id, endpoint.id)
        assert (delivery.type, delivery.state, delivery.status) == ("job.completed", "succeeded", "pending")
    again = json.loads(run("webhooks", "resend", "--missing", "--endpoint", "stock", "--json")[1])
    assert (again["plan"], again["outcomes"]) == ([], {})
    none = json.loads(run("webhooks", "resend", "--missing", "--endpoint", "alarms", "--json")[1])
    assert none["plan"] == []
    assert work.store.deliveries.of_job(work.job(got.id), [endpoint.id])[-1].lane_id == endpoint.id


def test_what_was_missed_is_handed_out_like_any_other(work: Workshop) -> None:
    """A timekeeper takes it for a fresh webhook, whose message is yet to be published."""
    finished(work)
    endpoint = add_endpoint(work, "stock")
    [(entry, _)] = list(send_missed(work.store, endpoint, events_missed(work.store, endpoint, since=0.0)))
    [step] = [
        each
        for each in work.store.due.claim(100)
        if each.subject_id == identifiers.endpoint_delivery_id(entry.event_id, endpoint.id)
    ]
    assert (step.waiting, step.unknown) == (False, "")
    assert [each.event_id for each in events_missed(work.store, endpoint, since=0.0)] == []


def test_what_a_forgotten_job_had_to_say_is_not_made_up(work: Workshop) -> None:
    """An event whose job has expired meanwhile is left out, and no empty webhook is made of it."""
    job = finished(work)
    endpoint = add_endpoint(work, "stock")
    missed = list(events_missed(work.store, endpoint, since=0.0))
    work.store.client.delete(work.store.keys.job(job.id))
    assert [word for _, word in send_missed(work.store, endpoint, missed)] == ["job_expired"]
    delivery_id = identifiers.endpoint_delivery_id(missed[0].event_id, endpoint.id)
    assert work.store.deliveries.get(delivery_id) is None


def test_a_disabled_endpoint_is_enabled_by_name_url_or_lane(work: Workshop, run: Run) -> None:
    """While it is disabled its events wait; once enabled, they go out by themselves."""
    add_endpoint(work, "stock")
    for which in ("stock", WEBHOOK_URL + "?token=canary", LANE):
        job = finished(work)
        assert run("webhooks", "endpoints", "disable", which)[:2] == (0, f"{which} is disabled\n")
        assert "was disabled already" in run("webhooks", "endpoints", "disable", which)[1]
        if which != "stock":
            assert work.deliver(job.id) == {"skipped": "disabled"}
        code, text, _ = run("webhooks", "endpoints", "enable", which, "--json")
        document = json.loads(text)
        assert (code, document["was"], document["catches_up_with"]) == (0, "disabled", 0 if which == "stock" else 1)
        if which != "stock":
            assert work.due_in(work.delivery(job.id).id) == 0
            assert work.deliver(job.id) == {"status": "delivered", "outcome": "204"}


def test_health_shows_named_endpoints_and_whatever_fails(work: Workshop, run: Run) -> None:
    """Named endpoints are always shown, URLs of jobs when something is wrong there; no query of a URL is."""
    add_endpoint(work, "stock")
    assert [lane["name"] for lane in json.loads(run("webhooks", "endpoints", "health", "--json")[1])] == ["stock"]
    job = finished(work)
    work.web.on_post = lambda _post: answer(503)
    work.deliver(job.id)
    shown = run("webhooks", "endpoints", "health")[1]
    assert "503" in shown
    assert [line.split()[2] for line in shown.splitlines()] == ["HEALTH", "ok", "failing"]
    assert LANE in shown
    lanes = json.loads(run("webhooks", "endpoints", "health", WEBHOOK_URL, "--json")[1])
    assert [(lane["status"], lane["failures"]) for lane in lanes] == [("closed", 1)]
    assert "failing, last answer 503" in run("webhooks", "endpoints", "health", WEBHOOK_URL)[1]
    assert "nothing was tried yet" in run("webhooks", "endpoints", "health", "stock")[1]


def test_a_url_to_which_nothing_was_sent_is_said(work: Workshop, run: Run) -> None:
    """It may be mistyped, and its query stays unsaid; of a URL that is in use nothing is said."""
    said = run("webhooks", "endpoints", "disable", "https://shop.example/typo?token=canary")[2]
    assert "nothing was sent to https://shop.example/typo of late" in said
    assert "canary" not in said
    work.deliver(finished(work).id)
    assert run("webhooks", "endpoints", "disable", WEBHOOK_URL)[2] == ""


@pytest.mark.parametrize("word", ["health", "enable", "disable"])
@pytest.mark.parametrize("which", ["nobody", "url_0000000000000000", "ep_none"])
def test_what_was_never_an_endpoint_is_not_switched(work: Workshop, run: Run, word: str, which: str) -> None:
    """A name that is mistyped is said, instead of a lane being made for it."""
    before = everything(work.store.client)
    code, shown, _ = run("webhooks", "endpoints", word, which)
    assert (code, shown) == (2, "")
    assert everything(work.store.client) == before


def test_what_waits_for_an_endpoint_that_is_removed_ends_at_once(work: Workshop, run: Run) -> None:
    """Also when it was disabled, where nothing moves by itself: it is listed as given up, and says why."""
    endpoint = add_endpoint(work, "stock", "job.completed")
    assert run("webhooks", "endpoints", "disable", "stock")[0] == 0
    events = [work.delivery(finished(work).id).event_id for _ in range(2)]
    theirs = [identifiers.endpoint_delivery_id(event_id, endpoint.id) for event_id in events]
    run_due(work)
    assert {work.due_in(each) for each in theirs} == {math.inf}
    assert run("webhooks", "endpoints", "remove", "stock")[0] == 0
    for _ in theirs:
        run_due(work)
    found = [work.store.deliveries.get(each) for each in theirs]
    assert [(each.status, each.last_status) for each in found if each] == [("exhausted", "endpoint_removed")] * 2
    assert endpoint.id not in work.store.lanes.failing()


def run_due(work: Workshop) -> None:
    """Whatever is due within a lease is done once."""
    work.clock.advance(work.services.settings.lease_seconds + 1)
    for step in work.store.due.hand_out(work.store.due.claim(50)):
        work.run(message_for_due(step))


@pytest.mark.usefixtures("work")
def test_of_a_url_that_a_person_disables_the_log_has_the_host_alone(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Its path may be as good as a password."""
    caplog.set_level(logging.INFO)
    assert run("webhooks", "endpoints", "disable", "https://shop.example/hooks/canary?token=canary")[0] == 0
    (record,) = [record for record in caplog.records if record.getMessage() == "endpoint.changed"]
    assert record.__dict__["endpoint"] == "shop.example"
    assert "canary" not in str(record.__dict__)
