"""When a webhook is tried again and when it is given up."""

from __future__ import annotations

import pytest

from sceneshift.jobs.delivery_schedule import AttemptOutcome, Verdict, judge

REFUSED = AttemptOutcome(summary="500", status=500)
NOMINAL = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)


def pause_of(attempts: int, delivery_id: str = "dlv_X_1", retry_after_seconds: float | None = None) -> float:
    outcome = AttemptOutcome(summary="503", status=503, retry_after_seconds=retry_after_seconds)
    pause = judge(delivery_id, attempts, outcome).pause_seconds
    assert pause is not None
    return pause


def test_a_webhook_is_tried_ten_times_over_three_days() -> None:
    """The pauses are those of the design, each ±20 %, about 75 hours in all; the tenth failure is the last."""
    pauses = [pause_of(attempts) for attempts in range(9)]
    assert pauses == [pytest.approx(nominal, rel=0.2) for nominal in NOMINAL]
    assert sum(NOMINAL) == pytest.approx(75 * 3600.0, rel=0.01)
    assert judge("dlv_X_1", 9, REFUSED) == Verdict(status="exhausted")


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    """Even at the last try."""
    assert judge("dlv_X_1", 9, AttemptOutcome(summary=str(status), status=status)) == Verdict(status="delivered")


@pytest.mark.parametrize("status", [199, 300, 301, 302, 307, 400, 401, 404, 409, 429, 500, 503, None])
def test_everything_else_is_tried_again(status: int | None) -> None:
    """A redirect, a client error and no answer at all are failures like any other."""
    assert judge("dlv_X_1", 0, AttemptOutcome(summary="x", status=status)).status == "pending"


def test_gone_and_forbidden_end_a_delivery_at_once() -> None:
    """410 is the receiver's own word, and a URL that is not allowed never will be."""
    assert judge("dlv_X_1", 0, AttemptOutcome(summary="410", status=410)) == Verdict(status="exhausted")
    assert judge("dlv_X_1", 0, AttemptOutcome(summary="blocked", final=True)) == Verdict(status="exhausted")


@pytest.mark.parametrize(
    ("asked", "pause"), [(500.0, 500.0), (600.0, 600.0), (601.0, 600.0), (1e12, 600.0), (float("inf"), 600.0)]
)
def test_retry_after_stretches_a_pause_to_twice_its_length_at_the_most(asked: float, pause: float) -> None:
    """The receiver is listened to, within bounds."""
    assert pause_of(1, retry_after_seconds=asked) == pause


@pytest.mark.parametrize("asked", [-5.0, 0.0, 1.0, None])
def test_retry_after_never_shortens_a_pause(asked: float | None) -> None:
    """A receiver cannot make us knock faster."""
    assert pause_of(1, retry_after_seconds=asked) == pause_of(1)


def test_pauses_of_many_webhooks_are_spread_and_repeat() -> None:
    """A receiver that comes back does not meet all its webhooks at once, and one webhook always gets the same pause."""
    pauses = [pause_of(1, f"dlv_{number}_1") for number in range(1000)]
    assert all(240.0 <= pause <= 360.0 for pause in pauses)
    assert len(set(pauses)) > 900
    assert pauses == [pause_of(1, f"dlv_{number}_1") for number in range(1000)]
