"""People and callers do what they like, in any order and at any moment, while things go wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis.exceptions import RedisError

from sceneshift.client import Client
from sceneshift.errors import InvalidRequestError, SceneshiftError
from sceneshift.handle import Job
from sceneshift.store.limits import LimitStore
from tests.factories import NOW
from tests.faults.kernel import Kernel, Process
from tests.faults.plan import Plan, StoreFault
from tests.faults.world import World, opened

EXAMPLES = 75
STEPS = 50
ORDERS_MAX = 3
RULES = ("submit-accept-then-drop", "submit-accept-then-500", "submit-500", "submit-drop", "query-500",
         "download-expired", "download-500", "task-failed", "task-with-fewer-results", "task-late")  # fmt: skip

which = st.integers(0, ORDERS_MAX - 1)


class People(RuleBasedStateMachine):
    """One deployment with two workers, and everything that callers, operators and accidents can do to it."""

    policy: ClassVar[str] = "hold"
    settings_of_world: ClassVar[dict[str, Any]] = {}

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.stack = ExitStack()
        plan = Plan(
            workers=2,
            latency_seconds=0.002,
            settings={
                "lease_seconds": 5.0,
                "poll_growth": 2.0,
                "unknown_outcome": self.policy,
                "nonce_contract": "verified" if self.policy == "probe" else "unverified",
                **self.settings_of_world,
            },
        )
        self.world: World = self.stack.enter_context(opened(plan, Kernel(seed, now=NOW)))
        self.world.begin()
        self.orders = 0

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.come_to_rest()
            problems = self.world.problems(self.world.evidence())
            assert not problems, "\n".join(problems)
        finally:
            self.stack.close()

    def _do(self, action: Callable[[Client], object]) -> None:
        """A person does this, while everything else goes on."""
        process = Process("person")

        def act() -> None:
            try:
                action(self.world.shop.client(process))
            except (SceneshiftError, RedisError):
                # Refused, or the job store is away: nothing has happened, or it is known what has.
                self.world.kernel.counts["refused"] += 1
            self.world.wake()

        self.world.kernel.start(process, act)

    def _job(self, client: Client, number: int) -> Job:
        ids = list(self.world.shop.accepted)
        if number >= len(ids):
            raise InvalidRequestError("there is no such order yet", param="job_id")
        return Job(id=ids[number], idempotency_key=None, created=False, client=client)

    @precondition(lambda self: self.orders < ORDERS_MAX)
    @rule()
    def order(self) -> None:
        self.world.shop.place_order(self.orders)
        self.orders += 1

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.5, 2.0, 10.0, 60.0, 600.0]))
    def wait(self, seconds: float) -> None:
        self.world.kernel.run(until=self.world.kernel.now + seconds)

    @rule(number=which, keep=st.booleans())
    def cancel(self, number: int, keep: bool) -> None:
        self._do(lambda client: self.world.shop.cancel(self._job(client, number), keep_result=keep))

    @rule(number=which, action=st.sampled_from(["fail", "resubmit", "attach"]), of=which)
    def resolve(self, number: int, action: Any, of: int) -> None:
        def act(client: Client) -> None:
            job = self._job(client, number)
            key = self._key_of(of) if action == "attach" else ""
            if action == "attach" and (not key or of != number):
                raise InvalidRequestError("the provider has no such key for this job", param="result_key")
            self._allow(job, action == "resubmit", lambda: job.resolve(action, by="person", result_key=key))

        self._do(act)

    @rule(number=which, spend=st.booleans(), from_submit=st.booleans())
    def retry(self, number: int, spend: bool, from_submit: bool) -> None:
        def act(client: Client) -> None:
            job = self._job(client, number)
            self._allow(job, spend, lambda: job.retry(by="person", spend=spend, from_submit=from_submit))

        self._do(act)

    def _allow(self, job: Job, spend: bool, act: Callable[[], object]) -> None:
        """What a person has sent to the provider again may be paid for once more, unless that was refused."""
        self.world.more_allowed[job.id] += spend
        try:
            act()
        except InvalidRequestError:
            self.world.more_allowed[job.id] -= spend

    @rule(number=which)
    def refund(self, number: int) -> None:
        def act(client: Client) -> None:
            if not self._key_of(number):
                raise InvalidRequestError("the provider's bill does not have this job", param="job_id")
            self._job(client, number).refund(by="person")

        self._do(act)

    @rule(rate=st.sampled_from(["none", "1", "10"]), slots=st.sampled_from(["none", "1"]))
    def limit(self, rate: str, slots: str) -> None:
        def act(client: Client) -> None:
            store = client.store
            limits = LimitStore(store.client, store.keys, store.clock)
            limits.set({"submit_rate": rate, "max_in_flight": slots}, by="person")

        self._do(act)

    @rule()
    def kill(self) -> None:
        if self.world.workers:
            self.world.kernel.kill(self.world.workers[0].process)

    @rule(kind=st.sampled_from(["restart", "power cut", "read-only"]))
    def strike_store(self, kind: str) -> None:
        self.world.strike_store(StoreFault(kind=kind, seconds=2.0))

    @rule(who=st.sampled_from(["provider", "bucket", "receiver", "broker"]))
    def strike(self, who: str) -> None:
        self.world.strike(who, 30.0)

    @rule(names=st.lists(st.sampled_from(RULES), max_size=3, unique=True))
    def behave(self, names: list[str]) -> None:
        self.world.parts.provider.behave(*names)

    def _key_of(self, number: int) -> str:
        ids = list(self.world.shop.accepted)
        prompt = self.world.shop.accepted[ids[number]] if number < len(ids) else ""
        keys = [str(call["result_key"]) for call in self.world.parts.provider.submits
                if call["positive_prompt"] == prompt and call["charged"]]  # fmt: skip
        return keys[-1] if keys else ""


@dataclass(frozen=True)
class Case:
    """One policy and what else is set."""

    policy: str
    settings: dict[str, Any]


CASES = {
    "hold": Case("hold", {}),
    "fail": Case("fail", {"intent_log": "storage"}),
    "resubmit": Case("resubmit(1, 5)", {"max_in_flight": 1}),
    "probe": Case("probe", {"submit_rate": 2.0, "query_rate": 5.0}),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CASES)
def test_whatever_people_do_breaks_no_promise(name: str) -> None:
    """Orders, cancellations, decisions, retries, refunds and limits in any order, with kills and outages between."""
    case = CASES[name]
    machine = type(name, (People,), {"policy": case.policy, "settings_of_world": case.settings})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        ),
    )
