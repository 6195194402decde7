"""Reads a prompt the way a set designer would: which setting, which light, which colour, which props."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final

from sceneshift.simulator.rendering.colour import Colour, darker, faded, lighter


class Setting(StrEnum):
    """What kind of place is painted."""

    GRAFFITI = "graffiti"
    ROOM = "room"
    WATER = "water"
    OPEN_LAND = "open_land"
    CITY = "city"
    DRAPE = "drape"
    MARBLE = "marble"
    WOODLAND = "woodland"
    WOOD = "wood"
    STUDIO = "studio"


class Light(StrEnum):
    """What the scene is lit by."""

    DAY = "day"
    SUNSET = "sunset"
    NIGHT = "night"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What a prompt asks for, as far as it is understood; `words` holds all of it for the details.

    `avoided` holds the words of the negative prompt; none of them is among `words`.
    """

    setting: Setting
    light: Light
    colour: Colour | None
    words: frozenset[str]
    avoided: frozenset[str] = frozenset()

    def mentions(self, *words: str) -> bool:
        return not self.words.isdisjoint(words)

    def avoids(self, *words: str) -> bool:
        return not self.avoided.isdisjoint(words)

    def heeded(self, share: float, random: Random) -> Brief:
        """The brief as a careless painter has it in mind: about this share of its details, in faded colours.

        What a smaller share keeps, a greater one keeps too, for the same random numbers.
        """
        if share >= 1:
            return self
        kept = frozenset(word for word in sorted(self.words) if random.random() < share)
        return replace(self, words=kept, colour=self.colour and faded(self.colour, _FADING * (1 - share)))


# In order of precedence: a wooden table in a living room is a room, mountains behind a lake are a lake.
_SETTINGS: Final[dict[Setting, str]] = {
    Setting.GRAFFITI: "graffiti mural",
    Setting.ROOM: "room sofa interior bedroom kitchen apartment lounge loft study hallway indoor indoors home",
    Setting.WATER: "lake sea ocean beach shore seaside coast river pool waterfront harbour harbor",
    Setting.CITY: "city street skyline downtown urban neon rooftop alley",
    Setting.OPEN_LAND: (
        "mountain grassland grass highway road meadow prairie field hill desert plateau snow glacier valley sky"
    ),
    Setting.WOODLAND: "forest woodland garden park tree autumn leaf jungle foliage",
    Setting.DRAPE: "silk satin velvet cloth linen fabric drapery cotton",
    Setting.MARBLE: "marble stone granite terrazzo",
    Setting.WOOD: "wood wooden oak walnut plank tabletop table desk",
    Setting.STUDIO: "studio podium plinth seamless backdrop pastel minimal",
}
_RULED_OUT_BY: Final[dict[Setting, frozenset[str]]] = {
    setting: frozenset(names.split())
    for setting, names in {
        Setting.GRAFFITI: "graffiti mural brick",
        Setting.ROOM: "room interior indoor indoors",
        Setting.WATER: "water outdoor outdoors",
        Setting.CITY: "city building urban outdoor outdoors",
        Setting.OPEN_LAND: "landscape outdoor outdoors",
        Setting.WOODLAND: "forest woodland outdoor outdoors",
        Setting.DRAPE: "cloth fabric textile",
        Setting.MARBLE: "stone marble",
        Setting.WOOD: "wood wooden",
        Setting.STUDIO: "studio",
    }.items()
}
"""A setting is out when the negative prompt names what it is made of; its own words are merely not heard."""
_WITHOUT_PLACE: Final = (Setting.STUDIO, Setting.DRAPE, Setting.MARBLE, Setting.WOOD)
"""What prompts get that name no place, the first that is not avoided."""
_NIGHT: Final = frozenset(("night", "midnight", "neon", "moonlight", "moon", "starry"))
_SUNSET: Final = frozenset(("sunset", "sunrise", "dusk", "dawn", "golden", "evening"))
_DARKNESS: Final = frozenset(("dark", "darkness", "night"))
_DAYLIGHT: Final = frozenset(("day", "daylight", "daytime"))
_COLOURS: Final[dict[str, Colour]] = {
    "yellow": (236, 200, 92),
    "gold": (212, 168, 74),
    "golden": (212, 168, 74),
    "orange": (232, 138, 62),
    "red": (190, 48, 52),
    "crimson": (158, 28, 48),
    "pink": (232, 150, 170),
    "rose": (222, 140, 150),
    "purple": (130, 84, 160),
    "lavender": (178, 160, 214),
    "blue": (74, 122, 190),
    "navy": (36, 52, 98),
    "turquoise": (64, 176, 176),
    "teal": (38, 124, 126),
    "green": (98, 146, 92),
    "emerald": (24, 118, 84),
    "mint": (160, 212, 186),
    "olive": (128, 132, 78),
    "beige": (218, 198, 168),
    "cream": (240, 228, 204),
    "ivory": (244, 238, 222),
    "champagne": (232, 212, 178),
    "brown": (134, 94, 64),
    "terracotta": (196, 112, 82),
    "coral": (236, 128, 108),
    "peach": (246, 190, 156),
    "white": (240, 239, 236),
    "silver": (196, 200, 206),
    "grey": (150, 152, 156),
    "gray": (150, 152, 156),
    "black": (44, 44, 48),
    "charcoal": (66, 68, 74),
}
_PALE: Final = frozenset(("pale", "light", "soft", "pastel"))
_DEEP: Final = frozenset(("dark", "deep", "rich"))
_NEARBY_WORDS: Final = 3
_FADING: Final = 0.7


