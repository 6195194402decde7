"""From an HTTP answer to the value that the rest of the system acts on. Pure: no branch needs a socket to be tested."""

from __future__ import annotations

from sceneshift.provider.answer import Answer
from sceneshift.provider.classification import classify, classify_item_message
from sceneshift.provider.documented import ITEM_STATUSES
from sceneshift.provider.protocol import (
    Accepted,
    Endpoint,
    ErrorKind,
    NotedAnswer,
    OutcomeUnknown,
    Pending,
    QueryFailed,
    QueryOutcome,
    Refused,
    RenderFailed,
    SubmitOutcome,
    Succeeded,
)
from sceneshift.provider.wire import ItemState, item_states_of, named_key_of, result_key_of

_SUCCEEDED = "SUCCESS"
_FAILED = "FAILED"
_FINAL_FAILURES = ("FAIL", "ERROR", "CANCEL", "TIMEOUT")


def submit_outcome(answer: Answer) -> SubmitOutcome:
    """What became of a submission. Accepted needs a 2xx, a usable key, and that the provider reports no failure."""
    envelope = answer.envelope
    if answer.is_2xx and envelope and not envelope.says_failed and (key := _paid_key(answer)):
        noted = answer.noted(Endpoint.SUBMIT) if envelope.contradicts_itself else None
        return Accepted(result_key=key, request_id=answer.request_id, noted=noted)
    found, noted = classify(answer, Endpoint.SUBMIT), answer.noted(Endpoint.SUBMIT)
    if found.refused:
        return Refused(error=answer.error(found.kind, is_guess=found.is_guess), noted=noted)
    if found.kind is ErrorKind.NONCE_USED:
        reason = "nonce used: an earlier request with this nonce got through, and its answer is lost"
    else:
        reason = _unknown_reason(answer)
    # Such a body is kept, its beginning even in place of its message: it may hold the key that we could not read.
    may_hold_key = answer.is_2xx or answer.claims_success
    return OutcomeUnknown(
        reason=reason,
        error=answer.error(found.kind, answer.excerpt() if may_hold_key else ""),
        unreadable_answer=answer.kept_text(Endpoint.SUBMIT) if may_hold_key else "",
        noted=noted,
    )


def _paid_key(answer: Answer) -> str | None:
    """The key, where every byte of the answer could be read: half of one would be asked about in vain."""
    envelope = answer.envelope
    return result_key_of(envelope.data) if envelope and not envelope.is_damaged else None


def _unknown_reason(answer: Answer) -> str:
    status = f"HTTP {answer.http_status}"
    if answer.fault:
        return f"{status}, {answer.fault}"
    if not answer.is_2xx:
        beside = ", and the body speaks of a success" if answer.claims_success else ""
        return f"{status}: this error can follow an acceptance{beside}"
    if answer.envelope is None:
        return f"{status}, but the body is not the provider's JSON"
    if answer.envelope.says_failed:
        return f"{status}, but the provider reports a failure that is not known to be a refusal"
    return f"{status}, but the answer {'is damaged' if answer.envelope.is_damaged else 'holds no usable result_key'}"


def query_outcome(answer: Answer, result_key: str) -> QueryOutcome:
    """What became of a rendering. Only the item's own status can fail or finish it; other errors fail the question."""
    envelope = answer.envelope
    if answer.is_2xx and envelope and not envelope.says_failed:
        return _state_outcome(answer, result_key)
    return QueryFailed(
        error=answer.error(classify(answer, Endpoint.QUERY).kind, answer.fault or ""),
        unreadable_answer=answer.kept_text(Endpoint.QUERY) if answer.is_2xx and not envelope else "",
        noted=answer.noted(Endpoint.QUERY),
    )


def _state_outcome(answer: Answer, result_key: str) -> QueryOutcome:
    data = answer.envelope.data if answer.envelope else {}
    echoed, items = named_key_of(data), item_states_of(data)
    if echoed and echoed.casefold() != result_key.strip().casefold():
        return _unreadable(answer, "the answer is about another result_key")
    if len(items) != 1:
        return _unreadable(answer, f"the answer lists {len(items)} items, one was sent" if items else "")
    return _item_outcome(items[0], answer)


def _unreadable(answer: Answer, message: str) -> QueryFailed:
    kind = ErrorKind.TRANSIENT if message else classify(answer, Endpoint.QUERY).kind
    return QueryFailed(
        error=answer.error(kind, message),
        unreadable_answer=answer.kept_text(Endpoint.QUERY),
        noted=answer.noted(Endpoint.QUERY, message or "the answer lists no items"),
    )


def _item_outcome(item: ItemState, answer: Answer) -> QueryOutcome:
    word, noted = item.status.upper(), _noted_item(item, answer)
    if word == _SUCCEEDED:
        return Succeeded(urls=item.urls, noted=noted)
    if any(part in word for part in _FINAL_FAILURES):
        text = item.message or f"the provider's status is {item.status}"
        return RenderFailed(error=answer.error(classify_item_message(item.message), text), noted=noted)
    return Pending(provider_status=answer.identifier(item.status) or "(none)", noted=noted)


def _noted_item(item: ItemState, answer: Answer) -> NotedAnswer | None:
    """A failed item, a status that nobody documented, and a success whose code says otherwise are worth counting."""
    word = item.status.upper()
    if word == _FAILED or word not in ITEM_STATUSES:
        return answer.noted(Endpoint.QUERY, f"item {item.status}: {item.message}".removesuffix(": "))
    if answer.envelope and answer.envelope.contradicts_itself:
        return answer.noted(Endpoint.QUERY)
    return None
