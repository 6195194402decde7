"""The scenarios that are one error answer each: every row of the provider's table and every form of its gateway.

A form that can follow a call to the back end does so here: the submission is accepted and charged before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sceneshift.simulator.answers import Fault
from sceneshift.simulator.gateway_forms import FORMS, GatewayForm
from sceneshift.simulator.scenarios.misanswers import form, row
from sceneshift.simulator.scenarios.scenario import Exchange, Reaction, Scenario

_ROWS: Final[dict[Fault, tuple[Reaction, Reaction]]] = {
    Fault.INTERNAL_ERROR: (Reaction.HELD, Reaction.ASKED_AGAIN),
    Fault.UNAUTHORIZED: (Reaction.WAITS_FOR_AUTHORIZATION, Reaction.ASKED_AGAIN),
    Fault.UNKNOWN_SERVICE: (Reaction.WAITS_FOR_CONFIGURATION, Reaction.ASKED_AGAIN),
    Fault.CREDITS_EXHAUSTED: (Reaction.WAITS_FOR_CREDITS, Reaction.ASKED_AGAIN),
    Fault.THROTTLED: (Reaction.WAITS_FOR_RATE, Reaction.ASKED_AGAIN),
    Fault.CONTENT_REJECTED: (Reaction.FAILS_CONTENT_REJECTED, Reaction.VERDICT_CONTENT),
    Fault.IMAGE_UNREACHABLE: (Reaction.FAILS_SOURCE_UNREACHABLE, Reaction.VERDICT_UNREACHABLE),
    Fault.IMAGE_UNFIT: (Reaction.FAILS_SOURCE_UNFIT, Reaction.VERDICT_UNFIT),
    Fault.NO_RECORD: (Reaction.WAITS_FOR_CONFIGURATION, Reaction.RESULT_LOST),
    Fault.PARAMETER_EMPTY: (Reaction.FAILS_INVALID_INPUT, Reaction.ASKED_AGAIN),
    Fault.EXECUTION_FAILED: (Reaction.HELD, Reaction.VERDICT_EXECUTION),
    Fault.BODY_MISSING: (Reaction.FAILS_INVALID_INPUT, Reaction.ASKED_AGAIN),
    Fault.PARAMETER_ILLEGAL: (Reaction.FAILS_INVALID_INPUT, Reaction.ASKED_AGAIN),
    Fault.ILLEGAL_SERVICE: (Reaction.WAITS_FOR_CONFIGURATION, Reaction.ASKED_AGAIN),
}
"""What Sceneshift does about each row, on submit and on query."""

_FORMS_ON_SUBMIT: Final[dict[Reaction, str]] = {
    Reaction.WAITS_FOR_RATE: (
        "classic-throttled-by-user classic-throttled-by-app classic-throttled-by-api classic-throttled-by-domain "
        "vpc-t429id vpc-t429in vpc-t429gr vpc-t429pa vpc-t429pr vpc-t429sr vpc-t429mr"
    ),
    Reaction.WAITS_FOR_CREDITS: (
        "classic-quota-exhausted classic-subscription-exhausted classic-quota-expired classic-arrears "
        "vpc-b403mq vpc-b403me vpc-b403mi vpc-b403od vpc-b403mo"
    ),
    Reaction.WAITS_FOR_AUTHORIZATION: (
        "classic-authorization-expired classic-unauthorized classic-invalid-appcode "
        "vpc-a403ep vpc-a400ma vpc-a400ac vpc-a401ac"
    ),
    Reaction.WAITS_FOR_CONFIGURATION: (
        "classic-invalid-domain classic-invalid-url classic-nonce-missing vpc-i404do vpc-i404nf vpc-i405um vpc-i400nc"
    ),
    Reaction.FAILS_INVALID_INPUT: (
        "classic-invalid-param-location classic-empty-body classic-invalid-body vpc-i413rl vpc-i413ul"
    ),
    Reaction.WAITS_FOR_PROVIDER: "vpc-d503cb",
    Reaction.HELD: (
        "classic-nonce-used classic-internal-error classic-backend-failed classic-unavailable classic-backend-timeout "
        "vpc-s403nu vpc-x500er vpc-x503bz vpc-x504to vpc-d504to vpc-d504co vpc-d504re vpc-d502fc vpc-d503bb"
    ),
}


def error_answers() -> Iterator[Scenario]:
    """One scenario per error answer and endpoint."""
    for fault, (on_submit, on_query) in _ROWS.items():
        yield _row(Exchange.SUBMIT, fault, on_submit)
        yield _row(Exchange.QUERY, fault, on_query)
    for reaction, names in _FORMS_ON_SUBMIT.items():
        for name in names.split():
            yield _form(Exchange.SUBMIT, FORMS[name], reaction)
            yield _form(Exchange.QUERY, FORMS[name], Reaction.ASKED_AGAIN)


def _row(exchange: Exchange, fault: Fault, reaction: Reaction) -> Scenario:
    return Scenario(
        name=f"{exchange}-error-{fault.slug}",
        behaviour=f"The provider's error {fault.http_status} `{fault.message}`"
        f"{_charged(exchange, called=fault is Fault.EXECUTION_FAILED)}.",
        reaction=reaction,
        misanswer=row(fault),
        works=fault is Fault.EXECUTION_FAILED,
    )


def _form(exchange: Exchange, gateway_form: GatewayForm, reaction: Reaction) -> Scenario:
    said = " ".join(f"`{text}`" for text in (gateway_form.code, gateway_form.message) if text)
    return Scenario(
        name=f"{exchange}-gateway-{gateway_form.name}",
        behaviour=f"The {gateway_form.gateway} gateway's {gateway_form.http_status} {said or 'without a text'}"
        f"{_charged(exchange, called=gateway_form.called)}.",
        reaction=reaction,
        misanswer=form(gateway_form),
        works=gateway_form.called,
    )


def _charged(exchange: Exchange, *, called: bool) -> str:
    return ", after the submission was accepted and charged" if called and exchange is Exchange.SUBMIT else ""
