"""`sceneshift limits`: what the provider may be asked of now, and other limits while the system runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sceneshift.cli.output import clock_time, current_user, print_json, print_table
from sceneshift.client import current_client
from sceneshift.errors import InvalidRequestError, StoreUnavailableError

if TYPE_CHECKING:
    from sceneshift.store.limits import LimitStore, Override
    from sceneshift.store.opening import Store

log = logging.getLogger(__name__)

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group("limits", invoke_without_command=True)
@as_json
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Show the limits that hold now, or change them for all workers at once, without a restart."""
    if ctx.invoked_subcommand is None:
        _show(as_json=as_json)
    elif as_json:
        raise click.UsageError(f"give --json after the command: sceneshift limits {ctx.invoked_subcommand} … --json")


@command.command("set")
@click.argument("limits", nargs=-1, required=True, metavar="NAME=VALUE...")
@as_json
def set_limits(limits: tuple[str, ...], *, as_json: bool) -> None:
    """Set limits in place of the settings: submit_rate, query_rate (per second) and max_in_flight; or `none`.

    They hold until `sceneshift limits reset`, over restarts of the workers.
    """
    from sceneshift.store.limits import read_limit  # noqa: PLC0415  # redis is loaded by the commands that need it

    values: dict[str, str] = {}
    for text in limits:
        name, value = read_limit(text)
        if name in values:
            raise InvalidRequestError(f"{name} is given twice: {values[name]} and {value}")
        values[name] = value
    _change(values, lambda store, by: store.set(values, by=by), as_json=as_json)


@command.command("reset")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@as_json
def reset_limits(names: tuple[str, ...], *, as_json: bool) -> None:
    """Let the settings hold again, for these limits or for all."""
    from sceneshift.store.limits import check_limit_name  # noqa: PLC0415
    from sceneshift.store.permits import LIMITS  # noqa: PLC0415

    chosen = [check_limit_name(name) for name in names] or list(LIMITS)
    _change(chosen, lambda store, _by: store.reset(chosen), as_json=as_json)


def _change(names: Iterable[str], change: Callable[[LimitStore, str], None], *, as_json: bool) -> None:
    """The change was made, is told and logged with its author, and what holds now is shown."""
    store, by = current_client().store, current_user()
    limits = _limit_store(store)
    with _translating():
        before = limits.overrides()
        change(limits, by)
        after = limits.overrides()
    for name in names:
        was, now = _value(before.get(name)), _value(after.get(name))
        if was == now:
            continue
        log.info("limits.changed", extra={"limit": name, "value_from": was, "value_to": now, "by": by})
        click.echo(f"{name}: {was} -> {now}, by {by}", err=True)
    _show(as_json=as_json)


def _value(override: Override | None) -> str:
    return "as the setting" if override is None else override.value


def _show(*, as_json: bool) -> None:
    store = current_client().store
    with _translating():
        overrides, effective, breaker = (
            _limit_store(store).overrides(),
            store.permits.effective(),
            store.breaker.state(),
        )
        in_flight = store.permits.in_flight()
    document: dict[str, Any] = {
        name: _limit(store, name, overrides.get(name), getattr(effective, name)) for name in asdict(effective)
    }
    if as_json:
        print_json({"limits": document, "in_flight": in_flight, "breaker": asdict(breaker)})
        return
    rows = [
        (name, row["setting"], row["override"], _plain(row["effective"]), _remark(row))
        for name, row in document.items()
    ]
    print_table(rows, ("LIMIT", "SETTING", "SET TO", "NOW", ""))
    click.echo(f"\nin flight: {in_flight}")
    if breaker.is_open:
        click.echo(
            f"breaker:   open since {clock_time(breaker.since)} (UTC) because of {breaker.blocked_by}; "
            f"the provider is looked at next at {clock_time(breaker.until)}"
        )
    else:
        click.echo("breaker:   closed")


def _limit(store: Store, name: str, override: Override | None, effective: float | None) -> dict[str, Any]:
    """One limit as JSON values; `none` is without limit, null is not set."""
    from sceneshift.store.permits import limit_value  # noqa: PLC0415

    setting = getattr(store.permits.limits, name)
    limit = setting if override is None else limit_value(override.value)
    return {
        "setting": _number(setting),
        "override": None if override is None else _number(limit_value(override.value)),
        "effective": _number(effective),
        "is_lowered": limit is not None and effective is not None and effective < limit,
        "changed_by": override.by if override else None,
        "changed_at": override.at if override else None,
    }


def _remark(row: dict[str, Any]) -> str:
    remarks = ["lowered after throttled answers"] if row["is_lowered"] else []
    if row["changed_by"]:
        remarks.append(f"set by {row['changed_by']} at {clock_time(row['changed_at'])} (UTC)")
    return "; ".join(remarks)


def _number(value: float | None) -> float | str:
    return "none" if value is None else value


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _limit_store(store: Store) -> LimitStore:
    from sceneshift.store.limits import LimitStore  # noqa: PLC0415

    return LimitStore(store.client, store.keys, store.clock)


def _translating() -> AbstractContextManager[None]:
    from sceneshift.store.connection import translating  # noqa: PLC0415

    return translating(StoreUnavailableError, "try again")
