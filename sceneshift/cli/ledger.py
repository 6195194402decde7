"""`sceneshift ledger`: what was charged on each day, what may have been, and who decided so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from sceneshift.cli.output import clock_time, current_user, print_json, print_table, snapshot_document
from sceneshift.client import current_client, get_job
from sceneshift.errors import StoreUnavailableError
from sceneshift.jobs.ledger import Decision, day_of
from sceneshift.jobs.states import Charge
from sceneshift.store.ledger import Amount, LedgerDay

DECISIONS_SHOWN = 20
"""So many decisions are listed of several days; of one day, all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What some submissions cost. `charged` is what the provider charged, whatever it gave back later."""

    charged: Amount
    refunded: Amount
    unknown: Amount
    not_charged: Amount

    @property
    def expected(self) -> Amount:
        """What the bill should say: charged, less what was given back."""
        return Amount(
            submissions=self.charged.submissions - self.refunded.submissions,
            images=self.charged.images - self.refunded.images,
        )

    @property
    def possible(self) -> Amount:
        """The most that the bill can say: what is expected, and everything whose charge is not known."""
        return self.expected + self.unknown

    def to_json(self) -> dict[str, Any]:
        """Each sum, in submissions and images."""
        return {name.replace(" ", "_"): asdict(amount) for name, amount in self.columns()}

    def columns(self) -> list[tuple[str, Amount]]:
        """The sums in the order in which they are shown."""
        return [
            ("charged", self.charged),
            ("refunded", self.refunded),
            ("expected", self.expected),
            ("unknown", self.unknown),
            ("possible", self.possible),
            ("not charged", self.not_charged),
        ]


def account_of(days: Sequence[LedgerDay], state: str | None = None) -> Account:
    """The sums of these days, of all submissions or of those that stand under this state."""

    def total(*charges: Charge) -> Amount:
        return sum(
            (
                amount
                for day in days
                for (charge, stands_under), amount in day.entries.items()
                if charge in charges and state in {None, stands_under}
            ),
            Amount(),
        )

    return Account(
        charged=total(Charge.CHARGED, Charge.REFUNDED_BY_HAND),
        refunded=total(Charge.REFUNDED_BY_HAND),
        unknown=total(Charge.UNKNOWN),
        not_charged=total(Charge.NOT_CHARGED),
    )


def _day(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    try:
        return text and datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).strftime("%Y-%m-%d")
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a day such as 2026-11-23") from None


@click.group("ledger", invoke_without_command=True)
@click.option("--day", callback=_day, help="One UTC day, YYYY-MM-DD, by state and with all its decisions.")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 400), help="How many days, up to today.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(context: click.Context, day: str | None, days: int, *, as_json: bool) -> None:
    """Show what was charged, what may have been, and who decided so.

    A submission counts on the UTC day on which it was sent.
    """
    if context.invoked_subcommand is not None:
        return
    shown = _read(day, days)
    for each in shown:
        if each.not_understood:
            # On standard error, so that nobody takes the sums for complete.
            names = ", ".join(each.not_understood)
            click.echo(f"{each.day} has what a later release wrote and this one cannot count: {names}", err=True)
    if as_json:
        print_json({"days": [_document(each) for each in shown], "total": account_of(shown).to_json()})
        return
    if not shown:
        click.echo(f"the ledger has nothing of {day or f'the last {days} days'}")
        return
    if day:
        _print_states(shown[0])
    else:
        _print_days(shown)
    _print_sums(account_of(shown))
    _print_decisions(shown, None if day else DECISIONS_SHOWN)


def _read(day: str | None, days: int) -> list[LedgerDay]:
    """The days of which there is something, the newest first."""
    from sceneshift.store.connection import translating  # noqa: PLC0415  # redis is loaded when it is needed

    store = current_client().store
    with translating(StoreUnavailableError, "try again"):
        present = store.ledger.days()
        if day:
            wanted = {day}
        else:
            today = datetime.fromtimestamp(store.clock.now(), UTC)
            wanted = {day_of((today - timedelta(days=back)).timestamp()) for back in range(days)}
        return [store.ledger.day(each) for each in present if each in wanted]


def _document(day: LedgerDay) -> dict[str, Any]:
    return {
        "day": day.day,
        **account_of([day]).to_json(),
        "states": [
            {"state": state, "charge": str(charge), **asdict(amount)} for (charge, state), amount in day.entries.items()
        ],
        "decisions": [asdict(decision) for decision in day.decisions],
        "not_understood": list(day.not_understood),
    }


def _cell(amount: Amount) -> str:
    return f"{amount.submissions} / {amount.images}" if amount != Amount() else ""


def _print_days(days: list[LedgerDay]) -> None:
    accounts = [(day.day, account_of([day]).columns()) for day in days]
    rows = [(name, *(_cell(amount) for _, amount in columns)) for name, columns in accounts]
    print_table(rows, ("DAY (UTC)", *(name.upper() for name, _ in accounts[0][1])))


def _print_states(day: LedgerDay) -> None:
    states = sorted({state for _, state in day.entries})
    rows = [(state, *(_cell(amount) for _, amount in account_of([day], state).columns())) for state in states]
    print_table(rows, (day.day, *(name.upper() for name, _ in account_of([day]).columns())))


def _print_sums(account: Account) -> None:
    click.echo("(submissions / images)")
    click.echo()
    for name, amount, words in (
        ("expected", account.expected, "charged, less what was refunded"),
        ("possible", account.possible, "that, and everything whose charge is not known"),
    ):
        click.echo(f"{name}  {amount.submissions} submissions, {amount.images} images: {words}")


def _print_decisions(days: list[LedgerDay], limit: int | None) -> None:
    latest_first = [each for day in days for each in reversed(day.decisions)]
    decisions = sorted(latest_first, key=lambda each: -each.at)
    if not decisions:
        return
    click.echo()
    print_table([_row(each) for each in decisions[:limit]], ("DECIDED (UTC)", "JOB", "WHAT", "BY", "IMAGES", "WHY"))
    if hidden := len(decisions[limit:]) if limit else 0:
        click.echo(f"and {hidden} before; --day YYYY-MM-DD shows all of a day")


def _row(decision: Decision) -> tuple[object, ...]:
    return (
        clock_time(decision.at),
        decision.job_id,
        decision.action,
        decision.by,
        decision.images or None,
        decision.why,
    )


@command.command("refund")
@click.argument("job_id")
@click.option("--why", required=True, help="What the provider said, or where it can be read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def refund(job_id: str, why: str, *, as_json: bool) -> None:
    """Note that the provider gave back what a job cost."""
    snapshot = get_job(job_id).refund(by=current_user(), why=why)
    if as_json:
        print_json(snapshot_document(snapshot))
    else:
        click.echo(f"{job_id}: {snapshot.charge}")
