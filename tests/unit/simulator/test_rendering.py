"""Prompts are read for what they ask, and every setting gives a picture of its own."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops, ImageStat

from sceneshift.simulator.rendering.brief import Light, Setting, read_prompt
from sceneshift.simulator.rendering.composite import paint_scene
from sceneshift.simulator.rendering.stage import Footprint
from tests.unit.simulator.support import seeded

STANDING = Footprint(left=0.35, top=0.3, right=0.65, base=0.86)
PROMPTS = {
    Setting.GRAFFITI: "A girl wearing a pink windbreaker poses in front of a wall covered with artistic graffiti.",
    Setting.ROOM: "Place the wooden coffee table in a warm and modern living room setting.",
    Setting.WATER: "By the shore of Erhai Lake, with distant mountains. Many seagulls are flying in the sky.",
    Setting.CITY: "on a city street at night",
    Setting.OPEN_LAND: "On the Sichuan-Tibet Highway, with a backdrop of grasslands and snow-capped mountains.",
    Setting.WOODLAND: "in an autumn park with golden leaves",
    Setting.DRAPE: "The perfume bottle is placed on soft pale yellow silk.",
    Setting.MARBLE: "on white marble",
    Setting.WOOD: "on a wooden table",
    Setting.STUDIO: "something that no painter knows",
}


def paint(prompt: str, *, seed: int = 1, size: tuple[int, int] = (320, 320)) -> Image.Image:
    return paint_scene(read_prompt(prompt), STANDING, size, seeded(seed))


def difference(first: Image.Image, second: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean) / 3


@pytest.mark.parametrize(("setting", "prompt"), PROMPTS.items())
def test_prompt_is_read_as_its_setting(setting: Setting, prompt: str) -> None:
    """The document's own examples, and others in their manner, are each understood."""
    assert read_prompt(prompt).setting is setting


@pytest.mark.parametrize(
    ("prompt", "light"),
    [("a lake at sunset", Light.SUNSET), ("a city at night", Light.NIGHT), ("a lake", Light.DAY)],
)
def test_prompt_sets_the_light(prompt: str, light: Light) -> None:
    """Words for the time of day decide about the light."""
    assert read_prompt(prompt).light is light


def test_colour_belongs_to_the_setting_not_to_the_product() -> None:
    """A pink coat does not make the room pink; a pink wall does; pale silk is paler than silk."""
    assert read_prompt("a pink coat hanging in the living room").colour is None
    assert read_prompt("a lamp in a living room with a pink wall").colour is not None
    pale, plain = read_prompt("on pale yellow silk").colour, read_prompt("on yellow silk").colour
    assert pale is not None
    assert plain is not None
    assert sum(pale) > sum(plain)


@pytest.mark.parametrize("prompt", [*PROMPTS.values(), "a beach at sunset", "fresh snow", "a desert road at night"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_scene_is_a_picture(prompt: str, seed: int) -> None:
    """No scene is flat or fails, for wide and tall pictures alike."""
    for size in ((200, 260), (450, 210)):
        scene = paint(prompt, seed=seed, size=size)
        assert scene.size == size
        assert max(ImageStat.Stat(scene).stddev) > 8


@pytest.mark.parametrize("prompt", PROMPTS.values())
def test_seed_repeats_a_scene_and_varies_it(prompt: str) -> None:
    """One seed gives one scene; another gives a visibly different one."""
    assert paint(prompt).tobytes() == paint(prompt).tobytes()
    assert difference(paint(prompt, seed=1), paint(prompt, seed=2)) > 2


def test_settings_look_different() -> None:
    """No two settings give nearly the same picture."""
    scenes = [paint(prompt) for prompt in PROMPTS.values()]
    pairs = [(a, b) for index, a in enumerate(scenes) for b in scenes[index + 1 :]]
    assert min(difference(a, b) for a, b in pairs) > 8


def test_ground_lies_under_a_product_high_in_the_picture() -> None:
    """A product that stands high, or fills the picture, still gets a scene."""
    for footprint in (
        Footprint(left=0.4, top=0.05, right=0.6, base=0.3),
        Footprint(left=0, top=0, right=1, base=1),
    ):
        for prompt in PROMPTS.values():
            assert paint_scene(read_prompt(prompt), footprint, (320, 320), seeded(1)).size == (320, 320)
