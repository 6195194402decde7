"""The policy for submissions of unknown outcome: the text of the setting as a value.

What each one guarantees, in charges per job:

    hold                 at most 1: a person decides, and only that can cost a second time
    fail                 at most 1: the job ends, and its owner decides about a new one
    probe                at most 1, if the provider refuses a nonce that it has seen; what that leaves open is held
    resubmit(K, BUDGET)  at most 1 + K, and for at most BUDGET images a day over all jobs; beyond that, hold
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

AfterLoss = Literal["hold", "fail", "resubmit", "probe"]

WINDOW_SHARE = 0.8
"""The rest of the time for which the provider remembers a nonce is left for clocks and for requests under way."""

_RESUBMIT = re.compile(r"resubmit\(\s*(\d{1,2})\s*,\s*(\d{1,7})\s*\)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownOutcomePolicy:
    """What is done about a submission that may have been charged."""

    action: AfterLoss = "hold"
    resubmits_max: int = 0
    budget_images: int = 0
    probe_seconds: float = 0.0
    """How long after its intent a request may be sent again with the same nonce."""

    @classmethod
    def parse(cls, text: str, *, nonce_contract: str, nonce_window_seconds: float) -> UnknownOutcomePolicy:
        """The policy that the settings name.

        Raises:
            ValueError: there is no such policy, or it needs another setting; the text says which.
        """
        text = text.strip()
        if text in {"hold", "fail"}:
            return cls(action="hold" if text == "hold" else "fail")
        if text == "probe":
            if nonce_contract != "verified":
                raise ValueError(
                    "probe sends the same nonce again, which pays twice unless the provider refuses it: verify that on "
                    "the real account, and then set SCENESHIFT_NONCE_CONTRACT=verified"
                )
            return cls(action="probe", probe_seconds=WINDOW_SHARE * nonce_window_seconds)
        found = _RESUBMIT.fullmatch(text)
        if not found or not int(found[1]) or not int(found[2]):
            raise ValueError("use hold, fail, probe, or resubmit(K, BUDGET) with K and BUDGET of at least 1")
        return cls(action="resubmit", resubmits_max=int(found[1]), budget_images=int(found[2]))

    @property
    def name(self) -> str:
        """The policy as it stands in the ledger."""
        if self.action == "resubmit":
            return f"policy resubmit({self.resubmits_max}, {self.budget_images})"
        return f"policy {self.action}"


HOLD = UnknownOutcomePolicy()
