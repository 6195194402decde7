"""The policies for lost answers as decisions: what each may do, when, how often, and in whose name."""

from __future__ import annotations

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.jobs.change import StaleEventError
from sceneshift.jobs.events import SubmissionLost
from sceneshift.jobs.pauses import JITTER
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.jobs.transitions import advance
from sceneshift.jobs.unknown_outcome_policy import UnknownOutcomePolicy
from sceneshift.jobs.unknown_outcomes import ClockReadings, Grant, after_loss, after_probe, may_probe
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    Refused,
    SubmitOutcome,
)
from sceneshift.settings import Settings
from tests.factories import NOW
from tests.unit.jobs.situations import EVENTS, LOST, SITUATIONS

WINDOW_SECONDS = 900.0
SUBMITTING = SITUATIONS["submitting"].evolve(intent_at=NOW)


def a_policy(text: str) -> UnknownOutcomePolicy:
    return UnknownOutcomePolicy.parse(text, nonce_contract="verified", nonce_window_seconds=WINDOW_SECONDS)


HOLD, FAIL, PROBE, RESUBMIT = (a_policy(text) for text in ("hold", "fail", "probe", "resubmit(2, 20)"))


def at(now: float, *, machine_ahead_seconds: float = 0.0) -> ClockReadings:
    """The job store's clock says this, and the worker's differs by so much."""
    return ClockReadings(store=now, machine=now + machine_ahead_seconds)


def never_asked() -> Grant:
    raise AssertionError("nothing is to be spent here")


def decided(
    job: JobRecord, policy: UnknownOutcomePolicy, *, grant: Grant | None = None, now: float = NOW
) -> SubmissionLost:
    return after_loss(job, LOST, policy, at(now), may_spend=never_asked if grant is None else lambda: grant)


@pytest.mark.parametrize(
    ("text", "action", "resubmits", "images", "name"),
    [
        ("hold", "hold", 0, 0, "policy hold"),
        (" fail ", "fail", 0, 0, "policy fail"),
        ("probe", "probe", 0, 0, "policy probe"),
        ("resubmit(1,20)", "resubmit", 1, 20, "policy resubmit(1, 20)"),
        ("resubmit( 3 , 500 )", "resubmit", 3, 500, "policy resubmit(3, 500)"),
    ],
)
def test_a_policy_is_read_from_its_text(text: str, action: str, resubmits: int, images: int, name: str) -> None:
    """Each policy has its numbers, and the name under which the ledger has its decisions."""
    policy = a_policy(text)
    assert (policy.action, policy.resubmits_max, policy.budget_images) == (action, resubmits, images)
    assert policy.name == name


@pytest.mark.parametrize(
    "text",
    ["", "Hold", "retry", "resubmit", "resubmit()", "resubmit(1)", "resubmit(0, 20)", "resubmit(1, 0)",
     "resubmit(-1, 5)", "resubmit(1, 2, 3)",
     "resubmit(1.5, 2)", "resubmit(100, 1)", "resubmit(1, 12345678)", "resubmit(\u0661, 5)", "probe()"],
)  # fmt: skip
def test_a_policy_that_bounds_nothing_is_refused(text: str) -> None:
    """A word that is none, a bound that is missing or 0, and digits of another script are told with what is legal."""
    with pytest.raises(ValueError, match=r"or resubmit\(K, BUDGET\) with K and BUDGET of at least 1"):
        a_policy(text)


def test_probing_needs_a_verified_contract() -> None:
    """Without it the setting is refused when it is read, and the text names the remedy."""
    given = {"SCENESHIFT_UNKNOWN_OUTCOME": "probe"}
    with pytest.raises(ConfigurationError, match=r"SCENESHIFT_UNKNOWN_OUTCOME.*SCENESHIFT_NONCE_CONTRACT=verified"):
        Settings.from_env(given)
    policy = Settings.from_env({**given, "SCENESHIFT_NONCE_CONTRACT": "verified"}).unknown_outcome_policy
    assert policy.action == "probe"


def test_a_wrong_policy_is_a_configuration_error() -> None:
    """The operator learns of it before anything is submitted."""
    with pytest.raises(ConfigurationError, match=r"SCENESHIFT_UNKNOWN_OUTCOME.*resubmit\(K, BUDGET\)"):
        Settings.from_env({"SCENESHIFT_UNKNOWN_OUTCOME": "resubmit(1)"})


