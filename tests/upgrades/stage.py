"""A deployment on which a scene is made: the real store and tasks, a clock that stands, and nothing left to chance."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import fakeredis

from sceneshift.clock import ManualClock
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.messages import CeleryPublisher, StepMessage, producer_app, step_message
from sceneshift.provider.protocol import Accepted, SubmitOutcome
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import open_job_store
from tests.factories import NOW, an_order
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.workshop import Workshop
from tests.upgrades.corpus import Scene, dumped, packed
from workers.health import Heartbeat
from workers.recovery_keeper import RecoveryKeeper
from workers.timekeeper import Timekeeper

BROKER = "memory://upgrades"


def settings_of(directory: Path, **values: Any) -> Settings:
    """The settings of a scene: those of the tests, and its own."""
    return Settings(
        **{
            "storage_url": (directory / "store").as_uri(),
            "spool_directory": str(directory / "spool"),
            "provider_url": "http://127.0.0.1:1/api/v1/bg-rep",
            "provider_appcode": "test-appcode",
            "submit_rate": None,
            "query_rate": None,
            "disk_wait_seconds": None,
            "webhook_secret": "whsec_" + "dGVzdC1zZWNyZXQtZm9yLXVuaXQtdGVzdHMtb25seQ==",
            **values,
        }
    )


class Stage(Workshop):
    """A workshop with a timekeeper, a keeper of recoveries and a broker; `ends` is what its scene says of its jobs."""

    def __init__(self, directory: Path, **values: Any) -> None:
        settings, clock = settings_of(directory, **values), ManualClock(NOW)
        client = fakeredis.FakeRedis(server=fakeredis.FakeServer(), decode_responses=True)
        store = open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock)
        super().__init__(store, settings, clock)
        self.use(policy=Policy.from_settings(settings))
        self.settings_given = values
        self.provider.on_submit = self.accepts
        self.keeper = RecoveryKeeper(self.services)
        self.monotonic = ManualClock(50.0)
        self.timekeeper = Timekeeper(
            store=store,
            publisher=self.publisher,
            queue_length=lambda _queue: 0,
            heartbeat=Heartbeat(directory / "heartbeat"),
            interval_seconds=0.1,
            monotonic=self.monotonic.now,
        )
        self.directory = directory
        self.ends: dict[str, str] = {}
        self._unpaid: set[str] = set()

    def accepts(self) -> SubmitOutcome:
        """The provider accepts, each time under another key."""
        nonce = self.provider.nonces[-1]
        return Accepted(result_key=hashlib.sha256(nonce.encode()).hexdigest()[:32], request_id="REQ-1")

    def order(self, end: JobState, **values: Any) -> JobRecord:
        """An accepted job that has to come to this end."""
        order = {"num_output": 2, **values.pop("order", {})}
        job = self.accept(order=an_order(**order), **values)
        self.ends[job.id] = str(end)
        self.publisher.publish(
            [step_message(subject_id=job.id, step=job.step, sku=job.sku or "", parent_step="", job_id=job.id)]
        )
        return job

    def expect(self, job: JobRecord, end: JobState) -> None:
        """The job has to come to this end after all."""
        self.ends[job.id] = str(end)

    def answering(self, outcome: Callable[[], Any], job: JobRecord) -> JobRecord:
        """The job after its next step, in which the provider answered its submission so."""
        self.provider.on_submit = outcome
        try:
            self.wake(job.id)
        except KilledError:
            # The process is gone, and its lease with it when that has ended.
            pass
        finally:
            self.provider.on_submit = self.accepts
        return self.job(job.id)

    def not_sent(self, job: JobRecord) -> None:
        """What the provider was sent last was refused, so it may be sent again."""
        self._unpaid.add(self.job(job.id).nonce)

    def tick(self, seconds: float = 0.0) -> None:
        """Time passes, and the timekeeper looks."""
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)
        self.timekeeper.tick()

    def scene(self) -> Scene:
        """All of it as it is now."""
        return Scene(
            now=self.clock.now(),
            settings=self.settings_given,
            ends=dict(sorted(self.ends.items())),
            paid=tuple(sorted(set(self.provider.nonces) - self._unpaid)),
            redis=dumped(self.store.client),
            queues=_queues(self._waiting()),
            spool=self._spooled(),
            objects={
                name: {**packed(body), "content_type": info.content_type, "metadata": dict(info.metadata)}
                for name, (body, info) in sorted(self.bucket.objects.items())
            },
        )

    def _waiting(self) -> list[StepMessage]:
        """The messages that nobody has taken yet: of steps that were handed out, and published once."""
        return list(
            {message.task_id: message for message in self.publisher.messages if self._is_open(message)}.values()
        )

    def _is_open(self, message: StepMessage) -> bool:
        batch = message.kwargs.get("job_ids") or message.kwargs.get("delivery_ids")
        subjects = batch or [message.kwargs.get("delivery_id") or message.kwargs["job_id"]]
        steps = message.kwargs.get("steps") or [message.kwargs["step"]]
        for subject, step in zip(subjects, steps, strict=True):
            now_at, fence, begun = self.store.client.hmget(self.store.keys.subject(subject), "step", "fence", "begun")
            if now_at == step and int(fence or 0) > int(begun or 0):
                return True
        return False

    def _spooled(self) -> dict[str, str]:
        folder = self.directory / "spool"
        texts = [path.read_text() for path in sorted(folder.glob("*.jsonl"))] if folder.exists() else []
        return {f"{number}.jsonl": text for number, text in enumerate(filter(None, texts))}


def _queues(messages: list[StepMessage]) -> dict[str, list[dict[str, Any]]]:
    """The messages as they lie in the broker's queues, but for what names this process."""
    app = producer_app(Settings(broker_url=BROKER))
    with app.connection_for_write() as connection:
        assert CeleryPublisher(Settings(broker_url=BROKER), app).publish(messages)
        queues: dict[str, list[dict[str, Any]]] = {}
        for queue in sorted({message.task for message in messages}):
            # What every virtual transport of kombu implements.
            channel: Any = connection.default_channel
            queues[queue] = [_plain(channel._get(queue)) for _ in range(channel._size(queue))]
    app.close()
    return queues


