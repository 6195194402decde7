"""What an error answer means, as tables to be read beside docs/reference/provider.md (a test compares the two).

The provider's error table survives in two readings that assign codes to messages differently, and its gateway uses the
same HTTP statuses as the service behind it. So an answer is read in this order, and the first match decides: gateway
code, message of the provider's JSON, gateway message, HTTP status together with the provider's code, HTTP status.

A submission counts as refused only on evidence that nothing was started, which nothing else in the answer contradicts.
An HTTP status is no such evidence (429 excepted, which has one meaning), nor is a code without its status, nor a word
in the gateway's header that does not look like its documented codes; everything else is an unknown outcome.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from sceneshift.provider.answer import Answer
from sceneshift.provider.documented import ROWS, kinds_of_code
from sceneshift.provider.protocol import Endpoint, ErrorKind

# How the gateway writes its codes: a class, the HTTP status, two letters.
GATEWAY_CODE_SHAPE: Final = re.compile(r"[A-Z](\d{3})[A-Z]{2}", re.ASCII)

# Gateway codes: the longest matching beginning decides. `refused`: the gateway answered without calling the back end.
# X codes are the gateway's own failures, which may strike after the call; D codes are about the call itself, where only
# the open circuit breaker (D503CB) says that there was none.
GATEWAY_CODES: Final[dict[str, tuple[ErrorKind, bool]]] = {
    "S403NU": (ErrorKind.NONCE_USED, False),
    "I400NC": (ErrorKind.MISCONFIGURED, True),
    "T": (ErrorKind.THROTTLED, True),
    "B": (ErrorKind.CREDITS_EXHAUSTED, True),
    "A": (ErrorKind.UNAUTHORIZED, True),
    "S": (ErrorKind.UNAUTHORIZED, True),
    "I404": (ErrorKind.MISCONFIGURED, True),
    "I405": (ErrorKind.MISCONFIGURED, True),
    "I": (ErrorKind.INVALID_INPUT, True),
    "D503CB": (ErrorKind.TRANSIENT, True),
    "D": (ErrorKind.TRANSIENT, False),
    "X": (ErrorKind.TRANSIENT, False),
}

# Messages, in lower case: the first keyword that occurs decides. Any other that occurs is heard for what it says of a
# start, because a header that was sent twice is one text here.
MESSAGES: Final[tuple[tuple[str, ErrorKind], ...]] = (
    ("nonce is required", ErrorKind.MISCONFIGURED),
    ("nonce", ErrorKind.NONCE_USED),
    ("throttl", ErrorKind.THROTTLED),
    ("flow control", ErrorKind.THROTTLED),
    ("credit points", ErrorKind.CREDITS_EXHAUSTED),
    ("quota exhausted", ErrorKind.CREDITS_EXHAUSTED),
    ("quota expired", ErrorKind.CREDITS_EXHAUSTED),
    ("arrears", ErrorKind.CREDITS_EXHAUSTED),
    ("compliance", ErrorKind.CONTENT_REJECTED),
    ("image url", ErrorKind.SOURCE_UNREACHABLE),
    ("does not meet", ErrorKind.SOURCE_UNFIT),
    ("cannot be empty", ErrorKind.INVALID_INPUT),
    ("no records", ErrorKind.NO_RECORD),
    ("resultkey", ErrorKind.NO_RECORD),
    ("job execution", ErrorKind.EXECUTION_FAILED),
    ("authorization required", ErrorKind.UNAUTHORIZED),
    ("expiry of authorization", ErrorKind.UNAUTHORIZED),
    ("appcode", ErrorKind.UNAUTHORIZED),
    ("unauthorized", ErrorKind.UNAUTHORIZED),
    ("service does not exist", ErrorKind.MISCONFIGURED),
    ("illegal service", ErrorKind.MISCONFIGURED),
    ("invalid domain", ErrorKind.MISCONFIGURED),
    ("invalid url", ErrorKind.MISCONFIGURED),
    ("body is missing", ErrorKind.INVALID_INPUT),
    ("illegal input", ErrorKind.INVALID_INPUT),
    ("invalid param location", ErrorKind.INVALID_INPUT),
    ("invalid request body", ErrorKind.INVALID_INPUT),
    ("empty request body", ErrorKind.INVALID_INPUT),
    ("internal server", ErrorKind.TRANSIENT),
    ("internal error", ErrorKind.TRANSIENT),
    ("failed to call backend", ErrorKind.TRANSIENT),
    ("service unavailable", ErrorKind.TRANSIENT),
    ("timed out", ErrorKind.TRANSIENT),
    ("timeout", ErrorKind.TRANSIENT),
    ("duplicate", ErrorKind.TRANSIENT),
    ("already", ErrorKind.TRANSIENT),
    ("in progress", ErrorKind.TRANSIENT),
)


def _meaning_of_code(http_status: int, code: str, endpoint: Endpoint) -> ErrorKind | None:
    """What a code means beside its status, when the message is of no use: right in both readings, or harmless."""
    kinds = kinds_of_code(http_status, code)
    if endpoint is Endpoint.QUERY and ErrorKind.NO_RECORD in kinds:
        return ErrorKind.NO_RECORD
    # A submission names no record.
    kinds = tuple(kind for kind in kinds if kind is not ErrorKind.NO_RECORD)
    # Throttling, credits or content: throttling is the one that mends itself by waiting.
    if ErrorKind.THROTTLED in kinds:
        return ErrorKind.THROTTLED
    return kinds[0] if kinds else None


def _meanings_of_codes() -> dict[tuple[int, str], tuple[ErrorKind, ErrorKind]]:
    meanings = {}
    for row in ROWS:
        for code in (row.code_b, row.code_a):
            on_submit = _meaning_of_code(row.http_status, code, Endpoint.SUBMIT)
            on_query = _meaning_of_code(row.http_status, code, Endpoint.QUERY)
            if on_submit and on_query:
                meanings[row.http_status, code] = (on_submit, on_query)
    return meanings


# (HTTP status, code): (meaning on submit, meaning on query).
STATUSES_WITH_CODES: Final = _meanings_of_codes()

# A status by itself. Other 4xx: invalid input; other 3xx: misconfigured; all the rest: transient.
STATUSES: Final[dict[int, ErrorKind]] = {
    401: ErrorKind.UNAUTHORIZED,
    403: ErrorKind.THROTTLED,
    404: ErrorKind.MISCONFIGURED,
    405: ErrorKind.MISCONFIGURED,
    408: ErrorKind.TRANSIENT,
    409: ErrorKind.TRANSIENT,
    423: ErrorKind.TRANSIENT,
    425: ErrorKind.TRANSIENT,
    429: ErrorKind.THROTTLED,
    499: ErrorKind.TRANSIENT,
}

# These may follow a start, or prove one: on submit they are never a refusal.
INCONCLUSIVE: Final = frozenset({ErrorKind.TRANSIENT, ErrorKind.EXECUTION_FAILED, ErrorKind.NONCE_USED})

# What a failed item's own message may mean; whatever else it says, the rendering failed.
_ITEM_KINDS: Final = frozenset(
    {ErrorKind.CONTENT_REJECTED, ErrorKind.SOURCE_UNREACHABLE, ErrorKind.SOURCE_UNFIT, ErrorKind.INVALID_INPUT}
)


@dataclass(frozen=True, slots=True)
class Classification:
    """What an error means; `refused`, which matters for a submission: there is evidence that nothing was started.

    `is_guess`: only the HTTP status speaks for this kind, or a code that has another meaning in the other reading.
    """

    kind: ErrorKind
    refused: bool
    is_guess: bool = False


def classify(answer: Answer, endpoint: Endpoint) -> Classification:
    """What this answer, which is not a success, means."""
    found = (
        _by_nonce(answer)
        or _by_gateway_code(answer)
        or _by_messages(answer)
        or _by_status_and_code(answer, endpoint)
        or _by_status(answer)
    )
    kind, refused = found.kind, found.refused and not (answer.claims_success or _tells_of_start(answer))
    if endpoint is Endpoint.SUBMIT and kind is ErrorKind.NO_RECORD:
        # A submission names no record: this is the query endpoint's answer, from a wrong address.
        kind = ErrorKind.MISCONFIGURED
    return Classification(kind, refused, found.is_guess)


def _tells_of_start(answer: Answer) -> bool:
    """Something in the answer says that the back end may have been called, or two gateway codes leave it open."""
    if STATUSES.get(answer.http_status) in INCONCLUSIVE:
        return True
    code, provider_message = answer.gateway_code, answer.envelope.message if answer.envelope else ""
    if "," in code or (GATEWAY_CODE_SHAPE.fullmatch(code) and not _is_gateway_code(answer)):
        return True
    return any(
        not _kinds_of_message(text).isdisjoint(INCONCLUSIVE)
        for text in (answer.gateway_message, provider_message, code)
    )


def _is_gateway_code(answer: Answer) -> bool:
    """There is exactly one code, of the documented shape, and its digits are the answer's status."""
    found = GATEWAY_CODE_SHAPE.fullmatch(answer.gateway_code)
    return found is not None and int(found[1]) == answer.http_status


