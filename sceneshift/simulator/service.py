"""The simulated provider itself: what it decides about a call, without HTTP.

Everything here runs on one event loop, so that a decision and what it changes are one step; only fetching and drawing
pictures happen in threads.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sceneshift.simulator.answers import Answer, Fault, FaultError, Voice, new_request_id
from sceneshift.simulator.config import SimulatorConfig
from sceneshift.simulator.deliveries import CutShort, Dripping, Dropped, Padded, Silent
from sceneshift.simulator.gateway import Credentials, FrontDoor, Refusal
from sceneshift.simulator.journal import Journal
from sceneshift.simulator.ledger import Ledger, SubmitEntry
from sceneshift.simulator.lifecycle import TaskStatus, plan_timeline
from sceneshift.simulator.limits import Credits, RateLimit
from sceneshift.simulator.moving_clock import MovingClock
from sceneshift.simulator.rendering.recipe import Recipe
from sceneshift.simulator.requests import TaskOrder, parse_body, read_orders, read_result_key, read_wanted
from sceneshift.simulator.results import AddressSeal, RenderOrder
from sceneshift.simulator.scenarios.rules import Director
from sceneshift.simulator.scenarios.scenario import ORDINARY, Exchange, Scenario
from sceneshift.simulator.sources import Fetch, SourceImage, SourceLibrary
from sceneshift.simulator.submissions import Submission, SubmissionBook, Task, status_word

_DRAWN_SEEDS: Final = 2**31
_NOTHING_DUE: Final = Answer(http_status=0)
_DELIVERIES: Final = {
    Dropped: "dropped",
    Silent: "silent",
    CutShort: "cut short",
    Dripping: "slowly",
    Padded: "with zeros after it",
}
_FAILED_TEXT: Final = Fault.EXECUTION_FAILED.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One POST as it arrived; `base_url` is how its sender reaches this server, without a slash at the end."""

    credentials: Credentials
    content_type: str | None
    body: bytes
    base_url: str


