"""`probe`: the same request with the same nonce once more, against the simulator behind a network that loses things.

With a provider that refuses used nonces no job is charged twice, whatever is lost. Without that, the probe pays twice:
that is what the setting SCENESHIFT_NONCE_CONTRACT=verified rules out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.simulator import SimulatorConfig, SimulatorTransport
from sceneshift.simulator.config import API_PREFIX, NonceCheck
from tests.unit.tasks.simulated import BASE_URL, SimulatedShop, provider_on, source
from tests.unit.tasks.workshop import Workshop

WINDOW_SECONDS = 0.8 * 900.0

Accident = Callable[["LossyNetwork", httpx.Request], httpx.Response]


def lose_request(_network: LossyNetwork, _request: httpx.Request) -> httpx.Response:
    """It never arrives, and the client cannot know that."""
    raise httpx.ReadError("reset")


def lose_answer(network: LossyNetwork, request: httpx.Request) -> httpx.Response:
    """It arrives and is charged, and the answer is lost."""
    network.deliver(request)
    raise httpx.ReadTimeout("silence")


def throttle(_network: LossyNetwork, _request: httpx.Request) -> httpx.Response:
    """The gateway has no time for it, and looks no further."""
    return httpx.Response(429, headers={"X-Ca-Error-Code": "T429ID", "X-Ca-Error-Message": "Throttled"})


def break_down(_network: LossyNetwork, _request: httpx.Request) -> httpx.Response:
    """A proxy in between fails."""
    return httpx.Response(502, text="<html>Bad Gateway</html>")


def unreachable(_network: LossyNetwork, _request: httpx.Request) -> httpx.Response:
    """There is no connection."""
    raise httpx.ConnectError("refused")


class LossyNetwork(httpx.BaseTransport):
    """Has one accident after the other with submissions, the last one for ever if it is to repeat."""

    def __init__(self, simulator: SimulatorTransport, now: Callable[[], float]) -> None:
        self._simulator = simulator
        self._now = now
        self.accidents: list[Accident] = []
        self.sent_at: list[float] = []
        self.nonces: list[str] = []

    def deliver(self, request: httpx.Request) -> httpx.Response:
        return self._simulator.handle_request(request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        if not request.url.path.endswith("/submit"):
            return self.deliver(request)
        self.sent_at.append(self._now())
        self.nonces.append(request.headers["x-ca-nonce"])
        return self.accidents.pop(0)(self, request) if self.accidents else self.deliver(request)


@contextmanager
def probing_shop(
    work: Workshop, nonces: NonceCheck, now: Callable[[], float] | None = None
) -> Iterator[tuple[SimulatedShop, LossyNetwork]]:
    settings = work.services.settings.model_copy(update={"unknown_outcome": "probe", "nonce_contract": "verified"})
    work.use(settings=settings, policy=Policy.from_settings(settings))
    config = SimulatorConfig(quality="draft", nonces=nonces)
    now = now or work.clock.now
    with SimulatorTransport(config, clock=now, fetch=source) as simulator:
        network = LossyNetwork(simulator, now)
        with provider_on(f"{BASE_URL}{API_PREFIX}", config, work, network) as provider:  # type: ignore[arg-type]
            yield SimulatedShop(work, simulator, provider), network


@pytest.fixture
def street(work: Workshop) -> Iterator[tuple[SimulatedShop, LossyNetwork]]:
    """A shop and its network, whose provider refuses used nonces."""
    with probing_shop(work, "enforced") as pair:
        yield pair


Street = tuple[SimulatedShop, LossyNetwork]


def test_a_request_that_never_arrived_is_accepted_by_the_probe(street: Street) -> None:
    """One charge, the job succeeds, and nobody had to decide anything."""
    shop, network = street
    network.accidents = [lose_request]
    done = shop.settle(shop.order())
    assert (done.state, done.charge, shop.charged, len(network.nonces)) == (JobState.SUCCEEDED, Charge.CHARGED, 1, 2)
    assert len(set(network.nonces)) == 1
    assert done.epoch == 1


def test_a_request_that_was_accepted_is_held_by_the_probe(street: Street) -> None:
    """The provider has seen the nonce: one charge, a person decides, and the job says why."""
    shop, network = street
    network.accidents = [lose_answer]
    held = shop.settle(shop.order())
    assert (held.state, held.charge, shop.charged, len(network.nonces)) == (
        JobState.NEEDS_ATTENTION, Charge.UNKNOWN, 1, 2,
    )  # fmt: skip
    assert held.error is not None
    assert "has seen this request before" in held.error.message


@pytest.mark.parametrize("accident", [throttle, break_down, lose_request, unreachable])
@pytest.mark.parametrize("first", [lose_request, lose_answer])
def test_probes_without_an_answer_are_repeated_inside_the_window_only(
    street: Street, first: Accident, accident: Accident
) -> None:
    """At the same nonce, further and further apart; the last one lies inside, and then the job is held."""
    shop, network = street
    network.accidents = [first, *[accident] * 50]
    held = shop.settle(shop.order())
    assert held.state is JobState.NEEDS_ATTENTION
    assert shop.charged == (1 if first is lose_answer else 0)
    assert len(set(network.nonces)) == 1
    after_seconds = [moment - network.sent_at[0] for moment in network.sent_at]
    assert 3 <= len(after_seconds) <= 12
    assert max(after_seconds) < WINDOW_SECONDS
    assert shop.work.clock.now() - network.sent_at[0] >= WINDOW_SECONDS


@pytest.mark.parametrize("first", [lose_request, lose_answer])
def test_a_probe_that_gets_through_at_last_settles_it(street: Street, first: Accident) -> None:
    """Throttled, broken and lost probes before it have changed nothing: one charge, on either side."""
    shop, network = street
    network.accidents = [first, throttle, break_down, lose_request]
    job = shop.settle(shop.order())
    assert job.state is (JobState.SUCCEEDED if first is lose_request else JobState.NEEDS_ATTENTION)
    assert (shop.charged, len(set(network.nonces))) == (1, 1)


def test_a_job_needs_no_second_slot_to_be_asked_about_again(street: Street) -> None:
    """It is in flight itself: a limit of one does not keep it from its probe."""
    shop, network = street
    shop.work.store.client.hset(shop.work.store.keys.limits, "max_in_flight", "1")
    network.accidents = [lose_request]
    assert shop.settle(shop.order()).state is JobState.SUCCEEDED
    assert shop.charged == 1


def test_probes_keep_the_rate_of_all_submissions(street: Street) -> None:
    """At one submission in a minute, the probe of a job waits for its moment like any other, and says so."""
    shop, network = street
    shop.work.store.client.hset(shop.work.store.keys.limits, "submit_rate", str(1 / 60))
    network.accidents = [lose_request]
    job = shop.order()
    shop.work.wake(job.id)
    waiting = shop.step(shop.work.job(job.id))
    assert (waiting.state, waiting.blocked_by) == (JobState.SUBMITTING, "submit_rate")
    assert shop.settle(waiting).state is JobState.SUCCEEDED
    assert network.sent_at[1] - network.sent_at[0] == pytest.approx(60.0, abs=0.1)


def test_a_lost_answer_to_a_probe_is_a_lost_answer(street: Street) -> None:
    """The probe was accepted and nobody heard of it: the next one finds its nonce used. One charge."""
    shop, network = street
    network.accidents = [lose_request, lose_answer]
    assert shop.settle(shop.order()).state is JobState.NEEDS_ATTENTION
    assert shop.charged == 1


def test_a_worker_that_was_killed_before_it_sent_costs_nothing_but_time(street: Street) -> None:
    """Its intent is stored and nothing left: the probe sends it, inside the same epoch."""
    shop, network = street

    def killed(_network: LossyNetwork, _request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    network.accidents = [killed]
    job = shop.order()
    with pytest.raises(KeyboardInterrupt):
        shop.work.wake(job.id)
    shop.work.bring_back()
    done = shop.settle(shop.work.job(job.id))
    assert (done.state, shop.charged, done.submits) == (JobState.SUCCEEDED, 1, 2)


def paused_original(shop: SimulatedShop, network: LossyNetwork, probe: Accident | None, then: Accident) -> JobRecord:
    """The first worker is slow; another, which takes it for dead, probes meanwhile; then the first has its answer."""

    def slow(_network: LossyNetwork, request: httpx.Request) -> httpx.Response:
        network.accidents = [probe] if probe else []
        shop.work.bring_back()
        network.accidents = []
        return then(network, request)

    network.accidents = [slow]
    job = shop.order()
    shop.work.wake(job.id)
    assert len(network.nonces) == 2
    return shop.work.job(job.id)


def test_the_late_refusal_of_one_of_two_requests_says_nothing_of_the_other(street: Street) -> None:
    """The probe was accepted, its answer lost; the original's refusal must not have the job sent under a new nonce."""
    shop, network = street
    job = paused_original(shop, network, probe=lose_answer, then=throttle)
    assert (job.state, job.epoch) == (JobState.SUBMITTING, 1)
    held = shop.settle(job)
    assert (held.state, shop.charged, len(set(network.nonces))) == (JobState.NEEDS_ATTENTION, 1, 1)