def _plain(envelope: dict[str, Any]) -> dict[str, Any]:
    headers = {**envelope["headers"], "origin": "gen1@worker"}
    properties = {**envelope["properties"], "delivery_tag": "tag", "reply_to": "reply"}
    return {**envelope, "headers": headers, "properties": properties}


@contextmanager
def without_chance(seed: int) -> Iterator[None]:
    """Whatever is drawn at random is the same each time."""
    numbers = itertools.count(seed * 1_000_000)

    def drawn(bits: int) -> int:
        digest = hashlib.sha256(str(next(numbers)).encode()).digest()
        return int.from_bytes(digest, "big") >> (256 - bits)

    with (
        mock.patch("secrets.randbits", drawn),
        mock.patch("secrets.token_hex", lambda count=32: f"{drawn(count * 8):0{count * 2}x}"),
        mock.patch("secrets.token_urlsafe", lambda count=32: f"{drawn(count * 5):0{count}x}"[:count]),
        mock.patch("uuid.uuid4", side_effect=lambda: uuid.UUID(int=drawn(128))),
        # The imitation of a server takes its time from here, too.
        mock.patch("time.time", return_value=NOW),
        mock.patch("socket.gethostname", return_value="worker"),
        mock.patch("os.getpid", return_value=1),
    ):
        yield


def made(scenes: dict[str, tuple[dict[str, Any], Callable[[Stage], None]]]) -> dict[str, Scene]:
    """Each of these scenes, played from its beginning."""
    made: dict[str, Scene] = {}
    for number, (name, (values, play)) in enumerate(scenes.items(), start=1):
        with TemporaryDirectory() as directory, without_chance(number):
            stage = Stage(Path(directory), **values)
            play(stage)
            made[name] = stage.scene()
            stage.services.spool.close()
    return made
