"""What a later release wrote around its jobs: commands, ledger, intents, spool, manifests go on, and lose nothing."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import sceneshift.client
from sceneshift.cli import main
from sceneshift.cli.doctor_store import unknown_finding
from sceneshift.cli.findings import Level
from sceneshift.client import Client
from sceneshift.errors import UnknownRecordError
from sceneshift.jobs.intents import Intent
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.merging import hold_without_proof
from storage.manifest import UnknownManifestError, read_manifest, write_manifest
from storage.names import manifest_name
from tasks.intents import intent_name
from tasks.replay import replay
from tests.factories import NOW, a_job, an_order, an_output
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import place
from tests.upgrades.corpus import Scene
from tests.upgrades.later import JOBS, order_field, record_of
from tests.upgrades.replaying import Replay
from workers.recovery_keeper import UNKNOWN_PAUSE_SECONDS, RecoveryKeeper

Run = Callable[..., tuple[int, str, str]]
LOG = Scene(now=NOW, settings={"intent_log": "storage"})
TODAY = "2026-11-23"


@pytest.fixture
def work(redis_client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """A deployment of this release with an intent log, and nothing in it."""
    monkeypatch.setattr("tasks.services._services", None)
    return Replay(LOG, redis_client, tmp_path)


@pytest.fixture
def run(work: Replay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line on it; returns its exit code, standard output and standard error."""
    client = Client(work.services.settings, store=work.store, publisher=work.publisher)
    monkeypatch.setattr(sceneshift.client, "_client", client)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sceneshift", *arguments])
        return (main(), *capsys.readouterr())

    return command


def placed(work: Replay, situation: str, new: str = "", **values: Any) -> JobRecord:
    """A job in this situation, perhaps with something `new` on its record."""
    job = SITUATIONS[situation].evolve(id=a_job().id, **values)
    place(work.store, job.evolve(order=an_order(num_output=2, metadata={"of": job.id})))
    if new:
        JOBS[new][0](work.store, job)
    return job


def put(work: Replay, name: str, document: object) -> None:
    """The bucket has this object."""
    import hashlib  # noqa: PLC0415
    import io  # noqa: PLC0415

    body = json.dumps(document).encode()
    digest = hashlib.sha256(body).hexdigest()
    work.bucket.put(
        name, io.BytesIO(body), size_bytes=len(body), sha256=digest, content_type="application/json", metadata={}
    )


@pytest.mark.parametrize("words", [("get",), ("explain",), ("explain", "--json"), ("cancel",), ("watch",), ("answer",)])
@pytest.mark.parametrize("new", JOBS)
def test_a_command_about_it_ends_with_a_sentence(work: Replay, run: Run, new: str, words: tuple[str, ...]) -> None:
    """Nothing that a program might take for data, exit code 1, and what to do, instead of a traceback."""
    job = placed(work, "rendering", new)
    code, out, error = run("jobs", words[0], job.id, *words[1:])
    assert (code, out) == (1, "")
    assert error.startswith(f"error: {job.id}: this release does not understand the job's record")
    assert error.count("\n") == 1


def test_lists_go_on_with_the_others(work: Replay, run: Run) -> None:
    """And say on standard error which jobs they are without, and why."""
    strange, other = placed(work, "rendering", "charge"), placed(work, "rendering")
    code, out, error = run("jobs", "list", "--json")
    assert (code, [each["id"] for each in json.loads(out)]) == (0, [other.id])
    assert error.startswith(f"left out: {strange.id}: this release does not understand")


def test_decisions_about_many_leave_it_out(work: Replay, run: Run) -> None:
    """What is not understood is not decided about; the others are."""
    strange, other = placed(work, "held, answer lost", "version"), placed(work, "held, answer lost")
    before = record_of(work.store, strange.id)
    code, _, error = run("jobs", "resolve", "--all", "--fail", "--why", "too late")
    assert code == 0
    assert f"left out: {strange.id}" in error
    assert work.job(other.id).state is JobState.FAILED
    assert record_of(work.store, strange.id) == before
    assert run("jobs", "resolve", strange.id, "--fail")[0] == 1


def test_the_doctor_names_what_the_workers_do_not_understand(work: Replay) -> None:
    """As a warning with its remedy; what nobody has met for a quarter of an hour is not named any more."""
    job = placed(work, "rendering", "version")
    assert unknown_finding(work.store.due.unknown()).level is Level.OK
    work.pass_time(10.0)
    work.look()
    finding = unknown_finding(work.store.due.unknown())
    assert (finding.level, finding.remedy) == (Level.WARN, "run workers of that release: docs/how-to/upgrade.md")
    assert finding.finding.startswith(f"1 jobs or webhooks of a later release, such as {job.id}")
    work.pass_time(901.0)
    assert work.store.due.unknown() == []


