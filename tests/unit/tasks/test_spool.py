"""The spool: a key that was paid for outlives its process and an outage of the job store."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sceneshift.errors import ConfigurationError
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import SubmitOutcome
from tasks.replay import replay
from tasks.spool import Spool, SpooledKey
from tests.unit.tasks.ports import RESULT_KEY
from tests.unit.tasks.workshop import Workshop


def a_key(number: int = 0) -> SpooledKey:
    return SpooledKey(
        job_id=f"job_{number}",
        nonce=f"nonce-{number}",
        result_key=f"key-{number}",
        request_id="REQ-1",
        sent_at=1_800_000_000.0,
    )


def left_in(directory: Path) -> list[SpooledKey]:
    """What a new process of the machine inherits."""
    return [key for inheritance in Spool(directory).inheritances() for key in inheritance.read()]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path)
    yield spool
    spool.close()


def test_a_key_of_a_dead_process_is_inherited(spool: Spool, tmp_path: Path) -> None:
    """While its process lives nobody touches it; afterwards the next one finds it, once."""
    spool.keep(a_key(1))
    spool.keep(a_key(2))
    assert left_in(tmp_path) == []
    spool.close()
    assert left_in(tmp_path) == [a_key(1), a_key(2)]
    for inheritance in Spool(tmp_path).inheritances():
        inheritance.remove()
    assert left_in(tmp_path) == []


def test_a_settled_key_is_not_inherited(spool: Spool, tmp_path: Path) -> None:
    """What the job store has needs nobody; an empty file goes with its process."""
    spool.keep(a_key(1))
    spool.settle(a_key(1))
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_long_life_leaves_a_short_file(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under constant load, when something is always open, the file is replaced by one with the open keys alone."""
    monkeypatch.setattr("tasks.spool._FILE_MAX_BYTES", 10_000)
    spool.keep(a_key(0))
    for number in range(1, 500):
        spool.keep(a_key(number))
        spool.settle(a_key(number))
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size < 11_000
    spool.close()
    assert a_key(0) in left_in(tmp_path)


def test_a_line_that_broke_off_spoils_no_other(spool: Spool, tmp_path: Path) -> None:
    """A process that was killed while writing leaves half a line behind whole ones."""
    spool.keep(a_key(1))
    spool.close()
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(json.dumps(asdict(a_key(2))).encode()[:-20])
    assert left_in(tmp_path) == [a_key(1)]


def test_two_heirs_never_have_the_same_file(spool: Spool, tmp_path: Path) -> None:
    """While one process hands an inheritance on, another does not see it."""
    spool.keep(a_key(1))
    spool.close()
    first = Spool(tmp_path).inheritances()
    assert next(first).read() == [a_key(1)]
    assert left_in(tmp_path) == []
    first.close()  # type: ignore[attr-defined]  # an iterator that is a generator
    assert left_in(tmp_path) == [a_key(1)]


def test_a_file_that_another_heir_has_just_removed_is_none(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between finding it and locking it, somebody else may have handed it on."""
    spool.keep(a_key(1))
    spool.close()
    (path,) = tmp_path.iterdir()
    real = fcntl.flock

    def removed_first(descriptor: int, operation: int) -> None:
        path.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    assert left_in(tmp_path) == []


def test_a_disk_that_refuses_is_no_reason_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The key goes on to the job store; the log has it."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    Spool(blocked / "spool").keep(a_key(7))
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["result_key"]) == ("spool.not_written", "key-7")


def test_a_directory_that_cannot_be_used_is_told_before_anything_is_paid(tmp_path: Path) -> None:
    """The check names the setting, the directory and the remedy."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigurationError, match=r"SCENESHIFT_SPOOL_DIRECTORY: .*file/spool cannot be written"):
        Spool(blocked / "spool").check()
    Spool(tmp_path / "new").check()
    assert list((tmp_path / "new").iterdir()) == []


def test_without_a_directory_nothing_is_kept() -> None:
    """`none` is a choice."""
    spool = Spool(None)
    spool.check()
    spool.keep(a_key(1))
    spool.settle(a_key(1))
    assert list(spool.inheritances()) == []


PROGRAM = """
import os, signal, sys
from pathlib import Path
from tasks.spool import Spool, SpooledKey
Spool(Path(sys.argv[1])).keep(SpooledKey(job_id="job_X", nonce="n", result_key="k", request_id=None, sent_at=1.0))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_its_key(tmp_path: Path) -> None:
    """A real process, killed right after the key was kept: the next one on the machine has it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=False, env={**os.environ}, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [key.result_key for key in left_in(tmp_path)] == ["k"]


def held_with_a_spooled_key(work: Workshop, *, nonce: str = "") -> JobRecord:
    """A job whose worker was killed after the provider's answer: the next message of the step holds it."""
    job = work.accept()
    work.provider.on_submit = _killed
    with pytest.raises(KeyboardInterrupt):
        work.wake(job.id)
    dead = Spool(work.services.settings.spool_path)
    own = work.job(job.id).nonce
    dead.keep(replace(a_key(), job_id=job.id, nonce=nonce or own, result_key=RESULT_KEY))
    dead.close()
    work.clock.advance(work.store.due.lease_seconds + 1.0)
    work.bring_back()
    held = work.job(job.id)
    assert (held.state, held.charge) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN)
    return held


