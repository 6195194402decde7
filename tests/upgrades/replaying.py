"""What an older, or a later, release has left is brought to rest by the code of today."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redis import Redis

from sceneshift.clock import ManualClock
from sceneshift.jobs.policy import Policy
from sceneshift.provider.protocol import Accepted, SubmitOutcome
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import open_job_store
from storage.objects import ObjectInfo
from tasks.replay import replay
from tests.unit.tasks.workshop import TASKS, Workshop
from tests.upgrades.corpus import Scene, restore, unpacked
from tests.upgrades.stage import settings_of
from workers.health import Heartbeat
from workers.recovery_keeper import RecoveryKeeper
from workers.timekeeper import Timekeeper

LOOKS_MAX = 400


class Replay(Workshop):
    """A deployment of today's code that goes on from a scene.

    `sent_before` is how many of the provider's submissions are the scene's own; whoever sends one of those again, or
    another one twice, pays twice.
    """

    def __init__(self, scene: Scene, client: Redis, directory: Path) -> None:
        settings, clock = settings_of(directory, **scene.settings), ManualClock(scene.now)
        restore(client, scene.redis)
        super().__init__(open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock), settings, clock)
        self.use(policy=Policy.from_settings(settings))
        self.scene = scene
        self.provider.refuses_used_nonces = True
        self.provider.submissions = [(b"", nonce) for nonce in scene.paid]
        self.provider.on_submit = self._accept
        self.sent_before = len(scene.paid)
        for name, entry in scene.objects.items():
            body = unpacked(entry)
            digest = hashlib.sha256(body).hexdigest()
            self.bucket.objects[name] = (
                body,
                ObjectInfo(
                    size_bytes=len(body), content_type=entry["content_type"], sha256=digest, metadata=entry["metadata"]
                ),
            )
        for name, text in scene.spool.items():
            folder = directory / "spool"
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        self.monotonic = ManualClock(50.0)
        self.keeper = RecoveryKeeper(self.services)
        self.timekeeper = Timekeeper(
            store=self.store,
            publisher=self.publisher,
            queue_length=lambda _queue: 0,
            heartbeat=Heartbeat(directory / "heartbeat"),
            interval_seconds=0.1,
            monotonic=self.monotonic.now,
        )

    def _accept(self) -> SubmitOutcome:
        nonce = self.provider.nonces[-1]
        return Accepted(result_key=hashlib.sha256(nonce.encode()).hexdigest()[:32], request_id="REQ-1")

    @property
    def sent(self) -> list[str]:
        """The nonces that were sent since, in their order."""
        return self.provider.nonces[self.sent_before :]

    def receive(self, envelopes: Iterable[dict[str, Any]]) -> None:
        """These messages of a broker have been taken and run, as a worker does it."""
        for envelope in envelopes:
            args, kwargs, _embedded = json.loads(base64.b64decode(envelope["body"]))
            TASKS[envelope["headers"]["task"]](*args, **kwargs)

    def look(self) -> None:
        """A timekeeper has looked once, and what it published was run; likewise the keepers of spool and recovery."""
        replay(self.services)
        self.keeper.look()
        self.timekeeper.tick()
        while self.publisher.messages:
            self.run(self.publisher.messages.pop(0))

    def next_due_at(self) -> float | None:
        """When something is due next by itself."""
        entries: list[tuple[str, float]] = self.store.client.zrange(self.store.keys.due, 0, -1, withscores=True)  # type: ignore[assignment]
        return min((score for _, score in entries if math.isfinite(score)), default=None)

    def pass_time(self, seconds: float) -> None:
        """It is so much later."""
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)

    def rest(self) -> None:
        """All messages were received, disabled endpoints enabled, and time passed until nothing was due any more."""
        for envelopes in self.scene.queues.values():
            self.receive(envelopes)
        for lane_id in self.store.lanes.failing():
            if self.store.lanes.get(lane_id).status == "disabled":
                self.store.lanes.enable(lane_id)
        for _ in range(LOOKS_MAX):
            self.look()
            due_at = self.next_due_at()
            if due_at is None:
                return
            self.pass_time(max(0.0, due_at - self.clock.now()) + 0.001)
        raise AssertionError(f"still due: {self.store.client.zrange(self.store.keys.due, 0, -1, withscores=True)}")