def is_about_nonce(answer: Answer) -> bool:
    """The call was not looked at because of its nonce: another one is worth a try, where a second call is harmless."""
    return (
        answer.gateway_code.upper() in {"S403NU", "I400NC"}
        or "nonce" in answer.gateway_message.casefold()
        or _by_nonce(answer) is not None
    )


def classify_item_message(message: str) -> ErrorKind:
    """Why an item failed, by its own message."""
    kind = _kind_of_message(message)
    return kind if kind in _ITEM_KINDS else ErrorKind.EXECUTION_FAILED


def _by_nonce(answer: Answer) -> Classification | None:
    """A used nonce outranks everything, for it says that an earlier request with it got through."""
    texts = (answer.gateway_message, answer.envelope.message if answer.envelope else "")
    if any(_kind_of_message(text) is ErrorKind.NONCE_USED for text in texts):
        return Classification(ErrorKind.NONCE_USED, refused=False)
    return None


def _by_gateway_code(answer: Answer) -> Classification | None:
    # Of two codes in one header, the first is a guess; any other word is none.
    code = answer.gateway_code.partition(",")[0]
    if not GATEWAY_CODE_SHAPE.fullmatch(code):
        return None
    for length in range(len(code), 0, -1):
        if row := GATEWAY_CODES.get(code[:length]):
            kind, refused = row
            # Of all refusals, only the open circuit breaker's is documented with a 5xx.
            refused = refused and (answer.is_4xx or kind is ErrorKind.TRANSIENT)
            return Classification(kind, refused and _is_gateway_code(answer))
    return None