def read_prompt(prompt: str, *, negative_prompt: str = "") -> Brief:
    """What to paint for this prompt, without what the other one names; a prompt that says nothing known gets a studio.

    A negative prompt's words are taken one by one: in it, "ugly sofa" forbids every sofa.
    """
    avoided = frozenset(_words_of(negative_prompt))
    words = [word if word not in avoided else "" for word in _words_of(prompt)]
    known = frozenset(words) - {""}
    setting, place = _find_setting(words, avoided)
    return Brief(
        setting=setting,
        light=_find_light(known, avoided),
        colour=_find_colour(
            words,
            words.index("wall") if "wall" in known else place,
            anywhere=setting in {Setting.DRAPE, Setting.STUDIO},
        ),
        words=known,
        avoided=avoided,
    )


def named_colours(words: frozenset[str]) -> list[Colour]:
    """The colours that these words name."""
    return [_COLOURS[word] for word in sorted(words) if word in _COLOURS]


def _words_of(text: str) -> list[str]:
    return [_singular(word) for word in re.findall(r"[a-z]+", text.lower())]


def _find_setting(words: list[str], avoided: frozenset[str]) -> tuple[Setting, int]:
    for setting, names in _SETTINGS.items():
        named = frozenset(names.split())
        places = [place for place, word in enumerate(words) if word in named]
        if places and avoided.isdisjoint(_RULED_OUT_BY[setting]):
            return setting, places[-1]
    left = (setting for setting in _WITHOUT_PLACE if avoided.isdisjoint(_RULED_OUT_BY[setting]))
    return next(left, Setting.STUDIO), len(words)


def _find_light(known: frozenset[str], avoided: frozenset[str]) -> Light:
    if not known.isdisjoint(_NIGHT) and avoided.isdisjoint(_DARKNESS):
        return Light.NIGHT
    dusky = not known.isdisjoint(_SUNSET) or not avoided.isdisjoint(_DAYLIGHT)
    return Light.SUNSET if dusky and avoided.isdisjoint(_SUNSET) else Light.DAY


def _find_colour(words: list[str], place: int, *, anywhere: bool) -> Colour | None:
    """The colour just before the setting's own word; elsewhere in the prompt it is the product's."""
    nearby = range(max(place - _NEARBY_WORDS, 0), place)
    candidates = [index for index in nearby if words[index] in _COLOURS]
    if not candidates and anywhere:
        candidates = [index for index, word in enumerate(words) if word in _COLOURS]
    if not candidates:
        return None
    index = candidates[-1]
    colour = _COLOURS[words[index]]
    qualities = words[max(index - 2, 0) : index]
    if not _PALE.isdisjoint(qualities):
        return lighter(colour, 0.48)
    return darker(colour, 0.35) if not _DEEP.isdisjoint(qualities) else colour


def _singular(word: str) -> str:
    if word in {"leaves", "leafs"}:
        return "leaf"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word  # noqa: PLR2004
