"""`python3 run.py slots`: a cap on the jobs in flight while workers die; is it kept, and is it used?

The provider's own times say how many jobs it was at. At the end every slot must be free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sceneshift.jobs.states import JobState
from tests.chaos.account import Account
from tests.chaos.deployment import left_behind, running_chaos
from tests.chaos.fire import run_under_fire
from tests.chaos.occupancy import Watch
from tests.chaos.spending import finish, teller
from tests.checkers import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotsPlan:
    """One run. `throughput_min` and `utilisation_min` are shares; see `tests.chaos.occupancy`."""

    jobs: int
    cap: int = 20
    workers: int = 3
    kill_every_seconds: float = 2.0
    median_seconds: float = 18.0
    limit_seconds: float = 900.0
    throughput_min: float = 0.95
    utilisation_min: float = 0.0

    @property
    def settings(self) -> dict[str, str]:
        # A cap is used no better than the end of a job is noticed, and what a dead worker held is found again.
        return {
            "MAX_IN_FLIGHT": str(self.cap),
            "POLL_FIRST_SECONDS": "1.5",
            "POLL_MAX_SECONDS": "0.3",
            "LEASE_SECONDS": "1",
            "TIMEKEEPER_INTERVAL_SECONDS": "0.05",
        }

    @property
    def simulator(self) -> list[str]:
        return ["--median-seconds", f"{self.median_seconds:g}"]


def run_slots(plan: SlotsPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """The report of one run; `problems` is empty when the cap was kept and used."""
    watch = Watch()
    with running_chaos(workers=plan.workers, simulator=plan.simulator, settings=plan.settings) as deployment:
        run = run_under_fire(
            deployment,
            jobs=plan.jobs,
            kill_every_seconds=plan.kill_every_seconds,
            limit_seconds=plan.limit_seconds,
            say=say,
            look=lambda: watch.note(deployment.provider("state")),
        )
        watch.note(deployment.provider("state"))
        counts = deployment.client().store.jobs.counts()
        slots_left = counts[JobState.SUBMITTING] + counts[JobState.RENDERING]
        deployment.fleet.stop_all()
        submits = deployment.provider("ledger")["submits"]
    account, occupancy = Account.of(run.jobs, submits), watch.occupancy(submits)
    throughput, utilisation = occupancy.throughput(plan.cap), occupancy.utilisation(plan.cap)
    problems = [*account.problems(Bound()), *run.problems, *left_behind(deployment)]
    if occupancy.most > plan.cap:
        problems.append(f"the provider was at {occupancy.most} jobs at once, and {plan.cap} are allowed")
    if slots_left:
        problems.append(f"{slots_left} slots are still taken")
    if throughput < plan.throughput_min:
        problems.append(f"the throughput is {throughput:.1%} of the ideal, below {plan.throughput_min:.0%}")
    if utilisation < plan.utilisation_min:
        problems.append(f"{utilisation:.1%} of the slots were in use, below {plan.utilisation_min:.0%}")
    return {
        "cap": plan.cap,
        **account.as_json(),
        "most_in_flight": occupancy.most,
        "slots_left": slots_left,
        "provider_seconds": round(occupancy.mean_seconds, 2),
        "throughput": f"{throughput:.1%}",
        "utilisation": f"{utilisation:.1%}",
        "kills": deployment.fleet.kills,
        "seconds": round(run.seconds, 1),
        "problems": problems,
    }


@click.command("slots", context_settings={"show_default": True})
@click.option("--jobs", default=1000, type=click.IntRange(1), help="How many jobs.")
@click.option("--cap", default=20, type=click.IntRange(1), help="Jobs that the provider may be at.")
@click.option("--median-seconds", default=18.0, type=click.FloatRange(1), help="Of the provider, for 50 steps. The "
              "jobs have 15 and take three quarters of it on average.")  # fmt: skip
@click.option("--workers", default=3, type=click.IntRange(2, 16), help="Worker processes.")
@click.option("--kill-every", default=2.0, type=click.FloatRange(0.5), help="Seconds between two kills.")
@click.option("--throughput", default=95.0, type=click.FloatRange(0, 100), help="% of the cap's ideal that is needed.")
@click.option("--limit", default=900.0, type=click.FloatRange(10), help="Seconds after which the run has failed.")
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report here."
)
def command(
    *,
    jobs: int,
    cap: int,
    median_seconds: float,
    workers: int,
    kill_every: float,
    throughput: float,
    limit: float,
    json_path: Path | None,
) -> None:
    """Send many jobs through workers that share a cap and are killed, and count what the provider was at.

    Exits with 1 unless the cap was never exceeded, every slot is free at the end, and the slots were well used.
    """
    plan = SlotsPlan(
        jobs=jobs,
        cap=cap,
        median_seconds=median_seconds,
        workers=workers,
        kill_every_seconds=kill_every,
        limit_seconds=limit,
        throughput_min=throughput / 100,
    )
    finish(run_slots(plan, teller()), json_path)


if __name__ == "__main__":
    command()
