"""Looking at webhooks, and the plan of those that are sent once more: what is shown is what is stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from sceneshift import identifiers
from sceneshift.guarded_http import Answer
from sceneshift.jobs.delivery_waits import waiting_text
from sceneshift.store.delivery_search import DeliverySelection, find_deliveries
from sceneshift.store.opening import Store
from tests.factories import WEBHOOK_URL, an_order
from tests.unit.cli.webhook_work import LANE, add_endpoint, finished, given_up
from tests.unit.store.inspection import everything
from tests.unit.tasks.workshop import Workshop

Run = Callable[..., tuple[int, str, str]]


def test_list_says_what_became_of_webhooks(work: Workshop, run: Run) -> None:
    """The latest event comes first, each with its status and what it waits for; filters narrow the list."""
    done = finished(work, order=an_order(sku="DONE"))
    work.deliver(done.id)
    work.clock.advance(10)
    lost = given_up(work, order=an_order(sku="LOST"))
    code, text, _ = run("webhooks", "list", "--json")
    document = json.loads(text)
    assert (code, document["more"]) == (0, False)
    assert [(each["sku"], each["status"]) for each in document["deliveries"]] == [
        ("LOST", "exhausted"),
        ("DONE", "delivered"),
    ]
    assert document["deliveries"][0]["endpoint"]["lane"] == LANE

    def skus(*options: str) -> list[str]:
        return [each["sku"] for each in json.loads(run("webhooks", "list", "--json", *options)[1])["deliveries"]]

    assert skus("--status", "exhausted") == ["LOST"]
    assert skus("--job", done.id) == ["DONE"]
    assert skus("--limit", "1") == ["LOST"]
    assert skus("--endpoint", WEBHOOK_URL + "?token=x") == ["LOST", "DONE"]
    assert skus("--endpoint", "https://other.example/") == []
    work.clock.advance(3600)
    assert skus("--since", "59m") == []
    assert skus("--job", lost.id, "--since", "59m") == ["LOST"]
    shown = run("webhooks", "list")[1]
    headings = ["AT", "DELIVERY", "TYPE", "SKU", "ENDPOINT", "STATUS", "TRIES", "LAST", "WAITS", "FOR"]
    assert shown.splitlines()[0].split() == headings
    assert "blocked" in shown
    assert WEBHOOK_URL in shown
    assert run("webhooks", "list", "--since", "59m")[1] == (
        "there is no such webhook of an event since 2026-11-23 00:01:10 (UTC)\n"
    )


def test_show_has_every_attempt_and_what_comes_next(work: Workshop, run: Run) -> None:
    """Who asks why a webhook has not arrived sees each answer, the next try, and how the endpoint does."""
    job = finished(work)
    work.web.on_post = lambda _post: Answer(
        status=500, headers={}, body=b"boom https://s3.example/a?signature=canary", elapsed_seconds=0.1
    )
    work.deliver(job.id)
    delivery = work.delivery(job.id)
    for id_ in (delivery.id, delivery.event_id):
        code, shown, _ = run("webhooks", "show", id_)
        assert code == 0
        assert "waits for  the next try at 2026-" in shown
        assert "boom https://s3.example/a" in shown
        assert "canary" not in shown
        assert "failing, last answer 500" in shown
    document = json.loads(run("webhooks", "show", delivery.id, "--json")[1])["deliveries"][0]
    assert [each["outcome"] for each in document["attempts_made"]] == ["500"]
    assert (document["lane"]["failures"], document["attempts"]) == (1, 1)


def test_resend_prints_a_plan_first(work: Workshop, run: Run) -> None:
    """A dry run names what would be sent and changes nothing; the same command without it does what it said."""
    job = given_up(work)
    delivered = finished(work)
    work.deliver(delivered.id)
    before = everything(work.store.client)
    code, shown, _ = run("webhooks", "resend", "--failed", "--since", "24h", "--dry-run")
    assert code == 0
    assert everything(work.store.client) == before
    delivery = work.delivery(job.id)
    assert delivery.id in shown
    assert delivery.event_id in shown
    assert "1 to send" in shown
    document = json.loads(run("webhooks", "resend", "--failed", "--json")[1])
    assert document["outcomes"] == {delivery.id: "resent"}
    assert document["plan"][0]["endpoint"]["url"] == WEBHOOK_URL
    assert work.delivery(delivered.id).status == "delivered"
    assert run("webhooks", "resend", "--failed")[:2] == (0, "there is nothing to send\n")


def test_resend_by_job_and_by_id(work: Workshop, run: Run) -> None:
    """One webhook is named by its delivery, by its event or by its job; what is left as it is, is said with why."""
    job = finished(work)
    work.deliver(job.id)
    delivery = work.delivery(job.id)
    for which in ([delivery.id], [delivery.event_id], ["--job", job.id]):
        code, shown, _ = run("webhooks", "resend", *which)
        assert code == 0
        assert "on their way: 1 of 1" in shown
        work.deliver(job.id)
    assert len(work.web.posts) == 4
    work.store.client.delete(work.store.keys.job(job.id))
    code, shown, said = run("webhooks", "resend", delivery.id)
    assert code == 1
    assert "its job is forgotten" in shown
    assert "nothing was sent again" in said


def test_resend_to_one_endpoint_leaves_the_others_alone(work: Workshop, run: Run) -> None:
    """An event that went to several receivers is sent again to the one that was named."""
    endpoint = add_endpoint(work, "stock", "job.completed")
    job = finished(work)
    event_id = work.delivery(job.id).event_id
    document = json.loads(run("webhooks", "resend", event_id, "--endpoint", "stock", "--json")[1])
    theirs = identifiers.endpoint_delivery_id(event_id, endpoint.id)
    assert [each["id"] for each in document["plan"]] == [theirs]
    assert document["plan"][0]["endpoint"]["name"] == "stock"
    assert list(document["outcomes"]) == [theirs]


def test_resend_sends_nothing_when_one_of_the_ids_is_wrong(work: Workshop, run: Run) -> None:
    """The mistyped id is named, so that nobody takes it for sent."""
    delivery = work.delivery(given_up(work).id)
    before = everything(work.store.client)
    wrong = "evt_01M8380SQFFKCGW126QHN7QMX4_1"
    code, shown, said = run("webhooks", "resend", delivery.id, wrong)
    assert (code, shown) == (2, "")
    assert f"there is no webhook {wrong}:" in said
    assert everything(work.store.client) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["resend"],
        ["resend", "--failed", "--job", "job_1"],
        ["resend", "--failed", "--endpoint", ""],
        ["resend", "--job", "", "--failed"],
        ["resend", "evt_01M8380SQFFKCGW126QHN7QMX4_1", "--since", "1h"],
        ["resend", "nonsense"],
        ["resend", "--missing"],
        ["resend", "--missing", "--endpoint", "nonsense"],
        ["resend", "dlv_01M8380SQFFKCGW126QHN7QMX4_1"],
        ["show", "job_1"],
        ["show", "evt_01M8380SQFFKCGW126QHN7QMX4_1"],
        ["list", "--endpoint", "nonsense"],
        ["list", "--endpoint", ""],
        ["list", "--status", "lost"],
    ],
    ids=" ".join,
)
def test_what_names_no_webhook(work: Workshop, run: Run, arguments: list[str]) -> None:  # noqa: ARG001  # its store is empty
    """A text that names no webhook is an error of usage that says so."""
    code, shown, said = run("webhooks", *arguments)
    assert (code, shown) == (2, "")
    assert said


def test_a_long_list_is_read_page_by_page(work: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events there were, each webhook is found once, the latest first."""
    monkeypatch.setattr("sceneshift.store.event_log.PAGE", 2)
    monkeypatch.setattr("sceneshift.store.delivery_search.CHUNK", 3)
    jobs = [finished(work).id for _ in range(5)]
    found = find_deliveries(work.store, DeliverySelection(), on_unknown=pytest.fail)  # type: ignore[arg-type]  # never called
    assert [each.job_id for each in found] == jobs[::-1]