def test_the_late_refusal_does_not_disturb_an_accepted_probe(street: Street) -> None:
    """The job goes on with the probe's key."""
    shop, network = street
    job = paused_original(shop, network, probe=None, then=throttle)
    assert job.state is JobState.RENDERING
    assert shop.settle(job).state is JobState.SUCCEEDED
    assert shop.charged == 1


def test_the_late_acceptance_of_the_original_counts(street: Street) -> None:
    """The probe never arrived, and the first worker was only slow: its key is the job's."""
    shop, network = street
    job = paused_original(shop, network, probe=lose_request, then=LossyNetwork.deliver)
    assert (job.state, job.charge) == (JobState.RENDERING, Charge.CHARGED)
    assert shop.settle(job).state is JobState.SUCCEEDED
    assert shop.charged == 1


@pytest.mark.parametrize("nonces", ["ignored", "forgotten"])
def test_a_provider_that_does_not_refuse_used_nonces_is_paid_twice(work: Workshop, nonces: NonceCheck) -> None:
    """What the verified contract rules out: the probe of a request that was accepted is charged once more."""
    with probing_shop(work, nonces) as (shop, network):
        network.accidents = [lose_answer]
        done = shop.settle(shop.order())
        assert (done.state, shop.charged) == (JobState.SUCCEEDED, 2)


