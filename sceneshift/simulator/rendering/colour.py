"""Colours as plain triples, and the ramps that turn grey pictures into coloured ones."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from itertools import pairwise
from random import Random

from PIL import Image

Colour = tuple[int, int, int]
Stops = Sequence[tuple[float, Colour]]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with this share of `second` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def lighter(colour: Colour, share: float) -> Colour:
    return mix(colour, WHITE, share)


def darker(colour: Colour, share: float) -> Colour:
    return mix(colour, BLACK, share)


def faded(colour: Colour, share: float) -> Colour:
    """The colour with this share of the grey that is as bright in it."""
    red, green, blue = colour
    grey = round(0.299 * red + 0.587 * green + 0.114 * blue)
    return mix(colour, (grey, grey, grey), share)


def deepened(colour: Colour) -> Colour:
    """The same hue in shadow: darker, not greyer."""
    hue, lightness, saturation = _to_hls(colour)
    return _from_hls(hue - 0.015, lightness * 0.55, saturation * 0.8)


def vary(random: Random, colour: Colour, *, hue: float = 0.015, tone: float = 0.06) -> Colour:
    """A neighbour of this colour, so that no two pictures have the very same one."""
    own_hue, lightness, saturation = _to_hls(colour)
    return _from_hls(
        own_hue + random.uniform(-hue, hue),
        lightness + random.uniform(-tone, tone) / 2,
        saturation * (1 + random.uniform(-tone, tone) * 2),
    )


def _to_hls(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)


def _from_hls(hue: float, lightness: float, saturation: float) -> Colour:
    channels = colorsys.hls_to_rgb(hue % 1, min(max(lightness, 0), 1), min(max(saturation, 0), 1))
    red, green, blue = (round(channel * 255) for channel in channels)
    return red, green, blue


def coloured(grey: Image.Image, stops: Stops) -> Image.Image:
    """A grey picture with its tones replaced by the colours of a ramp."""
    return Image.merge("RGB", [grey.point(_table(stops, channel)) for channel in range(3)])


def _table(stops: Stops, channel: int) -> list[int]:
    """What each of the 256 tones becomes in one channel, straight between the stops."""
    places = [(round(place * 255), colour[channel]) for place, colour in stops]
    table = [places[0][1]] * (places[0][0] + 1)
    for (_, before), (end, after) in pairwise(places):
        start = len(table) - 1
        table += [before + (after - before) * (tone - start) // (end - start) for tone in range(start + 1, end + 1)]
    return table + [places[-1][1]] * (256 - len(table))
