"""The simulated provider itself: what it decides about a call, without HTTP.

Everything here runs on one event loop, so that a decision and what it changes are one step; only fetching and drawing
pictures happen in threads.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sceneshift.simulator.answers import Answer, Fault, FaultError, failure, new_request_id, refused, success
from sceneshift.simulator.config import SimulatorConfig
from sceneshift.simulator.gateway import Credentials, GatewayRefusal, NonceMemory, refusal_of
from sceneshift.simulator.ledger import Ledger, SubmitEntry
from sceneshift.simulator.lifecycle import TaskStatus, Timeline, plan_timeline
from sceneshift.simulator.requests import TaskOrder, parse_body, read_orders, read_result_key
from sceneshift.simulator.results import AddressSeal, RenderOrder
from sceneshift.simulator.sources import Fetch, SourceImage, SourceLibrary

_DRAWN_SEEDS: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One POST as it arrived; `base_url` is how its sender reaches this server, without a slash at the end."""

    credentials: Credentials
    content_type: str | None
    body: bytes
    base_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An accepted item: what was ordered, and how its life goes."""

    order: TaskOrder
    timeline: Timeline
    image: SourceImage
    mask: SourceImage
    seed: int
    first_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one `result_key` stands for."""

    accepted_at: float
    tasks: tuple[Task, ...]

    def task_of(self, index: int) -> Task | None:
        """The task that picture `index` belongs to; pictures are numbered through the whole submission."""
        for task in self.tasks:
            if task.first_index <= index < task.first_index + task.order.num_output:
                return task
        return None