class SimulatedProvider:
    """Accepts, remembers and answers; every call is answered with a value and written to the ledger."""

    def __init__(self, config: SimulatorConfig, *, clock: MovingClock, fetch: Fetch) -> None:
        self.config = config
        self.clock = clock
        self.voice = Voice(config.reading, config.gateway)
        self.director = Director(config.scenarios, config.seed)
        self.door = FrontDoor(config)
        self.credits = Credits(config.credits)
        self.ledger = Ledger()
        self.journal = Journal()
        self.book = SubmissionBook(config.retention_seconds)
        self._rates = {
            Exchange.SUBMIT: RateLimit(config.submit_rate),
            Exchange.QUERY: RateLimit(config.query_rate),
        }
        self._accepting = 0
        self._random = Random(config.seed)  # noqa: S311 - makes runs repeat; keys and seals do not come from it
        self._sources = SourceLibrary(fetch)
        self._seal = AddressSeal()

    async def submit(self, call: Call) -> Answer:
        now, scenario = self.clock(), self.director.next(Exchange.SUBMIT)
        key, charged = None, 0
        if refusal := self._refusal(call, Exchange.SUBMIT, now):
            due, scenario = refusal, None
        elif scenario and not scenario.works:
            due = _NOTHING_DUE
        else:
            due, key, charged = await self._accept(call, now)
            # What was refused cannot go wrong after its acceptance.
            scenario = scenario if key else None
        answer = _misanswered(due, scenario, self.voice)
        self._record(call, now, answer, key=key, charged=charged, scenario=scenario)
        return answer

    async def _accept(self, call: Call, now: float) -> tuple[Answer, str | None, int]:
        """The right answer to a submission; if it was accepted, also its key, and how many items are charged."""
        # Its place is taken before its pictures are fetched, or two submissions at once would both get the last one.
        self._accepting += 1
        try:
            orders = read_orders(parse_body(call.body, call.content_type))
            pictures = await self._pay_and_fetch(orders)
        except FaultError as error:
            return self.voice.failure(error.fault, request_id=new_request_id()), None, 0
        finally:
            self._accepting -= 1
        key = self.book.enter(self._tasks(orders, pictures, now), now=now)
        items = [{**order.echo, "status": TaskStatus.WAITING} for order in orders]
        data = {"result_key": key, "task_list": items}
        return self.voice.success(data, request_id=new_request_id()), key, len(orders)

    def query(self, call: Call) -> Answer:
        now, scenario = self.clock(), self.director.next(Exchange.QUERY)
        if refusal := self._refusal(call, Exchange.QUERY, now):
            due, key, scenario = refusal, None, None
        elif scenario and not scenario.works:
            due, key = _NOTHING_DUE, _readable_key(call)
        else:
            due, key = self._looked_up(call, now)
            scenario = scenario if due.is_success else None
        answer = _misanswered(due, scenario, self.voice)
        self.ledger.record_query(key)
        self._write(Exchange.QUERY, now, answer, key, scenario)
        return answer

    def _looked_up(self, call: Call, now: float) -> tuple[Answer, str | None]:
        """The right answer to a query, and the key that it asks about as far as that could be read."""
        key = None
        try:
            key = read_result_key(parse_body(call.body, call.content_type))
            submission = self.book.find(key, now=now)
        except FaultError as error:
            return self.voice.failure(error.fault, request_id=new_request_id()), key
        items = [self._task_answer(call.base_url, key, submission, task, now) for task in submission.tasks]
        if any(item["status"] == TaskStatus.SUCCESS for item in items) or submission.told % 2:
            submission.told += 1
        return self.voice.success({"result_key": key, "task_list": items}, request_id=new_request_id()), key

    def download(self, key: str, due: Answer) -> Answer:
        """What the request for one image is answered, when `due` is the right answer."""
        now, scenario = self.clock(), self.director.next(Exchange.DOWNLOAD)
        scenario = scenario if due.is_success else None
        answer = _misanswered(due, scenario, self.voice)
        self.ledger.record_download(key)
        self._write(Exchange.DOWNLOAD, now, answer, key, scenario)
        return answer

    def address_opens(self, path: str, *, expires: str, signature: str) -> bool:
        """Whether a result address was given out by a query and its lifetime is not over."""
        return self._seal.opens(path, expires=expires, signature=signature, now=self.clock())

    def result_addresses(self, base_url: str, key: str, task: Task) -> list[str]:
        """Fresh addresses of a task's images, which open from now until their lifetime is over."""
        expires_at = int(self.clock() + self.config.result_lifetime_seconds)
        paths = [f"/results/{key}/{index}.png" for index in task.indexes]
        return [base_url + self._seal.seal(path, expires_at=expires_at) for path in paths]

    def render_order(self, key: str, index: int) -> RenderOrder | None:
        """What picture `index` of this submission shows; None when there is no such picture (any more)."""
        submission = self.book.get(key)
        task = submission.task_of(index) if submission else None
        if task is None or task.timeline.status(self.clock()) is not TaskStatus.SUCCESS:
            return None
        order = task.order
        recipe = Recipe(
            prompt=order.positive_prompt,
            negative_prompt=order.negative_prompt,
            seed=task.seed + index - task.first_index,
            strength=order.strength,
            steps=order.steps,
            guidance_scale=order.guidance_scale,
        )
        return RenderOrder(
            image=task.image,
            mask=task.mask,
            mask_keeps=self.config.mask_keeps,
            recipe=recipe,
            quality=self.config.quality,
        )

    def _refusal(self, call: Call, exchange: Exchange, now: float) -> Answer | None:
        """What gateway and limits say to this call; None when it may be worked on."""
        refusal = self.door.refusal(call.credentials, now=now, size_bytes=len(call.body))
        if refusal:
            return self.voice.refusal(refusal.form(self.config.gateway), request_id=new_request_id())
        full = exchange is Exchange.SUBMIT and self._is_full(now)
        return self._throttled() if full or not self._rates[exchange].admits(now) else None

    def _is_full(self, now: float) -> bool:
        most = self.config.max_running
        return most is not None and self.book.running(now) + self._accepting >= most

    def _throttled(self) -> Answer:
        if self.config.throttled_by == "provider":
            answer = self.voice.failure(Fault.THROTTLED, request_id=new_request_id())
        else:
            answer = self.voice.refusal(Refusal.THROTTLED.form(self.config.gateway), request_id=new_request_id())
        if self.config.retry_after_seconds is None:
            return answer
        seconds = math.ceil(self.config.retry_after_seconds)
        return answer.changed(headers={**answer.headers, "Retry-After": str(seconds)})

    async def _pay_and_fetch(self, orders: tuple[TaskOrder, ...]) -> list[tuple[SourceImage, SourceImage]]:
        self.credits.spend(len(orders))
        try:
            return await self._fetch(orders)
        except BaseException:
            self.credits.give_back(len(orders))
            raise

    async def _fetch(self, orders: tuple[TaskOrder, ...]) -> list[tuple[SourceImage, SourceImage]]:
        pictures = [
            await asyncio.gather(self._sources.get(order.image), self._sources.get(order.mask)) for order in orders
        ]
        if any(image.size != mask.size for image, mask in pictures):
            raise FaultError(Fault.IMAGE_UNFIT)
        return pictures

    def _tasks(
        self, orders: tuple[TaskOrder, ...], pictures: list[tuple[SourceImage, SourceImage]], now: float
    ) -> tuple[Task, ...]:
        tasks: list[Task] = []
        for order, (image, mask) in zip(orders, pictures, strict=True):
            scenario = self.director.next(Exchange.TASK)
            self.director.note(scenario)
            fate = (scenario.fate if scenario else None) or ORDINARY
            timeline = plan_timeline(
                self._random, self.config, steps=order.steps, num_output=order.num_output, now=now, fate=fate
            )
            drawn = self._random.randrange(_DRAWN_SEEDS)
            tasks.append(
                Task(
                    order=order,
                    timeline=timeline,
                    fate=fate,
                    image=image,
                    mask=mask,
                    seed=drawn if order.seed is None else order.seed,
                    first_index=sum(task.image_count for task in tasks),
                )
            )
        return tuple(tasks)

    def _task_answer(self, base_url: str, key: str, submission: Submission, task: Task, now: float) -> dict[str, Any]:
        status = status_word(task, submission, now)
        answer = {**task.order.echo, "status": status, "results": []}
        if status == TaskStatus.FAILED:
            answer["message"] = task.fate.message or _FAILED_TEXT
        if status == TaskStatus.SUCCESS:
            answer["results"] = self.result_addresses(base_url, key, task)
            answer["message"] = "success"
        return answer

    def _record(
        self,
        call: Call,
        now: float,
        answer: Answer,
        *,
        key: str | None,
        charged: int,
        scenario: Scenario | None,
    ) -> None:
        wanted = read_wanted(call.body)
        entry = SubmitEntry(
            time=now,
            nonce=call.credentials.nonce,
            accepted=key is not None,
            http_status=_told(answer),
            error_code=answer.error_code,
            result_key=key,
            charged=charged,
            image=wanted.image,
            mask=wanted.mask,
            positive_prompt=wanted.positive_prompt,
            scenario=scenario.name if scenario else None,
        )
        self.ledger.record_submit(entry)
        self._write(Exchange.SUBMIT, now, answer, key, scenario)

    def _write(
        self, exchange: Exchange, now: float, answer: Answer, key: str | None, scenario: Scenario | None
    ) -> None:
        self.director.note(scenario)
        self.journal.write(
            time=now,
            exchange=exchange,
            http_status=_told(answer),
            said=_said(answer),
            result_key=key,
            scenario=scenario.name if scenario else None,
        )


