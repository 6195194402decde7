"""How fast the simulated provider draws, which bounds a load test, and what a large picture costs in memory."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from sceneshift.simulator.rendering.composite import render_png
from sceneshift.simulator.rendering.recipe import Quality, Recipe

CATALOGUE = Path(__file__).parents[2] / "examples" / "catalogue"
SIDE_PIXELS = 1024
LARGE_SIDE_PIXELS = 4096
LARGE_ALLOWED_BYTES = 250_000_000
PICTURES = 40
PROMPTS = (
    "The car is driving on the Sichuan-Tibet Highway, with a backdrop of grasslands and snow-capped mountains.",
    "on soft pale yellow silk",
    "in a warm and modern living room",
    "by the shore of a lake, with seagulls",
    "in front of a wall covered with artistic graffiti",
    "on white marble",
    "in a city at night",
    "on a pastel podium",
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("quality", get_args(Quality))
def test_pictures_per_second_of_one_core(quality: Quality, image_format: str) -> None:
    """A picture of 1024 by 1024 pixels is drawn from the photo's bytes, decoding included, at no absurd cost."""
    image, mask = product(SIDE_PIXELS, image_format), product_mask(SIDE_PIXELS)
    sizes_bytes = []
    # This thread's processor time: other processes on the machine do not count.
    before = time.thread_time()
    for seed in range(PICTURES):
        recipe = Recipe(prompt=PROMPTS[seed % len(PROMPTS)], seed=seed)
        sizes_bytes.append(len(render_png(image, mask, keeps="white", recipe=recipe, quality=quality)))
    seconds = (time.thread_time() - before) / PICTURES
    print(  # noqa: T201  # the figure is what a benchmark is for
        f"\n{quality} pictures of {SIDE_PIXELS} x {SIDE_PIXELS} from {image_format}: {1 / seconds:.1f} per second "
        f"of one core ({seconds * 1000:.0f} ms each), {sum(sizes_bytes) / PICTURES / 1e3:.0f} kB on average"
    )
    assert seconds < 5


@pytest.mark.parametrize("quality", get_args(Quality))
def test_memory_for_the_largest_picture(tmp_path: Path, quality: Quality) -> None:
    """A picture of 4096 by 4096 pixels adds less than 250 MB to the process that draws it."""
    (tmp_path / "photo.jpg").write_bytes(product(LARGE_SIDE_PIXELS, "JPEG"))
    (tmp_path / "mask.png").write_bytes(product_mask(LARGE_SIDE_PIXELS))
    program = (
        "import pathlib, sys\n"
        "from sceneshift.simulator.rendering.composite import render_png\n"
        "from sceneshift.simulator.rendering.recipe import Recipe\n"
        "from tests.benchmarks.test_rendering_speed import peak_bytes\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "photo, mask = (folder / 'photo.jpg').read_bytes(), (folder / 'mask.png').read_bytes()\n"
        "before = peak_bytes()\n"
        "recipe = Recipe(prompt='on white marble', strength=0.2)\n"
        "render_png(photo, mask, keeps='white', recipe=recipe, quality=sys.argv[2])\n"
        "print(peak_bytes() - before)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), quality],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    added_bytes = int(finished.stdout)
    print(f"\n{quality} picture of {LARGE_SIDE_PIXELS} x {LARGE_SIDE_PIXELS}: +{added_bytes / 1e6:.0f} MB")  # noqa: T201  # see above
    assert added_bytes < LARGE_ALLOWED_BYTES


def peak_bytes() -> int:
    """The most resident memory that this process ever had (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("this process has no VmHWM")


def product(side_pixels: int, image_format: str) -> bytes:
    return scaled(CATALOGUE / "car.jpg", "RGB", side_pixels, image_format)


def product_mask(side_pixels: int) -> bytes:
    return scaled(CATALOGUE / "car.mask.png", "L", side_pixels, "PNG")


def scaled(path: Path, mode: str, side_pixels: int, image_format: str) -> bytes:
    output = io.BytesIO()
    with Image.open(path) as opened:
        opened.convert(mode).resize((side_pixels, side_pixels), Image.Resampling.BICUBIC).save(output, image_format)
    return output.getvalue()
