"""`python3 run.py spending`: thousands of jobs while answers are lost and workers die; is anything paid twice?

The answer is the simulated provider's own ledger, against the job records and our own ledger.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests.chaos.account import Account
from tests.chaos.deployment import left_behind, running_chaos
from tests.chaos.fire import run_under_fire
from tests.checkers import Bound
from tests.checkers.collecting import own_ledger

FAULTS = {
    "drop": "submit-accept-then-drop",
    "timeout": "submit-accept-then-timeout",
    "error-after": "submit-accept-then-500",
    "error-before": "submit-500",
}
"""What goes wrong with a share of the submissions, as options and as scenarios of the simulator."""

SHARE_PERCENT = 2.0
SHARE_UNDER_RESUBMIT_PERCENT = 0.2
"""Of each fault, when none is given. With more than two unknown outcomes in a hundred nothing is resubmitted at all."""

BUDGET_SHARE = 0.01
"""Of the jobs, when no budget is given: fewer than need it, so that the budget ends before the run does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. `faults` are shares from 0 to 1, by the keys of `FAULTS`; `unknown_outcome` is the setting."""

    jobs: int
    unknown_outcome: str
    faults: Mapping[str, float]
    workers: int = 3
    kill_every_seconds: float = 2.0
    median_seconds: float = 1.0
    limit_seconds: float = 1800.0

    @property
    def settings(self) -> dict[str, str]:
        verified = {"NONCE_CONTRACT": "verified"} if self.unknown_outcome == "probe" else {}
        return {"UNKNOWN_OUTCOME": self.unknown_outcome, **verified}

    @property
    def simulator(self) -> list[str]:
        rules = [f"--scenario={FAULTS[name]}={share:g}" for name, share in self.faults.items() if share]
        return ["--median-seconds", f"{self.median_seconds:g}", "--nonces", "enforced", *rules]


def run_spending(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """The report of one run; `problems` is empty when every promise was kept."""
    began = datetime.now(UTC).date()
    with running_chaos(workers=plan.workers, simulator=plan.simulator, settings=plan.settings) as deployment:
        run = run_under_fire(
            deployment,
            jobs=plan.jobs,
            kill_every_seconds=plan.kill_every_seconds,
            limit_seconds=plan.limit_seconds,
            say=say,
        )
        deployment.fleet.stop_all()
        account = Account.of(run.jobs, deployment.provider("ledger")["submits"])
        struck = deployment.provider("state")["struck"]
        ours = own_ledger(deployment.client().store)
    days = 1 + (datetime.now(UTC).date() - began).days
    problems = [
        *account.problems(Bound.of_policy(plan.unknown_outcome, days=days)),
        *filter(None, [ours.contradicts(account.charged)]),
        *run.problems,
        *left_behind(deployment),
    ]
    return {
        "policy": plan.unknown_outcome,
        **account.as_json(),
        "ledger_charged": ours.charged,
        "ledger_unknown": ours.unknown,
        "faults": struck,
        "kills": deployment.fleet.kills,
        "seconds": round(run.seconds, 1),
        "problems": problems,
    }


@click.command("spending", context_settings={"show_default": True})
@click.option("--jobs", default=10_000, type=click.IntRange(1), help="How many jobs.")
@click.option("--policy", type=click.Choice(["hold", "fail", "probe", "resubmit"]), default="hold", help="What becomes "
              "of a submission whose answer is lost.")  # fmt: skip
@click.option("--resubmits", default=1, type=click.IntRange(1), help="With resubmit: so often for a job.")
@click.option(
    "--budget", type=click.IntRange(0), help="With resubmit: images a day in all.  [default: 1 % of the jobs]"
)
@click.option("--drop", type=click.FloatRange(0, 100), help="% accepted, and the connection closed.")
@click.option("--timeout", type=click.FloatRange(0, 100), help="% accepted, and never answered.")
@click.option("--error-after", type=click.FloatRange(0, 100), help="% accepted, and answered with 500.")
@click.option("--error-before", type=click.FloatRange(0, 100), help="% not accepted; answered with 500.")
@click.option("--workers", default=3, type=click.IntRange(2, 16), help="Worker processes.")
@click.option("--kill-every", default=2.0, type=click.FloatRange(0.5), help="Seconds between two kills.")
@click.option("--limit", default=1800.0, type=click.FloatRange(10), help="Seconds after which the run has failed.")
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report here."
)
def command(
    *,
    jobs: int,
    policy: str,
    resubmits: int,
    budget: int | None,
    workers: int,
    kill_every: float,
    limit: float,
    json_path: Path | None,
    **percent: float | None,
) -> None:
    """Send many jobs through real workers while answers are lost and workers are killed, and check the bill.

    Exits with 1, naming the jobs, unless every charge had an intent, no job was charged more often than the policy
    allows, and every job is final or held.
    """
    usual = SHARE_UNDER_RESUBMIT_PERCENT if policy == "resubmit" else SHARE_PERCENT
    if policy == "resubmit":
        allowed = max(1, round(jobs * BUDGET_SHARE)) if budget is None else budget
        policy = f"resubmit({resubmits}, {allowed})"
    plan = Plan(
        jobs=jobs,
        unknown_outcome=policy,
        faults={name.replace("_", "-"): (usual if share is None else share) / 100 for name, share in percent.items()},
        workers=workers,
        kill_every_seconds=kill_every,
        limit_seconds=limit,
    )
    finish(run_spending(plan, teller()), json_path)


def teller() -> Callable[[str], None]:
    """Says each sentence on standard error, with the seconds since now before it."""
    began = time.monotonic()
    return lambda text: click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=True)


def finish(report: dict[str, Any], json_path: Path | None, *, unshown: Collection[str] = ()) -> None:
    """The report is printed, but for what is not to be shown, and written if wished; ends with 1 if it has problems."""
    if json_path:
        json_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for name, value in report.items():
        if name != "problems" and name not in unshown:
            click.echo(f"{name.replace('_', ' '):<24} {_words(value)}")
    for problem in report["problems"]:
        click.echo(f"FAILED: {problem}")
    sys.exit(1 if report["problems"] else 0)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    return str(value)


if __name__ == "__main__":
    command()