def test_both_keys_of_a_request_that_was_accepted_twice_are_in_the_ledger(work: Workshop) -> None:
    """With such a provider the slow worker's key is told as a charge of its own, and no line becomes negative."""
    with probing_shop(work, "ignored") as (shop, network):
        job = paused_original(shop, network, probe=None, then=LossyNetwork.deliver)
        assert (job.state, shop.charged) == (JobState.RENDERING, 2)
        day = work.store.ledger.day("2026-11-23")
        assert {line: amount.submissions for line, amount in day.entries.items()} == {
            (Charge.CHARGED, "rendering"): 1,
            (Charge.CHARGED, "superseded"): 1,
        }


class TrueTime:
    """The provider's time and the workers'. The job store's clock, which is the workshop's, may be set back from it."""

    def __init__(self, work: Workshop) -> None:
        self._clock = work.clock
        self._store_is_behind_seconds = 0.0

    def now(self) -> float:
        return self._clock.now() + self._store_is_behind_seconds

    def set_store_back(self, seconds: float) -> None:
        """Nothing else has happened: it is as late as it was."""
        self._clock.advance(-seconds)
        self._store_is_behind_seconds += seconds


OUTAGE_SECONDS = 950.0
"""Longer than the provider remembers a nonce."""


@pytest.fixture
def set_back(work: Workshop) -> Iterator[tuple[SimulatedShop, LossyNetwork, TrueTime]]:
    """A shop with a job store whose clock can be set back, on workers whose own clocks are right."""
    true_time = TrueTime(work)
    work.use(wall_clock=true_time.now)
    with probing_shop(work, "enforced", true_time.now) as (shop, network):
        yield shop, network, true_time


SetBack = tuple[SimulatedShop, LossyNetwork, TrueTime]


def test_a_job_store_whose_clock_was_set_back_does_not_have_a_forgotten_nonce_sent(set_back: SetBack) -> None:
    """By its clock the intent is seconds old, by the provider's it is forgotten: held, and charged once."""
    shop, network, true_time = set_back
    network.accidents = [lose_answer]
    job = shop.order()
    shop.work.wake(job.id)
    shop.work.clock.advance(OUTAGE_SECONDS)
    true_time.set_store_back(OUTAGE_SECONDS)
    held = shop.settle(shop.work.job(job.id))
    assert (held.state, shop.charged, len(network.nonces)) == (JobState.NEEDS_ATTENTION, 1, 1)
    held_by = [each.by for each in shop.work.store.ledger.day("2026-11-23").decisions if each.action == "hold"]
    assert held_by == ["policy probe: the job store's clock and the worker's differ"]


def test_a_clock_that_is_set_back_while_the_probe_waits_is_noticed_too(
    set_back: SetBack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job store fails over between the first look at the clock and the last one: nothing is sent."""
    shop, network, true_time = set_back
    network.accidents = [lose_answer]
    job = shop.order()
    shop.work.wake(job.id)
    permits = shop.work.store.permits
    reserve = permits.reserve_submission

    def fails_over(*arguments: Any, **options: Any) -> Any:
        shop.work.clock.advance(OUTAGE_SECONDS)
        true_time.set_store_back(OUTAGE_SECONDS)
        return reserve(*arguments, **options)

    monkeypatch.setattr(permits, "reserve_submission", fails_over)
    held = shop.step(shop.work.job(job.id))
    assert (held.state, shop.charged, held.submits) == (JobState.NEEDS_ATTENTION, 1, 1)


def test_the_job_store_s_clock_is_read_anew_before_each_probe(
    set_back: SetBack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that would carry on an earlier reading would not know that the clock was set back just now."""
    shop, network, _ = set_back
    network.accidents = [lose_answer]
    job = shop.order()
    shop.work.wake(job.id)
    clock = shop.work.clock
    monkeypatch.setattr(clock, "read", lambda: clock.now() - OUTAGE_SECONDS)
    held = shop.step(shop.work.job(job.id))
    assert (held.state, len(network.nonces)) == (JobState.NEEDS_ATTENTION, 1)


def test_a_small_difference_of_clocks_does_not_stop_a_probe(set_back: SetBack) -> None:
    """Half a minute is what the rest of the window is for: one charge, and the job succeeds."""
    shop, network, true_time = set_back
    network.accidents = [lose_request]
    job = shop.order()
    shop.work.wake(job.id)
    true_time.set_store_back(-30.0)
    assert shop.settle(shop.work.job(job.id)).state is JobState.SUCCEEDED
    assert shop.charged == 1
