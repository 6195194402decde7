"""`sceneshift webhooks resend`: first a plan, then the same events once more, under the same ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import click

from sceneshift import identifiers
from sceneshift.cli.moments import Moment, MomentType
from sceneshift.cli.output import print_json, print_left_out, print_table
from sceneshift.cli.webhooks.looking import (
    FAILED,
    condition_of,
    endpoint_document,
    ids_named,
    label_of,
    lane_named,
)
from sceneshift.client import current_client
from sceneshift.errors import InvalidRequestError, SceneshiftError, StoreUnavailableError
from sceneshift.jobs.endpoints import is_endpoint_id

if TYPE_CHECKING:
    from sceneshift.store.deliveries import Delivery
    from sceneshift.store.event_log import LogEntry
    from sceneshift.store.lanes import Lane
    from sceneshift.store.opening import Store

DAY_SECONDS = 86_400.0

NOT_SENT = {
    "under_way": "it is being sent at this moment",
    "waiting": "it waits for its endpoint, and goes by itself when that is back",
    "job_expired": "its job is forgotten, so there is nothing left to send",
    "gone": "it is forgotten",
}


@click.command("resend")
@click.argument("ids", metavar="[DELIVERY|EVENT]...", nargs=-1)
@click.option("--job", "job_id", help="All webhooks of this job.")
@click.option("--failed", is_flag=True, help="Those that were given up, missed or aborted.")
@click.option("--missing", is_flag=True, help="With --endpoint NAME: events that it takes and has never got.")
@click.option("--endpoint", help="Only those for this endpoint: its name, its URL, or the id of its lane.")
@click.option("--since", type=MomentType(), help="With --failed and --missing: of events since then; 24h unless given.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=1_000, show_default=True, help="So many at the most."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def resend(
    ids: tuple[str, ...],
    *,
    job_id: str | None,
    failed: bool,
    missing: bool,
    endpoint: str | None,
    since: Moment | None,
    limit: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send webhooks once more, each under its own webhook-id; the provider is never asked for anything."""
    if [bool(ids), job_id is not None, failed, missing].count(True) != 1:
        raise click.UsageError("give exactly one of ids, --job, --failed and --missing")
    if missing and not endpoint:
        raise click.UsageError("--missing is for one named endpoint: give --endpoint NAME")
    if since and not (failed or missing):
        raise click.UsageError("--since goes with --failed and --missing: ids and --job name webhooks of any time")
    from sceneshift.store.connection import translating  # noqa: PLC0415  # redis is loaded when it is needed

    store = current_client().store
    if job_id is not None:
        current_client().load(job_id)
    with translating(StoreUnavailableError, "try again; what was resent already goes out once more"):
        now = store.clock.now()
        oldest = 0.0 if job_id else now - DAY_SECONDS if since is None else since.seconds(now)
        lane_id = "" if endpoint is None else lane_named(store, endpoint)
        if ids:
            plan = _plan_for(store, _named(store, ids, lane_id), limit)
        elif missing:
            plan = _plan_for_missing(store, endpoint or "", oldest, limit)
        else:
            plan = _plan_for(store, _selected(store, job_id or "", lane_id, oldest, limit + 1), limit)
        _carry_out(plan, dry_run=dry_run, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDelivery:
    """One webhook that is to be sent, what has become of it so far, and the endpoint that it is for."""

    id: str
    event_id: str
    type: str
    status: str
    lane: Lane

    def document(self) -> dict[str, object]:
        """The value as JSON."""
        return {
            "id": self.id,
            "event_id": self.event_id,
            "type": self.type,
            "status": self.status,
            "endpoint": endpoint_document(self.lane),
        }

    def row(self) -> tuple[str, ...]:
        """The value as cells of a table."""
        return (self.id, self.event_id, self.type, self.status, label_of(self.lane), condition_of(self.lane))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be sent, oldest first, and how it is done; `more` says that it is not all that there is."""

    deliveries: Sequence[PlannedDelivery]
    act: Callable[[], Iterable[tuple[str, str]]]
    more: bool


def _plan_for(store: Store, found: list[Delivery], limit: int) -> Plan:
    from sceneshift.store.delivery_search import views_of  # noqa: PLC0415
    from sceneshift.store.resending import resend as send_again  # noqa: PLC0415

    views = views_of(store, reversed(found[:limit]))
    return Plan(
        deliveries=[
            PlannedDelivery(
                id=view.delivery.id,
                event_id=view.delivery.event_id,
                type=view.delivery.type,
                status=view.delivery.status,
                lane=view.lane,
            )
            for view in views
        ],
        act=lambda: ((each.id, word) for each, word in send_again(store, [view.delivery for view in views])),
        more=len(found) > limit,
    )


def _plan_for_missing(store: Store, name: str, since: float, limit: int) -> Plan:
    from sceneshift.store.delivery_search import known_lane  # noqa: PLC0415
    from sceneshift.store.resending import events_missed, send_missed  # noqa: PLC0415

    endpoint = store.endpoints.read().named(name)
    found = list(islice(events_missed(store, endpoint, since=since), limit + 1))
    entries = found[:limit][::-1]
    lane = known_lane(store, endpoint.id, {endpoint.id: endpoint})

    def id_of(entry: LogEntry) -> str:
        return identifiers.endpoint_delivery_id(entry.event_id, endpoint.id)

    return Plan(
        deliveries=[
            PlannedDelivery(id=id_of(each), event_id=each.event_id, type=each.type, status="never sent", lane=lane)
            for each in entries
        ],
        act=lambda: ((id_of(each), word) for each, word in send_missed(store, endpoint, entries)),
        more=len(found) > limit,
    )


def _named(store: Store, ids: tuple[str, ...], lane_id: str) -> list[Delivery]:
    from sceneshift.store.delivery_search import load_deliveries  # noqa: PLC0415

    named = [each for text in dict.fromkeys(ids) for each in ids_named(store, text)]
    loaded = load_deliveries(store, named, on_unknown=print_left_out)
    found = [each for each in loaded if lane_id in {"", each.lane_id}]
    known = {name for each in found for name in (each.id, each.event_id)}
    unknown = ", ".join(text for text in dict.fromkeys(ids) if text not in known)
    if unknown:
        whose = " for this endpoint" if lane_id else ""
        text = f"there is no webhook {unknown}{whose}: it was never made, or is forgotten by now"
        raise InvalidRequestError(text, param="id")
    return found[::-1]


def _selected(store: Store, job_id: str, lane_id: str, since: float, limit: int) -> list[Delivery]:
    from sceneshift.store.delivery_search import DeliverySelection, find_deliveries  # noqa: PLC0415

    selection = DeliverySelection(
        job_id=job_id, lane_id=lane_id, since=since, statuses=frozenset() if job_id else FAILED
    )
    known = store.endpoints.read().by_id
    found = find_deliveries(store, selection, on_unknown=print_left_out)
    # Those of endpoints that were removed have nowhere to go.
    sendable = (each for each in found if not is_endpoint_id(each.lane_id) or each.lane_id in known)
    return list(islice(sendable, limit))


def _carry_out(plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    """The plan is printed, and done unless that was all that was wanted."""
    if not as_json:
        _print_plan(plan)
    outcomes = {} if dry_run else dict(plan.act())
    if as_json:
        planned = [each.document() for each in plan.deliveries]
        print_json({"plan": planned, "outcomes": outcomes, "more": plan.more, "dry_run": dry_run})
    elif outcomes:
        _print_outcomes(outcomes)
    if outcomes and set(outcomes.values()) <= {"job_expired", "gone"}:
        raise SceneshiftError("nothing was sent again")


def _print_plan(plan: Plan) -> None:
    if not plan.deliveries:
        click.echo("there is nothing to send")
        return
    headings = ("DELIVERY", "WEBHOOK-ID", "TYPE", "STATUS", "ENDPOINT", "ITS HEALTH")
    print_table([each.row() for each in plan.deliveries], headings)
    click.echo(f"\n{len(plan.deliveries)} to send, oldest first; no image is paid for")
    if plan.more:
        click.echo(f"there are more: these are the latest {len(plan.deliveries)}; see --limit")


def _print_outcomes(outcomes: dict[str, str]) -> None:
    for delivery_id, word in outcomes.items():
        if word in NOT_SENT:
            click.echo(f"left as it is: {delivery_id}: {NOT_SENT[word]}")
    counts = Counter(outcomes.values())
    click.echo(f"on their way: {counts['resent'] + counts['hastened']} of {len(outcomes)}")
