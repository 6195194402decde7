"""Whatever a result URL answers, through the real copy path: a typed reason, and a worker that goes on.

Each job has two images: a good one, which is stored whatever happens to the other, and a hostile one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sceneshift.guarded_http import GuardedClient
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import Succeeded
from storage.decoding import DecoderLimits, IsolatedDecoder
from storage.manifest import read_manifest
from tests.loopback import Listener, Reply, answer
from tests.unit.storage.hostile_bodies import BODIES, STORED, HostileBody
from tests.unit.storage.pictures import picture
from tests.unit.tasks.hostile_answers import HostileAnswer, hostile_answers
from tests.unit.tasks.workshop import Workshop

MAX_BYTES = 2_000_000
MAX_PIXELS = 1_000_000
PATIENT_SECONDS = 60.0
"""What no machine is too slow for: where the time is not what the case is about."""
TIMEOUT_SECONDS = 0.7
RETENTION_SECONDS = 90_000.0
DECODER_ALLOWED_BYTES = 200_000_000
ANSWERS = hostile_answers(time.sleep)


@pytest.fixture(params=["fakeredis"])
def redis_client(redis_client: object) -> object:
    """The in-process store alone: these tests are about bodies."""
    return redis_client


@pytest.fixture(scope="module")
def decoder() -> Iterator[IsolatedDecoder]:
    """One decoder for all of them, as a worker has it."""
    limits = DecoderLimits.for_pictures(max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    with closing(IsolatedDecoder(limits, children=1)) as decoder:
        yield decoder


def saying(body: bytes, *headers: str) -> Reply:
    """An answer after which the server hangs up, and says so, for a second request would race with that."""
    content = answer(body, headers=[*headers, "Connection: close"])
    return lambda connection, _request: connection.sendall(content)


@dataclass
class Copier:
    """A worker with the real client and the real decoder, and servers that answer as they are told."""

    work: Workshop
    stack: ExitStack
    good: Listener = field(init=False)

    def __post_init__(self) -> None:
        self.good = self.stack.enter_context(Listener(saying(picture(seed=7))))

    def copied(self, reply: Reply, *, timeout_seconds: float = TIMEOUT_SECONDS) -> JobRecord:
        """The job whose second image is answered in this way, at its end; a reason that passes is waited for first."""
        work = self.work
        limits = {
            "preflight": False,
            "result_timeout_seconds": timeout_seconds,
            "result_max_bytes": MAX_BYTES,
            "result_max_pixels": MAX_PIXELS,
        }
        work.use(settings=work.services.settings.model_copy(update=limits))
        with Listener(reply) as hostile:
            urls = tuple(f"http://127.0.0.1:{each.port}/0.png?signature=canary" for each in (self.good, hostile))
            work.provider.on_query = lambda _key: Succeeded(urls=urls)
            job = work.storing()
            work.wake(job.id)
            waiting = work.job(job.id)
            if waiting.state is JobState.STORING:
                work.clock.advance(RETENTION_SECONDS)
                work.wake(job.id)
        return work.job(job.id)


@pytest.fixture
def copier(work: Workshop, decoder: IsolatedDecoder) -> Iterator[Copier]:
    with ExitStack() as stack:
        fetcher = stack.enter_context(closing(GuardedClient(allow_hosts=("127.0.0.1",))))
        work.use(fetcher=fetcher, decoder=decoder)
        yield Copier(work, stack)


def assert_ended(work: Workshop, job: JobRecord, code: str) -> None:
    """The good image is there; the other one too, or nothing of it and its reason. The manifest says the same."""
    manifest = read_manifest(work.bucket, job_id=job.id)
    assert manifest is not None
    assert (manifest.images, manifest.missing) == (job.outputs, job.missing)
    assert job.charge is Charge.CHARGED
    if code == STORED:
        assert (job.state, len(job.outputs)) == (JobState.SUCCEEDED, 2)
        assert job.outputs[1].content_type in {"image/png", "image/jpeg", "image/webp"}
        return
    assert [(missing.index, missing.code) for missing in job.missing] == [(1, code)]
    assert "canary" not in job.missing[0].message
    assert (job.state, [output.index for output in job.outputs]) == (JobState.PARTIAL, [0])
    names = {key.rpartition("/")[2] for key in work.bucket.objects if job.id in key}
    assert names == {"0.png", "manifest.json"}


@pytest.mark.parametrize("body", BODIES, ids=[body.name for body in BODIES])
def test_a_body_is_stored_or_missing_for_its_reason(copier: Copier, body: HostileBody) -> None:
    """The bytes decide: what is a picture is stored as it came, and for all else the job says what it was."""
    content = body.make()
    job = copier.copied(saying(content, "Content-Type: image/png"), timeout_seconds=PATIENT_SECONDS)
    assert_ended(copier.work, job, body.code)
    if body.code == STORED:
        assert copier.work.bucket.get(job.outputs[1].key) == content


@pytest.mark.parametrize("case", ANSWERS, ids=[case.name for case in ANSWERS])
def test_an_answer_that_lies_or_never_ends_is_missing_for_its_reason(copier: Copier, case: HostileAnswer) -> None:
    """However the bytes are sent, within the limits of bytes and time the job learns why there is no picture."""
    patience = TIMEOUT_SECONDS if case.code == "fetch_timeout" else PATIENT_SECONDS
    assert_ended(copier.work, copier.copied(case.reply, timeout_seconds=patience), case.code)


def test_one_decoder_stands_all_of_them_in_bounded_memory(copier: Copier, decoder: IsolatedDecoder) -> None:
    """All bodies in a row are decoded by one process, which none of them ended, in bounded memory."""
    copier.copied(saying(picture()))
    [child] = decoder._idle
    for body in BODIES:
        copier.copied(saying(body.make()), timeout_seconds=PATIENT_SECONDS)
    assert decoder._idle == [child]
    peak_bytes = 1024 * int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{child._process.pid}/status").read_text())[0])
    print(f"\ndecoder after {len(BODIES)} hostile bodies: at most {peak_bytes / 1e6:.0f} MB")  # noqa: T201  # a figure
    assert peak_bytes < DECODER_ALLOWED_BYTES
    assert len(BODIES) + len(ANSWERS) >= 60
