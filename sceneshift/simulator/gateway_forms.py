"""Every answer that the gateway gives for itself: HTTP status, its code on newer instances, its text.

Classic instances send a text, newer ones (`vpc`) a code, with a text here where one is documented. The body is empty
on both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sceneshift.simulator.config import Gateway


@dataclass(frozen=True, slots=True)
class GatewayForm:
    """One such answer. `called`: the back end may have been called before it was given."""

    name: str
    gateway: Gateway
    http_status: int
    code: str | None
    message: str | None
    called: bool = False


def _classic(name: str, http_status: int, message: str | None, *, called: bool = False) -> GatewayForm:
    return GatewayForm(f"classic-{name}", "classic", http_status, None, message, called)


def _vpc(code: str, http_status: int, message: str | None = None, *, called: bool = False) -> GatewayForm:
    return GatewayForm(f"vpc-{code.lower()}", "vpc", http_status, code, message, called)


CLASSIC: Final = (
    _classic("throttled-by-user", 403, "Throttled by USER Flow Control"),
    _classic("throttled-by-app", 403, "Throttled by APP Flow Control"),
    _classic("throttled-by-api", 403, "Throttled by API Flow Control"),
    _classic("throttled-by-domain", 403, "Throttled by DOMAIN Flow Control"),
    _classic("quota-exhausted", 403, "Quota Exhausted"),
    _classic("subscription-exhausted", 403, "Api Market Subscription quota exhausted"),
    _classic("quota-expired", 403, "Quota Expired"),
    _classic("arrears", 403, "User Arrears"),
    _classic("authorization-expired", 403, "Expiry of Authorization"),
    _classic("unauthorized", 403, "Unauthorized"),
    _classic("invalid-appcode", 400, "Invalid AppCode `not exists`"),
    _classic("invalid-domain", 400, "Invalid Domain"),
    _classic("invalid-url", 400, "Invalid Url"),
    _classic("invalid-param-location", 400, "Invalid Param Location"),
    _classic("empty-body", 400, "Empty Request Body"),
    _classic("invalid-body", 400, "Invalid Request Body"),
    _classic("nonce-missing", 400, "X-Ca-Nonce is required"),
    _classic("nonce-used", 400, "Nonce Used"),
    _classic("internal-error", 500, "Internal Error", called=True),
    _classic("backend-failed", 500, "Failed To Call Backend Service", called=True),
    _classic("unavailable", 503, "Service Unavailable", called=True),
    _classic("backend-timeout", 504, None, called=True),
)

VPC: Final = (
    _vpc("T429ID", 429),
    _vpc("T429IN", 429),
    _vpc("T429GR", 429),
    _vpc("T429PA", 429),
    _vpc("T429PR", 429),
    _vpc("T429SR", 429),
    _vpc("T429MR", 429),
    _vpc("B403MQ", 403),
    _vpc("B403ME", 403),
    _vpc("B403MI", 403),
    _vpc("B403OD", 403),
    _vpc("B403MO", 403),
    _vpc("A403EP", 403),
    _vpc("A400MA", 400),
    _vpc("A400AC", 400, "Invalid AppCode `not exists`"),
    _vpc("A401AC", 401, "Invalid AppCode `not exists`"),
    _vpc("I404DO", 404),
    _vpc("I404NF", 404),
    _vpc("I405UM", 405),
    _vpc("I400NC", 400, "X-Ca-Nonce is required"),
    _vpc("I413RL", 413),
    _vpc("I413UL", 413),
    _vpc("S403NU", 403, "Nonce Used"),
    _vpc("X500ER", 500, called=True),
    _vpc("X503BZ", 503, called=True),
    _vpc("X504TO", 504, called=True),
    _vpc("D504TO", 504, called=True),
    _vpc("D504CO", 504, called=True),
    _vpc("D504RE", 504, called=True),
    _vpc("D502FC", 502, called=True),
    _vpc("D503BB", 503, called=True),
    _vpc("D503CB", 503),
)

FORMS: Final[dict[str, GatewayForm]] = {form.name: form for form in (*CLASSIC, *VPC)}
