"""What was accepted: tasks, and the `result_key` that stands for all tasks of one call."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from sceneshift.simulator.answers import Fault, FaultError
from sceneshift.simulator.lifecycle import TaskStatus, Timeline
from sceneshift.simulator.requests import TaskOrder
from sceneshift.simulator.scenarios.scenario import Fate
from sceneshift.simulator.sources import SourceImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An accepted item: what was ordered, and how its life goes."""

    order: TaskOrder
    timeline: Timeline
    fate: Fate
    image: SourceImage
    mask: SourceImage
    seed: int
    first_index: int

    @property
    def image_count(self) -> int:
        """So many images it has in the end."""
        if self.fate.no_images:
            return 0
        return max(1, self.order.num_output + self.fate.surplus)

    @property
    def indexes(self) -> range:
        """The numbers of its images within the submission."""
        return range(self.first_index, self.first_index + self.image_count)


@dataclass(slots=True, kw_only=True)
class Submission:
    """What one `result_key` stands for. `told` counts the answers that said that all is done."""

    accepted_at: float
    tasks: tuple[Task, ...]
    told: int = field(default=0)

    def task_of(self, index: int) -> Task | None:
        """The task that picture `index` belongs to; pictures are numbered through the whole submission."""
        return next((task for task in self.tasks if index in task.indexes), None)

    def is_forgotten(self, now: float) -> bool:
        """Whether its key has become unknown before its time."""
        return any(task.fate.forgotten and now >= task.timeline.ends_at for task in self.tasks)

    def is_running(self, now: float) -> bool:
        return any(now < task.timeline.ends_at for task in self.tasks)


class SubmissionBook:
    """The submissions of the retention time, in order."""

    def __init__(self, retention_seconds: float) -> None:
        self._retention_seconds = retention_seconds
        self._submissions: OrderedDict[str, Submission] = OrderedDict()
        self._running: dict[str, Submission] = {}

    def enter(self, tasks: tuple[Task, ...], *, now: float) -> str:
        """The new key of these tasks."""
        self._forget_old(now)
        key = uuid.uuid4().hex
        submission = Submission(accepted_at=now, tasks=tasks)
        self._submissions[key] = self._running[key] = submission
        return key

    def find(self, key: str, *, now: float) -> Submission:
        """The submission of this key.

        Raises:
            FaultError: there is none, or none any more.
        """
        self._forget_old(now)
        submission = self._submissions.get(key)
        if submission is None or submission.is_forgotten(now):
            raise FaultError(Fault.NO_RECORD)
        return submission

    def get(self, key: str) -> Submission | None:
        return self._submissions.get(key)

    def running(self, now: float) -> int:
        """So many submissions are not finished."""
        self._running = {key: each for key, each in self._running.items() if each.is_running(now)}
        return len(self._running)

    def latest(self, count: int) -> Iterator[tuple[str, Submission]]:
        """The last ones, the newest first."""
        for number, key in enumerate(reversed(self._submissions)):
            if number == count:
                return
            yield key, self._submissions[key]

    def forget(self) -> None:
        """All of them, as after an accident of the provider."""
        self._submissions.clear()
        self._running.clear()

    def _forget_old(self, now: float) -> None:
        while self._submissions:
            key, oldest = next(iter(self._submissions.items()))
            if now - oldest.accepted_at < self._retention_seconds:
                return
            del self._submissions[key]
            self._running.pop(key, None)


def status_word(task: Task, submission: Submission, now: float) -> str:
    """What a query says of this task."""
    status = task.timeline.status(now)
    if status in {TaskStatus.WAITING, TaskStatus.RUNNING}:
        return task.fate.running_word or status
    if status is TaskStatus.SUCCESS and task.fate.final_word:
        return task.fate.final_word
    if status is TaskStatus.SUCCESS and task.fate.wavers and submission.told % 2:
        return TaskStatus.RUNNING
    return status
