"""Whatever the provider does, the job ends in or waits in the state that the scenario's description says.

Every row of the provider's error table under both readings of its codes, every form of its gateway, on both endpoints,
and every other scenario of the simulator go through the real steps, with the simulator's ledger as the auditor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from sceneshift.jobs.pauses import STRIKES_MAX
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.simulator.config import Reading
from sceneshift.simulator.scenarios.catalogue import SCENARIOS
from sceneshift.simulator.scenarios.scenario import Exchange, Reaction, Scenario
from tests.unit.tasks.simulated import SimulatedShop, open_shop
from tests.unit.tasks.workshop import Workshop

WAITS = {
    Reaction.WAITS_FOR_RATE: "provider_throttled",
    Reaction.WAITS_FOR_CREDITS: "provider_credits",
    Reaction.WAITS_FOR_AUTHORIZATION: "provider_authorization",
    Reaction.WAITS_FOR_CONFIGURATION: "provider_configuration",
    Reaction.WAITS_FOR_PROVIDER: "provider_unavailable",
}
FAILS = {
    Reaction.FAILS_INVALID_INPUT: "invalid_input",
    Reaction.FAILS_SOURCE_UNREACHABLE: "source_unreachable",
    Reaction.FAILS_SOURCE_UNFIT: "source_unfit",
    Reaction.FAILS_CONTENT_REJECTED: "content_rejected",
}
VERDICTS = {
    Reaction.RESULT_LOST: "result_lost",
    Reaction.VERDICT_EXECUTION: "execution_failed",
    Reaction.VERDICT_CONTENT: "content_rejected",
    Reaction.VERDICT_UNREACHABLE: "source_unreachable",
    Reaction.VERDICT_UNFIT: "source_unfit",
    Reaction.EMPTY_RESULT: "empty_result",
}
RENDERINGS = {
    Reaction.RENDERING_FAILED: "execution_failed",
    Reaction.RENDERING_REJECTED: "content_rejected",
    Reaction.RENDERING_UNREACHABLE: "source_unreachable",
}
NONCE_ANSWERS = ("nonce-used", "nonce-missing", "s403nu", "i400nc")
READINGS: tuple[Reading, ...] = get_args(Reading)


@pytest.fixture(params=["fakeredis"])
def redis_client(redis_client: object) -> object:
    """The in-process store alone: these tests are about answers, and there are hundreds of them."""
    return redis_client


def of(exchange: Exchange, *reactions: Reaction) -> pytest.MarkDecorator:
    """Each scenario of an exchange, of these reactions if any are given; under both readings where a code is read."""
    cases = [
        (scenario, reading)
        for scenario in SCENARIOS.values()
        if scenario.exchange is exchange and (not reactions or scenario.reaction in reactions)
        for reading in (READINGS if "-error-" in scenario.name else READINGS[1:])
    ]
    return pytest.mark.parametrize(
        ("scenario", "reading"), cases, ids=[f"{scenario.name}-{reading}" for scenario, reading in cases]
    )


@of(Exchange.SUBMIT)
def test_submission_is_sent_and_paid_no_more_often_than_is_safe(
    work: Workshop, scenario: Scenario, reading: Reading
) -> None:
    """A submission that meets the scenario waits, fails, is held or goes on as described, and is never paid twice."""
    with open_shop(work, scenarios=(f"{scenario.name}@1",), reading=reading) as shop:
        job = shop.step(shop.order())
        assert shop.submits == 1
        assert shop.charged == (1 if scenario.works else 0)
        SUBMISSION_CHECKS[scenario.reaction](shop, job)


def _check_waits(shop: SimulatedShop, job: JobRecord) -> None:
    _check_waits_for(shop, job, WAITS[_reaction(shop)])
    done = shop.settle(job)
    nonces = shop.simulator.ledger.by_nonce()
    assert (done.state, shop.charged, shop.submits) == (JobState.SUCCEEDED, 1, 2)
    assert [account.submits for account in nonces.values()] == [1, 1]


def _check_waits_for(shop: SimulatedShop, job: JobRecord, blocked_by: str) -> None:
    assert (job.state, job.blocked_by, job.charge) == (JobState.QUEUED, blocked_by, Charge.NOT_CHARGED)
    assert job.blocked_until is not None
    assert job.blocked_until > shop.work.clock.now()


def _check_fails(shop: SimulatedShop, job: JobRecord) -> None:
    assert job.error is not None
    assert (job.state, job.error.code, job.charge) == (
        JobState.FAILED,
        FAILS[_reaction(shop)],
        Charge.NOT_CHARGED,
    )
    assert shop.work.due_at(job.id) is None


def _check_unexplained(shop: SimulatedShop, job: JobRecord) -> None:
    _check_waits_for(shop, job, "provider_throttled")
    shop.simulator.control(scenarios=("submit-refused-without-reason",))
    done = shop.settle(job)
    assert done.error is not None
    assert (done.state, done.error.code, done.charge) == (JobState.FAILED, "refused_unexplained", Charge.NOT_CHARGED)
    assert (shop.submits, shop.charged) == (STRIKES_MAX, 0)
    assert shop.work.clock.now() - job.created_at >= 30 * 60


def _check_held(shop: SimulatedShop, job: JobRecord) -> None:
    assert job.error is not None
    assert (job.state, job.error.code, job.charge) == (
        JobState.NEEDS_ATTENTION,
        "outcome_unknown",
        Charge.UNKNOWN,
    )
    for _ in range(3):
        shop.work.clock.advance(86_400.0)
        shop.work.bring_back()
    assert (shop.work.job(job.id).state, shop.submits) == (JobState.NEEDS_ATTENTION, 1)


def _check_goes_on(shop: SimulatedShop, job: JobRecord) -> None:
    done = shop.settle(job)
    assert (done.state, done.charge, shop.charged, shop.submits) == (JobState.SUCCEEDED, Charge.CHARGED, 1, 1)


SUBMISSION_CHECKS: dict[Reaction, Callable[[SimulatedShop, JobRecord], None]] = {
    **dict.fromkeys(WAITS, _check_waits),
    **dict.fromkeys(FAILS, _check_fails),
    Reaction.FAILS_UNEXPLAINED: _check_unexplained,
    Reaction.HELD: _check_held,
    Reaction.GOES_ON: _check_goes_on,
}


def _reaction(shop: SimulatedShop) -> Reaction:
    (struck,) = shop.simulator.provider.director.struck
    return SCENARIOS[struck].reaction


@of(Exchange.QUERY)
def test_bad_answers_to_a_question_never_cost_a_paid_result(
    work: Workshop, scenario: Scenario, reading: Reading
) -> None:
    """Three bad answers in a row only delay a job; it is asked about again and succeeds, paid once."""
    # A used nonce is replaced at once, by one more call.
    calls = 6 if scenario.name.endswith(NONCE_ANSWERS) else 3
    with open_shop(work, scenarios=(f"{scenario.name}@1-{calls}",), reading=reading) as shop:
        job = shop.step(shop.order())
        for asked in range(1, 4):
            before = shop.work.clock.now()
            job = shop.step(job)
            if scenario.reaction is Reaction.GOES_ON:
                break
            assert job.state is JobState.RENDERING
            assert job.polls == asked
            assert job.blocked_by.startswith("provider_")
            assert job.blocked_until == pytest.approx(shop.work.clock.now() + shop.work.due_in(job.id), abs=0.01)
            if "retry-after" in scenario.name:
                assert shop.work.due_in(job.id) >= 30.0
            assert shop.work.clock.now() > before
        done = shop.settle(job)
        assert (done.state, done.charge) == (JobState.SUCCEEDED, Charge.CHARGED)
        assert (shop.charged, shop.submits) == (1, 1)


@of(Exchange.QUERY, *VERDICTS)
def test_verdict_is_believed_when_it_is_repeated(work: Workshop, scenario: Scenario, reading: Reading) -> None:
    """What a question says about the job itself is believed after six times over 40 minutes, and the job stays paid."""
    with open_shop(work, scenarios=(scenario.name,), reading=reading) as shop:
        done = shop.settle(shop.order())
        assert done.error is not None
        assert (done.state, done.error.code, done.charge) == (
            JobState.FAILED,
            VERDICTS[scenario.reaction],
            Charge.CHARGED,
        )
        assert shop.simulator.ledger.queries >= STRIKES_MAX
        assert done.finished_at is not None
        assert done.submitted_at is not None
        assert done.finished_at - done.submitted_at >= 30 * 60
        assert (shop.charged, shop.submits) == (1, 1)


@of(Exchange.TASK)
def test_paid_task_ends_as_described(work: Workshop, scenario: Scenario, reading: Reading) -> None:
    """Whatever an accepted task does, the job ends as described: paid once, and never submitted again."""
    # The provider remembers for longer than we think, so that the end is ours.
    with open_shop(work, scenarios=(f"{scenario.name}@1",), reading=reading, retention_seconds=3 * 86_400.0) as shop:
        done = shop.settle(shop.order(num_output=2))
        TASK_CHECKS[scenario.reaction](scenario, done)
        assert done.charge is Charge.CHARGED
        assert (shop.charged, shop.submits) == (1, 1)


def _check_failed(scenario: Scenario, done: JobRecord) -> None:
    assert done.error is not None
    assert (done.state, done.error.code) == (JobState.FAILED, {**VERDICTS, **RENDERINGS}[scenario.reaction])


def _check_partial(_scenario: Scenario, done: JobRecord) -> None:
    assert (done.state, len(done.outputs)) == (JobState.PARTIAL, 1)
    assert [missing.code for missing in done.missing] == ["not_delivered"]


def _check_whole(_scenario: Scenario, done: JobRecord) -> None:
    assert (done.state, len(done.outputs), done.missing) == (JobState.SUCCEEDED, 2, ())


def _check_overdue(scenario: Scenario, done: JobRecord) -> None:
    _check_whole(scenario, done)
    assert done.overdue


def _check_abandoned(_scenario: Scenario, done: JobRecord) -> None:
    assert done.error is not None
    assert (done.state, done.error.code, done.overdue) == (JobState.FAILED, "abandoned_by_provider", True)


TASK_CHECKS: dict[Reaction, Callable[[Scenario, JobRecord], None]] = {
    **dict.fromkeys([*VERDICTS, *RENDERINGS], _check_failed),
    Reaction.PARTIAL: _check_partial,
    Reaction.GOES_ON: _check_whole,
    Reaction.SURPLUS_IGNORED: _check_whole,
    Reaction.OVERDUE: _check_overdue,
    Reaction.ABANDONED: _check_abandoned,
}


@pytest.mark.parametrize("reading", READINGS)
def test_success_is_success_under_both_readings(work: Workshop, reading: Reading) -> None:
    """The first row of the table: a faultless life, whether success has the code 0 or 23500000."""
    with open_shop(work, reading=reading) as shop:
        done = shop.settle(shop.order(num_output=4))
        assert (done.state, len(done.outputs), done.charge) == (JobState.SUCCEEDED, 4, Charge.CHARGED)
        assert (shop.charged, shop.submits) == (1, 1)


def test_every_scenario_has_a_check() -> None:
    """No reaction is described that none of these tests, or those of the downloads, looks at."""
    checked = {Reaction.ASKED_AGAIN, Reaction.FETCHED_AGAIN, Reaction.IMAGE_REFUSED}
    assert {each.reaction for each in SCENARIOS.values()} <= {*SUBMISSION_CHECKS, *VERDICTS, *TASK_CHECKS, *checked}
