"""Pictures for load tests: a flat gradient, the product at half its resolution, and no effect of the finer parameters.

A draft is masked, as large as the photo, and different for each prompt and seed.
"""

from __future__ import annotations

from random import Random

from PIL import Image

from sceneshift.simulator.rendering.brief import read_prompt
from sceneshift.simulator.rendering.colour import Colour, coloured, darker, lighter, vary
from sceneshift.simulator.rendering.png import encode_doubled_png
from sceneshift.simulator.rendering.recipe import Recipe


def draft_png(photo: Image.Image, kept: Image.Image, size: tuple[int, int], recipe: Recipe) -> bytes:
    """A PNG of this size; `photo` and `kept` have half its width and height, rounded up."""
    picture = _gradient(recipe, photo.size)
    picture.paste(photo, (0, 0), kept)
    return encode_doubled_png(size, picture)


def _gradient(recipe: Recipe, size: tuple[int, int]) -> Image.Image:
    random = Random(f"{recipe.seed}\n{recipe.prompt}")  # noqa: S311 - pictures, not secrets
    brief = read_prompt(recipe.prompt, negative_prompt=recipe.negative_prompt)
    tone: Colour = (random.randrange(70, 230), random.randrange(70, 230), random.randrange(70, 230))
    tone = vary(random, brief.colour, hue=0.06, tone=0.25) if brief.colour else tone
    bend = random.uniform(0.35, 0.8)
    stops = [(0, darker(tone, random.uniform(0.2, 0.5))), (bend, tone), (1, lighter(tone, random.uniform(0.2, 0.5)))]
    return coloured(Image.linear_gradient("L").resize((1, size[1])), stops).resize(size, Image.Resampling.NEAREST)