def test_without_a_word_everything_is_held() -> None:
    """The default can never pay twice."""
    assert Settings.from_env({}).unknown_outcome_policy == UnknownOutcomePolicy() == HOLD


def test_the_probe_s_window_ends_well_before_the_provider_s_memory() -> None:
    """A fifth of the time is left for clocks that differ and for requests that are on their way."""
    assert PROBE.probe_seconds == pytest.approx(0.8 * WINDOW_SECONDS)


@pytest.mark.parametrize(("policy", "then"), [(HOLD, "hold"), (FAIL, "fail"), (PROBE, "probe")])
def test_what_costs_nothing_asks_for_no_money(policy: UnknownOutcomePolicy, then: str) -> None:
    """These three decide without a budget, and under their own name."""
    lost = decided(SUBMITTING, policy)
    assert (lost.then, lost.by, lost.fault) == (then, policy.name, LOST)


@pytest.mark.parametrize(
    ("grant", "then", "by"),
    [
        ("granted", "resubmit", "policy resubmit(2, 20)"),
        ("budget", "hold", "policy resubmit(2, 20): its budget of the day is spent"),
        ("incident", "hold", "policy resubmit(2, 20): too many outcomes are unknown at present"),
    ],
)
def test_only_what_is_granted_is_submitted_again(grant: Grant, then: str, by: str) -> None:
    """Otherwise it is held, and the decision says what was in the way."""
    lost = decided(SUBMITTING, RESUBMIT, grant=grant)
    assert (lost.then, lost.by) == (then, by)


def test_a_job_that_was_resubmitted_often_enough_is_held_without_asking_for_money() -> None:
    """K resubmissions are the most that one job gets, whatever is left of the budget."""
    assert decided(SUBMITTING.evolve(resubmits=1), RESUBMIT, grant="granted").then == "resubmit"
    assert decided(SUBMITTING.evolve(resubmits=2), RESUBMIT).then == "hold"


@pytest.mark.parametrize("wish", ["keep", "discard"])
@pytest.mark.parametrize("policy", [PROBE, RESUBMIT, HOLD], ids=lambda policy: policy.name)
def test_what_its_owner_gave_up_is_never_sent_again(policy: UnknownOutcomePolicy, wish: str) -> None:
    """A job with a wish to cancel it is held, and asks for no money."""
    assert decided(SUBMITTING.evolve(cancel=wish), policy).then == "hold"


def test_a_resubmission_keeps_what_the_first_one_may_have_cost() -> None:
    """A new epoch without nonce and intent, counted, and the charge of the earlier one stays unknown."""
    after = advance(SUBMITTING, EVENTS["lost, resubmit"], NOW).after
    assert (after.state, after.epoch, after.nonce, after.intent_at) == (JobState.QUEUED, 2, "", None)
    assert (after.resubmits, after.charge, after.earlier_charge) == (1, Charge.UNKNOWN, Charge.UNKNOWN)
    assert (after.blocked_by, after.blocked_until, after.error) == ("unknown_outcome", NOW + 10.0, None)
    refused = advance(advance(after, EVENTS["intent"], NOW).after, EVENTS["refused"], NOW).after
    assert (refused.state, refused.charge) == (JobState.FAILED, Charge.UNKNOWN)


def test_a_planned_probe_keeps_everything_that_makes_it_the_same_request() -> None:
    """Epoch, nonce and intent stay as they are, and the job says until when it waits for what."""
    after = advance(SUBMITTING, EVENTS["lost, probe"], NOW).after
    same = ("epoch", "nonce", "intent_at", "request_hash", "submits", "charge")
    assert [getattr(after, name) for name in same] == [getattr(SUBMITTING, name) for name in same]
    assert (after.blocked_by, after.blocked_until) == ("unknown_outcome", NOW + 20.0)
    probing = advance(after, EVENTS["probe"], NOW).after
    assert (probing.submits, probing.nonce, probing.intent_at) == (2, SUBMITTING.nonce, NOW)


def test_a_job_that_failed_as_unknown_says_so() -> None:
    """The policy `fail` ends it with what it may have cost."""
    after = advance(SUBMITTING, EVENTS["lost, fail"], NOW).after
    assert (after.state, after.error, after.charge) == (JobState.FAILED, LOST, Charge.UNKNOWN)


