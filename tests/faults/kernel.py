"""Virtual time, and threads of which one runs at a time: whose turn it is follows from the seed alone.

An activity is a call of real code on a thread of its own. At each effect (a round trip to a server, a message, a line
in the spool) it gives its turn away, and gets it back when virtual time has come so far. Between two effects nobody
else runs. So all that can happen between two effects of several workers can be tried, and repeated.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

Result = TypeVar("Result")
EFFECTS_MAX = 30_000
LOCK_SECONDS = 0.001


class KilledError(BaseException):
    """Raised in place of whatever a killed process would have gone on to do; no `except Exception` sees it."""


class StuckError(BaseException):
    """Raised when a run does not come to rest: something happens for ever. No `except Exception` sees it."""


@dataclass(slots=True, eq=False)
class Process:
    """Something that can die: a worker, or a shop's process. `wall_skew_seconds` is how wrong its own clock is."""

    name: str
    wall_skew_seconds: float = 0.0
    is_alive: bool = True
    stopped_until: float = 0.0
    activities: int = 0
    """How many things it is at."""


@dataclass(slots=True)
class KillPoint:
    """Where a process dies: just before its effect of this number takes place, or just after. Effects count from 1."""

    number: int
    after: bool = False


@dataclass(slots=True)
class Effect:
    """One effect as it is about to happen: whose it is, and what it does."""

    process: Process
    label: str