def _killed() -> SubmitOutcome:
    raise KeyboardInterrupt


def test_a_held_job_gets_its_key_back(work: Workshop) -> None:
    """A replay turns `needs_attention` into `rendering`, asks at once, pays nothing again, and happens once."""
    job = held_with_a_spooled_key(work)
    assert replay(work.services) == 1
    found = work.job(job.id)
    assert (found.state, found.result_key, found.charge) == (JobState.RENDERING, RESULT_KEY, Charge.CHARGED)
    assert len(work.provider.submissions) == 1
    assert work.due_in(job.id) <= 0.0
    assert replay(work.services) == 0


def test_a_key_of_another_submission_is_told_and_not_used(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """A job that a person had submitted again keeps its course; the paid key is in the log, as an error."""
    job = held_with_a_spooled_key(work, nonce="another")
    assert replay(work.services) == 1
    assert work.job(job.id).state is JobState.NEEDS_ATTENTION
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (error.getMessage(), vars(error)["result_key"]) == ("submission.unclaimed", RESULT_KEY)


def test_an_outage_after_the_answer_loses_nothing(work: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job store is away when the answer comes: the key waits here, and is handed on when the store is back."""
    job = work.accept()
    real = work.store.jobs.transition
    answered: list[bool] = []

    def away_after_the_answer(*arguments: Any, **options: Any) -> Any:
        if work.provider.submissions and not answered:
            raise RedisConnectionError("away")
        return real(*arguments, **options)

    monkeypatch.setattr(work.store.jobs, "transition", away_after_the_answer)
    with pytest.raises(RedisConnectionError):
        work.wake(job.id)
    assert replay(work.services) == 0
    answered.append(True)
    assert replay(work.services) == 1
    assert (work.job(job.id).state, work.job(job.id).result_key) == (JobState.RENDERING, RESULT_KEY)
    assert (work.services.spool.deferred(), len(work.provider.submissions)) == ([], 1)


def test_not_even_the_clock_is_asked_before_the_key_is_on_disk(work: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is the job store's: when both are away as the answer comes, the key is kept nevertheless."""
    job, real = work.accept(), work.clock.now

    def away_after_the_answer() -> float:
        if work.provider.submissions:
            raise RedisConnectionError("away")
        return real()

    with monkeypatch.context() as outage:
        outage.setattr(work.clock, "now", away_after_the_answer)
        with pytest.raises(RedisConnectionError):
            work.wake(job.id)
    assert replay(work.services) == 1
    assert work.job(job.id).result_key == RESULT_KEY


def test_a_disk_that_takes_half_a_line_spoils_no_other(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a short write another file is begun, with all that is still needed."""
    spool.keep(a_key(1))
    real = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, lines: real(descriptor, lines[:20]))
        spool.keep(a_key(2))
    spool.keep(a_key(3))
    spool.close()
    assert left_in(tmp_path) == [a_key(1), a_key(2), a_key(3)]


def test_an_inheritance_waits_for_the_store(work: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be handed on now stays on disk."""
    job = held_with_a_spooled_key(work)
    with monkeypatch.context() as broken:
        broken.setattr(work.store.jobs, "load", lambda _job_id: (_ for _ in ()).throw(RedisConnectionError("away")))
        assert replay(work.services) == 0
    assert replay(work.services) == 1
    assert work.job(job.id).state is JobState.RENDERING
