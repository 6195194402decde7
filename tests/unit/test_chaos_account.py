"""The judge of the chaos runs must itself be right: each broken promise is found, and named."""

from __future__ import annotations

from typing import Any

import pytest

from sceneshift.jobs.states import JobState
from tests.chaos.account import Account, JobAccount
from tests.chaos.occupancy import Occupancy, Watch
from tests.checkers import Bound
from tests.checkers.evidence import OwnLedger
from tests.factories import a_job

HELD = JobState.NEEDS_ATTENTION


def an_account(*, charged: int | None = None, **changes: Any) -> Account:
    values: dict[str, Any] = {
        "id": "job_1", "state": JobState.SUCCEEDED, "code": "", "intents": 1, "submissions": 1, "charges": 1
    }  # fmt: skip
    job = JobAccount(**{**values, **changes})
    return Account(jobs=(job,), charged=job.charges if charged is None else charged)


def test_a_run_that_kept_its_promises_has_no_problems() -> None:
    """One charge per job, a held job that was not charged, and one that was."""
    assert an_account().problems(Bound()) == []
    assert an_account(state=HELD, charges=0).problems(Bound()) == []
    assert an_account(state=HELD).problems(Bound()) == []


@pytest.mark.parametrize(
    ("changes", "bound", "problem"),
    [
        ({"charges": 2, "intents": 2}, Bound(more_in_all=None), "charged more than 1 times: job_1"),
        ({"charges": 3, "intents": 3}, Bound(more_per_job=1, more_in_all=9), "charged more than 2 times: job_1"),
        ({"charges": 1, "intents": 0}, Bound(), "charged more often than there was an intent: job_1"),
        ({"state": JobState.QUEUED}, Bound(), "neither final nor held: job_1"),
        ({"charges": 0}, Bound(), "succeeded without a charge: job_1"),
        ({"charged": 2}, Bound(), "the provider charged 1 submissions that are of no job"),
        ({"intents": 2}, Bound(), "1 images were submitted again, and 0 may be"),
        (
            {"intents": 3, "charges": 1},
            Bound(more_per_job=2, more_in_all=1),
            "2 images were submitted again, and 1 may be",
        ),
        (
            {},
            Bound(more_per_job=1, more_in_all=9),
            "nothing was submitted again, so that nothing is proved about it",
        ),
    ],
)
def test_each_broken_promise_is_found(changes: dict[str, Any], bound: Bound, problem: str) -> None:
    """The one thing that is wrong is the one problem."""
    assert an_account(**changes).problems(bound) == [problem]


def test_charges_are_counted_by_prompt() -> None:
    """Two accepted calls for one prompt are two charges of its job, whatever their nonces were."""
    job = a_job(submits=2)
    prompt = {"positive_prompt": "chaos 0"}
    calls = [{**prompt, "charged": 1, "nonce": "a"}, {**prompt, "charged": 1, "nonce": "b"}, {**prompt, "charged": 0}]
    account = Account.of({"chaos 0": job}, [*calls, {"positive_prompt": "of nobody", "charged": 1}])
    assert [(each.submissions, each.charges, each.intents) for each in account.jobs] == [(3, 2, 2)]
    assert account.charged == 3


@pytest.mark.parametrize(("provider", "is_right"), [(9, False), (10, True), (13, True), (14, False)])
def test_the_providers_sum_lies_between_charged_and_possible(provider: int, is_right: bool) -> None:
    """From what our ledger knows to be charged, up to that and all that may be."""
    assert (OwnLedger(charged=10, unknown=3).contradicts(provider) == "") is is_right


def test_the_bound_is_read_from_the_setting() -> None:
    """A budget is for each day that the run has touched; under probe, repetitions are free."""
    assert Bound.of_policy("resubmit(2, 30)", days=2) == Bound(more_per_job=2, more_in_all=60)
    assert Bound.of_policy("probe") == Bound(more_in_all=None)
    assert Bound.of_policy("hold") == Bound.of_policy("fail") == Bound(more_per_job=0, more_in_all=0)


def test_occupancy_counts_what_runs_at_once() -> None:
    """Two at once, then one that begins when another ends: the most is two, and the cap is full but at its end."""
    occupancy = Occupancy(spans=((0.0, 4.0), (0.0, 6.0), (4.0, 8.0)))
    assert occupancy.most == 2
    assert occupancy.throughput(2) == pytest.approx(1.0)
    assert occupancy.utilisation(2) == pytest.approx(1.0)
    assert occupancy.utilisation(3) == 0.0


def test_the_ideal_never_leaves_a_slot_empty_for_long() -> None:
    """Two slots, and the third job begins a second after one was free: nine seconds in place of eight."""
    assert Occupancy(spans=((0.0, 4.0), (0.0, 6.0), (5.0, 9.0))).throughput(2) == pytest.approx(8 / 9)


def test_an_empty_slot_lowers_the_utilisation() -> None:
    """A slot that is refilled after two of six seconds is used for four of them."""
    assert Occupancy(spans=((0.0, 6.0), (0.0, 4.0), (6.0, 9.0))).utilisation(2) == pytest.approx(10 / 12)


def test_a_submission_that_was_not_watched_is_an_error() -> None:
    """Nothing is concluded from times that nobody has seen."""
    watch = Watch()
    watch.note({"submissions": [{"result_key": "k1", "accepted_at": 1.0, "tasks": [{"ends_at": 3.0}]}]})
    accepted: list[dict[str, Any]] = [{"result_key": "k1", "accepted": True}, {"result_key": None, "accepted": False}]
    assert watch.occupancy(accepted) == Occupancy(spans=((1.0, 3.0),))
    with pytest.raises(LookupError, match="1 submissions"):
        watch.occupancy([*accepted, {"result_key": "k2", "accepted": True}])
