"""The doctor's look at the provider: one query about a key that cannot exist, and what its answer tells.

The documented answer to it is "No records found", which only somebody hears whose AppCode was accepted.
"""

from __future__ import annotations

from collections.abc import Iterable

from sceneshift.cli import EXIT_REFUSED, EXIT_UNREACHABLE
from sceneshift.cli.findings import Finding, failure, fine, warning
from sceneshift.provider.answer import Answer
from sceneshift.provider.classification import classify, is_about_nonce
from sceneshift.provider.documented import SUCCESS_CODES, reading_of
from sceneshift.provider.protocol import Endpoint, ErrorKind, NotedAnswer, NotSent, OutcomeUnknown

SKEW_MAX_SECONDS = 30.0

_ADDRESS = "correct SCENESHIFT_PROVIDER_URL: it ends where /submit and /query begin"
_CREDENTIAL = "correct SCENESHIFT_PROVIDER_APPCODE (the code alone), or renew the subscription's authorization"


def provider_findings(reply: Answer | NotSent | OutcomeUnknown, *, latency_seconds: float, now: float) -> list[Finding]:
    """What came back from the query; `now` is this machine's clock when it came, in Unix seconds."""
    if not isinstance(reply, Answer):
        text = f"{'cannot be reached' if isinstance(reply, NotSent) else 'did not answer'} ({reply.reason})"
        return [failure("provider", text, "check network and SCENESHIFT_PROVIDER_URL", EXIT_UNREACHABLE)]
    return [
        fine("provider", f"HTTP {reply.http_status} after {latency_seconds * 1000:.0f} ms, {_ids(reply)}"),
        key_finding(reply),
        _gateway_finding(reply),
        *([_clock_finding(reply.date - now)] if reply.date is not None else []),
    ]


def _ids(answer: Answer) -> str:
    noted = answer.noted(Endpoint.QUERY)
    return f"code {noted.code or 'none'}, request id {answer.request_id or 'none'}"


def key_finding(answer: Answer) -> Finding:
    """Whether the provider accepts the AppCode, and would work for it."""
    found = classify(answer, Endpoint.QUERY)
    said = answer.error(found.kind).message
    envelope = answer.envelope
    if (
        answer.is_2xx
        and envelope
        and (envelope.success or (envelope.success is None and envelope.code in SUCCESS_CODES))
    ):
        return warning(
            "AppCode", f"accepted; but an unknown key was answered as a success: {said}", "tell the provider"
        )
    if is_about_nonce(answer):
        return failure("AppCode", f"unknown: the nonce was refused twice: {said}", "ask the provider's support")
    evident = None if found.is_guess else _by_what_is_evident(found.kind, said)
    return evident or _by_what_is_likely(found.kind, answer, said)


def _by_what_is_evident(kind: ErrorKind, said: str) -> Finding | None:
    if kind is ErrorKind.NO_RECORD:
        return fine("AppCode", f"accepted: {said}")
    if kind is ErrorKind.CREDITS_EXHAUSTED:
        return failure("AppCode", f"accepted, but nothing is left: {said}", "buy credits or renew", EXIT_REFUSED)
    if kind is ErrorKind.THROTTLED:
        return warning("AppCode", f"accepted, but throttled: {said}", "try again, with the workers' load in mind")
    return None


def _by_what_is_likely(kind: ErrorKind, answer: Answer, said: str) -> Finding:
    if kind is ErrorKind.UNAUTHORIZED:
        return failure("AppCode", f"refused: {said}", _CREDENTIAL, EXIT_REFUSED)
    if kind is ErrorKind.MISCONFIGURED:
        return failure("address", f"wrong: {said}", _ADDRESS)
    if kind is ErrorKind.TRANSIENT and not answer.is_2xx:
        return failure("AppCode", f"unknown, the provider fails: {said}", "try again later", EXIT_UNREACHABLE)
    return failure(
        "AppCode", f"unknown, the answer is unexpected: {said}", f"compare docs/reference/provider.md, or {_ADDRESS}"
    )


def _gateway_finding(answer: Answer) -> Finding:
    if answer.gateway_code:
        return fine("gateway", f"a newer instance: it sends X-Ca-Error-Code ({answer.identifier(answer.gateway_code)})")
    if answer.gateway_message:
        return fine("gateway", "a classic instance: it sends X-Ca-Error-Message without a code")
    if answer.gateway_request_id:
        return fine("gateway", "there is one; of which generation shows only in an error of its own")
    return warning(
        "gateway", "the answer has no sign of one", "make sure that SCENESHIFT_PROVIDER_URL is the provider's"
    )


def _clock_finding(skew_seconds: float) -> Finding:
    text = f"the provider's differs by {abs(skew_seconds):.0f} s"
    if abs(skew_seconds) > SKEW_MAX_SECONDS:
        return warning("clock", text, "synchronise this machine's: presigned URLs depend on it")
    return fine("clock", text)


def reading_finding(answers: Iterable[NotedAnswer]) -> Finding:
    """Which reading of the documented codes these answers prove."""
    reading = reading_of(answers)
    text = f"{reading}, proven by the counted answers" if reading in {"A", "B"} else reading
    if reading == "contradictory":
        return warning("reading of codes", text, "neither reading holds: messages decide, as they always do")
    return fine("reading of codes", text)
