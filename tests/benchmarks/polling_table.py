"""What finding out costs: learned polling beside fixed and doubling pauses, as a table for docs/explanation/waiting.md.

Run as `python -m tests.benchmarks.polling_table`. The clock is virtual, and the times of the jobs are seeded, so that
every run prints the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sceneshift.clock import ManualClock
from tests.unit.jobs.polling_simulation import (
    ByAge,
    Detection,
    Learned,
    Strategy,
    lognormal,
    mean_polls,
    p95,
    p95_lag_share,
    simulate,
)

JOBS = 1000
MEDIANS_SECONDS = {5.0: "5 s", 30.0: "30 s", 600.0: "10 min"}
SIGMAS = (0.3, 0.5, 0.7)
SEED = 1
STRATEGIES: dict[str, Callable[[ManualClock], Strategy]] = {
    "learned": Learned,
    "every 1 s": lambda _clock: ByAge(lambda _age: 1.0),
    "every 5 s": lambda _clock: ByAge(lambda _age: 5.0),
    "1 s, doubling": lambda _clock: ByAge(lambda age: 1.0 + age),
}
"""Pauses that double from one second lead to ages of 1 s, 3 s, 7 s …: each pause is one second more than the age."""


def main() -> None:
    """The table is printed, in Markdown."""
    print("| median | sigma | questions | mean questions | p95 lag | p95 lag / duration |")  # noqa: T201  # the table is what this is for
    print("|---|---|---|---|---|---|")  # noqa: T201
    for row in rows():
        print(f"| {' | '.join(row)} |")  # noqa: T201


def rows() -> Iterator[tuple[str, ...]]:
    """One row per median, spread and strategy."""
    for median, name in MEDIANS_SECONDS.items():
        for sigma in SIGMAS:
            seconds = lognormal([median] * JOBS, sigma, SEED)
            for strategy, found in ((each, _found(each, seconds)) for each in STRATEGIES):
                yield (name, f"{sigma:.1f}", strategy, *_figures(found))


def _found(strategy: str, seconds: Sequence[float]) -> list[Detection]:
    clock = ManualClock()
    return simulate(seconds, STRATEGIES[strategy](clock), clock, seed=SEED)


def _figures(found: Sequence[Detection]) -> tuple[str, str, str]:
    lag_seconds = p95([detection.lag_seconds for detection in found])
    return (
        f"{mean_polls(found):.1f}",
        f"{lag_seconds:.2f} s" if lag_seconds < 10 else f"{lag_seconds:.0f} s",
        f"{p95_lag_share(found):.1%}",
    )


if __name__ == "__main__":
    main()
