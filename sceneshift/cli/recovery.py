"""`sceneshift recovery`: why nothing is submitted, what was merged back, and the person's word that it may go on."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sceneshift.cli import EXIT_FAILED
from sceneshift.cli.output import clock_time, print_json, print_table
from sceneshift.client import current_client
from sceneshift.errors import SceneshiftError, StoreUnavailableError
from sceneshift.jobs.intents import Merged

if TYPE_CHECKING:
    from sceneshift.store.opening import Store
    from sceneshift.store.recovery import RecoveryState

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group("recovery", invoke_without_command=True)
@as_json
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Show whether the deployment is in recovery mode, in which nothing is submitted; exit code 1 when it is.

    It goes into that mode by itself when the job store has lost what it had confirmed.
    """
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


def _show(*, as_json: bool) -> None:
    from sceneshift.store.connection import translating  # noqa: PLC0415  # redis is loaded by the commands that need it
    from sceneshift.store.merging import without_proof  # noqa: PLC0415

    store = current_client().store
    with translating(StoreUnavailableError, "try again"):
        state, last = store.recovery.state(), store.recovery.last()
        doubtful = without_proof(store, state.since) if state else []
    if as_json:
        print_json({"recovery": asdict(state) if state else None, "queued_without_proof": len(doubtful), "last": last})
    elif state:
        _print_state(state, len(doubtful))
    else:
        click.echo("recovery mode is off: jobs are submitted")
    if last and not as_json:
        _print_last(last)
    if state:
        raise click.exceptions.Exit(EXIT_FAILED)


def _print_state(state: RecoveryState, doubtful: int) -> None:
    rows: list[tuple[str, object]] = [
        ("since (UTC)", clock_time(state.since)),
        ("reason", state.reason),
        ("noticed by", state.by),
        *_merged_rows(state.merged),
        ("queued, without proof", f"{doubtful} jobs that were accepted before it began"),
    ]
    print_table(rows, ("RECOVERY MODE", "ON: nothing is submitted"))
    click.echo()
    click.echo(
        "Nothing proves that those queued jobs were not submitted already. With SCENESHIFT_INTENT_LOG=storage the\n"
        "workers find out, and end this by themselves. Otherwise: `sceneshift recovery end --hold-queued` holds them\n"
        "for you to decide about, `sceneshift recovery end` submits them, and may pay for some of them twice."
    )


def _print_last(last: Mapping[str, Any]) -> None:
    rows: list[tuple[str, object]] = [
        ("since, until (UTC)", f"{clock_time(float(last['since']))}, {clock_time(float(last['ended_at']))}"),
        ("reason", last["reason"]),
        ("ended by", f"{last['ended_by']}: {last['note']}"),
        *_merged_rows({name: Merged.from_json(document) for name, document in dict(last["merged"]).items()}),
    ]
    print_table(rows, ("THE LAST TIME", ""))


def _merged_rows(merged: Mapping[str, Merged]) -> list[tuple[str, object]]:
    return [(f"merged, of {name}", each) for name, each in sorted(merged.items())]


@command.command("begin")
@click.option("--why", required=True, help="For whoever looks at it: what was done to the job store.")
@as_json
def begin(why: str, *, as_json: bool) -> None:
    """Begin recovery mode by hand, before workers meet a job store that was restored from a copy."""
    from sceneshift.store.connection import translating  # noqa: PLC0415

    store = current_client().store
    with translating(StoreUnavailableError, "try again"):
        is_first = store.recovery.begin(why, by=getpass.getuser())
    if as_json:
        print_json({"begun": is_first})
    else:
        click.echo("recovery mode is on" if is_first else "recovery mode was on already")


@command.command("end")
@click.option("--hold-queued", is_flag=True, help="Hold the queued jobs that may have been submitted before it began.")
@as_json
def end(*, hold_queued: bool, as_json: bool) -> None:
    """End recovery mode. The queued jobs are submitted then, or held for you to decide about."""
    from sceneshift.store.connection import translating  # noqa: PLC0415
    from sceneshift.store.merging import hold_without_proof, without_proof  # noqa: PLC0415

    store = current_client().store
    with translating(StoreUnavailableError, "try again; the mode is still on"):
        state = store.recovery.state()
        if state is None:
            raise SceneshiftError("recovery mode is not on")
        held = hold_without_proof(store, state.since) if hold_queued else 0
        released = len(without_proof(store, state.since))
        _end(store, state, f"{held} queued jobs held, {released} let go")
    if as_json:
        print_json({"ended": True, "held": held, "released": released})
    else:
        click.echo(f"recovery mode has ended: {held} queued jobs held, {released} let go")


def _end(store: Store, state: RecoveryState, note: str) -> None:
    answer = store.recovery.end(by=getpass.getuser(), note=note, begins=state.begins)
    if answer == "again":
        raise SceneshiftError("a worker has just found that more is lost: look at `sceneshift recovery` once more")
    if answer == "off":
        raise SceneshiftError("recovery mode was ended by somebody else meanwhile")