def _taken() -> threading.Lock:
    """A lock that whoever waits for it gets as soon as it is released: the cheapest way to hand on a turn."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Fiber:
    """A thread that runs while it has the turn."""

    turn: threading.Lock = field(default_factory=_taken)
    work: Callable[[], object] | None = None
    process: Process | None = None


class Kernel:
    """One simulated world's time and turns.

    Attributes:
        now: unix seconds.
        random: where every choice of the run comes from.
        counts: how often what happened.
        effects: the labels of all effects, in their order.
        continued: of each effect, whether it comes straight after the one before it, in the same activity.
        log: what the code has logged, by line; None when nobody asked for it.
    """

    def __init__(self, seed: int | str, *, now: float, kills: tuple[KillPoint, ...] = ()) -> None:
        self.now = now
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.effects: list[str] = []
        self.continued: list[bool] = []
        self._last: tuple[_Fiber, Process] | None = None
        self.on_kill: Callable[[Process], None] = lambda _process: None
        self.latency: Callable[[Effect], float] = lambda _effect: 0.0
        self._kills = {(point.number, point.after) for point in kills}
        self._digest = hashlib.blake2b(digest_size=16)
        self._queue: list[tuple[float, int, _Fiber | Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._idle: list[_Fiber] = []
        self._main = _taken()
        self._current: _Fiber | None = None
        self._until = 0.0
        self._failure: BaseException | None = None
        self._closed = False
        self.keep_trace = False
        self.log: list[str] | None = None
        self.trace: list[str] = []

    # What happens when.

    def at(self, when: float, action: Callable[[], None]) -> None:
        """This short action happens then, between the activities."""
        heapq.heappush(self._queue, (max(when, self.now), next(self._sequence), action))

    def start(self, process: Process, work: Callable[[], object], *, delay_seconds: float = 0.0) -> None:
        """The process begins something after this time, if it lives."""

        def begin() -> None:
            if process.is_alive:
                self._begin(process, work)

        self.at(self.now + delay_seconds, begin)

    def run(self, *, until: float) -> None:
        """Everything that is to happen until then has happened, or nothing more is to happen.

        Raises:
            StuckError: far more happened than a run has.
        """
        self._until = until
        while (action := self._next()) is not None:
            if isinstance(action, _Fiber):
                self._current = action
                action.turn.release()
                self._main.acquire()
                self._current = None
                if self._failure is not None:
                    raise self._failure
            else:
                action()
        self.now = max(self.now, until)

    @property
    def next_at(self) -> float | None:
        """When the next thing happens; None when nothing does."""
        return self._queue[0][0] if self._queue else None

    def _next(self) -> _Fiber | Callable[[], None] | None:
        if not self._queue or self._queue[0][0] > self._until:
            return None
        when, _, action = heapq.heappop(self._queue)
        self.now = max(self.now, when)
        return action

    # Activities.

    def _begin(self, process: Process, work: Callable[[], object]) -> None:
        fiber = self._idle.pop() if self._idle else self._new_fiber()
        fiber.work, fiber.process = work, process
        process.activities += 1
        heapq.heappush(self._queue, (self.now, next(self._sequence), fiber))

    def _new_fiber(self) -> _Fiber:
        fiber = _Fiber()
        threading.Thread(target=self._live, args=(fiber,), daemon=True, name="activity").start()
        return fiber

    def _live(self, fiber: _Fiber) -> None:
        while True:
            fiber.turn.acquire()
            if self._closed or fiber.work is None:
                if fiber.work is not None:
                    # It was to begin when the world ended, and whoever ends it waits for its turn to be over.
                    self._main.release()
                return
            try:
                fiber.work()
            except KilledError:
                pass
            except BaseException as error:  # noqa: BLE001  # whatever it is, the run ends with it, on its own thread
                self._failure = error
            if fiber.process is not None:
                fiber.process.activities -= 1
            fiber.work = fiber.process = None
            self._idle.append(fiber)
            self._main.release()

    @property
    def process(self) -> Process | None:
        """Whose activity is running; None between the activities."""
        return self._current.process if self._current else None

    def sleep(self, seconds: float) -> None:
        """The running activity goes on so much later; or its process died meanwhile.

        Raises:
            KilledError: it did.
        """
        fiber = self._current
        if fiber is None or fiber.process is None:
            # The harness waits for nobody.
            return
        process = fiber.process
        when = self.now + seconds
        while True:
            when = max(when, process.stopped_until)
            if when <= self.now:
                break
            if when <= self._until and (not self._queue or when < self._queue[0][0]):
                # Nobody else has anything to do until then.
                self.now = when
                break
            heapq.heappush(self._queue, (when, next(self._sequence), fiber))
            self._main.release()
            fiber.turn.acquire()
            if self._closed:
                raise KilledError("the world has ended")
        if not process.is_alive:
            raise KilledError(process.name)

    def effect(self, label: str, call: Callable[[], Result]) -> Result:
        """What the call returns: an effect of the running activity, after the time that it takes to get there.

        Raises:
            KilledError: the process died before, during or after it.
        """
        fiber = self._current
        if fiber is None or fiber.process is None:
            # The harness itself looks.
            return call()
        process = fiber.process
        if not process.is_alive or self._closed:
            raise KilledError(process.name)
        self.effects.append(label)
        self.continued.append(self._last == (fiber, process))
        self._last = (fiber, process)
        if len(self.effects) > EFFECTS_MAX:
            raise StuckError(f"{EFFECTS_MAX} effects, and no end: the last ones are {self.effects[-12:]}")
        number = len(self.effects)
        self.note(f"{process.name} {label}")
        if (number, False) in self._kills:
            self.kill(process)
            raise KilledError(process.name)
        seconds = self.latency(Effect(process, label))
        self.sleep(seconds)
        try:
            return call()
        finally:
            # Whatever came of it, an error of the network included, has its way back.
            self.sleep(seconds)
            if (number, True) in self._kills:
                self.kill(process)
                raise KilledError(process.name)

    def kill(self, process: Process) -> None:
        """The process is dead: none of its activities has any further effect."""
        if process.is_alive:
            process.is_alive = False
            self.counts["kill"] += 1
            self.note(f"killed {process.name}")
            self.on_kill(process)

    def note(self, text: str) -> None:
        """This is part of the run's trace, by whose hash two runs are compared."""
        line = f"{self.now:.6f} {text}"
        self._digest.update(line.encode())
        if self.keep_trace:
            self.trace.append(line)

    @property
    def trace_hash(self) -> str:
        """The digest of all that has happened."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """All threads have ended; whatever they were at was given up."""
        self._closed = True
        for fiber in [action for _, _, action in self._queue if isinstance(action, _Fiber)]:
            self._current = fiber
            fiber.turn.release()
            self._main.acquire()
        self._queue.clear()
        for fiber in self._idle:
            fiber.turn.release()


class TurnLock:
    """A lock for code that holds one while it has an effect: whoever waits for it gives its turn away."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._is_held = False

    def __enter__(self) -> None:
        while self._is_held:
            self._kernel.sleep(LOCK_SECONDS)
        self._is_held = True

    def __exit__(self, *_exception: object) -> None:
        self._is_held = False