def test_a_late_key_of_a_failed_job_lets_it_go_on_without_paying() -> None:
    """The key is kept on the record, the job stays failed, and a person can have its result asked for."""
    failed = advance(SUBMITTING, EVENTS["lost, fail"], NOW).after
    known = advance(failed, EVENTS["accepted"], NOW + 5.0).after
    assert (known.state, known.charge, known.submitted_at) == (JobState.FAILED, Charge.CHARGED, NOW)
    again = advance(known, EVENTS["retry the query"], NOW + 60.0).after
    assert (again.state, again.result_key, again.error) == (JobState.RENDERING, known.result_key, None)
    assert (again.submits, again.finished_at, again.deadline_at) == (1, None, NOW + 60.0 + 1800.0)


def test_a_late_key_does_not_undo_a_refund() -> None:
    """What a person has noted as given back stays so; the key is on the record all the same."""
    failed = advance(SUBMITTING, EVENTS["lost, fail"], NOW).after
    refunded = advance(failed, EVENTS["refund"], NOW).after
    known = advance(refunded, EVENTS["accepted"], NOW).after
    assert known.result_key
    assert known.charge is Charge.REFUNDED_BY_HAND


def test_the_same_duplicate_key_is_told_once() -> None:
    """A replay of the same acceptance finds the job held for it already."""
    held = advance(SUBMITTING, EVENTS["key taken"], NOW).after
    assert (held.state, held.charge) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN)
    with pytest.raises(StaleEventError):
        advance(held, EVENTS["key taken"], NOW)


@pytest.mark.parametrize(
    ("age_seconds", "allowed"), [(0.0, True), (719.0, True), (720.0, False), (901.0, False), (1e6, False)]
)
def test_nothing_is_probed_after_the_window(age_seconds: float, *, allowed: bool) -> None:
    """It ends at 80 % of the provider's memory, counted from the intent."""
    assert may_probe(SUBMITTING, PROBE, at(NOW + age_seconds)) is allowed
    assert decided(SUBMITTING, PROBE, now=NOW + age_seconds).then == ("probe" if allowed else "hold")


@pytest.mark.parametrize(
    ("intent_at", "now", "allowed"),
    [(NOW, NOW - 0.01, False), (NOW, NOW - 600.0, False), (NOW + 0.7, NOW + 0.2, True), (NOW + 1.1, NOW + 0.9, False)],
)
def test_an_intent_of_the_future_is_not_asked_about(intent_at: float, now: float, *, allowed: bool) -> None:
    """The clock was set back since, so its age is not known; what the store has rounded away is not the future."""
    assert may_probe(SUBMITTING.evolve(intent_at=intent_at), PROBE, at(now)) is allowed


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("window_seconds", "apart_seconds"), [(900.0, 60.0), (600.0, 60.0), (100.0, 10.0)])
def test_clocks_that_differ_are_like_the_end_of_the_window(
    window_seconds: float, apart_seconds: float, sign: int
) -> None:
    """More than a minute, or a tenth of the window where that is less: it is held, and the decision says why."""
    policy = UnknownOutcomePolicy.parse("probe", nonce_contract="verified", nonce_window_seconds=window_seconds)
    near, far = (at(NOW, machine_ahead_seconds=sign * apart) for apart in (apart_seconds, apart_seconds + 0.5))
    assert may_probe(SUBMITTING, policy, near)
    assert not may_probe(SUBMITTING, policy, far)
    by = "policy probe: the job store's clock and the worker's differ"
    lost = after_loss(SUBMITTING, LOST, policy, far, may_spend=never_asked)
    assert (lost.then, lost.by) == ("hold", by)
    again = after_probe(SUBMITTING, NotSent(reason="dns"), policy, far)
    assert again is not None
    assert (again.then, again.by) == ("hold", by)


@pytest.mark.parametrize(("policy", "then"), [(HOLD, "hold"), (FAIL, "fail"), (RESUBMIT, "resubmit")])
def test_clocks_that_differ_mean_nothing_to_the_other_policies(policy: UnknownOutcomePolicy, then: str) -> None:
    """They send no nonce a second time."""
    clocks = at(NOW, machine_ahead_seconds=3600.0)
    lost = after_loss(SUBMITTING, LOST, policy, clocks, may_spend=lambda: "granted")
    assert (lost.then, lost.by) == (then, policy.name)


def test_a_request_without_a_time_is_never_probed() -> None:
    """Nobody knows how old its nonce is."""
    assert not may_probe(SUBMITTING.evolve(intent_at=None), PROBE, at(NOW))


def refused(kind: ErrorKind) -> Refused:
    return Refused(error=ProviderError(kind=kind, message="no", request_id="REQ-9"))


