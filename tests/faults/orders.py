"""What is ordered in a simulation: few different pictures, so that drawing them is paid for once, and prompts apart."""

from __future__ import annotations

import random
from functools import cache

from sceneshift.jobs.order import JobOrder
from sceneshift.simulator.answers import Fault, FaultError
from tests.unit.simulator.support import mask, photo

IMAGE = "https://shop.example/perfume.png?signature=canary-source-signature"
MASK = "https://shop.example/perfume-mask.png"
WEBHOOK_URL = "https://shop.example/webhooks/sceneshift"
PROMPT_CANARY = "canary-prompt"


def an_order(number: int, chance: random.Random, *, most_outputs: int = 2, lane: str = "") -> JobOrder:
    """Order NUMBER of a world; the provider knows it by its prompt."""
    return JobOrder(
        image=IMAGE,
        mask=MASK,
        positive_prompt=f"{PROMPT_CANARY} {number} on silk",
        webhook_url=WEBHOOK_URL,
        sku=f"SKU-{number}",
        seed=number % 3 + 1,
        steps=15,
        num_output=chance.randint(1, most_outputs),
        idempotency_key=f"order-{number}",
        lane="bulk" if (lane or chance.choice(["interactive", "bulk"])) == "bulk" else "interactive",
    )


@cache
def _pictures() -> dict[str, bytes]:
    return {IMAGE: photo(), MASK: mask()}


def picture_behind(url: str) -> bytes:
    """The source at this address.

    Raises:
        FaultError: there is none.
    """
    if url not in _pictures():
        raise FaultError(Fault.IMAGE_UNREACHABLE)
    return _pictures()[url]
