"""`sceneshift webhooks endpoints health | enable | disable`: how endpoints do, those that have only a URL as well."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from sceneshift.cli.output import clock_time, current_user, print_json, print_table
from sceneshift.cli.webhooks.endpoints import as_json, translating
from sceneshift.cli.webhooks.looking import condition_of, health_of, label_of, lane_named
from sceneshift.client import current_client
from sceneshift.errors import InvalidRequestError
from sceneshift.jobs.endpoints import is_endpoint_id
from sceneshift.jobs.lanes import bare_url

if TYPE_CHECKING:
    from sceneshift.store.lanes import Lane
    from sceneshift.store.opening import Store

log = logging.getLogger(__name__)

which = click.argument("endpoint", metavar="NAME|URL|LANE")


@click.command("health")
@click.argument("endpoint", metavar="[NAME|URL|LANE]", required=False)
@as_json
def health(endpoint: str | None, *, as_json: bool) -> None:
    """Show how one endpoint does; or all that are named, and every other that fails, is disabled or catches up."""
    store = current_client().store
    with translating():
        lanes = [_known_lane(store, endpoint)] if endpoint else _lanes_of_interest(store)
    if as_json:
        print_json([asdict(lane) for lane in lanes])
    elif endpoint:
        click.echo(f"{label_of(lanes[0])}: {health_of(lanes[0])}")
    else:
        rows = [
            (lane.name or lane.id, lane.url, condition_of(lane), lane.last_status, clock_time(lane.failing_since),
             lane.waiting, lane.missed + lane.retrying)
            for lane in lanes
        ]  # fmt: skip
        print_table(rows, ("ENDPOINT", "URL", "HEALTH", "LAST", "FAILING SINCE", "WAITING", "TO BE TRIED AGAIN"))


@click.command("enable")
@which
@as_json
def enable(endpoint: str, *, as_json: bool) -> None:
    """Send to an endpoint again, whatever it was disabled for: it catches up with its events in order, by itself."""
    store = current_client().store
    with translating():
        lane = _known_lane(store, endpoint)
        count = store.lanes.enable(lane.id)
    _note("enabled", lane)
    if as_json:
        print_json({"lane": lane.id, "was": lane.status, "catches_up_with": count})
    else:
        click.echo(f"{endpoint} is enabled, and catches up with {count} events")


@click.command("disable")
@which
@as_json
def disable(endpoint: str, *, as_json: bool) -> None:
    """Send nothing to an endpoint until it is enabled; its events wait, for as long as their jobs are kept."""
    store = current_client().store
    with translating():
        lane = _known_lane(store, endpoint)
        changed = store.lanes.disable(lane.id, url=lane.url, name=lane.name)
    if changed:
        _note("disabled", lane)
    if as_json:
        print_json({"lane": lane.id, "was": lane.status, "changed": changed})
    else:
        click.echo(f"{endpoint} is disabled" if changed else f"{endpoint} was disabled already")


def _lanes_of_interest(store: Store) -> list[Lane]:
    named = sorted(store.endpoints.read().by_id.values(), key=lambda each: each.name)
    # A lane of an endpoint that is not known was that of one that was removed.
    others = [lane_id for lane_id in store.lanes.failing() if not is_endpoint_id(lane_id)]
    return [*(_known_lane(store, each.name) for each in named), *(store.lanes.get(lane_id) for lane_id in others)]


def _known_lane(store: Store, endpoint: str) -> Lane:
    """The lane of this endpoint, with its name and URL also when nothing was ever sent there.

    Raises:
        InvalidRequestError: there is no such endpoint, and never was one.
    """
    from sceneshift.store.delivery_search import known_lane  # noqa: PLC0415  # redis is loaded when it is needed

    lane = known_lane(store, lane_named(store, endpoint), store.endpoints.read().by_id)
    if not lane.name and "://" in endpoint:
        if not lane.url:
            click.echo(f"nothing was sent to {bare_url(endpoint)} of late: is this its URL?", err=True)
        return replace(lane, url=bare_url(endpoint))
    if not lane.url:
        raise InvalidRequestError(f"nothing was ever sent in a lane {endpoint[:64]!r}", param="endpoint")
    return lane


def _note(what: str, lane: Lane) -> None:
    # Of a URL the host alone: a path may be as good as a password.
    about = {"lane": lane.id, "endpoint": lane.name or urlsplit(lane.url).hostname, "by": current_user()}
    log.info("endpoint.changed", extra={"change": what, **about})
