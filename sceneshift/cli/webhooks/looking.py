"""`sceneshift webhooks list` and `show`: what became of webhooks, and what those on their way wait for."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from sceneshift import identifiers
from sceneshift.cli.moments import Moment, MomentType
from sceneshift.cli.output import clock_time, print_json, print_left_out, print_table
from sceneshift.client import current_client
from sceneshift.errors import InvalidRequestError, StoreUnavailableError
from sceneshift.jobs.delivery_waits import waiting_text
from sceneshift.jobs.lanes import lane_of_url

if TYPE_CHECKING:
    from sceneshift.store.delivery_search import DeliveryView
    from sceneshift.store.lanes import Lane
    from sceneshift.store.opening import Store

STATUSES = ("pending", "delivered", "missed", "exhausted", "aborted")
FAILED = frozenset({"missed", "exhausted", "aborted"})


@click.command("list")
@click.option("--job", "job_id", help="Those of this job.")
@click.option("--endpoint", help="Those for this endpoint: its name, its URL, or the id of its lane.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Those with this status.")
@click.option("--since", type=MomentType(), default="24h", show_default=True, help="Those of events since then.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def list_webhooks(
    *, job_id: str | None, endpoint: str | None, statuses: tuple[str, ...], since: Moment, limit: int, as_json: bool
) -> None:
    """List webhooks, those of the latest events first. With --job, whenever its events happened."""
    from sceneshift.store.connection import translating  # noqa: PLC0415  # redis is loaded when it is needed
    from sceneshift.store.delivery_search import DeliverySelection, find_deliveries, views_of  # noqa: PLC0415

    store = current_client().store
    if job_id is not None:
        current_client().load(job_id)
    with translating(StoreUnavailableError, "try again"):
        now = store.clock.now()
        selection = DeliverySelection(
            since=0.0 if job_id else since.seconds(now),
            job_id=job_id or "",
            lane_id="" if endpoint is None else lane_named(store, endpoint),
            statuses=frozenset(statuses),
        )
        found = list(islice(find_deliveries(store, selection, on_unknown=print_left_out), limit + 1))
        views = views_of(store, found[:limit])
    if as_json:
        print_json({"deliveries": [document_of(view, now) for view in views], "more": len(found) > limit})
        return
    if not views:
        when = "" if job_id else f" of an event since {clock_time(selection.since)} (UTC)"
        click.echo(f"there is no such webhook{when}")
        return
    print_table(
        [_row(view, now) for view in views],
        ("AT", "DELIVERY", "TYPE", "SKU", "ENDPOINT", "STATUS", "TRIES", "LAST", "WAITS FOR"),
    )
    if len(found) > limit:
        click.echo(f"there are more: these are the latest {limit}; see --limit", err=True)


def lane_named(store: Store, endpoint: str) -> str:
    """The lane of the endpoint that a person means.

    Raises:
        InvalidRequestError: it is neither a URL, nor the id of a lane, nor the name of an endpoint.
    """
    if "://" in endpoint:
        return lane_of_url(endpoint)
    if endpoint.startswith(("url_", "ep_")):
        return endpoint
    return store.endpoints.read().named(endpoint).id


def ids_named(store: Store, text: str) -> list[str]:
    """The deliveries that a delivery's or an event's id names, whether or not they are there."""
    from sceneshift.store.delivery_search import ids_of_event  # noqa: PLC0415

    if text.startswith("evt_"):
        return ids_of_event(text, store.endpoints.read().by_id)
    if not identifiers.is_delivery_id(text):
        raise InvalidRequestError(f"{text[:64]!r} is neither the id of a delivery nor that of an event", param="id")
    return [text]


def _row(view: DeliveryView, now: float) -> tuple[object, ...]:
    delivery = view.delivery
    return (
        clock_time(delivery.occurred_at),
        delivery.id,
        delivery.type,
        delivery.sku,
        label_of(view.lane),
        delivery.status,
        delivery.attempts,
        delivery.last_status,
        _waits_for(view, now),
    )


def _waits_for(view: DeliveryView, now: float) -> str:
    return waiting_text(
        view.delivery.status,
        due_at=view.due_at,
        now=now,
        is_in_line=view.is_in_line,
        lane_status=view.lane.status,
        probe_at=view.lane.probe_at,
        clock_time=lambda moment: clock_time(moment) or "",
    )


def document_of(view: DeliveryView, now: float) -> dict[str, Any]:
    """A delivery as JSON values."""
    delivery = view.delivery
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "type": delivery.type,
        "job_id": delivery.job_id,
        "sequence": delivery.sequence,
        "sku": delivery.sku,
        "occurred_at": delivery.occurred_at,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "delivered_at": delivery.delivered_at,
        "waits_for": _waits_for(view, now),
        "endpoint": endpoint_document(view.lane),
    }


def endpoint_document(lane: Lane) -> dict[str, str]:
    """Which endpoint a webhook is for, as JSON values."""
    return {"lane": lane.id, "name": lane.name, "url": lane.url, "status": lane.status}


def label_of(lane: Lane) -> str:
    """What people call an endpoint: its name, or else its URL."""
    return lane.name or lane.url or lane.id


@click.command("show")
@click.argument("id_", metavar="DELIVERY|EVENT")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def show_webhook(id_: str, *, as_json: bool) -> None:
    """Show a webhook with every attempt, what it waits for, and the health of its endpoint."""
    from sceneshift.store.connection import translating  # noqa: PLC0415
    from sceneshift.store.delivery_search import load_deliveries, views_of  # noqa: PLC0415

    store = current_client().store
    with translating(StoreUnavailableError, "try again"):
        ids, now = ids_named(store, id_), store.clock.now()
        views = views_of(store, load_deliveries(store, ids, on_unknown=print_left_out))
        attempts = {view.delivery.id: store.deliveries.attempts_of(view.delivery.id) for view in views}
    if not views:
        raise InvalidRequestError(f"there is no webhook {id_}: it was never made, or is forgotten by now", param="id")
    if as_json:
        shown = [
            {
                **document_of(view, now),
                "lane": asdict(view.lane),
                "attempts_made": [asdict(each) for each in attempts[view.delivery.id]],
            }
            for view in views
        ]
        print_json({"deliveries": shown})
        return
    for view in views:
        _print(view, now)
        print_table(
            [
                (each.number, clock_time(each.at), each.outcome, f"{each.latency_ms} ms", each.answer)
                for each in attempts[view.delivery.id]
            ],
            ("TRY", "AT", "OUTCOME", "TOOK", "ANSWER"),
        )


def _print(view: DeliveryView, now: float) -> None:
    delivery = view.delivery
    lines = [
        ("delivery", delivery.id),
        ("event", f"{delivery.event_id}, {delivery.type}, {clock_time(delivery.occurred_at)}"),
        ("job", f"{delivery.job_id} {delivery.sku}".rstrip()),
        ("status", f"{delivery.status} {clock_time(delivery.delivered_at) or ''}".rstrip()),
        ("waits for", _waits_for(view, now)),
        ("endpoint", f"{view.lane.name} {view.lane.url or view.lane.id}".strip()),
        ("its health", health_of(view.lane)),
    ]
    for name, text in lines:
        if text:
            click.echo(f"{name:<11}{text}")


def condition_of(lane: Lane) -> str:
    """An endpoint's health in a word or two."""
    if lane.status == "disabled":
        return "disabled"
    if lane.status == "open":
        return "down"
    if lane.failing_since is not None:
        return "failing"
    return "catching up" if lane.is_catching_up else "ok"


def health_of(lane: Lane) -> str:
    """An endpoint's health in a sentence."""
    tried = "nothing was tried yet"
    if lane.last_attempt_at is not None:
        tried = f"last answer {lane.last_status} after {lane.latency_ms or 0} ms"
    parts = [f"{condition_of(lane)}, {tried}"]
    if lane.failing_since is not None:
        parts.append(f"failing since {clock_time(lane.failing_since)}, {lane.failures} in a row")
    if lane.is_catching_up and condition_of(lane) != "catching up":
        parts.append("catching up")
    if lane.disabled_at is not None and lane.status == "disabled":
        parts.append(f"disabled at {clock_time(lane.disabled_at)} ({lane.disabled_by})")
    if lane.waiting or lane.missed or lane.retrying:
        parts.append(f"{lane.waiting} waiting, {lane.missed} missed, {lane.retrying} to be tried again")
    return "; ".join(parts)
