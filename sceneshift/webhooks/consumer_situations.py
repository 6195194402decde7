"""What the trial of a receiver brings about, one situation after the other, and how each of them goes wrong.

Each function tries one and returns what went wrong; an empty text when nothing did.
"""

from __future__ import annotations

import json

from sceneshift.webhooks.consumer_trial import STRANGERS_SECRET, Sent, Trial
from sceneshift.webhooks.samples import SAMPLE_TYPES
from sceneshift.webhooks.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER

LATE_SECONDS = 600.0
"""Twice what a receiver should tolerate."""


def accepts_dumped_again(trial: Trial) -> bool:
    """Whether an event passes whose signature is of its body as Python dumps it again."""
    event = trial.event()
    dumped = Sent(id=event.id, body=json.dumps(json.loads(event.body)).encode(), job_id=event.job_id)
    return trial.send(event, trial.headers(dumped)).is_accepted


def valid_event(trial: Trial) -> str:
    """An ordinary event is accepted, and acted on once."""
    event = trial.event()
    answer = trial.send(event)
    if not answer.is_accepted:
        return f"an event that is signed rightly was not accepted: {answer}"
    if (times := trial.times_acted(event, unknown=1)) != 1:
        return f"an event that was accepted was acted on {times} times"
    return ""


def in_time(trial: Trial) -> str:
    """The answer to an ordinary event comes soon."""
    answer, limit = trial.send(trial.event()), trial.consumer.answer_within_seconds
    return f"the answer took {answer.seconds:.1f} s, and {limit:g} s are allowed" if answer.seconds > limit else ""


def duplicate(trial: Trial) -> str:
    """One event comes three times."""
    event = trial.event()
    for number in (1, 2, 3):
        answer = trial.send(event)
        if not answer.is_accepted:
            return f"try {number} of one event was not accepted: {answer}"
    times = trial.times_acted(event, unknown=1)
    return "" if times == 1 else f"one event, sent three times, was acted on {times} times"


def old_secret(trial: Trial) -> str:
    """Only the old secret has signed."""
    old = trial.consumer.old_secret or ""
    event = trial.event()
    answer = trial.send(event, trial.headers(event, secrets=[old]))
    return "" if answer.is_accepted else f"an event that is signed with the old secret was not accepted: {answer}"


def several_signatures(trial: Trial) -> str:
    """A right signature stands among others."""
    for secrets in ([STRANGERS_SECRET, trial.consumer.secret], [trial.consumer.secret, STRANGERS_SECRET]):
        event = trial.event()
        headers = trial.headers(event, secrets=secrets)
        headers[SIGNATURE_HEADER] += " v1a,AAAA"
        answer = trial.send(event, headers)
        if not answer.is_accepted:
            return f"an event with a right signature among others was not accepted: {answer}"
    return ""


def _refusal(trial: Trial, event: Sent, headers: dict[str, str], what: str) -> str:
    answer = trial.send(event, headers)
    if answer.is_accepted:
        return f"{what} was accepted"
    if not answer.is_refused:
        return f"{what} was neither accepted nor refused: {answer}"
    return f"{what} was refused, and acted on all the same" if trial.times_acted(event, unknown=0) else ""


def wrong_secret(trial: Trial) -> str:
    """A stranger has signed."""
    event = trial.event()
    return _refusal(trial, event, trial.headers(event, secrets=[STRANGERS_SECRET]), "an event of a stranger")


def tampered(trial: Trial) -> str:
    """Another body, id or time stands under a right signature."""
    event, other = trial.event(), trial.event()
    signed = trial.headers(event)
    changed = {**signed, TIMESTAMP_HEADER: str(int(signed[TIMESTAMP_HEADER]) + 1)}
    tampered = Sent(id=event.id, body=event.body.replace(b'"SAMPLE-1"', b'"SAMPLE-2"'), job_id=event.job_id)
    return (
        _refusal(trial, other, signed, "an event under the signature of another one")
        or _refusal(trial, tampered, signed, "a changed body")
        or _refusal(trial, event, {**signed, "webhook-id": other.id}, "an event under another id")
        or _refusal(trial, event, changed, "an event under another time")
    )