def test_the_ledger_counts_what_it_understands(work: Replay, run: Run) -> None:
    """Lines and decisions of a later release are named on standard error, and the sums are those of the others."""
    client, keys = work.store.client, work.store.keys
    lines: dict[Any, Any] = {
        "charged:succeeded:images": 2,
        "charged:succeeded:submissions": 1,
        "waived:succeeded:images": 9,
    }
    client.hset(keys.ledger(TODAY), mapping={**lines, "charged:succeeded:pixels": 5})
    decision = {"at": NOW, "job_id": "j", "action": "fail", "by": "ann", "why": "", "images": 0, "charge": "charged"}
    for each in (decision, {**decision, "ticket": 7}, {**decision, "charge": "waived"}, ["fail"]):
        client.rpush(keys.decisions(TODAY), json.dumps(each))
    code, out, error = run("ledger", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["total"]["charged"] == document["days"][0]["charged"] == {"submissions": 1, "images": 2}
    assert document["days"][0]["unknown"] == {"submissions": 0, "images": 0}
    assert len(document["days"][0]["decisions"]) == 2
    unknown = ["charged:succeeded:pixels", "waived:succeeded:images", "decision 3", "decision 4"]
    assert document["days"][0]["not_understood"] == unknown
    assert "what a later release wrote and this one cannot count: " + ", ".join(unknown) in error
    assert run("ledger")[0] == 0


def forgotten(work: Replay, **values: object) -> JobRecord:
    """A queued job whose submission stands in the bucket, perhaps in another form, and nowhere else."""
    job = placed(work, "queued")
    sent = job.evolve(submits=1, nonce="n", request_hash="h", intent_at=NOW)
    put(work, intent_name(job.id, 1), {**Intent.of(sent).to_json(), "token": "t", **values})
    return job


@pytest.mark.parametrize("values", [{"version": 2}, {"earlier_charge": "waived"}, {"order": []}, {"number": None}])
def test_an_intent_of_a_later_release_keeps_recovery_mode_on(
    work: Replay, values: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """The others are merged; this one is named in the log, nothing is submitted, and a later release may end it."""
    work.keeper.look()
    strange, other = forgotten(work, **values), forgotten(work)
    work.store.recovery.begin("test", by="ann")
    work.keeper.look()
    assert work.store.recovery.state() is not None
    assert work.job(other.id).state is JobState.NEEDS_ATTENTION
    before = record_of(work.store, strange.id)
    work.wake(strange.id)
    assert (work.job(strange.id).state, work.job(strange.id).blocked_by, work.sent) == ("queued", "recovery", [])
    assert before[work.store.keys.order(strange.id)] == work.store.client.get(work.store.keys.order(strange.id))
    said = next(record for record in caplog.records if record.message == "recovery.unknown_intent")
    assert (said.job_id, said.object) == (strange.id, intent_name(strange.id, 1))  # type: ignore[attr-defined]
    state = work.store.recovery.state()
    assert state is not None
    assert "1 of a later release, which this one cannot merge" in " ".join(map(str, state.merged.values()))


def test_a_worker_that_cannot_merge_leaves_the_bucket_to_others(work: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of the later release need not wait for it, and ends the recovery."""
    elapsed = [0.0]
    work.use(monotonic=lambda: elapsed[0])
    keeper = RecoveryKeeper(work.services)
    keeper.look()
    forgotten(work, version=2)
    work.store.recovery.begin("test", by="ann")
    listed: list[str] = []
    work.bucket.before = lambda operation, key: listed.append(key) if operation == "list" else None
    for _ in range(3):
        keeper.look()
    assert len(listed) == len(set(listed))
    monkeypatch.setattr("socket.gethostname", lambda: "newer")
    assert work.store.recovery.claim(120.0)
    monkeypatch.undo()
    work.store.client.hdel(work.store.keys.recovery, "claimed_by", "claimed_until")
    elapsed[0] += UNKNOWN_PAUSE_SECONDS
    keeper.look()
    assert len(listed) == 2 * len(set(listed))


def test_a_job_of_a_later_release_that_was_forgotten_keeps_recovery_mode_on(work: Replay) -> None:
    """It cannot be held by this release, so nothing may be submitted until one comes that can; the others are held."""
    work.keeper.look()
    job, other = forgotten(work), forgotten(work)
    JOBS["version"][0](work.store, job)
    work.store.recovery.begin("test", by="ann")
    before = record_of(work.store, job.id)
    work.keeper.look()
    assert work.store.recovery.state() is not None
    assert record_of(work.store, job.id) == before
    assert work.job(other.id).state is JobState.NEEDS_ATTENTION
    with pytest.raises(UnknownRecordError):
        hold_without_proof(work.store, NOW + 1e9)


def test_an_order_s_new_fields_are_in_its_intent(work: Replay) -> None:
    """A job that is stored again from its intent is ordered as it was."""
    job = placed(work, "rendering")
    order_field(work.store, job)
    intent = Intent.of(work.job(job.id))
    assert intent.to_json()["order"]["style"] == "oil"
    assert json.loads(Intent.from_json({**intent.to_json(), "more": 1}).lost_job().order.to_json())["style"] == "oil"


def spooled(work: Replay, *lines: bytes) -> Path:
    """A dead process has left these lines."""
    folder = work.services.settings.spool_path
    assert folder is not None
    folder.mkdir(exist_ok=True)
    path = folder / "dead.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def key_of(job: JobRecord, **values: object) -> bytes:
    """A line about the job's submission."""
    document = {"job_id": job.id, "nonce": job.nonce, "result_key": f"key of {job.id}", "request_id": None}
    return json.dumps({**document, "sent_at": NOW, "number": 1, "epoch": 1, **values}).encode() + b"\n"


def test_a_spooled_key_with_more_in_its_line_is_handed_on(work: Replay) -> None:
    """What is paid for is not thrown away for a field that a later release has added."""
    job = placed(work, "submitting")
    path = spooled(work, key_of(job, region="eu"))
    assert replay(work.services) == 1
    assert work.job(job.id).result_key == f"key of {job.id}"
    assert not path.exists()


def test_a_spooled_line_of_another_form_stays_on_disk(work: Replay, caplog: pytest.LogCaptureFixture) -> None:
    """The keys beside it are handed on; the file waits for a release that can read it, and is named once."""
    job = placed(work, "submitting")
    strange = b'{"v": 2, "job": "x", "keys": ["y"]}\n'
    path = spooled(work, key_of(job), strange, b'["z"]\n', b'{"job_id": "torn')
    for _ in range(3):
        replay(work.services)
    assert work.job(job.id).result_key == f"key of {job.id}"
    assert strange in path.read_bytes()
    assert sum(record.message == "spool.unreadable_line" for record in caplog.records) == 2


def test_a_spooled_key_of_a_job_of_a_later_release_waits_for_that(work: Replay) -> None:
    """It stays on this disk, with all that is in its line, whoever hands it on in the end."""
    job = placed(work, "submitting", "version")
    other = placed(work, "submitting")
    path = spooled(work, key_of(job, region="eu"), key_of(other))
    assert replay(work.services) == 1
    assert work.job(other.id).result_key
    assert not path.exists()
    (left,) = work.services.spool.deferred()
    assert json.loads(left.to_json())["region"] == "eu"
    (file,) = (path.parent).glob("*.jsonl")
    assert json.loads(file.read_text())["region"] == "eu"
    work.store.client.hset(work.store.keys.job(job.id), "version", "1")
    assert replay(work.services) == 1
    assert work.job(job.id).result_key == f"key of {job.id}"


def test_a_manifest_with_more_in_it_is_taken_over(work: Replay) -> None:
    """A later release has stored the images and died before it said so: nothing is copied in vain."""
    job = placed(work, "storing")
    images = [an_output(index).to_json() for index in range(2)]
    manifest = {"version": 1, "job_id": job.id, "images": images, "missing": [], "about": {}, "palette": "warm"}
    put(work, manifest_name(job.id), manifest)
    work.wake(job.id)
    assert (work.job(job.id).state, len(work.job(job.id).outputs)) == (JobState.SUCCEEDED, 2)


@pytest.mark.parametrize("values", [{"version": 2}, {"images": [{"index": 0}]}, {"missing": None}])
def test_a_manifest_of_another_form_is_waited_for(work: Replay, values: dict[str, object]) -> None:
    """The job says what it waits for and is not ended by a guess; the manifest stays as it is."""
    job = placed(work, "storing")
    manifest = {"version": 1, "job_id": job.id, "images": [], "missing": [], "about": {}, **values}
    put(work, manifest_name(job.id), manifest)
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.blocked_by) == (JobState.STORING, "manifest_unknown")
    assert json.loads(work.bucket.get(manifest_name(job.id))) == manifest
    with pytest.raises(UnknownManifestError):
        read_manifest(work.bucket, job_id=job.id)


def test_what_this_release_writes_it_reads(work: Replay) -> None:
    """The manifest's version is one that it knows."""
    job = a_job()
    write_manifest(work.bucket, job_id=job.id, images=[an_output(0)], missing=[], about={})
    manifest = read_manifest(work.bucket, job_id=job.id)
    assert manifest is not None
    assert manifest.images == (an_output(0),)


def test_a_later_state_in_the_logs_is_named(work: Replay, caplog: pytest.LogCaptureFixture) -> None:
    """An operator who reads the log of a rolled-back worker learns what is missing."""
    placed(work, "rendering", "state")
    work.pass_time(10.0)
    with caplog.at_level(logging.WARNING):
        work.look()
    (said,) = [record for record in caplog.records if record.message == "record.unknown"]
    assert said.what == "version '2', state 'verifying', step 'verify-1'"  # type: ignore[attr-defined]


def test_what_other_releases_have_noted_of_a_recovery_can_be_read(work: Replay) -> None:
    """An older one counts less, a later one more."""
    work.store.recovery.begin("test", by="ann")
    older = {"at": 1.0, "token": "t", "intents": 3, "held": 1, "restored": 0, "unclaimed": 0}
    for name, document in (("merged:old", older), ("merged:new", {**older, "unknown": 1, "skipped": 2})):
        work.store.client.hset(work.store.keys.recovery, name, json.dumps(document))
    state = work.store.recovery.state()
    assert state is not None
    assert [(state.merged[name].intents, state.merged[name].unknown) for name in ("old", "new")] == [(3, 0), (3, 1)]
