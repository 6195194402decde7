"""What a customer asks of one picture, and what each wish means to the painters, as shares from 0 to 1.

The provider's document gives ranges and no meanings: these follow what diffusion models do with the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Quality = Literal["full", "draft"]
"""`full` is for people to look at; `draft` is for load tests: masked and different for each prompt and seed."""

_STEPS_MIN: Final = 15
_STEPS_MAX: Final = 50
_GUIDANCE_USUAL: Final = 7.5
_GUIDANCE_MAX: Final = 1000.0
_REMNANT_STRENGTH: Final = 0.35
"""From this strength on, nothing of the old background is left."""
_REMNANT_MOST: Final = 0.92


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One picture's parameters; equal recipes for equal pictures give equal bytes.

    Attributes:
        prompt: what the background shows.
        negative_prompt: words for what it does not show.
        seed: chooses among the backgrounds of one prompt.
        strength: from above 0 to 1, how far the picture leaves the photo behind.
        steps: from 15 to 50, how finely the background is worked out.
        guidance_scale: how closely the prompt is followed; 7.5 is usual, and every number is taken.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    strength: float = 0.5
    steps: int = 50
    guidance_scale: float = 7.5

    @property
    def remnant(self) -> float:
        """The share of the old background in the new one; 0 from a strength of 0.35 up."""
        return _REMNANT_MOST * max(0.0, 1 - self.strength / _REMNANT_STRENGTH)

    @property
    def fineness(self) -> float:
        """0 with the fewest steps, 1 with the most."""
        return min(max((self.steps - _STEPS_MIN) / (_STEPS_MAX - _STEPS_MIN), 0.0), 1.0)

    @property
    def adherence(self) -> float:
        """How closely the prompt is followed: 0 with no guidance or less, 0.5 at the usual scale, towards 1 above."""
        scale = min(max(0.0, self.guidance_scale), _GUIDANCE_MAX)
        return scale / (scale + _GUIDANCE_USUAL)