def _misanswered(due: Answer, scenario: Scenario | None, voice: Voice) -> Answer:
    """What is answered in place of the right answer."""
    return scenario.misanswer(due, voice) if scenario and scenario.misanswer else due


def _readable_key(call: Call) -> str | None:
    """The key that a call asks about, for the ledger; None when that cannot be read."""
    try:
        return read_result_key(parse_body(call.body, call.content_type))
    except FaultError:
        return None


def _told(answer: Answer) -> int:
    """The status that the caller sees; 0 when it sees none."""
    return 0 if isinstance(answer.delivery, Dropped | Silent) else answer.http_status


def _said(answer: Answer) -> str:
    """What the caller was told, and how, in a few words."""
    how = _DELIVERIES.get(type(answer.delivery), "")
    if isinstance(answer.delivery, Dropped | Silent):
        return how
    return f"{_content(answer)}, {how}" if how else _content(answer)


def _content(answer: Answer) -> str:
    """What the answer says, were it to arrive as it is."""
    if answer.error_code:
        message = answer.headers.get("X-Ca-Error-Message") or (answer.body or {}).get("message") or ""
        return " ".join(dict.fromkeys(filter(None, (answer.error_code, message))))
    items = ((answer.body or {}).get("data") or {}).get("task_list") or []
    statuses = ", ".join(dict.fromkeys(str(item.get("status")) for item in items))
    if statuses or not answer.payload():
        return statuses or "nothing"
    return "success" if answer.content is None else answer.content_type