def _by_messages(answer: Answer) -> Classification | None:
    """What provider and gateway say, the provider's own JSON first."""
    by_provider, by_gateway = _by_provider_message(answer), _by_gateway_message(answer)
    envelope = answer.envelope
    is_providers = envelope is not None and not (envelope.success is None and envelope.code is None)
    return (by_provider or by_gateway) if is_providers else (by_gateway or by_provider)


def _by_gateway_message(answer: Answer) -> Classification | None:
    if kind := _kind_of_message(answer.gateway_message):
        return Classification(kind, answer.is_4xx)
    return None


def _by_provider_message(answer: Answer) -> Classification | None:
    envelope = answer.envelope
    if envelope and (kind := _kind_of_message(envelope.message)):
        return Classification(kind, answer.is_4xx or (answer.is_2xx and envelope.says_failed))
    return None


def _by_status_and_code(answer: Answer, endpoint: Endpoint) -> Classification | None:
    code = answer.envelope.code if answer.envelope else None
    if code and (kinds := STATUSES_WITH_CODES.get((answer.http_status, code))):
        kind = kinds[0] if endpoint is Endpoint.SUBMIT else kinds[1]
        is_guess = len(kinds_of_code(answer.http_status, code)) > 1
        return Classification(kind, kind not in INCONCLUSIVE, is_guess)
    return None


def _by_status(answer: Answer) -> Classification:
    # A code in another shape is not the gateway's, and makes a text beside it doubtful.
    gateway_spoke = _is_gateway_code(answer) if answer.gateway_code else bool(answer.gateway_message)
    provider_spoke = answer.envelope is not None and answer.envelope.success is False
    kind = _kind_of_status(answer.http_status)
    only_meaning = answer.http_status == HTTPStatus.TOO_MANY_REQUESTS
    evidence = only_meaning or (answer.is_4xx and (gateway_spoke or provider_spoke))
    return Classification(kind, evidence and kind not in INCONCLUSIVE, is_guess=not only_meaning)


def _kind_of_status(http_status: int) -> ErrorKind:
    if kind := STATUSES.get(http_status):
        return kind
    if HTTPStatus.MULTIPLE_CHOICES <= http_status < HTTPStatus.BAD_REQUEST:
        return ErrorKind.MISCONFIGURED
    if HTTPStatus.BAD_REQUEST <= http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return ErrorKind.INVALID_INPUT
    return ErrorKind.TRANSIENT


def _kind_of_message(message: str) -> ErrorKind | None:
    folded = message.casefold()
    return next((kind for keyword, kind in MESSAGES if keyword in folded), None)


def _kinds_of_message(message: str) -> set[ErrorKind]:
    """Everything that a text says, each word once: "nonce is required" does not speak of a used nonce too."""
    rest, kinds = message.casefold(), set()
    for keyword, kind in MESSAGES:
        if keyword in rest:
            kinds.add(kind)
            rest = rest.replace(keyword, " ")
    return kinds
