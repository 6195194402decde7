"""Prompts are read for what they ask, every setting gives a picture of its own, and what is unwanted is left out."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops, ImageStat

from sceneshift.simulator.rendering.brief import Light, Setting, read_prompt
from sceneshift.simulator.rendering.recipe import Recipe
from sceneshift.simulator.rendering.scene import paint_scene, scene_for
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


LIVING_ROOM = "a Nordic living room with a sofa, a plant, a lamp and a painting"


def paint(prompt: str, *, seed: int = 1, size: tuple[int, int] = (320, 320), without: str = "") -> Image.Image:
    return paint_scene(read_prompt(prompt, negative_prompt=without), STANDING, size, seeded(seed))


def scene(prompt: str, **parameters: object) -> Image.Image:
    """The finished background behind a photo of 512 by 512 pixels."""
    recipe = Recipe(**{"prompt": prompt, "seed": 1} | parameters)  # type: ignore[arg-type]  # one name, many types
    return scene_for(recipe, STANDING, (512, 512))[0]


def saturation(picture: Image.Image) -> float:
    return ImageStat.Stat(picture.convert("HSV")).mean[1]


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
        picture = paint(prompt, seed=seed, size=size)
        assert picture.size == size
        assert max(ImageStat.Stat(picture).stddev) > 8


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


@pytest.mark.parametrize("prompt", PROMPTS.values())
@pytest.mark.parametrize("size", [(4096, 400), (400, 4096)])
def test_narrowest_pictures_get_a_scene(prompt: str, size: tuple[int, int]) -> None:
    """The longest and narrowest photos that are taken get a scene of their shape, even with the fewest steps."""
    picture, _ = scene_for(Recipe(prompt=prompt, steps=15), STANDING, size)
    assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize(
    ("prompt", "without", "setting"),
    [
        ("graffiti in a park", "graffiti", Setting.WOODLAND),
        ("in a living room", "room", Setting.STUDIO),
        ("by a lake", "water", Setting.STUDIO),
        ("on a sofa in the living room", "ugly sofas", Setting.ROOM),
        ("something that no painter knows", "studio", Setting.DRAPE),
        ("by a lake", "NSFW", Setting.WATER),
    ],
)
def test_avoided_setting_gives_way(prompt: str, without: str, setting: Setting) -> None:
    """A place that the negative prompt names gives way to the next one that the prompt or the painter has."""
    assert read_prompt(prompt, negative_prompt=without).setting is setting


def test_avoided_light_and_colour_are_not_heard() -> None:
    """A darkness or a colour that is unwanted is not painted, whatever the prompt says."""
    assert read_prompt("a lake at night", negative_prompt="dark").light is Light.DAY
    assert read_prompt("a lake at sunset", negative_prompt="sunset").light is Light.DAY
    assert read_prompt("a lake", negative_prompt="daylight").light is Light.SUNSET
    assert read_prompt("on red silk", negative_prompt="red").colour is None


@pytest.mark.parametrize(
    ("prompt", "without"),
    [
        (LIVING_ROOM, "plants"),
        (LIVING_ROOM, "sofa"),
        (LIVING_ROOM, "lamp"),
        (LIVING_ROOM, "painting"),
        (PROMPTS[Setting.WATER], "birds"),
        (PROMPTS[Setting.OPEN_LAND], "road"),
        (PROMPTS[Setting.GRAFFITI], "text, logo"),
        ("in an autumn park", "leaves"),
    ],
)
def test_avoided_thing_is_missing_and_the_rest_stays(prompt: str, without: str) -> None:
    """Without an unwanted thing the picture is the same one, but for where the thing was."""
    changed = ImageChops.difference(paint(prompt), paint(prompt, without=without)).convert("L")
    share = sum(changed.histogram()[6:]) / (320 * 320)
    assert 0.002 < share < 0.5


@pytest.mark.parametrize(
    ("prompt", "without"), [("on red silk", "crimson"), ("a lake", "blue"), ("grass in a meadow", "green")]
)
def test_avoided_colours_fade_wherever_they_are(prompt: str, without: str) -> None:
    """Things whose own colour is unwanted turn grey, though nobody gave them that colour."""
    assert saturation(scene(prompt, negative_prompt=without)) < 0.5 * saturation(scene(prompt))


def test_guidance_brings_out_colour_and_contrast() -> None:
    """More guidance gives stronger colours and harder contrasts, less gives muted ones."""
    pictures = [scene("by the lake", guidance_scale=scale) for scale in (0.0, 2.0, 7.5, 20.0, 1000.0)]
    saturations = [saturation(picture) for picture in pictures]
    contrasts = [ImageStat.Stat(picture.convert("L")).stddev[0] for picture in pictures]
    assert saturations == sorted(set(saturations))
    assert contrasts == sorted(set(contrasts))
    assert saturations[0] < 0.6 * saturations[2] < 0.6 * 0.85 * saturations[4]


@pytest.mark.parametrize(
    ("odd", "plain"),
    [(float("inf"), 1000.0), (1e308, 1000.0), (-5.0, 0.0), (float("-inf"), 0.0), (float("nan"), 0.0)],
)
def test_every_guidance_scale_is_taken(odd: float, plain: float) -> None:
    """Scales without end, below nothing, or not numbers at all have the effect of the nearest sensible one."""
    assert scene("by the lake", guidance_scale=odd) == scene("by the lake", guidance_scale=plain)


def test_low_guidance_forgets_details_and_keeps_the_place() -> None:
    """With less guidance fewer of the prompt's words are heard, and none that more guidance would miss."""
    brief = read_prompt(PROMPTS[Setting.WATER])
    heard = [brief.heeded(share, seeded(3)) for share in (0.0, 0.4, 0.8, 1.0)]
    assert not heard[0].words
    assert heard[0].words < heard[1].words < heard[2].words < heard[3].words == brief.words
    assert {one.setting for one in heard} == {Setting.WATER}


def test_few_steps_give_a_coarser_and_grainier_picture_of_the_same_scene() -> None:
    """From 15 to 50 steps a scene gains detail and loses grain, and stays the scene that it is."""
    for prompt in PROMPTS.values():
        coarse, fine = scene(prompt, steps=15), scene(prompt, steps=50)
        assert coarse.width < 0.5 * fine.width
        rough, other = (picture.resize((48, 48)) for picture in (coarse, scene(prompt, steps=50, seed=2)))
        assert difference(rough, fine.resize((48, 48))) < 0.7 * difference(other, fine.resize((48, 48)))
    grains = [_grain(scene("a pastel studio", steps=steps)) for steps in (15, 32, 50)]
    assert grains[0] > 1.5 * grains[1] > 1.5 * 1.5 * grains[2]


def _grain(picture: Image.Image) -> float:
    """How much neighbouring pixels differ."""
    return difference(picture, ImageChops.offset(picture, 1, 0))
