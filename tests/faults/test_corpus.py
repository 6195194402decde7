"""What once showed something must never show it again."""

from __future__ import annotations

import pytest

from tests.faults.corpus import Case, cases

KEPT = list(cases())


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.name)
def test_a_kept_run_breaks_no_promise(case: Case) -> None:
    """Each of them has found something in the code, or in the simulation itself."""
    assert case.play().problems == [], case.why


def test_there_are_kept_runs() -> None:
    """An empty corpus would prove nothing."""
    assert len(KEPT) >= 5
    assert all(case.why for case in KEPT)
