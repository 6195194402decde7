"""The building blocks of scenarios: functions from the answer that was due to the one that is given."""

from __future__ import annotations

from typing import Any, Final

from sceneshift.simulator.answers import Answer, Fault, Voice, new_request_id
from sceneshift.simulator.deliveries import Delivery
from sceneshift.simulator.gateway_forms import GatewayForm
from sceneshift.simulator.scenarios.scenario import Misanswer

HTML: Final = b"<!DOCTYPE html><html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"


def delivered(delivery: Delivery) -> Misanswer:
    """The right answer, on a bad wire."""
    return lambda due, _voice: due.changed(delivery=delivery)


def row(fault: Fault, **headers: str) -> Misanswer:
    """A row of the provider's error table."""
    return lambda due, voice: voice.failure(fault, request_id=due.request_id or new_request_id()).changed(
        headers=_headers(headers)
    )


def form(gateway_form: GatewayForm, **headers: str) -> Misanswer:
    """An answer of the gateway."""

    def answer(due: Answer, voice: Voice) -> Answer:
        refusal = voice.refusal(gateway_form, request_id=due.request_id or new_request_id())
        return refusal.changed(headers={**refusal.headers, **_headers(headers)})

    return answer


def content(http_status: int, body: bytes, content_type: str = "text/html", **headers: str) -> Misanswer:
    """These bytes, whatever was due."""
    return lambda due, _voice: Answer(
        http_status=http_status,
        request_id=due.request_id,
        content=body,
        content_type=content_type,
        headers=_headers(headers),
    )


def edited(**fields: Any) -> Misanswer:
    """The right answer with these fields of its envelope."""
    return lambda due, _voice: due.changed(body={**(due.body or {}), **fields})


def cut(share: float) -> Misanswer:
    """The beginning of the right answer, as if it were all."""
    return lambda due, _voice: due.changed(content=(text := due.payload())[: int(len(text) * share)])


def prefixed(prefix: bytes) -> Misanswer:
    """Other bytes before the right answer."""
    return lambda due, _voice: due.changed(content=prefix + due.payload())


def _headers(words: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-").title(): value for name, value in words.items()}