def unknown(kind: ErrorKind) -> OutcomeUnknown:
    return OutcomeUnknown(reason="no", error=ProviderError(kind=kind, message="no", request_id="REQ-9"))


@pytest.mark.parametrize("outcome", [unknown(ErrorKind.NONCE_USED), refused(ErrorKind.NONCE_USED)], ids=repr)
def test_a_used_nonce_means_that_the_first_request_arrived(outcome: SubmitOutcome) -> None:
    """Nobody can say what became of it: a person decides, and nothing is sent again."""
    lost = after_probe(SUBMITTING, outcome, PROBE, at(NOW))
    assert lost is not None
    assert (lost.then, lost.by, lost.fault.request_id) == ("hold", "policy probe", "REQ-9")


def test_an_accepted_probe_is_the_acceptance() -> None:
    """The first request never arrived."""
    assert after_probe(SUBMITTING, Accepted(result_key="key"), PROBE, at(NOW)) is None


INCONCLUSIVE: list[SubmitOutcome] = [
    *(refused(kind) for kind in ErrorKind if kind is not ErrorKind.NONCE_USED),
    *(unknown(kind) for kind in ErrorKind if kind is not ErrorKind.NONCE_USED),
    OutcomeUnknown(reason="read timeout"),
    NotSent(reason="connect"),
]


@pytest.mark.parametrize("outcome", INCONCLUSIVE, ids=repr)
def test_no_other_answer_tells_anything_of_the_first_request(outcome: SubmitOutcome) -> None:
    """It is asked again inside the window and held after it; in no case does the job go back to the queue or fail."""
    inside = after_probe(SUBMITTING, outcome, PROBE, at(NOW + 60.0))
    assert inside is not None
    assert (inside.then, inside.fault.code) == ("probe", "outcome_unknown")
    late = after_probe(SUBMITTING, outcome, PROBE, at(NOW + 720.0))
    assert late is not None
    assert late.then == "hold"


def test_probes_come_further_and_further_apart() -> None:
    """10 seconds double with each request, up to 640, and are spread over the jobs."""
    pauses = [
        lost.retry_in_seconds
        for submits in (1, 2, 3, 7, 8, 30)
        if (lost := after_probe(SUBMITTING.evolve(submits=submits), OutcomeUnknown(reason="no"), PROBE, at(NOW)))
    ]
    assert pauses == [pytest.approx(seconds, rel=JITTER) for seconds in (10, 20, 40, 640, 640, 640)]


def test_a_wish_that_comes_with_the_decision_comes_first() -> None:
    """The store puts the decision to the job as it is now: it is held, and the ledger says held and not resubmitted."""
    change = advance(SUBMITTING.evolve(cancel="keep"), EVENTS["lost, resubmit"], NOW)
    assert change.after.state is JobState.NEEDS_ATTENTION
    assert change.decision is not None
    assert (change.decision.action, change.decision.images) == ("hold", 0)


def test_every_loss_counts_among_the_unknown_outcomes() -> None:
    """Whatever the policy makes of it, the share of unknown outcomes is counted from all of them."""
    losses = ("lost", "lost, fail", "lost, resubmit", "lost, probe")
    assert {advance(SUBMITTING, EVENTS[event], NOW).outcome for event in losses} == {"unknown"}
    sent = (("queued", "intent"), ("submitting", "probe"))
    assert {advance(SITUATIONS[name], EVENTS[event], NOW).outcome for name, event in sent} == {"sent"}


def test_a_forgotten_submission_is_held_with_what_is_known_of_it() -> None:
    """The job gets the epoch, nonce and time that somebody else remembers, and what it may have cost."""
    after = advance(SITUATIONS["queued"], EVENTS["forgotten"], NOW).after
    assert (after.state, after.charge, after.submits) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN, 3)
    assert (after.epoch, after.nonce, after.intent_at) == (4, "forgotten", NOW - 9.0)
    with pytest.raises(StaleEventError):
        advance(SITUATIONS["queued"].evolve(submits=3), EVENTS["forgotten"], NOW)


def test_the_fault_of_a_probe_says_what_the_last_answer_was() -> None:
    """A person who looks at a held job reads why it could not be settled."""
    lost = after_probe(SUBMITTING, NotSent(reason="dns"), PROBE, at(NOW + 800.0))
    assert lost is not None
    assert lost.fault == JobFault(code="outcome_unknown", message="asked again, without an answer: dns")
