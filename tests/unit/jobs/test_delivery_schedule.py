"""When a webhook is tried again, when it is given up, and what its answer says about the endpoint."""

from __future__ import annotations

import pytest

from sceneshift.jobs.delivery_schedule import AttemptOutcome, Verdict, judge

REFUSED = AttemptOutcome(summary="500", status=500)
NOMINAL = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)


def answered(status: int, *, retry_after_seconds: float | None = None, directive: str = "") -> AttemptOutcome:
    return AttemptOutcome(
        summary=str(status),
        status=status,
        retry_after_seconds=retry_after_seconds,
        directive=directive,  # type: ignore[arg-type]  # a test gives it as the header has it
    )


def pause_of(
    tries: int, delivery_id: str = "dlv_X_1", retry_after_seconds: float | None = None, *, status: int = 500
) -> float:
    pause = judge(delivery_id, tries, answered(status, retry_after_seconds=retry_after_seconds)).pause_seconds
    assert pause is not None
    return pause


def test_a_webhook_is_tried_ten_times_over_three_days() -> None:
    """The pauses are those of the design, each ±20 %, about 75 hours in all; the tenth failure is the last."""
    pauses = [pause_of(tries) for tries in range(9)]
    assert pauses == [pytest.approx(nominal, rel=0.2) for nominal in NOMINAL]
    assert sum(NOMINAL) == pytest.approx(75 * 3600.0, rel=0.01)
    assert judge("dlv_X_1", 9, REFUSED) == Verdict(status="exhausted", tries_used_up=True)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
@pytest.mark.parametrize("directive", ["", "abort", "disable"])
def test_any_2xx_is_success(status: int, directive: str) -> None:
    """Even at the last try, and whatever else the receiver says: it has the event."""
    outcome = answered(status, directive=directive)
    assert judge("dlv_X_1", 9, outcome) == Verdict(status="delivered")
    assert (outcome.lane_result, outcome.counted_as) == ("success", "delivered")


@pytest.mark.parametrize("status", [199, 300, 301, 302, 307, 400, 401, 404, 409, 429, 500, 503, None])
def test_everything_else_is_tried_again(status: int | None) -> None:
    """A redirect, a client error and no answer at all are failures like any other, and so the endpoint's."""
    outcome = AttemptOutcome(summary="x", status=status, unreachable=status is None)
    assert judge("dlv_X_1", 0, outcome).status == "pending"
    assert outcome.lane_result == "failure"


@pytest.mark.parametrize("summary", ["no_webhook_secret", "storage_unavailable", "poison", "blocked"])
def test_what_fails_on_our_side_says_nothing_about_the_endpoint(summary: str) -> None:
    """Its health stays as it was, and the failure is counted as ours."""
    outcome = AttemptOutcome(summary=summary)
    assert (outcome.lane_result, outcome.counted_as) == ("none", "failed:here")


def test_a_url_that_is_not_allowed_ends_its_delivery_at_once() -> None:
    """It never will be, so it waits for nothing."""
    assert judge("dlv_X_1", 0, AttemptOutcome(summary="blocked", final=True)) == Verdict(status="exhausted")


@pytest.mark.parametrize(
    ("outcome", "reason"), [(answered(410), "gone"), (answered(500, directive="disable"), "asked")]
)
def test_an_endpoint_that_wants_no_more_is_disabled_and_nothing_is_lost(outcome: AttemptOutcome, reason: str) -> None:
    """410 (Standard Webhooks) and `webhook-delivery: disable` are its own word; the event waits until a person says."""
    assert judge("dlv_X_1", 0, outcome) == Verdict(status="missed")
    assert outcome.disables == reason


def test_a_success_may_disable_the_endpoint_too() -> None:
    """This event is taken, and it shall be the last."""
    assert answered(200, directive="disable").disables == "asked"


def test_a_receiver_may_abort_one_delivery() -> None:
    """It ends, and the endpoint that said so is alive."""
    outcome = answered(422, directive="abort")
    assert judge("dlv_X_1", 0, outcome) == Verdict(status="aborted")
    assert (outcome.lane_result, outcome.counted_as, outcome.disables) == ("success", "aborted", "")


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (answered(503), "failed:5xx"),
        (answered(302), "failed:3xx"),
        (AttemptOutcome(summary="fetch_timeout", unreachable=True), "failed:unreachable"),
    ],
)
def test_failures_are_counted_by_their_class(outcome: AttemptOutcome, word: str) -> None:
    """A metric has few labels."""
    assert outcome.counted_as == word


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


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "pause"), [(None, 60.0), (7.0, 60.0), (59.0, 60.0), (1e9, 60.0), (-1.0, 60.0)])
def test_a_receiver_with_too_much_to_do_gets_a_minute_at_least(status: int, asked: float | None, pause: float) -> None:
    """429 and 503 make even the first pause of 5 seconds a minute; longer ones stay as they are."""
    assert pause_of(0, status=status, retry_after_seconds=asked) == pause
    assert pause_of(2, status=status, retry_after_seconds=asked) >= 0.8 * 1800.0


def test_pauses_of_many_webhooks_are_spread_and_repeat() -> None:
    """A receiver that comes back does not meet all its webhooks at once, and one webhook always gets the same pause."""
    pauses = [pause_of(1, f"dlv_{number}_1") for number in range(1000)]
    assert all(240.0 <= pause <= 360.0 for pause in pauses)
    assert len(set(pauses)) > 900
    assert pauses == [pause_of(1, f"dlv_{number}_1") for number in range(1000)]