class SimulatedProvider:
    """Accepts, remembers and answers; every call is answered with a value and written to the ledger."""

    def __init__(self, config: SimulatorConfig, *, clock: Callable[[], float], fetch: Fetch) -> None:
        self.ledger = Ledger()
        self._config = config
        self._clock = clock
        self._random = Random(config.seed)  # noqa: S311 - makes runs repeat; keys and seals do not come from it
        self._nonces = NonceMemory()
        self._sources = SourceLibrary(fetch)
        self._submissions: OrderedDict[str, Submission] = OrderedDict()
        self._seal = AddressSeal()

    async def submit(self, call: Call) -> Answer:
        now = self._clock()
        if refusal := self._pass_gateway(call, now):
            self._record(call, now, (), error_code=refusal.code, http_status=refusal.http_status)
            return refused(refusal, request_id=new_request_id())
        orders: tuple[TaskOrder, ...] = ()
        try:
            orders = read_orders(parse_body(call.body, call.content_type))
            pictures = await self._fetch(orders)
        except FaultError as error:
            fault = error.fault
            self._record(call, now, orders, error_code=str(fault.code), http_status=fault.http_status)
            return failure(fault, request_id=new_request_id())
        key = self._accept(orders, pictures, now)
        self._record(call, now, orders, result_key=key)
        items = [{**order.echo, "status": TaskStatus.WAITING} for order in orders]
        return success({"result_key": key, "task_list": items}, request_id=new_request_id())

    def query(self, call: Call) -> Answer:
        now = self._clock()
        self.ledger.record_query()
        if refusal := self._pass_gateway(call, now):
            return refused(refusal, request_id=new_request_id())
        try:
            key = read_result_key(parse_body(call.body, call.content_type))
            submission = self._find(key, now)
        except FaultError as error:
            return failure(error.fault, request_id=new_request_id())
        items = [self._task_answer(call.base_url, key, task, now) for task in submission.tasks]
        return success({"result_key": key, "task_list": items}, request_id=new_request_id())

    def address_opens(self, path: str, *, expires: str, signature: str) -> bool:
        """Whether a result address was given out by a query and its lifetime is not over."""
        return self._seal.opens(path, expires=expires, signature=signature, now=self._clock())

    def render_order(self, key: str, index: int) -> RenderOrder | None:
        """What picture `index` of this submission shows; None when there is no such picture (any more)."""
        submission = self._submissions.get(key)
        task = submission.task_of(index) if submission else None
        if task is None or task.timeline.status(self._clock()) is not TaskStatus.SUCCESS:
            return None
        return RenderOrder(
            image=task.image,
            mask=task.mask,
            mask_keeps=self._config.mask_keeps,
            prompt=task.order.positive_prompt,
            seed=task.seed + index - task.first_index,
        )

    def _pass_gateway(self, call: Call, now: float) -> GatewayRefusal | None:
        """Why the gateway refuses; otherwise None, and the nonce is used up."""
        given = call.credentials
        refusal = refusal_of(
            given, appcode=self._config.appcode, nonces=self._nonces, now=now, size_bytes=len(call.body)
        )
        if refusal is None and given.nonce is not None:
            self._nonces.remember(given.nonce, now=now)
        return refusal

    async def _fetch(self, orders: tuple[TaskOrder, ...]) -> list[tuple[SourceImage, SourceImage]]:
        pictures = [
            await asyncio.gather(self._sources.get(order.image), self._sources.get(order.mask)) for order in orders
        ]
        if any(image.size != mask.size for image, mask in pictures):
            raise FaultError(Fault.IMAGE_UNFIT)
        return pictures

    def _accept(
        self, orders: tuple[TaskOrder, ...], pictures: list[tuple[SourceImage, SourceImage]], now: float
    ) -> str:
        tasks: list[Task] = []
        for order, (image, mask) in zip(orders, pictures, strict=True):
            timeline = plan_timeline(
                self._random, self._config, steps=order.steps, num_output=order.num_output, now=now
            )
            drawn = self._random.randrange(_DRAWN_SEEDS)
            seed = drawn if order.seed is None else order.seed
            first_index = sum(task.order.num_output for task in tasks)
            tasks.append(
                Task(order=order, timeline=timeline, image=image, mask=mask, seed=seed, first_index=first_index)
            )
        self._forget_old(now)
        key = uuid.uuid4().hex
        self._submissions[key] = Submission(accepted_at=now, tasks=tuple(tasks))
        return key

    def _find(self, key: str, now: float) -> Submission:
        self._forget_old(now)
        if key not in self._submissions:
            raise FaultError(Fault.NO_RECORD)
        return self._submissions[key]

    def _forget_old(self, now: float) -> None:
        while self._submissions:
            oldest = next(iter(self._submissions))
            if now - self._submissions[oldest].accepted_at < self._config.retention_seconds:
                return
            del self._submissions[oldest]

    def _task_answer(self, base_url: str, key: str, task: Task, now: float) -> dict[str, Any]:
        status = task.timeline.status(now)
        answer = {**task.order.echo, "status": status, "results": []}
        if status is TaskStatus.FAILED:
            answer["message"] = Fault.EXECUTION_FAILED.message
        if status is TaskStatus.SUCCESS:
            expires_at = int(now + self._config.result_lifetime_seconds)
            indexes = range(task.first_index, task.first_index + task.order.num_output)
            paths = [f"/results/{key}/{index}.png" for index in indexes]
            answer["results"] = [base_url + self._seal.seal(path, expires_at=expires_at) for path in paths]
            answer["message"] = "success"
        return answer

    def _record(
        self,
        call: Call,
        now: float,
        orders: tuple[TaskOrder, ...],
        *,
        result_key: str | None = None,
        error_code: str | None = None,
        http_status: int = 200,
    ) -> None:
        first = orders[0] if orders else None
        entry = SubmitEntry(
            time=now,
            nonce=call.credentials.nonce,
            accepted=result_key is not None,
            http_status=http_status,
            error_code=error_code,
            result_key=result_key,
            charged=len(orders) if result_key else 0,
            image=first.image if first else None,
            mask=first.mask if first else None,
            positive_prompt=first.positive_prompt if first else None,
        )
        self.ledger.record_submit(entry)
