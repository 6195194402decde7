"""`python3 run.py simulate`: search for a seed that breaks a promise, or see one again."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from tests.faults.corpus import Case, keep
from tests.faults.kernel import KillPoint
from tests.faults.plan import drawn_plan
from tests.faults.scenarios import SCENARIOS
from tests.faults.searching import Search, search
from tests.faults.world import Outcome, run

SAY_EVERY_RUNS = 500


@click.command("simulate", context_settings={"show_default": True})
@click.option("--seeds", default=3000, type=click.IntRange(1), help="How many random schedules.")
@click.option("--first", default=0, type=click.IntRange(0), help="The first of their seeds.")
@click.option("--processes", default=os.cpu_count() or 1, type=click.IntRange(1, 64), help="Processes at once.")
@click.option("--seed", type=click.IntRange(0), help="Run this one alone, and show what happened in it.")
@click.option("--scenario", type=click.Choice([each.name for each in SCENARIOS]), help="Run this course alone.")
@click.option("--kill", "kills", multiple=True, metavar="NUMBER[-]", help="With --scenario: kill after effect NUMBER, "
              "or before it with a minus.")  # fmt: skip
@click.option("--keep", "kept_as", metavar="NAME", help="With --seed: add its plan to the corpus, under this name.")
@click.option("--why", default="", help="With --keep: what it showed.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the sums here.")
def command(
    *,
    seeds: int,
    first: int,
    processes: int,
    seed: int | None,
    scenario: str | None,
    kills: tuple[str, ...],
    kept_as: str | None,
    why: str,
    json_path: Path | None,
) -> None:
    """Run the real code in a simulated world where everything goes wrong that can, and check every promise.

    Exits with 1 when one was broken, and names the seed that shows it. The same seed gives the same run.
    """
    if seed is not None and kept_as:
        click.echo(f"kept as {keep(Case(name=kept_as, why=why, seed=str(seed), plan=drawn_plan(seed)))}")
    elif seed is not None:
        _show(run(drawn_plan(seed), seed, keep_trace=True))
    elif scenario is not None:
        points = tuple(KillPoint(int(text.rstrip("-")), after=not text.endswith("-")) for text in kills)
        [chosen] = [each for each in SCENARIOS if each.name == scenario]
        _show(chosen.play(*points, keep_trace=True))
    else:
        _search(first, seeds, processes, json_path)


def _show(outcome: Outcome) -> None:
    for line in outcome.trace:
        click.echo(line)
    for job in outcome.evidence.jobs.values():
        click.echo(f"{job.id}: {job.state}, {job.charge}{f', {job.error.code}' if job.error else ''}")
    click.echo(f"{len(outcome.effects)} effects, trace {outcome.trace_hash}")
    for problem in outcome.problems:
        click.echo(f"BROKEN: {problem}")
    sys.exit(1 if outcome.problems else 0)


def _search(first: int, seeds: int, processes: int, json_path: Path | None) -> None:
    said = 0

    def say(total: Search) -> None:
        nonlocal said
        if total.runs >= said + SAY_EVERY_RUNS:
            said = total.runs
            click.echo(f"{total.seconds:7.0f} s  {total.runs} runs, {len(total.findings)} findings", err=True)

    total = search(first, seeds, processes=processes, say=say)
    for name, amount in (("runs", total.runs), ("jobs", total.jobs), ("effects", total.effects)):
        click.echo(f"{name:<32} {amount}")
    click.echo(f"{'seconds':<32} {total.seconds:.0f}")
    for title, counts in (("jobs by state", total.states), ("what happened", total.faults)):
        click.echo(f"{title}:")
        for name, amount in sorted(counts.items()):
            click.echo(f"  {name:<30} {amount}")
    for finding in total.findings:
        click.echo(f"BROKEN: {finding}")
    if json_path:
        document = {"runs": total.runs, "jobs": total.jobs, "effects": total.effects, "seconds": total.seconds,
                    "states": total.states, "faults": total.faults,
                    "broken": [finding.seed for finding in total.findings]}  # fmt: skip
        json_path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    sys.exit(1 if total.findings else 0)


if __name__ == "__main__":
    command()