def test_unknown_records_are_left_out_and_said(work: Workshop, store: Store) -> None:
    """A webhook that a later release wrote is not guessed at, and does not hide the others."""
    first, second = finished(work), finished(work)
    store.client.hset(store.keys.delivery(work.delivery(second.id).id), "sequence", "one")
    unknown: list[str] = []
    found = find_deliveries(store, DeliverySelection(), on_unknown=lambda error: unknown.append(str(error)))
    assert [each.job_id for each in found] == [first.id]
    assert len(unknown) == 1


@pytest.mark.parametrize(
    ("status", "due_at", "in_line", "lane", "text"),
    [
        ("delivered", None, False, "closed", ""),
        ("exhausted", None, False, "disabled", ""),
        ("pending", 100.0, False, "closed", "the next try at 100"),
        ("pending", 10.0, False, "closed", "a worker: it is due"),
        ("pending", math.inf, False, "closed", "a worker that looks after it"),
        ("pending", 100.0, True, "closed", "its turn: its endpoint takes others first"),
        ("pending", 100.0, True, "open", "its endpoint is down; it is asked again at 77"),
        ("pending", math.inf, True, "disabled", "its endpoint is disabled; it goes out when somebody enables that"),
        ("missed", math.inf, False, "open", "its endpoint is down; it is asked again at 77"),
        ("missed", math.inf, False, "disabled", "its endpoint is disabled; it goes out when somebody enables that"),
    ],
)
def test_every_way_of_waiting_has_a_sentence(
    status: str, due_at: float | None, lane: str, text: str, *, in_line: bool
) -> None:
    """A webhook on its way says what it waits for, and one that has ended waits for nothing."""
    said = waiting_text(
        status, due_at=due_at, now=50.0, is_in_line=in_line, lane_status=lane, probe_at=77.0,
        clock_time=lambda moment: f"{moment:.0f}",
    )  # fmt: skip
    assert said == text