def late(trial: Trial) -> str:
    """The signature is right, and of another time."""
    for age_seconds, what in ((LATE_SECONDS, "old"), (-LATE_SECONDS, "early")):
        event = trial.event()
        headers = trial.headers(event, age_seconds=age_seconds)
        if wrong := _refusal(trial, event, headers, f"an event whose signature is ten minutes too {what}"):
            return wrong
    return ""


def unsigned(trial: Trial) -> str:
    """Nobody has signed."""
    event = trial.event()
    signed = trial.headers(event)
    without = {name: value for name, value in signed.items() if name != SIGNATURE_HEADER}
    return (
        _refusal(trial, event, {}, "an event without any header of ours")
        or _refusal(trial, event, without, "an event without a signature")
        or _refusal(trial, event, {**signed, SIGNATURE_HEADER: "v1,"}, "an event with an empty signature")
    )


def forgery_first(trial: Trial) -> str:
    """A forgery comes first, under the id of the right event."""
    event = trial.event()
    trial.send(event, trial.headers(event, secrets=[STRANGERS_SECRET]))
    answer = trial.send(event)
    if not answer.is_accepted:
        return f"after a forgery under its id, the right event was not accepted: {answer}"
    times = trial.times_acted(event, unknown=1)
    return "" if times == 1 else f"after a forgery under its id, the right event was acted on {times} times"


def reordered(trial: Trial) -> str:
    """A job's last event comes before an earlier one."""
    last = trial.event(sequence=2)
    first = trial.event("job.needs_attention", job_id=last.job_id, sequence=1)
    for event in (last, first):
        answer = trial.send(event)
        if not answer.is_accepted:
            return f"one of two events that came in the wrong order was not accepted: {answer}"
    state = trial.consumer.state(last.job_id) if trial.consumer.state else None
    if state == "succeeded":
        return ""
    return f"the job succeeded (sequence 2), then its older event came (sequence 1), and the state is {state!r}"


def every_type(trial: Trial) -> str:
    """Each type of event comes once."""
    for name in SAMPLE_TYPES:
        answer = trial.send(trial.event(name) if name.startswith("job.") else _about_no_job(trial, name))
        if not answer.is_accepted:
            return f"a {name} was not accepted: {answer}"
    return ""


def _about_no_job(trial: Trial, name: str) -> Sent:
    event = trial.event(name)
    return Sent(id=event.id, body=event.body)


def unknown_type(trial: Trial) -> str:
    """An event comes of a type that does not exist yet."""
    answer = trial.send(trial.foreign_event("job.teleported", {"where": "the future"}))
    return "" if answer.is_accepted else f"an event of a type that is not known yet was not accepted: {answer}"


def unknown_fields(trial: Trial) -> str:
    """An event comes with fields that do not exist yet."""
    event = trial.event(future={"a": [1]}, another="field")
    answer = trial.send(event)
    return "" if answer.is_accepted else f"an event with fields that are not known yet was not accepted: {answer}"


def raw_body(trial: Trial) -> str:
    """Bodies come that do not survive being parsed and dumped."""
    if accepts_dumped_again(trial):
        return "the signature was checked on a body that had been parsed and dumped again"
    plain = trial.event()
    padded = Sent(id=plain.id, body=plain.body + b" ", job_id=plain.job_id)
    if trial.send(padded, trial.headers(plain)).is_accepted:
        return "a body to which a space had been added was accepted"
    event = trial.event(note="St\u00fchle \u6905\u5b50")
    for what, body in _odd_bodies(event.body):
        odd = Sent(id=event.id, body=body, job_id=event.job_id)
        answer = trial.send(odd)
        if not answer.is_accepted:
            return f"a body with {what} was not accepted: {answer}"
    return ""


def _odd_bodies(body: bytes) -> list[tuple[str, bytes]]:
    """The same JSON in other bytes, none of which survive being parsed and dumped."""
    text = body.decode()
    return [
        ("letters beyond ASCII", body),
        ("escaped letters", text.encode("ascii", "backslashreplace").replace(b"\\xfc", b"\\u00fc")),
        ("spaces and a final newline", text.replace('","', '" ,\n "').encode() + b"\n"),
        ("numbers such as 1.0 and 1e0", text.replace('"requested":1', '"requested":1,"a":1.0,"b":1e0').encode()),
    ]
