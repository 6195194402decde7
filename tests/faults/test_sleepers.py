"""A worker that slept: others have gone on with its job, and it must neither send nor forget what it knows."""

from __future__ import annotations

import pytest

from tests.faults.sleepers import asleep


@pytest.mark.parametrize("policy", ["hold", "fail", "resubmit(1, 5)"])
def test_a_worker_that_slept_sends_nothing_that_others_have_taken_over(policy: str) -> None:
    """It sends only while its lease is certain to last; and every key that it got is in the ledger, however late."""
    slept = 0
    for seed, outcome in asleep(policy):
        assert outcome.problems == [], seed
        ledger = outcome.evidence.ledger
        assert ledger.charged == sum(1 for call in outcome.evidence.submits if call["charged"]), seed
        slept += outcome.counts["stopped"]
    assert slept > 0
