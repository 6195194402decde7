"""From an HTTP answer to the value that the rest of the system acts on. Pure: no branch needs a socket to be tested."""

from __future__ import annotations

from sceneshift.provider.answer import Answer
from sceneshift.provider.classification import classify, classify_item_message
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    OutcomeUnknown,
    Pending,
    QueryFailed,
    QueryOutcome,
    Refused,
    RenderFailed,
    SubmitOutcome,
    Succeeded,
)
from sceneshift.provider.wire import Endpoint, ItemState, item_states_of, result_key_of

_SUCCEEDED = "SUCCESS"
_FINAL_FAILURES = ("FAIL", "ERROR", "CANCEL", "TIMEOUT")


def submit_outcome(answer: Answer) -> SubmitOutcome:
    """What became of a submission. Accepted needs a 2xx, a usable key, and no `success: false`."""
    envelope = answer.envelope
    if answer.is_2xx and envelope and envelope.success is not False and (key := result_key_of(envelope.data)):
        return Accepted(result_key=key, request_id=answer.request_id)
    found = classify(answer, Endpoint.SUBMIT)
    if found.refused:
        return Refused(error=answer.error(found.kind))
    if found.kind is ErrorKind.NONCE_USED:
        reason = "nonce used: an earlier request with this nonce got through, and its answer is lost"
        return OutcomeUnknown(reason=reason, error=answer.error(found.kind))
    # A 2xx body is kept instead of its message: it may hold the key that we could not read.
    return OutcomeUnknown(
        reason=_unknown_reason(answer),
        error=answer.error(found.kind, answer.excerpt() if answer.is_2xx else ""),
    )


def _unknown_reason(answer: Answer) -> str:
    status = f"HTTP {answer.http_status}"
    if answer.fault:
        return f"{status}, {answer.fault}"
    if not answer.is_2xx:
        return f"{status}: this error can follow an acceptance"
    if answer.envelope is None:
        return f"{status}, but the body is not the provider's JSON"
    if answer.envelope.says_failed:
        return f"{status}, but the provider reports a failure that is not known to be a refusal"
    return f"{status}, but the answer holds no usable result_key"


def query_outcome(answer: Answer, result_key: str) -> QueryOutcome:
    """What became of a rendering. Only the item's own status can fail or finish it; other errors fail the question."""
    envelope = answer.envelope
    if answer.is_2xx and envelope and envelope.success is not False and envelope.data:
        echoed = result_key_of(envelope.data)
        if echoed and echoed.casefold() != result_key.strip().casefold():
            return QueryFailed(error=answer.error(ErrorKind.TRANSIENT, "the answer is about another result_key"))
        items = item_states_of(envelope.data)
        if len(items) == 1:
            return _item_outcome(items[0], answer)
        if items:
            text = f"the answer lists {len(items)} items, one was sent"
            return QueryFailed(error=answer.error(ErrorKind.TRANSIENT, text))
    return QueryFailed(error=answer.error(classify(answer, Endpoint.QUERY).kind, answer.fault or ""))


def _item_outcome(item: ItemState, answer: Answer) -> QueryOutcome:
    word = item.status.upper()
    if word == _SUCCEEDED:
        return Succeeded(urls=item.urls)
    if any(part in word for part in _FINAL_FAILURES):
        text = item.message or f"the provider's status is {item.status}"
        return RenderFailed(error=answer.error(classify_item_message(item.message), text))
    return Pending(provider_status=answer.identifier(item.status) or "(none)")
