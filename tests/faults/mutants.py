"""Testing the testers: the code with one mechanism removed, which the simulation must find out.

Each mutant is one replacement in one file, and the searches that are tried on it until one of them finds a broken
promise. A mutant that survives says that the simulation is too weak, or that the mechanism is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`old` is replaced by `new` in `path`; `searches` are names that `tests.faults.mutation` knows."""

    name: str
    path: str
    old: str
    new: str
    searches: tuple[str, ...]


def _mutant(name: str, path: str, old: str, new: str, *searches: str) -> Mutant:
    return Mutant(name=name, path=path, old=old, new=new, searches=searches or ("courses", "seeds 400"))


SENDING = "tasks/sending.py"
ADVANCE = "sceneshift/store/lua/advance.lua"
FINALIZE = "tasks/finalize.py"

MUTANTS: tuple[Mutant, ...] = (
    _mutant("POST before the intent is stored", SENDING,
            "    try:\n        submitting = _store_intent(services, job, intent)",
            "    early = services.provider.submit(body, nonce=nonce)\n"
            "    try:\n        submitting = _store_intent(services, job, intent)",
            "courses"),
    _mutant("no intent is stored", SENDING,
            "        submitting = _store_intent(services, job, intent)",
            "        submitting = job",
            "courses"),
    _mutant("the intent does not wait for the disk", "sceneshift/store/jobs.py",
            "        if guard is None and not new_key:\n            return Applied",
            "        if not new_key:\n            return Applied",
            "a power cut and a kill"),
    _mutant("an order does not wait for the disk", "sceneshift/store/jobs.py",
            "        if self._disk is None:\n            return script(keys=keys, args=args), None",
            "        if self._disk is None or script is self._accept:\n"
            "            return script(keys=keys, args=args), None",
            "power cut", "seeds 600"),
    _mutant("the key of an answer is not spooled", SENDING,
            "    services.spool.keep(key)\n", "", "answer, outage, kill"),
    _mutant("what a dead worker spooled is thrown away", "tasks/replay.py",
            "                if _hand_on(services, key):\n                    handed_on += 1\n                else:",
            "                if key:\n                    handed_on += 1\n                else:",
            "kills happy path"),
    _mutant("a new order is not due by itself", "sceneshift/store/lua/accept.lua",
            "redis.call('ZADD', KEYS[5], ARGV[4], id)", "", "courses", "seeds 200"),
    _mutant("a step that begins gives up its net", "sceneshift/store/lua/begin.lua",
            "redis.call('ZADD', KEYS[2], 'XX', ARGV[4], ARGV[1])", "redis.call('ZREM', KEYS[2], ARGV[1])",
            "kills happy path"),
    _mutant("the step that follows has no due time", ADVANCE,
            "elseif change.due then\n  redis.call('ZADD', KEYS[5], change.due, change.id)",
            "elseif change.due then\n  redis.call('ZREM', KEYS[5], change.id)",
            "courses"),
    _mutant("a time-out counts as never sent", "sceneshift/provider/bg_rep.py",
            "_NOT_SENT = (httpx.ConnectError,", "_NOT_SENT = (httpx.ReadTimeout, httpx.ConnectError,",
            "seeds 600"),
    _mutant("a dropped connection counts as never sent", "sceneshift/provider/bg_rep.py",
            "_NOT_SENT = (httpx.ConnectError,", "_NOT_SENT = (httpx.RemoteProtocolError, httpx.ConnectError,",
            "courses", "seeds 600"),
    _mutant("a worker that died while sending is taken for one that had not begun", "tasks/submit.py",
            "        if job.state is JobState.SUBMITTING:\n            return _recover(services, job)",
            "        if job.state is JobState.SUBMITTING:\n"
            "            return conclude(services, job, later(job, RECOVERY))",
            "kills happy path", "seeds 400"),
    _mutant("hold submits again", "sceneshift/jobs/unknown_outcomes.py",
            '    return SubmissionLost(fault=fault, then="hold", by=by)',
            '    return SubmissionLost(fault=fault, then="resubmit", by=by, retry_in_seconds=1.0)',
            "courses", "kills answer lost, hold"),
    _mutant("resubmit has no budget", "sceneshift/store/lua/spend.lua",
            "  return 'budget'", "  return 'granted'", "budget"),
    _mutant("resubmit does not count its tries", "sceneshift/jobs/lost_submissions.py",
            "resubmits=job.resubmits + 1", "resubmits=job.resubmits", "budget", "seeds 600"),
    _mutant("probe takes a nonce of its own", SENDING,
            "services.provider.submit(body, nonce=job.nonce, send_by=send_by)",
            "services.provider.submit(body, nonce=submission_nonce(job.id, job.epoch + 1), send_by=send_by)",
            "courses"),
    _mutant("probe asks after the provider's window", "sceneshift/jobs/unknown_outcomes.py",
            "    return 0 <= clocks.store - math.floor(job.intent_at) < policy.probe_seconds",
            "    return True",
            "kills answer lost, probe, too late", "courses"),
    _mutant("a worker that slept sends nevertheless", SENDING,
            "LEASE_SHARE * services.store.due.lease_seconds", "3600.0", "workers that sleep"),
    _mutant("recovery mode stops nothing", ADVANCE,
            "  return 'recovering'\n", "  change.intent = change.intent\n", "recovery"),
    _mutant("nobody is a witness", ADVANCE,
            "    return 'rolled_back'\n", "    intent.count = 0\n", "a message repeated after a loss"),
    _mutant("a key that comes after the end is forgotten", "tasks/steps.py",
            "    if services.store.ledger.note_unclaimed(job, event.result_key, left_behind=left_behind):",
            "    if left_behind and not left_behind:",
            "a key that comes after the end"),
    _mutant("the outbox row is not written with the change", ADVANCE,
            "  redis.call('ZADD', KEYS[5], change.delivery_due, delivery[2])\n", "", "kills happy path"),
    _mutant("a new webhook id for each try", "tasks/notify.py",
            "webhook_id=delivery.event_id", 'webhook_id=f"{delivery.event_id}{delivery.attempts}"',
            "courses"),
    _mutant("a refused webhook counts as delivered", "sceneshift/jobs/delivery_schedule.py",
            "        return self.status in SUCCESS", "        return self.status is not None", "courses"),
    _mutant("a webhook that failed is not tried again", "sceneshift/store/lua/settle.lua",
            "  redis.call('ZADD', KEYS[2], attempt.due_at, id)", "  redis.call('ZREM', KEYS[2], id)",
            "courses"),
    _mutant("object names are new each time", "storage/names.py",
            '    return f"{job_folder(job_id)}/{index}."',
            '    import secrets\n    return f"{job_folder(job_id)}/{index}-{secrets.token_hex(4)}."',
            "kills happy path"),
    _mutant("no manifest", FINALIZE,
            "        if isinstance(event, ImagesStored) and event.outputs:",
            "        if isinstance(event, ImagesStored) and not event:",
            "courses"),
    _mutant("the job ends before its manifest is there", FINALIZE,
            "                event = _delayed(job, copying.urls, tuple(copying.outputs.values()), error)",
            '                log.warning("ignored", extra={"code": error.code})',
            "a bucket that fails now and then"),
    _mutant("a result is not decoded", "storage/images.py",
            '        _decode(image)\n    if image_format == "PNG":\n        _check_png(file)\n', "", "seeds 600"),
    _mutant("an unwanted result stays", FINALIZE,
            '        if job.cancel == "discard":\n            return _discard(services, job)',
            '        if job.cancel == "discard":\n'
            "            return conclude(services, job, ImagesStored(outputs=(), missing=()))",
            "cancelled while images are stored"),
    _mutant("a job that is being sent ends when it is cancelled", "sceneshift/jobs/peoples_decisions.py",
            "    if job.state is JobState.QUEUED:\n        return finish",
            "    if job.state in {JobState.QUEUED, JobState.SUBMITTING}:\n        return finish",
            "cancelled and kept while it is sent"),
    _mutant("the ledger misses a charge", "sceneshift/store/lua/advance.lua",
            "  redis.call('HINCRBY', KEYS[move[1]], move[2], move[3])\n",
            "  if move[3] < 0 then redis.call('HINCRBY', KEYS[move[1]], move[2], move[3]) end\n",
            "courses"),
    _mutant("a job stays in the index of its old state", ADVANCE,
            "  redis.call('ZREM', KEYS[6], change.id)\n", "", "courses"),
    _mutant("the compare-and-set compares nothing", ADVANCE,
            "return 'stale'", "change.ignored = 1", "kills happy path", "seeds 800"),
)  # fmt: skip
