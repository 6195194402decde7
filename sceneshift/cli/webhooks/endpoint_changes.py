"""`sceneshift webhooks endpoints add | update | rotate | remove | test`: what changes an endpoint, or tries it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import click

from sceneshift.cli import EXIT_FAILED, EXIT_TIMEOUT
from sceneshift.cli.moments import SpanType
from sceneshift.cli.output import clock_time, current_user, print_json
from sceneshift.cli.webhooks.endpoints import (
    as_json,
    credentials,
    document,
    print_credentials,
    require_key,
    store_and_settings,
    translating,
)
from sceneshift.endpoint_trials import Trial, try_endpoint
from sceneshift.errors import SceneshiftError
from sceneshift.jobs.endpoints import Endpoint, checked_events, checked_url, new_endpoint
from sceneshift.jobs.lanes import bare_url
from sceneshift.store.removed_lanes import end_lane

log = logging.getLogger(__name__)

TRIAL_SECONDS = 30.0
DEFAULT_OVERLAP = "24h"

pattern = click.option(
    "--event", "events", multiple=True, help="A type, or a pattern such as `job.*`; may be given again. All by default."
)


@click.command("add")
@click.argument("name")
@click.argument("url")
@pattern
@click.option("--ed25519", is_flag=True, help="Sign with a private key, too, for receivers that hold a public key.")
@click.option("--no-test", is_flag=True, help="Send no test event.")
@as_json
def add(name: str, url: str, *, events: tuple[str, ...], ed25519: bool, no_test: bool, as_json: bool) -> None:
    """Add an endpoint: it gets every event from now on. Its secret is printed, and a test event is sent to it."""
    store, settings = store_and_settings()
    require_key(settings)
    with translating():
        now = store.clock.now()
        endpoint = new_endpoint(
            name=name, url=url, events=events, now=now, ed25519=ed25519, allow_hosts=settings.allow_hosts
        )
        shown = credentials(settings, endpoint)
        store.endpoints.add(endpoint)
        _note("added", endpoint)
        if not as_json:
            click.echo(f"endpoint   {endpoint.name} ({endpoint.id}) at {bare_url(endpoint.url)}")
            print_credentials(shown)
        trial = None if no_test else try_endpoint(store, endpoint, timeout_seconds=TRIAL_SECONDS)
    if as_json:
        print_json({**document(endpoint, now), **shown, "test": _trial_document(trial)})
    elif trial:
        click.echo(f"test       {_trial_text(trial)}")


@click.command("test")
@click.argument("name")
@as_json
def test(name: str, *, as_json: bool) -> int:
    """Send a test event to an endpoint, and show what became of its first try."""
    store, _ = store_and_settings()
    with translating():
        endpoint = store.endpoints.read().named(name)
        if store.lanes.get(endpoint.id).status == "disabled":
            raise SceneshiftError(
                f"{name} is disabled, so nothing is sent to it: sceneshift webhooks endpoints enable {name}"
            )
        trial = try_endpoint(store, endpoint, timeout_seconds=TRIAL_SECONDS)
    if as_json:
        print_json(_trial_document(trial))
    else:
        click.echo(_trial_text(trial))
    if trial.delivered:
        return 0
    return EXIT_FAILED if trial.outcome else EXIT_TIMEOUT


@click.command("update")
@click.argument("name")
@click.option("--url", help="Where its events go from now on, those that wait too.")
@pattern
@click.option("--ed25519/--no-ed25519", default=None, help="Whether a private key signs, too.")
@as_json
def update(name: str, *, url: str | None, events: tuple[str, ...], ed25519: bool | None, as_json: bool) -> None:
    """Change where an endpoint is, which events it gets, or whether a private key signs for it."""
    if url is None and not events and ed25519 is None:
        raise click.UsageError("nothing to change: give --url, --event, --ed25519 or --no-ed25519")
    store, settings = store_and_settings()

    def change(endpoint: Endpoint) -> Endpoint:
        return replace(
            endpoint,
            url=endpoint.url if url is None else checked_url(url, settings.allow_hosts),
            events=checked_events(events) if events else endpoint.events,
            ed25519=endpoint.ed25519 if ed25519 is None else ed25519,
        )

    if ed25519:
        require_key(settings)
    with translating():
        changed = store.endpoints.update(name, change)
    _note("updated", changed)
    shown = credentials(settings, changed) if ed25519 else {}
    if as_json:
        print_json({**document(changed, store.clock.now()), **shown})
        return
    click.echo(f"{name}: {bare_url(changed.url)} gets {' '.join(changed.events)}")
    print_credentials(shown)


@click.command("rotate")
@click.argument("name")
@click.option(
    "--overlap",
    type=SpanType(),
    default=DEFAULT_OVERLAP,
    show_default=True,
    help="So long the old secret signs, too, such as 90m, 24h or 7d.",
)
@as_json
def rotate(name: str, *, overlap: float, as_json: bool) -> None:
    """Give an endpoint a new secret, which is printed; the old one signs too until the overlap ends."""
    store, settings = store_and_settings()
    require_key(settings)
    with translating():
        now = store.clock.now()
        changed = store.endpoints.update(name, lambda endpoint: endpoint.rotated(now, overlap))
    _note("rotated", changed)
    shown = credentials(settings, changed)
    if as_json:
        print_json({**document(changed, now), **shown})
        return
    print_credentials(shown)
    click.echo(f"the old secret signs, too, until {clock_time(now + overlap)} (UTC)", err=True)


@click.command("remove")
@click.argument("name")
@as_json
def remove(name: str, *, as_json: bool) -> None:
    """Remove an endpoint: it gets no event any more, and what waits for it ends undelivered."""
    store, _ = store_and_settings()
    with translating():
        removed = store.endpoints.remove(name)
        end_lane(store, removed.id)
    _note("removed", removed)
    if as_json:
        print_json(document(removed, store.clock.now()))
    else:
        click.echo(f"{name} ({removed.id}) is removed")


def _note(what: str, endpoint: Endpoint) -> None:
    about = {"endpoint_id": endpoint.id, "endpoint": endpoint.name, "by": current_user()}
    log.info("endpoint.changed", extra={"change": what, **about})


def _trial_document(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {"delivered": trial.delivered, "outcome": trial.outcome or None, "delivery_id": trial.delivery_id}


def _trial_text(trial: Trial) -> str:
    if trial.delivered:
        return f"delivered ({trial.outcome})"
    if trial.outcome:
        return f"NOT delivered ({trial.outcome}); it is tried again like every webhook ({trial.delivery_id})"
    return f"not tried yet: no worker has taken it within {TRIAL_SECONDS:.0f} s ({trial.delivery_id})"
