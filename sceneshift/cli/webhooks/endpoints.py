"""`sceneshift webhooks endpoints`: receivers that get every event of their choice, each with secrets of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from sceneshift.cli.output import clock_time, print_json, print_table
from sceneshift.cli.webhooks.keys import check_secrets
from sceneshift.client import current_client
from sceneshift.errors import ConfigurationError, StoreUnavailableError
from sceneshift.jobs.endpoints import Endpoint
from sceneshift.jobs.lanes import bare_url
from sceneshift.settings import PREFIX, Settings
from sceneshift.webhooks.endpoint_secrets import endpoint_secret, endpoint_seed
from sceneshift.webhooks.private_keys import public_key_text

if TYPE_CHECKING:
    from sceneshift.store.opening import Store

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.command("list")
@as_json
def list_endpoints(*, as_json: bool) -> None:
    """List the named endpoints."""
    store = current_client().store
    with translating():
        known = sorted(store.endpoints.read().by_id.values(), key=lambda endpoint: endpoint.name)
    now = store.clock.now()
    if as_json:
        print_json([document(each, now) for each in known])
        return
    if not known:
        click.echo("there are no named endpoints")
        return
    rows = [(each.name, each.id, bare_url(each.url), " ".join(each.events), signed_by(each, now)) for each in known]
    print_table(rows, ("NAME", "ID", "URL", "EVENTS", "SIGNED BY"))


@click.command("show")
@click.argument("name")
@as_json
def show(name: str, *, as_json: bool) -> None:
    """Show one endpoint: what it gets, and how it is signed."""
    store = current_client().store
    with translating():
        endpoint = store.endpoints.read().named(name)
    now = store.clock.now()
    if as_json:
        print_json(document(endpoint, now))
        return
    for label, value in (
        ("name", endpoint.name),
        ("id", endpoint.id),
        ("url", bare_url(endpoint.url)),
        ("events", " ".join(endpoint.events)),
        ("added", f"{clock_time(endpoint.created_at)} (UTC)"),
        ("signed by", signed_by(endpoint, now)),
    ):
        click.echo(f"{label:<10} {value}")


@click.command("secret")
@click.argument("name")
@as_json
def secret(name: str, *, as_json: bool) -> None:
    """Show the endpoint's newest secret again, and its public key where it has one."""
    store, settings = store_and_settings()
    require_key(settings)
    with translating():
        endpoint = store.endpoints.read().named(name)
    shown = credentials(settings, endpoint)
    if as_json:
        print_json({"name": endpoint.name, "id": endpoint.id, **shown})
    else:
        print_credentials(shown)


def require_key(settings: Settings) -> None:
    """Return when the settings have the key from which secrets are derived.

    Raises:
        ConfigurationError: they have none, or it is malformed.
    """
    name = f"{PREFIX}WEBHOOK_ENDPOINT_KEY"
    if not settings.webhook_endpoint_key:
        raise ConfigurationError(
            f"{name} is not set: the secrets of endpoints are derived from it. Make one with "
            f"sceneshift.webhooks.new_secret(), and give it to operators and workers, never to receivers"
        )
    check_secrets([key.get_secret_value() for key in settings.webhook_endpoint_key], name)


def credentials(settings: Settings, endpoint: Endpoint) -> dict[str, str]:
    """What the endpoint's receiver verifies with: `secret`, and `public_key` where it has one."""
    key = settings.webhook_endpoint_key[0].get_secret_value()
    number = max(each.number for each in endpoint.generations)
    shown = {"secret": endpoint_secret(key, endpoint.id, number)}
    if endpoint.ed25519:
        shown["public_key"] = public_key_text(endpoint_seed(key, endpoint.id, number))
    return shown


def print_credentials(shown: dict[str, str]) -> None:
    """They are on standard output, one a line."""
    for label, value in shown.items():
        click.echo(f"{label.replace('_', ' '):<10} {value}")


def signed_by(endpoint: Endpoint, now: float) -> str:
    """In words, which generations of the secret sign now."""
    ends = {each.number: each.until for each in endpoint.generations}
    secrets = ", ".join(
        f"secret {number}" + (f" until {clock_time(ends[number])}" if ends[number] else "")
        for number in endpoint.signing(now)
    )
    return f"{secrets}, with Ed25519" if endpoint.ed25519 else secrets


def document(endpoint: Endpoint, now: float) -> dict[str, Any]:
    """An endpoint as JSON values; the query of its URL may hold a token, and stays out."""
    return {
        "id": endpoint.id,
        "name": endpoint.name,
        "url": bare_url(endpoint.url),
        "events": list(endpoint.events),
        "created_at": endpoint.created_at,
        "ed25519": endpoint.ed25519,
        "secrets": [
            {"number": each.number, "until": each.until}
            for each in endpoint.generations
            if each.number in endpoint.signing(now)
        ],
    }


def translating() -> AbstractContextManager[None]:
    """A job store that is away is said as such."""
    from sceneshift.store.connection import translating as translated  # noqa: PLC0415  # redis is loaded when needed

    return translated(StoreUnavailableError, "try again")


def store_and_settings() -> tuple[Store, Settings]:
    """What changes are made with."""
    client = current_client()
    return client.store, client.settings
